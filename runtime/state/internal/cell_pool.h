#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/base/memory_budget.h"

namespace weir::internal {

/// A place for one entry of an ObjectTable: a header that always lives, and a body that lives while
/// `in_use`. While a snapshot runs, its thread reads `hash` and the body of frozen cells;
/// the task's thread then writes none of these.
template <class K, class N, class V>
struct TableCell {
  struct Body {
    K key;
    [[no_unique_address]] N ns;
    V value;
  };

  TableCell() {}   // NOLINT: the body begins to live in CellPool's user.
  ~TableCell() {}  // NOLINT: CellPool ends it.
  TableCell(const TableCell&) = delete;
  TableCell& operator=(const TableCell&) = delete;

  uint64_t hash = 0;
  uint32_t epoch = 0;       // Of the last change.
  uint32_t position = 0;    // In the list of changed cells, if changed in the current epoch.
  uint32_t generation = 0;  // Goes up when the entry goes, so that old references are recognised.
  bool in_use = false;
  bool persisted =
      false;             // Whether a snapshot may hold the entry, so that erasing must be recorded.
  bool retired = false;  // No longer in the table, kept for the running snapshot.
  union {
    Body body;
    TableCell* next_free;
  };
};

/// Owns cells at stable addresses, in slabs that grow from a few cells to 256 KiB.
///
/// Threads: one at a time. Shared by the table and its running snapshot, so that either may go
/// first; the last one destroys what is still in use.
template <class Cell>
class CellPool {
 public:
  /// `budget` is charged per slab; borrowed, may be null.
  explicit CellPool(MemoryBudget* budget) : charge_(budget, 0) {}
  CellPool(const CellPool&) = delete;
  CellPool& operator=(const CellPool&) = delete;
  ~CellPool() {
    for (const Slab& slab : slabs_) {
      const size_t used = &slab == &slabs_.back() ? next_in_slab_ : slab.size;
      for (size_t i = 0; i < used; ++i) {
        if (slab.cells[i].in_use) std::destroy_at(&slab.cells[i].body);
      }
    }
  }

  /// Returns a cell whose header is reset, save its generation, and whose body `arguments` made.
  template <class... Arguments>
  Cell* New(uint64_t hash, Arguments&&... arguments) {
    Cell* cell = free_;
    if (cell != nullptr) {
      free_ = cell->next_free;
    } else {
      if (slabs_.empty() || next_in_slab_ == slabs_.back().size) AddSlab();
      cell = &slabs_.back().cells[next_in_slab_++];
    }
    ::new (static_cast<void*>(&cell->body))
        typename Cell::Body{std::forward<Arguments>(arguments)...};
    cell->hash = hash;
    cell->in_use = true;
    cell->persisted = false;
    cell->retired = false;
    return cell;
  }

  void Free(Cell* cell) {
    std::destroy_at(&cell->body);
    cell->in_use = false;
    ++cell->generation;
    cell->next_free = free_;
    free_ = cell;
  }

  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] size_t num_slabs() const { return slabs_.size(); }

 private:
  static constexpr size_t kFirstSlabCells = 8;
  static constexpr size_t kMaxSlabBytes = size_t{256} << 10;

  struct Slab {
    std::unique_ptr<Cell[]> cells;
    size_t size = 0;
  };

  void AddSlab() {
    size_t size = kFirstSlabCells;
    if (!slabs_.empty()) {
      size =
          std::min(slabs_.back().size * 2, std::max(kFirstSlabCells, kMaxSlabBytes / sizeof(Cell)));
    }
    slabs_.push_back({std::unique_ptr<Cell[]>(new Cell[size]), size});
    next_in_slab_ = 0;
    bytes_ += size * sizeof(Cell);
    charge_.Resize(static_cast<int64_t>(bytes_));
  }

  std::vector<Slab> slabs_;
  size_t next_in_slab_ = 0;  // Cells of the last slab that were ever used.
  Cell* free_ = nullptr;
  size_t bytes_ = 0;
  MemoryCharge charge_;
};

}  // namespace weir::internal
