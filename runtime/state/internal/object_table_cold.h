#pragma once

// How entries leave an ObjectTable and come back: the bodies of its templates, included by its
// header only.

#include "runtime/state/object_table.h"

namespace weir {

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
auto ObjectTable<K, N, V>::Fetch(uint64_t mixed, uint64_t hash, const K& key, const N& ns)
    -> Slot* {
  if (IsErased(mixed, hash, key, ns)) return nullptr;
  V value{};
  if (!cold_->Read(hash, key, ns, value)) return nullptr;
  MakeRoom(hash);
  return BringBack(mixed, hash, key, ns, std::move(value));
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
auto ObjectTable<K, N, V>::BringBack(uint64_t mixed, uint64_t hash, const K& key, const N& ns,
                                     V value) -> Slot* {
  const size_t slabs = pool_->num_slabs();
  Cell* cell = pool_->New(hash, key, ns, std::move(value));
  cell->persisted = true;
  cell->epoch = kLongAgo;
  --num_cold_;
  Slot* slot = AddToIndex(mixed, cell);
  if (pool_->num_slabs() != slabs) UpdateOwnedBytes();
  return slot;
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
void ObjectTable<K, N, V>::BringBackAll() {
  if (num_cold_ == 0) return;
  cold_->ForEach({0, kMaxMaxParallelism},
                 [&](uint64_t hash, const K& key, const N& ns, const V& value) {
                   const uint64_t mixed = Mix(hash, ns);
                   if (FindCell(hash, key, ns) == nullptr && !IsErased(mixed, hash, key, ns)) {
                     BringBack(mixed, hash, key, ns, value);
                   }
                 });
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
int64_t ObjectTable<K, N, V>::BringBackTimersAfter(int64_t after_ms, size_t count) {
  if (num_cold_ == 0) return std::numeric_limits<int64_t>::max();
  return cold_->ForEachTimerAfter(
      after_ms, count, [&](uint64_t hash, const K& key, const N& ns, const V& value) {
        const uint64_t mixed = Mix(hash, ns);
        if (FindCell(hash, key, ns) == nullptr && !IsErased(mixed, hash, key, ns)) {
          BringBack(mixed, hash, key, ns, value);
        }
      });
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
bool ObjectTable<K, N, V>::BeginEvicting() {
  if (evicts_) return true;
  if (!cold_->CanWrite()) return false;
  StartTracking();
  evicts_ = true;
  // From here on a look-up may ask the database, which knows nothing of these yet.
  std::vector<Cell*> dead = std::exchange(dead_, {});
  for (Cell* cell : dead) {
    const uint64_t mixed = Mix(cell->hash, cell->body.ns);
    Cell* live = FindCell(cell->hash, cell->body.key, cell->body.ns);
    if (live != nullptr) live->persisted = true;
    if (live != nullptr || IsErased(mixed, cell->hash, cell->body.key, cell->body.ns)) {
      pool_->Free(cell);
    } else {
      AddErased(cell);
    }
  }
  return true;
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
void ObjectTable<K, N, V>::Shed(uint64_t protected_hash, size_t max_entries) {
  if (cold_ == nullptr || !cold_->UnderPressure() || !BeginEvicting()) return;
  const bool can_write = cold_->CanWrite();
  if (can_write && snapshot_running_) {
    frozen_epoch_ = kLongAgo;  // Frozen entries are written: they are as any unchanged one.
    FreeRetired();
  }
  const size_t num_cold_before = num_cold_;
  size_t num_written = 0;
  const size_t urgency = cold_->NearLimit() ? kUrgencyNearLimit : 1;
  max_entries *= urgency;
  const size_t max_written = kWritesPerShedding * urgency;
  for (size_t looked_at = 0; looked_at < max_entries && num_written < max_written;) {
    if (hand_slab_ >= pool_->num_slabs()) {
      hand_slab_ = 0;
      if (pool_->num_slabs() == 0) break;
    }
    if (hand_cell_ == 0) pool_->CloseSlab(hand_slab_);
    if (hand_cell_ >= pool_->SlabSize(hand_slab_)) {
      VacateSlab(hand_slab_, protected_hash);
      pool_->OpenSlabs();
      ++hand_slab_;
      hand_cell_ = 0;
      ++looked_at;
      continue;
    }
    ++looked_at;
    Cell& cell = pool_->CellAt(hand_slab_, hand_cell_++);
    if (!cell.in_use || cell.retired || cell.dead || cell.hash == protected_hash) continue;
    if (cell.hot) {
      cell.hot = false;
      continue;
    }
    if (IsFrozen(cell) || (may_leave_ && !may_leave_(cell.body.ns))) continue;
    if (cell.epoch == epoch_) {
      if (!can_write) continue;
      cold_->Put(cell.hash, cell.body.key, cell.body.ns, cell.body.value);
      Unlist(&cell);
      ++num_written;
    }
    Evict(cell);
  }
  cold_->CountEvictions(num_cold_ - num_cold_before);
  if (can_write) {
    WriteSomeDead(max_entries * kDeadPerEntry);
    cold_->Commit();
  }
  if (size_ * 8 < slots_.size() && slots_.size() > kMinSlots) {
    ResizeIndex(std::max(kMinSlots, slots_.size() / 4));
  }
  UpdateOwnedBytes();
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
void ObjectTable<K, N, V>::Evict(Cell& cell) {
  size_t index = Home(Mix(cell.hash, cell.body.ns));
  while (slots_[index].cell != &cell) index = (index + 1) & mask_;
  RemoveFromIndex(index);
  --size_;
  ++num_cold_;
  pool_->Free(&cell);
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
void ObjectTable<K, N, V>::VacateSlab(size_t slab, uint64_t protected_hash) {
  const size_t size = pool_->SlabSize(slab);
  const size_t num_used = pool_->NumUsed(slab);
  if (size == 0 || referred_to_ || num_used > size / 4 || pool_->IsFresh(slab)) return;
  if (num_used > 0 && pool_->NumFreeElsewhere(slab) < num_used) return;
  for (size_t i = 0; i < size; ++i) {
    Cell& cell = pool_->CellAt(slab, i);
    if (!cell.in_use) continue;
    if (cell.retired || cell.dead || IsFrozen(cell) || cell.hash == protected_hash) return;
    size_t index = Home(Mix(cell.hash, cell.body.ns));
    while (slots_[index].cell != &cell) index = (index + 1) & mask_;
    Cell* moved = pool_->New(cell.hash, std::move(cell.body));
    moved->persisted = cell.persisted;
    moved->hot = cell.hot;
    moved->epoch = cell.epoch;
    moved->position = cell.position;
    if (cell.epoch == epoch_) changed_[cell.position] = moved;
    slots_[index].cell = moved;
    pool_->Free(&cell);
  }
  pool_->ReleaseSlab(slab);
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
auto ObjectTable<K, N, V>::MoveCell(Cell* cell, Pool& to) -> Cell* {
  Cell* moved = to.New(cell->hash, std::move(cell->body));
  moved->persisted = cell->persisted;
  moved->dead = cell->dead;
  moved->hot = cell->hot;
  moved->epoch = cell->epoch;
  moved->position = cell->position;
  std::destroy_at(&cell->body);
  cell->in_use = false;
  cell->next_free = moved;
  return moved;
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
template <class Forward>
void ObjectTable<K, N, V>::Compact(Forward&& forward) {
  CHECK(!snapshot_running_);
  auto fresh = std::make_shared<Pool>(pool_->budget());
  for (Slot& slot : slots_) {
    if (slot.cell == nullptr) continue;
    slot.cell = MoveCell(slot.cell, *fresh);
    if (tracking_ && slot.cell->epoch == epoch_) changed_[slot.cell->position] = slot.cell;
  }
  for (Cell*& dead : dead_) dead = MoveCell(dead, *fresh);
  erased_.Move([](void* dead) -> void* { return static_cast<Cell*>(dead)->next_free; });
  forward([](const EntryReference& reference) {
    DCHECK(!reference.cell_->in_use);
    return EntryReference(reference.cell_->next_free);
  });
  pool_ = std::move(fresh);
  hand_slab_ = 0;
  hand_cell_ = 0;
  while (size_ * 8 < slots_.size() && slots_.size() > kMinSlots) {
    ResizeIndex(std::max(kMinSlots, slots_.size() / 4));
  }
  UpdateOwnedBytes();
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
void ObjectTable<K, N, V>::WriteSomeDead(size_t max_entries) {
  for (size_t i = 0; i < max_entries && !dead_.empty(); ++i) {
    Cell* cell = dead_.back();
    dead_.pop_back();
    cold_->Delete(cell->hash, cell->body.key, cell->body.ns);
    ForgetErased(cell);
    pool_->Free(cell);
  }
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
auto ObjectTable<K, N, V>::FindErased(uint64_t mixed, uint64_t hash, const K& key,
                                      const N& ns) const -> Cell* {
  return static_cast<Cell*>(erased_.Find(mixed, [&](const void* cell) {
    return Matches(*static_cast<const Cell*>(cell), hash, key, ns);
  }));
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
bool ObjectTable<K, N, V>::IsNewestOfErased(const Cell& dead) const {
  return FindErased(Mix(dead.hash, dead.body.ns), dead.hash, dead.body.key, dead.body.ns) == &dead;
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
void ObjectTable<K, N, V>::ForgetErased(const Cell* dead) {
  if (erased_.empty()) return;
  erased_.Erase(Mix(dead->hash, dead->body.ns), dead);
}

template <class K, class N, class V>
  requires std::default_initializable<V> && std::copy_constructible<V>
void ObjectTable<K, N, V>::Revive(uint64_t mixed, Cell& cell) {
  Cell* dead = FindErased(mixed, cell.hash, cell.body.key, cell.body.ns);
  if (dead == nullptr) return;
  cell.persisted = true;
  ForgetErased(dead);
  // A dead entry of the running snapshot stays in it.
  if (dead->position < dead_.size() && dead_[dead->position] == dead) {
    TakeOut(dead, dead_);
    pool_->Free(dead);
  }
}

}  // namespace weir
