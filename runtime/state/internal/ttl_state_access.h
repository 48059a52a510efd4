#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/state/internal/state_access.h"
#include "runtime/state/internal/state_expiry.h"

namespace weir::internal {

/// What the states with time to live share: finding out what has expired, and a few entries looked
/// at now and then, so that what nobody asks for goes from memory too.
class TtlStateBase {
 public:
  virtual ~TtlStateBase() = default;
  /// Drops what has expired among the next `num_slots` places of the table, but nothing of the
  /// current key.
  virtual void DropSomeExpired(size_t num_slots) = 0;

 protected:
  explicit TtlStateBase(std::shared_ptr<const StateExpiry> expiry) : expiry_(std::move(expiry)) {}

  [[nodiscard]] const StateExpiry& expiry() const { return *expiry_; }
  // Records of event time come in any order: one from before takes no life away.
  template <class T>
  static void Renew(TtlValue<T>& stored, int64_t now_ms) {
    stored.last_access_ms = std::max(stored.last_access_ms, now_ms);
  }
  // Opens each access; returns its time.
  int64_t BeginAccess() {
    if (++num_accesses_ % kAccessesPerCleanUp == 0) DropSomeExpired(kSlotsPerCleanUp);
    return expiry_->NowMs();
  }

 private:
  static constexpr uint32_t kAccessesPerCleanUp = 16;
  static constexpr size_t kSlotsPerCleanUp = 64;

  const std::shared_ptr<const StateExpiry> expiry_;
  uint32_t num_accesses_ = 0;
};

/// The entries of a table with one value per key and namespace, each with a time of its own.
template <class K, class T>
class TtlValues final : public TtlStateBase {
 public:
  using Table = ObjectTable<K, VoidNamespace, TtlValue<T>>;

  TtlValues(Table* table, const CurrentKey<K>* current, std::shared_ptr<const StateExpiry> expiry)
      : TtlStateBase(std::move(expiry)), table_(table), current_(current) {}

  /// Returns null if there is none or it has expired and is not to be seen.
  const T* Get() {
    const int64_t now_ms = BeginAccess();
    const TtlValue<T>* found = table_->Find(current_->hash, current_->key);
    if (found == nullptr) return nullptr;
    if (expiry().IsExpired(found->last_access_ms, now_ms)) {
      if (expiry().returns_expired()) last_seen_ = found->value;
      table_->Erase(current_->hash, current_->key);
      return expiry().returns_expired() ? &*last_seen_ : nullptr;
    }
    if (expiry().updates_on_read() && found->last_access_ms < now_ms) {
      TtlValue<T>* changed = table_->FindMutable(current_->hash, current_->key);
      changed->last_access_ms = now_ms;
      return &changed->value;
    }
    return &found->value;
  }
  /// An expired value begins anew as a default one.
  T& Mutable() {
    const int64_t now_ms = BeginAccess();
    TtlValue<T>& stored = table_->Mutable(current_->hash, current_->key);
    if (expiry().IsExpired(stored.last_access_ms, now_ms)) stored.value = T{};
    Renew(stored, now_ms);
    return stored.value;
  }
  /// Returns null if there is none or it has expired.
  T* FindMutable() {
    const int64_t now_ms = BeginAccess();
    TtlValue<T>* stored = table_->FindMutable(current_->hash, current_->key);
    if (stored == nullptr) return nullptr;
    if (expiry().IsExpired(stored->last_access_ms, now_ms)) {
      table_->Erase(current_->hash, current_->key);
      return nullptr;
    }
    Renew(*stored, now_ms);
    return &stored->value;
  }
  void Clear() { table_->Erase(current_->hash, current_->key); }

  void DropSomeExpired(size_t num_slots) override {
    const int64_t now_ms = expiry().SafeNowMs();
    std::vector<std::pair<uint64_t, K>> expired;
    table_->VisitSomeInMemory(
        num_slots, [&](uint64_t hash, const K& key, VoidNamespace, const TtlValue<T>& stored) {
          if (hash != current_->hash && expiry().IsExpired(stored.last_access_ms, now_ms)) {
            expired.emplace_back(hash, key);
          }
        });
    for (const auto& [hash, key] : expired) table_->Erase(hash, key);
  }

