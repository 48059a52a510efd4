#pragma once

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "runtime/base/memory_budget.h"
#include "runtime/state/internal/user_keys.h"
#include "runtime/state/namespace.h"
#include "runtime/state/object_table.h"

namespace weir {

/// A map from UK to UV per key and namespace, each entry one of the table, so that a snapshot
/// writes only changed ones. The typed form of MapState; made by KeyedStateBackend. Threads: the
/// task's. Invariant: the user keys of a key are those of its entries, and of those that have
/// expired and left the database.
template <class K, class N, class UK, class UV>
class MapTable {
 public:
  using NamespaceAndUserKey = std::pair<N, UK>;
  using Entries = ObjectTable<K, NamespaceAndUserKey, UV>;

  /// `entries` is borrowed.
  MapTable(Entries* entries, MemoryBudget* budget)
      : entries_(entries), user_keys_(/*track_changes=*/false, budget) {}

  /// Finds the maps that are in the entries' table.
  [[nodiscard]] absl::Status Adopt() {
    entries_->ForEach(
        [&](uint64_t hash, const K& key, const NamespaceAndUserKey& place, const UV&) {
          user_keys_.Mutable(hash, key, place.first).Insert(place.second);
        });
    return absl::OkStatus();
  }

  [[nodiscard]] const UV* Get(uint64_t hash, const K& key, const N& ns, const UK& user_key) const {
    return entries_->Find(hash, key, {ns, user_key});
  }
  UV& Mutable(uint64_t hash, const K& key, const N& ns, const UK& user_key) {
    const NamespaceAndUserKey place(ns, user_key);
    if (UV* value = entries_->FindMutable(hash, key, place)) return *value;
    user_keys_.Mutable(hash, key, ns).Insert(user_key);
    return entries_->Mutable(hash, key, place);
  }
  bool Remove(uint64_t hash, const K& key, const N& ns, const UK& user_key) {
    const bool found = entries_->Erase(hash, key, {ns, user_key});
    if (UserKeys* keys = user_keys_.FindMutable(hash, key, ns)) {
      keys->Erase(user_key);
      if (keys->empty()) user_keys_.Erase(hash, key, ns);
    }
    return found;
  }
  [[nodiscard]] size_t Size(uint64_t hash, const K& key, const N& ns) const {
    const UserKeys* keys = user_keys_.Find(hash, key, ns);
    return keys == nullptr ? 0 : keys->size();
  }
  /// Returns the last user key in that order, null if the map is empty.
  [[nodiscard]] const UK* LastKey(uint64_t hash, const K& key, const N& ns) const {
    const UserKeys* keys = user_keys_.Find(hash, key, ns);
    return keys == nullptr ? nullptr : &*keys->InOrder().rbegin();
  }
  /// Visits entries in the order of their user keys' encoding. `visit` must not change the map.
  template <class Visitor>
  void ForEach(uint64_t hash, const K& key, const N& ns, Visitor&& visit) const {
    const UserKeys* keys = user_keys_.Find(hash, key, ns);
    if (keys == nullptr) return;
    for (const UK& user_key : keys->InOrder()) visit(user_key, *Get(hash, key, ns, user_key));
  }
  /// Visits the user keys alone, in the same order; those of entries that have expired on disk
  /// too. `visit` must not change the map.
  template <class Visitor>
  void ForEachUserKey(uint64_t hash, const K& key, const N& ns, Visitor&& visit) const {
    const UserKeys* keys = user_keys_.Find(hash, key, ns);
    if (keys == nullptr) return;
    for (const UK& user_key : keys->InOrder()) visit(user_key);
  }
  [[nodiscard]] Entries& entries() { return *entries_; }
  void Clear(uint64_t hash, const K& key, const N& ns) {
    const UserKeys* keys = user_keys_.Find(hash, key, ns);
    if (keys == nullptr) return;
    keys->ForEach([&](const UK& user_key) { entries_->Erase(hash, key, {ns, user_key}); });
    user_keys_.Erase(hash, key, ns);
  }

 private:
  using UserKeys = internal::UserKeys<UK>;

  Entries* const entries_;
  ObjectTable<K, N, UserKeys> user_keys_;  // Not in snapshots: the entries tell.
};

}  // namespace weir
