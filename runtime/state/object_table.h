#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/memory_budget.h"
#include "runtime/record/serde.h"
#include "runtime/state/internal/cell_pool.h"
#include "runtime/state/internal/cold_entries.h"
#include "runtime/state/internal/erased_cells.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/namespace.h"

namespace weir {

/// What a snapshot made of its frozen entries.
enum class SnapshotResult : uint8_t {
  /// They are in the base that the next snapshot builds on: they count as unchanged.
  kWritten,
  /// There is no base: all are changed again, and dead ones are forgotten.
  kNothingWritten,
  /// Some may be in the base: all are changed again, dead ones too.
  kUnknown,
};

/// Keyed state in memory: (key, namespace) -> C++ object, with a record of what changed since the
/// last snapshot.
///
/// Place: the one form of keyed state that operators touch; made by KeyedStateBackend (or alone, as
/// a plain hash table). Entries live at stable addresses until they are erased, or changed while a
/// snapshot that holds them runs: so pointers are good until the next change of the same entry.
///
/// Threads: one at a time, the task's; only FrozenEntries may be read by another, while the task
/// goes on. Values must therefore be self-contained: copying one must copy all it refers to.
///
/// Changed entries: with tracking, the first change of an entry in an epoch lists it. BeginSnapshot
/// moves that list out (no entry is touched) and starts an epoch; entries in it are frozen, and one
/// changed meanwhile is first copied. An erased entry that a snapshot may hold leaves a dead cell
/// in the list; any other vanishes. EndSnapshot says what became of the list: written, or it is
/// listed again, so nothing is lost when a snapshot fails.
///
/// Cold entries: with SetColdEntries, entries that were not used for a while leave for the database
/// when the process is short of memory, some at each few insertions, and come back when they are
/// looked up. An unchanged one just goes, a changed one is written first. Entries of the key that
/// is being looked up stay, so pointers are good until the next key. A hit costs no more; a table
/// that no entry has left asks no database.
template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
class ObjectTable {
  using Cell = internal::TableCell<K, N, V>;
  using Pool = internal::CellPool<Cell>;

 public:
  /// Names an entry for later; see IsCurrent.
  class EntryReference {
   public:
    EntryReference() = default;
    [[nodiscard]] uint64_t hash() const { return cell_->hash; }
    [[nodiscard]] const K& key() const { return cell_->body.key; }
    [[nodiscard]] const N& ns() const { return cell_->body.ns; }
    [[nodiscard]] const V& value() const { return cell_->body.value; }
    /// Whether the entry is still in its table and was not copied since. The table must live; the
    /// other accessors need a current reference.
    [[nodiscard]] bool IsCurrent() const { return cell_->generation == generation_; }

   private:
    friend class ObjectTable;
    explicit EntryReference(Cell* cell) : cell_(cell), generation_(cell->generation) {}
    Cell* cell_ = nullptr;
    uint32_t generation_ = 0;
  };

  /// One changed or erased entry of a snapshot. The value of a dead one means nothing.
  struct FrozenEntry {
    uint64_t hash;
    bool dead;
    const K& key;
    const N& ns;
    const V& value;
  };

  /// What BeginSnapshot took out. Any one thread may read it while the task's thread goes on with
  /// the table; keeps the entries' memory alive should the table go first.
  class FrozenEntries {
   public:
    FrozenEntries() = default;
    [[nodiscard]] size_t size() const { return changed_.size() + dead_.size(); }
    [[nodiscard]] FrozenEntry operator[](size_t index) const {
      const bool dead = index >= changed_.size();
      const Cell& cell = dead ? *dead_[index - changed_.size()] : *changed_[index];
      return {cell.hash, dead, cell.body.key, cell.body.ns, cell.body.value};
    }

   private:
    friend class ObjectTable;
    std::shared_ptr<Pool> pool_;
    std::vector<Cell*> changed_;
    std::vector<Cell*> dead_;
  };

