#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "runtime/state/list_table.h"
#include "runtime/state/map_table.h"
#include "runtime/state/namespace.h"
#include "runtime/state/object_table.h"
#include "runtime/state/state.h"
#include "runtime/state/state_descriptor.h"

namespace weir::internal {

/// The key that the handles of one backend act on.
template <class K>
struct CurrentKey {
  K key{};
  uint64_t hash = 0;
};

template <class K, class T>
class KeyedValueState final : public ValueStateAccess<T> {
 public:
  using Table = ObjectTable<K, VoidNamespace, T>;

  KeyedValueState(Table* table, const CurrentKey<K>* current) : table_(table), current_(current) {}

  const T* Get() const override { return table_->Find(current_->hash, current_->key); }
  T& Mutable() override { return table_->Mutable(current_->hash, current_->key); }
  T* FindMutable() override { return table_->FindMutable(current_->hash, current_->key); }
  void Clear() override { table_->Erase(current_->hash, current_->key); }

 private:
  Table* const table_;
  const CurrentKey<K>* const current_;
};

template <class K, class In, class Acc, class Out>
class KeyedAggregatingState final : public AggregatingStateAccess<In, Out> {
 public:
  using Table = ObjectTable<K, VoidNamespace, Acc>;

  KeyedAggregatingState(Table* table, const CurrentKey<K>* current,
                        AggregatingStateDescriptor<In, Acc, Out> descriptor)
      : table_(table), current_(current), descriptor_(std::move(descriptor)) {}

  void Add(const In& element) override {
    descriptor_.add(table_->Mutable(current_->hash, current_->key), element);
  }
  Out Get() const override {
    const Acc* accumulator = table_->Find(current_->hash, current_->key);
    return accumulator != nullptr ? descriptor_.result(*accumulator) : descriptor_.result(Acc{});
  }
  bool IsEmpty() const override { return table_->Find(current_->hash, current_->key) == nullptr; }
  void Clear() override { table_->Erase(current_->hash, current_->key); }

 private:
  Table* const table_;
  const CurrentKey<K>* const current_;
  const AggregatingStateDescriptor<In, Acc, Out> descriptor_;
};

template <class K, class T>
class KeyedListState final : public ListStateAccess<T> {
 public:
  using Lists = ListTable<K, VoidNamespace, T>;

  KeyedListState(typename Lists::Elements* elements, MemoryBudget* budget,
                 const CurrentKey<K>* current)
      : lists_(elements, budget), current_(current) {}

  [[nodiscard]] absl::Status Adopt() { return lists_.Adopt(); }

  void Add(T value) override { lists_.Add(current_->hash, current_->key, {}, std::move(value)); }
  size_t size() const override { return lists_.Size(current_->hash, current_->key, {}); }
  const T& At(size_t index) const override {
    return lists_.At(current_->hash, current_->key, {}, index);
  }
  void Update(std::vector<T> values) override {
    lists_.Update(current_->hash, current_->key, {}, std::move(values));
  }
  void Clear() override { lists_.Clear(current_->hash, current_->key, {}); }

 private:
  Lists lists_;
  const CurrentKey<K>* const current_;
};

template <class K, class UK, class UV>
class KeyedMapState final : public MapStateAccess<UK, UV> {
 public:
  using Maps = MapTable<K, VoidNamespace, UK, UV>;

  KeyedMapState(typename Maps::Entries* entries, MemoryBudget* budget, const CurrentKey<K>* current)
      : maps_(entries, budget), current_(current) {}

  [[nodiscard]] absl::Status Adopt() { return maps_.Adopt(); }

  const UV* Get(const UK& user_key) const override {
    return maps_.Get(current_->hash, current_->key, {}, user_key);
  }
  UV& Mutable(const UK& user_key) override {
    return maps_.Mutable(current_->hash, current_->key, {}, user_key);
  }
  bool Remove(const UK& user_key) override {
    return maps_.Remove(current_->hash, current_->key, {}, user_key);
  }
  size_t size() const override { return maps_.Size(current_->hash, current_->key, {}); }
  void ForEach(const std::function<void(const UK&, const UV&)>& visit) const override {
    maps_.ForEach(current_->hash, current_->key, {}, visit);
  }
  void Clear() override { maps_.Clear(current_->hash, current_->key, {}); }

 private:
  Maps maps_;
  const CurrentKey<K>* const current_;
};

}  // namespace weir::internal
