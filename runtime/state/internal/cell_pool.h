#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/base/check.h"
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
  uint32_t position = 0;    // In the list of changed cells, or of dead ones.
  uint32_t generation = 0;  // Goes up when the entry goes, so that old references are recognised.
  uint16_t slab = 0;        // Where in the pool the cell lies.
  bool in_use : 1 = false;
  // Whether a snapshot or the database may hold the entry, so that erasing must be recorded.
  bool persisted : 1 = false;
  bool retired : 1 = false;  // No longer in the table, kept for the running snapshot.
  bool dead : 1 = false;     // Records that the entry was erased.
  // Used since eviction last came by. Always set where nothing is evicted, so a hit only reads it.
  bool hot = true;
  union {
    Body body;
    TableCell* next_free;
  };
};

/// Owns cells at stable addresses, in slabs that grow from a few cells to 256 KiB, and to 4 MiB
/// once there are thousands of them.
///
/// Threads: one at a time. Shared by the table and its running snapshot, so that either may go
/// first; the last one destroys what is still in use.
template <class Cell>
class CellPool {
 public:
  /// `budget` is charged per slab; borrowed, may be null.
  explicit CellPool(MemoryBudget* budget) : budget_(budget), charge_(budget, 0) {}
  CellPool(const CellPool&) = delete;
  CellPool& operator=(const CellPool&) = delete;
  ~CellPool() {
    for (const Slab& slab : slabs_) {
      for (size_t i = 0; i < slab.size; ++i) {
        if (slab.cells[i].in_use) std::destroy_at(&slab.cells[i].body);
      }
    }
  }

  /// Returns a cell whose header is reset, save its generation, and whose body `arguments` made.
  template <class... Arguments>
  Cell* New(uint64_t hash, Arguments&&... arguments) {
    Cell* cell = Take();
    ::new (static_cast<void*>(&cell->body))
        typename Cell::Body{std::forward<Arguments>(arguments)...};
    cell->hash = hash;
    cell->in_use = true;
    cell->persisted = false;
    cell->retired = false;
    cell->dead = false;
    cell->hot = true;
    return cell;
  }

  void Free(Cell* cell) {
    std::destroy_at(&cell->body);
    cell->in_use = false;
    ++cell->generation;
    Slab& slab = slabs_[cell->slab];
    if (slab.free == nullptr && cell->slab != closed_slab_) with_free_.push_back(cell->slab);
    cell->next_free = slab.free;
    slab.free = cell;
    --slab.num_used;
    ++num_free_;
  }

  [[nodiscard]] MemoryBudget* budget() const { return budget_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  /// Returns the number of slabs, released ones included.
  [[nodiscard]] size_t num_slabs() const { return slabs_.size(); }
  /// Returns how many cells a slab has; 0 of a released one.
  [[nodiscard]] size_t SlabSize(size_t slab) const { return slabs_[slab].size; }
  [[nodiscard]] size_t NumUsed(size_t slab) const { return slabs_[slab].num_used; }
  [[nodiscard]] Cell& CellAt(size_t slab, size_t index) { return slabs_[slab].cells[index]; }
  /// Whether some cells of `slab` were never used yet.
  [[nodiscard]] bool IsFresh(size_t slab) const { return slab == fresh_slab_; }
  /// Returns how many cells New can take from other slabs; needs that `slab` is not fresh.
  [[nodiscard]] size_t NumFreeElsewhere(size_t slab) const {
    return num_free_ - (slabs_[slab].size - slabs_[slab].num_used);
  }
  /// Keeps New from using the free cells of `slab`, the only one closed, until the next call.
  void CloseSlab(size_t slab) {
    OpenSlabs();
    closed_slab_ = slab;
    if (slabs_[slab].free != nullptr) std::erase(with_free_, static_cast<uint16_t>(slab));
  }
  void OpenSlabs() {
    const size_t slab = std::exchange(closed_slab_, kNone);
    if (slab != kNone && slabs_[slab].free != nullptr) {
      with_free_.push_back(static_cast<uint16_t>(slab));
    }
  }
  /// Gives the memory of a closed slab back. Needs NumUsed(slab) == 0, and that nobody refers to
  /// its cells any more.
  void ReleaseSlab(size_t slab) {
    Slab& released = slabs_[slab];
    DCHECK(released.num_used == 0 && slab == closed_slab_ && slab != fresh_slab_);
    closed_slab_ = kNone;
    num_free_ -= released.size;
    bytes_ -= released.size * sizeof(Cell);
    released = {};
    released_.push_back(static_cast<uint16_t>(slab));
    charge_.Resize(static_cast<int64_t>(bytes_));
  }

 private:
  static constexpr size_t kFirstSlabCells = 8;
  static constexpr size_t kMaxSlabBytes = size_t{256} << 10;
  static constexpr size_t kNumSmallSlabs = 4096;
  static constexpr size_t kBigSlabBytes = size_t{4} << 20;
  static constexpr size_t kMaxSlabs = size_t{1} << 16;
  static constexpr size_t kNone = SIZE_MAX;

  struct Slab {
    std::unique_ptr<Cell[]> cells;
    size_t size = 0;
    size_t num_used = 0;
    Cell* free = nullptr;
  };

  Cell* Take() {
    Cell* cell = nullptr;
    if (!with_free_.empty()) {
      Slab& slab = slabs_[with_free_.back()];
      cell = slab.free;
      slab.free = cell->next_free;
      if (slab.free == nullptr) with_free_.pop_back();
      ++slab.num_used;
      --num_free_;
      return cell;
    }
    if (fresh_slab_ == kNone || next_in_slab_ == slabs_[fresh_slab_].size) AddSlab();
    Slab& slab = slabs_[fresh_slab_];
    cell = &slab.cells[next_in_slab_++];
    cell->slab = static_cast<uint16_t>(fresh_slab_);
    ++slab.num_used;
    return cell;
  }

  void AddSlab() {
    size_t size = kFirstSlabCells;
    if (last_slab_size_ > 0) {
      const size_t most = slabs_.size() < kNumSmallSlabs ? kMaxSlabBytes : kBigSlabBytes;
      size = std::min(last_slab_size_ * 2, std::max(kFirstSlabCells, most / sizeof(Cell)));
    }
    if (released_.empty()) {
      CHECK_LT(slabs_.size(), kMaxSlabs);
      fresh_slab_ = slabs_.size();
      slabs_.emplace_back();
    } else {
      fresh_slab_ = released_.back();
      released_.pop_back();
    }
    slabs_[fresh_slab_].cells.reset(new Cell[size]);
    slabs_[fresh_slab_].size = size;
    last_slab_size_ = size;
    next_in_slab_ = 0;
    bytes_ += size * sizeof(Cell);
    charge_.Resize(static_cast<int64_t>(bytes_));
  }

  MemoryBudget* const budget_;
  std::vector<Slab> slabs_;
  size_t fresh_slab_ = kNone;  // Whose cells from next_in_slab_ on were never used.
  size_t next_in_slab_ = 0;
  size_t last_slab_size_ = 0;
  size_t closed_slab_ = kNone;
  std::vector<uint16_t> with_free_;  // Slabs with free cells, but for the closed one.
  std::vector<uint16_t> released_;
  size_t num_free_ = 0;  // Free cells that were used before.
  size_t bytes_ = 0;
  MemoryCharge charge_;
};

}  // namespace weir::internal