  /// `budget` is borrowed and may be null.
  explicit ObjectTable(bool track_changes, MemoryBudget* budget = nullptr)
      : pool_(std::make_shared<Pool>(budget)),
        slots_(kMinSlots),
        charge_(budget, static_cast<int64_t>(kMinSlots * sizeof(Slot))),
        tracking_(track_changes) {}
  ObjectTable(const ObjectTable&) = delete;
  ObjectTable& operator=(const ObjectTable&) = delete;

  /// Brings the place where this key's entry is looked up into the cache: for the loop over a
  /// batch, some records ahead. `hash` is KeyHash(key), here and everywhere below.
  void Prefetch(uint64_t hash, const N& ns = N{}) const {
    __builtin_prefetch(&slots_[Home(Mix(hash, ns))]);
  }
  /// Follows Prefetch, some records later: brings the entry itself.
  void PrefetchEntry(uint64_t hash, const N& ns = N{}) const {
    const uint64_t mixed = Mix(hash, ns);
    const Slot& slot = slots_[Home(mixed)];
    if (slot.mixed == mixed && slot.cell != nullptr) __builtin_prefetch(slot.cell, 1);
  }

  /// Returns the value, or null. Not const in its workings: an entry on disk is brought back.
  [[nodiscard]] const V* Find(uint64_t hash, const K& key, const N& ns = N{}) const {
    Cell* cell = FindCell(hash, key, ns);
    if (cell != nullptr) [[likely]] {
      Touch(*cell);
      return &cell->body.value;
    }
    if (num_cold_ == 0) return nullptr;
    const Slot* slot = const_cast<ObjectTable*>(this)->Fetch(Mix(hash, ns), hash, key, ns);
    return slot == nullptr ? nullptr : &slot->cell->body.value;
  }

  /// Returns the value for changing it; makes a default one if there is none. The change must be
  /// done before the next call of BeginSnapshot.
  V& Mutable(uint64_t hash, const K& key, const N& ns = N{}) {
    const uint64_t mixed = Mix(hash, ns);
    for (size_t index = Home(mixed);; index = (index + 1) & mask_) {
      Slot& slot = slots_[index];
      if (slot.cell == nullptr) return Insert(mixed, hash, key, ns)->body.value;
      if (slot.mixed == mixed && Matches(*slot.cell, hash, key, ns)) {
        Touch(*slot.cell);
        if (slot.cell->epoch != epoch_) [[unlikely]]
          MarkChanged(slot);
        return slot.cell->body.value;
      }
    }
  }

  /// Puts in a default value. Needs that there is none of that key and namespace.
  V& InsertNew(uint64_t hash, const K& key, const N& ns = N{}) {
    return InsertAbsent(Mix(hash, ns), hash, key, ns)->body.value;
  }

  /// Returns the value for changing it if there is one, else null.
  [[nodiscard]] V* FindMutable(uint64_t hash, const K& key, const N& ns = N{}) {
    Slot* slot = FindSlot(hash, key, ns);
    if (slot == nullptr) return nullptr;
    Touch(*slot->cell);
    if (slot->cell->epoch != epoch_) MarkChanged(*slot);
    return &slot->cell->body.value;
  }

  /// Returns whether there was an entry.
  bool Erase(uint64_t hash, const K& key, const N& ns = N{}) {
    const Slot* slot = FindSlot(hash, key, ns);
    if (slot == nullptr) return false;
    EraseSlot(static_cast<size_t>(slot - slots_.data()));
    return true;
  }

  /// Returns a reference to an entry that exists.
  [[nodiscard]] EntryReference Reference(uint64_t hash, const K& key, const N& ns = N{}) {
    Slot* slot = FindSlot(hash, key, ns);
    DCHECK(slot != nullptr);
    referred_to_ = true;
    return EntryReference(slot->cell);
  }

