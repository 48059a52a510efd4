#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

namespace weir {

namespace internal {

// What a handle calls; made by KeyedStateBackend<K>, for its current key.

template <class T>
class ValueStateAccess {
 public:
  virtual ~ValueStateAccess() = default;
  virtual const T* Get() const = 0;
  virtual T& Mutable() = 0;
  // Returns null if there is none to change.
  virtual T* FindMutable() = 0;
  virtual void Clear() = 0;
};

template <class T>
class ListStateAccess {
 public:
  virtual ~ListStateAccess() = default;
  virtual void Add(T value) = 0;
  virtual size_t size() const = 0;
  virtual const T& At(size_t index) const = 0;
  virtual void Update(std::vector<T> values) = 0;
  virtual void Clear() = 0;
};

template <class UK, class UV>
class MapStateAccess {
 public:
  virtual ~MapStateAccess() = default;
  virtual const UV* Get(const UK& user_key) const = 0;
  virtual UV& Mutable(const UK& user_key) = 0;
  virtual bool Remove(const UK& user_key) = 0;
  virtual size_t size() const = 0;
  virtual void ForEach(const std::function<void(const UK&, const UV&)>& visit) const = 0;
  virtual void Clear() = 0;
};

template <class In, class Out>
class AggregatingStateAccess {
 public:
  virtual ~AggregatingStateAccess() = default;
  virtual void Add(const In& element) = 0;
  virtual Out Get() const = 0;
  virtual bool IsEmpty() const = 0;
  virtual void Clear() = 0;
};

}  // namespace internal

// Handles to keyed state: what user functions hold. All of them are cheap to copy, stand for the
// state of the operator's current key, are used in its steps only and must not outlive its backend.
// Pointers and references they return are valid until the next key, the next change through the
// same handle, or the next checkpoint, whichever comes first. A default-made handle may only be
// assigned to.

/// One T per key.
template <class T>
class ValueState {
 public:
  ValueState() = default;
  explicit ValueState(internal::ValueStateAccess<T>* access) : access_(access) {}

  /// Returns null if the key has no value.
  [[nodiscard]] const T* Get() const { return access_->Get(); }
  /// Returns the value for changing it in place; a default one is made if there is none.
  [[nodiscard]] T& Mutable() { return access_->Mutable(); }
  void Set(T value) { access_->Mutable() = std::move(value); }
  void Clear() { access_->Clear(); }

 private:
  internal::ValueStateAccess<T>* access_ = nullptr;
};

/// A list of T per key. Adding costs the same however long the list is; a checkpoint writes only
/// what was added.
template <class T>
class ListState {
 public:
  ListState() = default;
  explicit ListState(internal::ListStateAccess<T>* access) : access_(access) {}

  void Add(T value) { access_->Add(std::move(value)); }
  void AddAll(std::vector<T> values) {
    for (T& value : values) access_->Add(std::move(value));
  }
  /// Replaces the list.
  void Update(std::vector<T> values) { access_->Update(std::move(values)); }
  /// Calls visit(const T&) for each element in order. `visit` must not change the list.
  template <class Visitor>
  void ForEach(Visitor&& visit) const {
    const size_t count = access_->size();
    for (size_t i = 0; i < count; ++i) visit(access_->At(i));
  }
  /// Returns a copy of the list; empty if the key has none.
  [[nodiscard]] std::vector<T> Get() const {
    std::vector<T> values;
    values.reserve(access_->size());
    ForEach([&](const T& value) { values.push_back(value); });
    return values;
  }
  [[nodiscard]] size_t size() const { return access_->size(); }
  [[nodiscard]] bool empty() const { return access_->size() == 0; }
  void Clear() { access_->Clear(); }

 private:
  internal::ListStateAccess<T>* access_ = nullptr;
};

/// A map from UK to UV per key. A checkpoint writes only the entries that changed.
template <class UK, class UV>
class MapState {
 public:
  MapState() = default;
  explicit MapState(internal::MapStateAccess<UK, UV>* access) : access_(access) {}

  /// Returns null if there is no such entry.
  [[nodiscard]] const UV* Get(const UK& user_key) const { return access_->Get(user_key); }
  [[nodiscard]] bool Contains(const UK& user_key) const { return Get(user_key) != nullptr; }
  /// Returns the entry's value for changing it in place; a default one is made if there is none.
  [[nodiscard]] UV& Mutable(const UK& user_key) { return access_->Mutable(user_key); }
  void Put(const UK& user_key, UV value) { access_->Mutable(user_key) = std::move(value); }
  /// Returns whether there was such an entry.
  bool Remove(const UK& user_key) { return access_->Remove(user_key); }
  /// Calls visit(const UK&, const UV&) for each entry, in the order of the canonical encoding of
  /// UK, which is `<` for numbers and strings. `visit` must not change the map.
  void ForEach(const std::function<void(const UK&, const UV&)>& visit) const {
    access_->ForEach(visit);
  }
  [[nodiscard]] size_t size() const { return access_->size(); }
  [[nodiscard]] bool IsEmpty() const { return access_->size() == 0; }
  void Clear() { access_->Clear(); }

 private:
  internal::MapStateAccess<UK, UV>* access_ = nullptr;
};

/// What is left of all elements added per key after reducing them.
template <class T>
class ReducingState {
 public:
  ReducingState() = default;
  ReducingState(internal::ValueStateAccess<T>* access,
                const std::function<void(T&, const T&)>* reduce)
      : access_(access), reduce_(reduce) {}

  void Add(const T& element) {
    if (T* accumulated = access_->FindMutable()) {
      (*reduce_)(*accumulated, element);
    } else {
      access_->Mutable() = element;
    }
  }
  /// Returns null if nothing was added.
  [[nodiscard]] const T* Get() const { return access_->Get(); }
  void Clear() { access_->Clear(); }

 private:
  internal::ValueStateAccess<T>* access_ = nullptr;
  const std::function<void(T&, const T&)>* reduce_ = nullptr;
};

/// The aggregate of all elements added per key.
template <class In, class Out>
class AggregatingState {
 public:
  AggregatingState() = default;
  explicit AggregatingState(internal::AggregatingStateAccess<In, Out>* access) : access_(access) {}

  void Add(const In& element) { access_->Add(element); }
  /// Returns the result of the elements so far; that of no elements if there are none.
  [[nodiscard]] Out Get() const { return access_->Get(); }
  [[nodiscard]] bool IsEmpty() const { return access_->IsEmpty(); }
  void Clear() { access_->Clear(); }

 private:
  internal::AggregatingStateAccess<In, Out>* access_ = nullptr;
};

}  // namespace weir
