#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"

namespace weir::internal {

/// The dead cells of one ObjectTable by mixed hash, whatever the types in them, so that it is
/// compiled once. Threads: one at a time.
class ErasedCells {
 public:
  ErasedCells();
  ErasedCells(const ErasedCells&) = delete;
  ErasedCells& operator=(const ErasedCells&) = delete;
  ~ErasedCells();

  [[nodiscard]] bool empty() const { return size_ == 0; }
  void Insert(uint64_t mixed, void* cell);
  /// Returns a cell of that hash for which `matches` holds, or null.
  [[nodiscard]] void* Find(uint64_t mixed, absl::FunctionRef<bool(const void* cell)> matches) const;
  /// Forgets the cell, if it is there.
  void Erase(uint64_t mixed, const void* cell);
  void Clear();
  /// Replaces each cell by where_to(cell).
  void Move(absl::FunctionRef<void*(void* cell)> where_to);

 private:
  struct Map;

  size_t size_ = 0;
  std::unique_ptr<Map> map_;  // Null until there is one.
};

}  // namespace weir::internal