 private:
  Table* const table_;
  const CurrentKey<K>* const current_;
  std::optional<T> last_seen_;  // The expired value returned last.
};

template <class K, class T>
class TtlValueState final : public ValueStateAccess<T> {
 public:
  template <class... Arguments>
  explicit TtlValueState(Arguments&&... arguments)
      : values_(std::forward<Arguments>(arguments)...) {}

  const T* Get() const override { return values_.Get(); }
  T& Mutable() override { return values_.Mutable(); }
  T* FindMutable() override { return values_.FindMutable(); }
  void Clear() override { values_.Clear(); }
  [[nodiscard]] TtlStateBase* ttl() { return &values_; }

 private:
  mutable TtlValues<K, T> values_;  // A read may drop what has expired.
};

template <class K, class In, class Acc, class Out>
class TtlAggregatingState final : public AggregatingStateAccess<In, Out> {
 public:
  using Table = typename TtlValues<K, Acc>::Table;

  TtlAggregatingState(Table* table, const CurrentKey<K>* current,
                      std::shared_ptr<const StateExpiry> expiry,
                      AggregatingStateDescriptor<In, Acc, Out> descriptor)
      : values_(table, current, std::move(expiry)), descriptor_(std::move(descriptor)) {}

  void Add(const In& element) override { descriptor_.add(values_.Mutable(), element); }
  Out Get() const override {
    const Acc* accumulator = values_.Get();
    return accumulator != nullptr ? descriptor_.result(*accumulator) : descriptor_.result(Acc{});
  }
  bool IsEmpty() const override { return values_.Get() == nullptr; }
  void Clear() override { values_.Clear(); }
  [[nodiscard]] TtlStateBase* ttl() { return &values_; }

 private:
  mutable TtlValues<K, Acc> values_;
  const AggregatingStateDescriptor<In, Acc, Out> descriptor_;
};

/// A map of one key whose entries have a time each; lists are maps by index.
template <class K, class UK, class UV>
class TtlEntries final : public TtlStateBase {
 public:
  using Maps = MapTable<K, VoidNamespace, UK, TtlValue<UV>>;

  TtlEntries(typename Maps::Entries* entries, MemoryBudget* budget, const CurrentKey<K>* current,
             std::shared_ptr<const StateExpiry> expiry)
      : TtlStateBase(std::move(expiry)), maps_(entries, budget), current_(current) {}

  [[nodiscard]] absl::Status Adopt() { return maps_.Adopt(); }

  const UV* Get(const UK& user_key) {
    const int64_t now_ms = BeginAccess();
    const TtlValue<UV>* found = maps_.Get(current_->hash, current_->key, {}, user_key);
    if (found == nullptr) return nullptr;
    if (expiry().IsExpired(found->last_access_ms, now_ms)) {
      if (expiry().returns_expired()) last_seen_ = found->value;
      maps_.Remove(current_->hash, current_->key, {}, user_key);
      return expiry().returns_expired() ? &*last_seen_ : nullptr;
    }
    if (!expiry().updates_on_read() || found->last_access_ms >= now_ms) return &found->value;
    return &Renewed(user_key, now_ms);
  }
  UV& Mutable(const UK& user_key) {
    const int64_t now_ms = BeginAccess();
    TtlValue<UV>& stored = maps_.Mutable(current_->hash, current_->key, {}, user_key);
    if (expiry().IsExpired(stored.last_access_ms, now_ms)) stored.value = UV{};
    Renew(stored, now_ms);
    return stored.value;
  }
  bool Remove(const UK& user_key) {
    const int64_t now_ms = BeginAccess();
    const TtlValue<UV>* found = maps_.Get(current_->hash, current_->key, {}, user_key);
    if (found == nullptr) return false;
    const bool is_live = !expiry().IsExpired(found->last_access_ms, now_ms);
    maps_.Remove(current_->hash, current_->key, {}, user_key);
    return is_live || expiry().returns_expired();
  }
  /// Returns the user keys that can be seen, in order; drops the others.
  std::vector<UK> UserKeys() {
    const int64_t now_ms = BeginAccess();
    std::vector<UK> live;
    std::vector<UK> expired;
    maps_.ForEachUserKey(current_->hash, current_->key, {}, [&](const UK& user_key) {
      const TtlValue<UV>* stored = maps_.Get(current_->hash, current_->key, {}, user_key);
      // One that expired on disk may be gone.
      const bool is_live =
          stored != nullptr &&
          (expiry().returns_expired() || !expiry().IsExpired(stored->last_access_ms, now_ms));
      (is_live ? live : expired).push_back(user_key);
    });
    for (const UK& user_key : expired) maps_.Remove(current_->hash, current_->key, {}, user_key);
    return live;
  }
  template <class Visitor>
  void ForEach(Visitor&& visit) {
    for (const UK& user_key : UserKeys()) {
      if (const UV* value = Get(user_key)) visit(user_key, *value);
    }
  }
  /// Returns the greatest user key of those not cleaned up, null if there is none.
  [[nodiscard]] const UK* LastKey() const {
    return maps_.LastKey(current_->hash, current_->key, {});
  }
  void Clear() { maps_.Clear(current_->hash, current_->key, {}); }

