#include "runtime/state/internal/erased_cells.h"

#include <unordered_map>

namespace weir::internal {

struct ErasedCells::Map {
  std::unordered_multimap<uint64_t, void*> cells;
};

ErasedCells::ErasedCells() = default;
ErasedCells::~ErasedCells() = default;

void ErasedCells::Insert(uint64_t mixed, void* cell) {
  if (map_ == nullptr) map_ = std::make_unique<Map>();
  map_->cells.emplace(mixed, cell);
  size_ = map_->cells.size();
}

void* ErasedCells::Find(uint64_t mixed, absl::FunctionRef<bool(const void* cell)> matches) const {
  if (size_ == 0) return nullptr;
  const auto [begin, end] = map_->cells.equal_range(mixed);
  for (auto it = begin; it != end; ++it) {
    if (matches(it->second)) return it->second;
  }
  return nullptr;
}

void ErasedCells::Erase(uint64_t mixed, const void* cell) {
  if (size_ == 0) return;
  const auto [begin, end] = map_->cells.equal_range(mixed);
  for (auto it = begin; it != end; ++it) {
    if (it->second == cell) {
      map_->cells.erase(it);
      break;
    }
  }
  size_ = map_->cells.size();
}

void ErasedCells::Clear() {
  map_ = nullptr;
  size_ = 0;
}

void ErasedCells::Move(absl::FunctionRef<void*(void* cell)> where_to) {
  if (size_ == 0) return;
  for (auto& [mixed, cell] : map_->cells) cell = where_to(cell);
}

}  // namespace weir::internal
