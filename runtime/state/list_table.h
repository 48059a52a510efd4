#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "runtime/base/memory_budget.h"
#include "runtime/state/namespace.h"
#include "runtime/state/object_table.h"

namespace weir {

/// A list of T per key and namespace, each element an entry of its own, so that a snapshot writes
/// only new ones. The typed form of ListState; made by KeyedStateBackend. Threads: the task's.
/// Invariant: the elements of a list have the indexes 0 to size - 1.
template <class K, class N, class T>
class ListTable {
 public:
  using NamespaceAndIndex = std::pair<N, uint64_t>;
  using Elements = ObjectTable<K, NamespaceAndIndex, T>;

  /// `elements` is borrowed.
  ListTable(Elements* elements, MemoryBudget* budget)
      : elements_(elements), sizes_(/*track_changes=*/false, budget) {}

  /// Finds the lists that are in the elements' table. Errors: kDataLoss if a list has a gap.
  [[nodiscard]] absl::Status Adopt() {
    elements_->ForEach([&](uint64_t hash, const K& key, const NamespaceAndIndex& place, const T&) {
      uint64_t& size = sizes_.Mutable(hash, key, place.first);
      if (place.second >= size) size = place.second + 1;
    });
    uint64_t expected = 0;
    sizes_.ForEach([&](uint64_t, const K&, const N&, uint64_t size) { expected += size; });
    if (expected != elements_->size()) return absl::DataLossError("list state lacks elements");
    return absl::OkStatus();
  }

  void Add(uint64_t hash, const K& key, const N& ns, T value) {
    const uint64_t index = sizes_.Mutable(hash, key, ns)++;
    elements_->Mutable(hash, key, {ns, index}) = std::move(value);
  }
  [[nodiscard]] size_t Size(uint64_t hash, const K& key, const N& ns) const {
    const uint64_t* size = sizes_.Find(hash, key, ns);
    return size == nullptr ? 0 : *size;
  }
  /// Needs index < Size.
  [[nodiscard]] const T& At(uint64_t hash, const K& key, const N& ns, size_t index) const {
    return *elements_->Find(hash, key, {ns, index});
  }
  template <class Visitor>
  void ForEach(uint64_t hash, const K& key, const N& ns, Visitor&& visit) const {
    const size_t count = Size(hash, key, ns);
    for (size_t i = 0; i < count; ++i) visit(At(hash, key, ns, i));
  }
  void Update(uint64_t hash, const K& key, const N& ns, std::vector<T> values) {
    const size_t old_size = Size(hash, key, ns);
    for (size_t i = 0; i < values.size(); ++i) {
      elements_->Mutable(hash, key, {ns, i}) = std::move(values[i]);
    }
    for (size_t i = values.size(); i < old_size; ++i) elements_->Erase(hash, key, {ns, i});
    if (values.empty()) {
      sizes_.Erase(hash, key, ns);
    } else {
      sizes_.Mutable(hash, key, ns) = values.size();
    }
  }
  void Clear(uint64_t hash, const K& key, const N& ns) { Update(hash, key, ns, {}); }

 private:
  Elements* const elements_;
  ObjectTable<K, N, uint64_t> sizes_;  // Not in snapshots: the elements tell.
};

}  // namespace weir