  void DropSomeExpired(size_t num_slots) override {
    const int64_t now_ms = expiry().SafeNowMs();
    std::vector<std::tuple<uint64_t, K, UK>> expired;
    maps_.entries().VisitSomeInMemory(
        num_slots, [&](uint64_t hash, const K& key, const typename Maps::NamespaceAndUserKey& place,
                       const TtlValue<UV>& stored) {
          if (hash != current_->hash && expiry().IsExpired(stored.last_access_ms, now_ms)) {
            expired.emplace_back(hash, key, place.second);
          }
        });
    for (const auto& [hash, key, user_key] : expired) maps_.Remove(hash, key, {}, user_key);
  }

 private:
  const UV& Renewed(const UK& user_key, int64_t now_ms) {
    TtlValue<UV>& stored = maps_.Mutable(current_->hash, current_->key, {}, user_key);
    stored.last_access_ms = now_ms;
    return stored.value;
  }

  Maps maps_;
  const CurrentKey<K>* const current_;
  std::optional<UV> last_seen_;
};

template <class K, class UK, class UV>
class TtlMapState final : public MapStateAccess<UK, UV> {
 public:
  using Maps = typename TtlEntries<K, UK, UV>::Maps;

  template <class... Arguments>
  explicit TtlMapState(Arguments&&... arguments)
      : entries_(std::forward<Arguments>(arguments)...) {}
  [[nodiscard]] absl::Status Adopt() { return entries_.Adopt(); }

  const UV* Get(const UK& user_key) const override { return entries_.Get(user_key); }
  UV& Mutable(const UK& user_key) override { return entries_.Mutable(user_key); }
  bool Remove(const UK& user_key) override { return entries_.Remove(user_key); }
  size_t size() const override { return entries_.UserKeys().size(); }
  void ForEach(const std::function<void(const UK&, const UV&)>& visit) const override {
    entries_.ForEach(visit);
  }
  void Clear() override { entries_.Clear(); }
  [[nodiscard]] TtlStateBase* ttl() { return &entries_; }

 private:
  mutable TtlEntries<K, UK, UV> entries_;
};

/// A list as a map by index, so that elements may expire out of its middle.
template <class K, class T>
class TtlListState final : public ListStateAccess<T> {
 public:
  using Maps = typename TtlEntries<K, uint64_t, T>::Maps;

  template <class... Arguments>
  explicit TtlListState(Arguments&&... arguments)
      : entries_(std::forward<Arguments>(arguments)...) {}
  [[nodiscard]] absl::Status Adopt() { return entries_.Adopt(); }

  void Add(T value) override {
    const uint64_t* last = entries_.LastKey();
    const uint64_t index = last == nullptr ? 0 : *last + 1;
    entries_.Mutable(index) = std::move(value);
  }
  // Copies what can be seen: with ListState, At follows size, of one key.
  size_t size() const override {
    seen_.clear();
    entries_.ForEach([this](uint64_t, const T& value) { seen_.push_back(value); });
    return seen_.size();
  }
  const T& At(size_t index) const override { return seen_[index]; }
  void Update(std::vector<T> values) override {
    entries_.Clear();
    for (size_t i = 0; i < values.size(); ++i) entries_.Mutable(i) = std::move(values[i]);
  }
  void Clear() override { entries_.Clear(); }
  [[nodiscard]] TtlStateBase* ttl() { return &entries_; }

 private:
  mutable TtlEntries<K, uint64_t, T> entries_;
  mutable std::deque<T> seen_;
};

}  // namespace weir::internal