  /// Calls visit(hash, key, ns, const value&) for each entry, in no particular order; those on disk
  /// are read and stay there, and only those of the key groups `on_disk`. `visit` must not use the
  /// table.
  template <class Visitor>
  void ForEach(Visitor&& visit, KeyGroupRange on_disk = {0, kMaxMaxParallelism}) const {
    ForEachInMemory(visit);
    if (num_cold_ == 0) return;
    cold_->ForEach(on_disk, [&](uint64_t hash, const K& key, const N& ns, const V& value) {
      if (FindCell(hash, key, ns) == nullptr && !IsErased(Mix(hash, ns), hash, key, ns)) {
        visit(hash, key, ns, value);
      }
    });
  }
  /// The same, without those on disk.
  template <class Visitor>
  void ForEachInMemory(Visitor&& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.cell == nullptr) continue;
      visit(slot.cell->hash, slot.cell->body.key, slot.cell->body.ns, slot.cell->body.value);
    }
  }
  /// Visits the next few entries in memory, going round and round; looks at `num_slots` places.
  /// `visit` must not change the table.
  template <class Visitor>
  void VisitSomeInMemory(size_t num_slots, Visitor&& visit) {
    for (size_t i = 0; i < num_slots; ++i, ++next_visited_) {
      const Cell* cell = slots_[next_visited_ & mask_].cell;
      if (cell != nullptr) visit(cell->hash, cell->body.key, cell->body.ns, cell->body.value);
    }
  }
  /// Visits each entry by an EntryReference; brings all that are on disk back first.
  template <class Visitor>
  void ForEachReference(Visitor&& visit) {
    BringBackAll();
    ForEachReferenceInMemory(visit);
  }
  /// The same, without those on disk.
  template <class Visitor>
  void ForEachReferenceInMemory(Visitor&& visit) {
    referred_to_ = true;
    for (const Slot& slot : slots_) {
      if (slot.cell != nullptr) visit(EntryReference(slot.cell));
    }
  }

  /// Returns the number of entries, on disk or in memory.
  [[nodiscard]] size_t size() const { return size_ + num_cold_; }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] size_t NumInMemory() const { return size_; }
  /// Returns how many look-ups found their entry in memory, since entries began to leave.
  [[nodiscard]] uint64_t NumHits() const { return num_hits_; }
  /// Returns about how much memory entries, index and what the values own take. Cheap.
  [[nodiscard]] size_t MemoryBytes() const {
    return pool_->bytes() + slots_.size() * sizeof(Slot) + owned_bytes_;
  }

  /// Lets entries leave for `cold`, which is borrowed and outlives the table's use. Before any use.
  void SetColdEntries(internal::ColdEntries<K, N, V>* cold) { cold_ = cold; }
  /// Takes over `count` entries that are in the cold ones and not in the table. Needs tracking.
  void AdoptCold(size_t count) {
    DCHECK(tracking_ && cold_ != nullptr);
    num_cold_ += count;
    evicts_ = evicts_ || count > 0;
  }
  /// Keeps entries in memory whose namespace may_leave does not say yes to.
  void SetMayLeave(std::function<bool(const N&)> may_leave) { may_leave_ = std::move(may_leave); }
  [[nodiscard]] bool UnderPressure() { return cold_ != nullptr && cold_->UnderPressure(); }
  /// Of timers: brings those back that are due after `after_ms` and until a time that it returns,
  /// about `count`. See ColdEntries::ForEachTimerAfter.
  int64_t BringBackTimersAfter(int64_t after_ms, size_t count);
  /// Lets some entries leave if the process is short of memory, but none of the key that hashes to
  /// `protected_hash`. Looks at no more than `max_entries`, a few times that near the
  /// limit, so that no step takes long.
  void Shed(uint64_t protected_hash, size_t max_entries);

  /// Whether most of the memory of entries is free and Compact may give it back. Entries that are
  /// referred to are not moved otherwise.
  [[nodiscard]] bool IsSparse() const {
    const size_t num_used = size_ + dead_.size() + retired_.size();
    return pool_->bytes() > kWorthCompactingBytes &&
           num_used * sizeof(Cell) < pool_->bytes() / kSparseParts && !snapshot_running_;
  }
  /// Moves all entries together and gives the rest of the memory back. Calls forward(successor)
  /// meanwhile, where successor(reference) is what a reference that is current has to become;
  /// others end here. Needs that no snapshot runs.
  template <class Forward>
  void Compact(Forward&& forward);

  /// Puts in an entry read from a snapshot; there must be none of that key and namespace yet.
  /// `changed` says that it is not in the base of the next snapshot.
  void Load(uint64_t hash, const K& key, const N& ns, V value, bool changed) {
    Cell* cell = pool_->New(hash, key, ns, std::move(value));
    cell->persisted = true;
    AddToIndex(Mix(hash, ns), cell);
    if (!tracking_) {
      cell->epoch = epoch_;
    } else if (changed) {
      List(cell);
    } else {
      cell->epoch = kLongAgo;
    }
  }

  /// Whether changes are recorded: what BeginSnapshot needs.
  [[nodiscard]] bool tracking() const { return tracking_; }
  /// Begins to record changes; all entries count as changed. Takes time in the size of the table.
  void StartTracking() {
    if (std::exchange(tracking_, true)) return;
    for (Slot& slot : slots_) {
      if (slot.cell != nullptr) List(slot.cell);
    }
  }

  /// Takes out what changed since the last snapshot, in constant time. Needs tracking, and the last
  /// snapshot ended.
  [[nodiscard]] FrozenEntries BeginSnapshot() {
    CHECK(tracking_ && !snapshot_running_);
    FrozenEntries frozen;
    frozen.pool_ = pool_;
    frozen.changed_ = std::exchange(changed_, {});
    frozen.dead_ = std::exchange(dead_, {});
    snapshot_running_ = true;
    frozen_epoch_ = epoch_++;
    UpdateOwnedBytes();
    return frozen;
  }

  /// Ends the snapshot begun last; nobody reads `frozen` any more.
  void EndSnapshot(FrozenEntries frozen, SnapshotResult result) {
    CHECK(snapshot_running_);
    snapshot_running_ = false;
    frozen_epoch_ = kLongAgo;
    if (result != SnapshotResult::kWritten) {
      for (Cell* cell : frozen.changed_) {
        if (cell->retired) continue;  // Its successor is listed, or a dead cell that recalls it.
        List(cell);
        if (result == SnapshotResult::kUnknown) cell->persisted = true;
      }
    }
    for (Cell* cell : frozen.dead_) {
      if (result == SnapshotResult::kUnknown && (!evicts_ || IsNewestOfErased(*cell))) {
        AddDead(cell);
      } else {
        ForgetErased(cell);
        pool_->Free(cell);
      }
    }
    if (result == SnapshotResult::kNothingWritten) {
      for (Cell* cell : dead_) pool_->Free(cell);  // There is no base in which they could live.
      dead_.clear();
      erased_.Clear();
    }
    FreeRetired();
    UpdateOwnedBytes();
  }

 private:
  struct Slot {
    uint64_t mixed = 0;
    Cell* cell = nullptr;
  };
  static constexpr size_t kMinSlots = 8;
  static constexpr uint32_t kLongAgo = 0;  // Before any epoch: the epoch of unchanged entries.
  static constexpr bool kOwnsBytes =
      !(internal::IsMemoryImage<K>() || std::is_arithmetic_v<K>) ||
      !(internal::IsMemoryImage<V>() || std::is_arithmetic_v<V> || std::is_empty_v<V>) ||
      !(internal::IsMemoryImage<N>() || std::is_arithmetic_v<N> || std::is_empty_v<N>);

  static uint64_t Mix(uint64_t hash, const N& ns) { return hash + internal::HashNamespace(ns); }
  // The high bits of `mixed` are alike in one subtask: they chose its key groups.
  [[nodiscard]] size_t Home(uint64_t mixed) const {
    return static_cast<size_t>((uint64_t{static_cast<uint32_t>(mixed)} * 0x9E3779B97F4A7C15) >>
                               shift_);
  }
  static bool Matches(const Cell& cell, uint64_t hash, const K& key, const N& ns) {
    return cell.hash == hash && internal::KeysEqual(cell.body.key, key) &&
           internal::KeysEqual(cell.body.ns, ns);
  }

  // For eviction alone: a table that no entry leaves pays one test of a member.
  void Touch(Cell& cell) const {
    if (!evicts_) [[likely]]
      return;
    ++num_hits_;
    if (!cell.hot) [[unlikely]]
      cell.hot = true;
  }

  // Returns the entry if it is in memory.
  [[nodiscard]] Cell* FindCell(uint64_t hash, const K& key, const N& ns) const {
    const uint64_t mixed = Mix(hash, ns);
    for (size_t index = Home(mixed);; index = (index + 1) & mask_) {
      const Slot& slot = slots_[index];
      if (slot.cell == nullptr) return nullptr;
      if (slot.mixed == mixed && Matches(*slot.cell, hash, key, ns)) return slot.cell;
    }
  }
  // Returns the entry's place; brings it back if it is on disk.
  [[nodiscard]] Slot* FindSlot(uint64_t hash, const K& key, const N& ns) {
    const uint64_t mixed = Mix(hash, ns);
    for (size_t index = Home(mixed);; index = (index + 1) & mask_) {
      Slot& slot = slots_[index];
      if (slot.cell == nullptr) return num_cold_ == 0 ? nullptr : Fetch(mixed, hash, key, ns);
      if (slot.mixed == mixed && Matches(*slot.cell, hash, key, ns)) return &slot;
    }
  }

  [[gnu::noinline]] Cell* Insert(uint64_t mixed, uint64_t hash, const K& key, const N& ns) {
    if (num_cold_ > 0) {
      if (Slot* slot = Fetch(mixed, hash, key, ns)) {
        MarkChanged(*slot);
        return slot->cell;
      }
    }
    return InsertAbsent(mixed, hash, key, ns);
  }
  Cell* InsertAbsent(uint64_t mixed, uint64_t hash, const K& key, const N& ns) {
    MakeRoom(hash);
    const size_t slabs = pool_->num_slabs();
    Cell* cell = pool_->New(hash, key, ns, V{});
    if (tracking_) {
      List(cell);
    } else {
      cell->epoch = epoch_;
    }
    if (!erased_.empty()) Revive(mixed, *cell);
    AddToIndex(mixed, cell);
    if (pool_->num_slabs() != slabs) UpdateOwnedBytes();
    return cell;
  }

  Slot* AddToIndex(uint64_t mixed, Cell* cell) {
    if ((size_ + 1) * 10 > slots_.size() * 7) ResizeIndex(slots_.size() * 2);
    ++size_;
    return Place(mixed, cell);
  }
  Slot* Place(uint64_t mixed, Cell* cell) {
    size_t index = Home(mixed);
    while (slots_[index].cell != nullptr) index = (index + 1) & mask_;
    slots_[index] = {mixed, cell};
    return &slots_[index];
  }
  void ResizeIndex(size_t num_slots) {
    std::vector<Slot> old(num_slots);
    old.swap(slots_);
    mask_ = slots_.size() - 1;
    shift_ = 64 - std::countr_zero(slots_.size());
    for (const Slot& slot : old) {
      if (slot.cell != nullptr) Place(slot.mixed, slot.cell);
    }
    UpdateCharge();
  }

  // Makes the slot's cell one that may be changed: it is unchanged so far, or frozen.
  [[gnu::noinline]] void MarkChanged(Slot& slot) {
    Cell* cell = slot.cell;
    if (IsFrozen(*cell)) {
      slot.cell = pool_->New(cell->hash, cell->body);
      Retire(cell);
      cell = slot.cell;
      if (retired_.size() % kInsertionsPerShedding == 0) CountOwnedBytes();
    }
    cell->persisted = true;
    List(cell);
  }

  void EraseSlot(size_t index) {
    Cell* cell = slots_[index].cell;
    RemoveFromIndex(index);
    --size_;
    if (!tracking_) {
      pool_->Free(cell);
      return;
    }
    if (IsFrozen(*cell)) {
      Cell* dead = pool_->New(cell->hash, cell->body.key, cell->body.ns, V{});
      Retire(cell);
      AddErased(dead);
      return;
    }
    const bool persisted = cell->epoch != epoch_ || cell->persisted;
    if (cell->epoch == epoch_) Unlist(cell);
    if (persisted) {
      ++cell->generation;
      cell->body.value = V{};  // Frees what it owns.
      AddErased(cell);
    } else {
      pool_->Free(cell);
    }
  }

  // Closes the gap so that no look-up ends before the entry it seeks.
  void RemoveFromIndex(size_t hole) {
    for (size_t index = (hole + 1) & mask_; slots_[index].cell != nullptr;
         index = (index + 1) & mask_) {
      const size_t home = Home(slots_[index].mixed);
      if (((index - home) & mask_) >= ((index - hole) & mask_)) {
        slots_[hole] = slots_[index];
        hole = index;
      }
    }
    slots_[hole] = {};
  }

  [[nodiscard]] bool IsFrozen(const Cell& cell) const {
    return cell.epoch == frozen_epoch_ && frozen_epoch_ != kLongAgo;
  }
  void List(Cell* cell) {
    cell->epoch = epoch_;
    cell->position = static_cast<uint32_t>(changed_.size());
    changed_.push_back(cell);
  }
  void Unlist(Cell* cell) { TakeOut(cell, changed_); }
  static void TakeOut(Cell* cell, std::vector<Cell*>& cells) {
    Cell* last = cells.back();
    cells[cell->position] = last;
    last->position = cell->position;
    cells.pop_back();
  }
  void AddDead(Cell* cell) {
    cell->dead = true;
    cell->position = static_cast<uint32_t>(dead_.size());
    dead_.push_back(cell);
  }
  void AddErased(Cell* dead) {
    AddDead(dead);
    if (evicts_) erased_.Insert(Mix(dead->hash, dead->body.ns), dead);
  }
  void Retire(Cell* cell) {
    cell->retired = true;
    ++cell->generation;
    retired_.push_back(cell);
  }
  void FreeRetired() {
    for (Cell* cell : retired_) pool_->Free(cell);
    retired_.clear();
  }

  // What follows is in internal/object_table_cold.h.

  // Before an insertion: now and then lets other entries leave.
  void MakeRoom(uint64_t hash) {
    if (cold_ == nullptr || --insertions_until_shedding_ != 0) return;
    insertions_until_shedding_ = kInsertionsPerShedding;
    CountOwnedBytes();
    Shed(hash, kEntriesPerShedding);
  }
  void BringBackAll();
  // Puts an entry in that is on disk and not in memory.
  Slot* BringBack(uint64_t mixed, uint64_t hash, const K& key, const N& ns, V value);
  // Brings an entry back; returns null if there is none on disk, or it was erased.
  Slot* Fetch(uint64_t mixed, uint64_t hash, const K& key, const N& ns);
  // Makes the table one that entries may leave. Returns false if this cannot be done now.
  bool BeginEvicting();
  void Evict(Cell& cell);
  // Moves an entry, or the record that one was erased; the old cell keeps where to.
  Cell* MoveCell(Cell* cell, Pool& to);
  // Moves what is left of a slab that is nearly empty, and gives its memory back.
  void VacateSlab(size_t slab, uint64_t protected_hash);
  void WriteSomeDead(size_t max_entries);

  // Erased entries that may still be in the database: they must not be brought back.
  [[nodiscard]] bool IsErased(uint64_t mixed, uint64_t hash, const K& key, const N& ns) const {
    return !erased_.empty() && FindErased(mixed, hash, key, ns) != nullptr;
  }
  [[nodiscard]] Cell* FindErased(uint64_t mixed, uint64_t hash, const K& key, const N& ns) const;
  [[nodiscard]] bool IsNewestOfErased(const Cell& dead) const;
  void ForgetErased(const Cell* dead);
  // Lets a new entry take over from the dead one of its key, if there is one.
  void Revive(uint64_t mixed, Cell& cell);

  // Estimates what keys and values own on the heap from a few of them.
  void UpdateOwnedBytes() {
    if constexpr (kOwnsBytes) {
      constexpr size_t kSamples = 32;
      const size_t stride = std::max<size_t>(1, slots_.size() / (2 * kSamples));
      size_t bytes = 0;
      size_t samples = 0;
      for (size_t index = 0; index < slots_.size() && samples < kSamples; index += stride) {
        const Cell* cell = slots_[index].cell;
        if (cell == nullptr) continue;
        bytes +=
            OwnedBytes(cell->body.key) + OwnedBytes(cell->body.ns) + OwnedBytes(cell->body.value);
        ++samples;
      }
      owned_per_entry_ =
          samples == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(samples);
    }
    CountOwnedBytes();
  }
  // The same by the estimate of before: cheap. Entries kept for a snapshot are much like others.
  void CountOwnedBytes() {
    owned_bytes_ =
        static_cast<size_t>(owned_per_entry_ * static_cast<double>(size_ + retired_.size()));
    UpdateCharge();
  }
  void UpdateCharge() {
    charge_.Resize(static_cast<int64_t>(slots_.size() * sizeof(Slot) + owned_bytes_));
  }

  static constexpr uint32_t kInsertionsPerShedding = 32;
  static constexpr size_t kEntriesPerShedding = 256;
  static constexpr size_t kWritesPerShedding = 64;
  static constexpr size_t kUrgencyNearLimit = 4;
  static constexpr size_t kWorthCompactingBytes = size_t{1} << 20;
  static constexpr size_t kSparseParts = 8;
  static constexpr size_t kDeadPerEntry = 4;  // To be written, for each entry looked at.

  std::shared_ptr<Pool> pool_;
  std::vector<Slot> slots_;  // Open addressing, linear probing; a power of two.
  size_t mask_ = kMinSlots - 1;
  int shift_ = 64 - std::countr_zero(kMinSlots);
  size_t size_ = 0;      // Entries in memory.
  size_t num_cold_ = 0;  // Entries that are only on disk; none of them is in slots_.
  mutable uint64_t num_hits_ = 0;
  size_t owned_bytes_ = 0;
  double owned_per_entry_ = 0;
  MemoryCharge charge_;  // For the index and what is owned; the pool charges for itself.

  bool tracking_;
  bool snapshot_running_ = false;
  bool evicts_ = false;       // Entries have left, or may.
  bool referred_to_ = false;  // There may be EntryReferences, so that cells stay where they are.
  uint32_t epoch_ = kLongAgo + 1;
  uint32_t frozen_epoch_ = kLongAgo;  // Of the running snapshot's entries; kLongAgo if none runs.
  std::vector<Cell*> changed_;        // Entries whose epoch is epoch_.
  std::vector<Cell*> dead_;           // Erased entries that the next snapshot must record.
  std::vector<Cell*> retired_;        // Frozen entries that were replaced or erased.

  internal::ColdEntries<K, N, V>* cold_ = nullptr;
  std::function<bool(const N&)> may_leave_;  // Empty: all may.
  uint32_t insertions_until_shedding_ = kInsertionsPerShedding;
  // The place that eviction has come to, going round and round.
  size_t hand_slab_ = 0;
  size_t hand_cell_ = 0;
  size_t next_visited_ = 0;  // By VisitSomeInMemory.
  // Dead cells by mixed hash, if evicts_: those in dead_ and in the running snapshot that nothing
  // newer of their key has replaced.
  internal::ErasedCells erased_;
};

}  // namespace weir

#include "runtime/state/internal/object_table_cold.h"
