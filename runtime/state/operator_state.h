#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/key_codec.h"
#include "runtime/record/schema_migration.h"
#include "runtime/record/serde.h"
#include "runtime/state/namespace.h"
#include "runtime/state/state_handle.h"

namespace weir {

/// What becomes of an operator state when the parallelism changes.
enum class OperatorStateMode : uint8_t {
  /// The elements of all subtasks are dealt out evenly.
  kSplit,
  /// Every subtask gets the elements of all.
  kUnion,
  /// All subtasks have the same map; new ones get a copy.
  kBroadcast,
};

/// One named operator state in a snapshot. Plain data.
struct OperatorStateEntries {
  std::string name;
  OperatorStateMode mode = OperatorStateMode::kSplit;
  Schema key;  ///< Of broadcast state; an empty struct for lists.
  Schema value;
  /// Each element serialised; for broadcast state, each key (by KeyCodec), then value.
  std::vector<std::string> entries;

  friend bool operator==(const OperatorStateEntries&, const OperatorStateEntries&) = default;
};

/// The operator state of one operator in one subtask at one checkpoint. Plain data, written by
/// Serde into the checkpoint's metadata.
struct OperatorStateHandle {
  static constexpr uint32_t kFormatVersion = 1;

  uint32_t format_version = kFormatVersion;
  std::vector<OperatorStateEntries> states;
  /// XXH3_64 of the above.
  uint64_t checksum = 0;

  [[nodiscard]] uint64_t SizeBytes() const;
  friend bool operator==(const OperatorStateHandle&, const OperatorStateHandle&) = default;
};

/// Returns e.g. "union".
[[nodiscard]] std::string_view ToString(OperatorStateMode mode);

/// Checks format version and checksum. Errors: kDataLoss, kFailedPrecondition.
[[nodiscard]] absl::Status VerifyOperatorState(const OperatorStateHandle& handle);

/// Divides the operator state of all old subtasks, in their order, among `new_parallelism` ones:
/// element i of the result is what the new subtask i restores. Split state: the elements in order,
/// in runs whose lengths differ by at most one; union state: all to all; broadcast state: subtask i
/// takes the copy of old subtask i modulo their number. With the parallelism unchanged every
/// subtask gets its own split state back. Errors: kDataLoss if a handle is damaged;
/// kFailedPrecondition if its format version is unknown, or if subtasks disagree on a state's mode
/// or schema.
[[nodiscard]] absl::StatusOr<std::vector<std::vector<OperatorStateHandle>>>
RedistributeOperatorState(std::vector<OperatorStateHandle> old_subtasks, uint32_t new_parallelism);

namespace internal {

/// One named operator state, its types erased.
class OperatorState {
 public:
  virtual ~OperatorState() = default;
  virtual void Write(std::vector<std::string>* entries) const = 0;
  /// Adds one entry, its value turned by `migration` unless that is null. False if it is malformed.
  virtual bool Read(std::string_view entry, const SchemaMigration* migration) = 0;
};

// Reads a value that fills `bytes`, of an earlier schema if there is a migration.
template <class T>
bool ReadEntryValue(std::string_view bytes, const SchemaMigration* migration, T& value) {
  std::string migrated;
  if (migration == nullptr) return FromBytes(bytes, value);
  return migration->MigrateWhole(bytes, &migrated) && FromBytes(migrated, value);
}

template <class T>
class OperatorListEntries final : public OperatorState {
 public:
  void Write(std::vector<std::string>* entries) const override {
    for (const T& value : values) entries->push_back(ToBytes(value));
  }
  bool Read(std::string_view entry, const SchemaMigration* migration) override {
    return ReadEntryValue(entry, migration, values.emplace_back());
  }

  std::vector<T> values;
};

template <class K, class V>
class BroadcastEntries final : public OperatorState {
 public:
  void Write(std::vector<std::string>* entries) const override {
    for (const auto& [key, value] : map) {
      std::string entry = EncodeKey(key);
      ByteWriter writer(&entry);
      Serde<V>::Write(writer, value);
      entries->push_back(std::move(entry));
    }
  }
  bool Read(std::string_view entry, const SchemaMigration* migration) override {
    ByteReader reader(entry);
    K key{};
    V value{};
    std::string_view rest;
    if (!KeyCodec<K>::Decode(reader, key) || !reader.ReadView(reader.remaining(), &rest)) {
      return false;
    }
    if (!ReadEntryValue(rest, migration, value)) return false;
    map.insert_or_assign(std::move(key), std::move(value));
    return true;
  }

  std::map<K, V, KeyLess<K>> map;
};

}  // namespace internal

/// A list of T that belongs to a subtask, not to a key. A handle: cheap to copy, lives as long as
/// its backend, used in the operator's steps.
template <class T>
class OperatorListState {
 public:
  OperatorListState() = default;
  explicit OperatorListState(std::vector<T>* values) : values_(values) {}

  void Add(T value) { values_->push_back(std::move(value)); }
  void AddAll(const std::vector<T>& values) {
    values_->insert(values_->end(), values.begin(), values.end());
  }
  void Update(std::vector<T> values) { *values_ = std::move(values); }
  [[nodiscard]] const std::vector<T>& Get() const { return *values_; }
  [[nodiscard]] bool empty() const { return values_->empty(); }
  void Clear() { values_->clear(); }

 private:
  std::vector<T>* values_ = nullptr;
};

/// What both sides of a connected broadcast stream see of BroadcastState.
template <class K, class V>
class ReadOnlyBroadcastState {
 public:
  using Map = std::map<K, V, internal::KeyLess<K>>;

  ReadOnlyBroadcastState() = default;
  explicit ReadOnlyBroadcastState(Map* map) : map_(map) {}

  /// Returns null if there is no such entry.
  [[nodiscard]] const V* Get(const K& key) const {
    const auto found = map_->find(key);
    return found == map_->end() ? nullptr : &found->second;
  }
  [[nodiscard]] bool Contains(const K& key) const { return map_->contains(key); }
  /// All entries, in the order of the keys' canonical encoding.
  [[nodiscard]] const Map& entries() const { return *map_; }
  [[nodiscard]] size_t size() const { return map_->size(); }
  [[nodiscard]] bool IsEmpty() const { return map_->empty(); }

 protected:
  Map* map_ = nullptr;
};

/// A map that every subtask holds alike, because each sees the same elements in the same order. A
/// handle: cheap to copy, lives as long as its backend, used in the operator's steps. Only the
/// broadcast side changes it; pass it on as ReadOnlyBroadcastState to the other.
template <class K, class V>
class BroadcastState : public ReadOnlyBroadcastState<K, V> {
 public:
  using ReadOnlyBroadcastState<K, V>::ReadOnlyBroadcastState;

  void Put(const K& key, V value) { this->map_->insert_or_assign(key, std::move(value)); }
  /// Returns the value for changing it in place; a default one is made if there is none.
  [[nodiscard]] V& Mutable(const K& key) { return (*this->map_)[key]; }
  /// Returns whether there was such an entry.
  bool Remove(const K& key) { return this->map_->erase(key) > 0; }
  void Clear() { this->map_->clear(); }
};

template <Serializable T>
struct OperatorListStateDescriptor {
  std::string name;
};
template <Serializable K, Serializable V>
struct BroadcastStateDescriptor {
  std::string name;
};

/// The operator state of one operator in one subtask.
///
/// Lifecycle: made, Restore at most once, then states are registered and used. A restored state
/// that is never registered is kept and goes into every snapshot. Threads: the task's, within a
/// step.
class OperatorStateBackend {
 public:
  OperatorStateBackend() = default;
  OperatorStateBackend(const OperatorStateBackend&) = delete;
  OperatorStateBackend& operator=(const OperatorStateBackend&) = delete;

  // These return the state of that name, made at the first call.
  // Errors: kInvalidArgument, naming both schemas, if the name is registered with other types;
  // kFailedPrecondition if a restored snapshot holds it with another mode, or with a schema that
  // cannot become this one; kDataLoss.

  /// A list whose elements are dealt out evenly when the parallelism changes.
  template <class T>
  [[nodiscard]] absl::StatusOr<OperatorListState<T>> GetListState(
      const OperatorListStateDescriptor<T>& descriptor) {
    return GetList<T>(descriptor.name, OperatorStateMode::kSplit);
  }
  /// A list of which every subtask restores the elements of all.
  template <class T>
  [[nodiscard]] absl::StatusOr<OperatorListState<T>> GetUnionListState(
      const OperatorListStateDescriptor<T>& descriptor) {
    return GetList<T>(descriptor.name, OperatorStateMode::kUnion);
  }
  template <class K, class V>
  [[nodiscard]] absl::StatusOr<BroadcastState<K, V>> GetBroadcastState(
      const BroadcastStateDescriptor<K, V>& descriptor) {
    using State = internal::BroadcastEntries<K, V>;
    ASSIGN_OR_RETURN(
        State* const state,
        Register<State>(
            {descriptor.name, OperatorStateMode::kBroadcast, SchemaOf<K>(), SchemaOf<V>(), {}}));
    return BroadcastState<K, V>(&state->map);
  }

  /// Serialises all states. Operator state is small, so this is done at once.
  [[nodiscard]] OperatorStateHandle Snapshot() const;

  /// Takes what RedistributeOperatorState gave this subtask. Call before any state is registered.
  /// Errors: kDataLoss if a handle is damaged; kFailedPrecondition if its format version is
  /// unknown, or if handles disagree on a state's mode or schema.
  [[nodiscard]] absl::Status Restore(std::vector<OperatorStateHandle> handles);

 private:
  struct NamedState {
    OperatorStateEntries restored;  // Of a registered state: without entries.
    const std::type_info* type = nullptr;
    std::unique_ptr<internal::OperatorState> state;  // Null until it is registered.
  };

  template <class T>
  absl::StatusOr<OperatorListState<T>> GetList(const std::string& name, OperatorStateMode mode) {
    using State = internal::OperatorListEntries<T>;
    ASSIGN_OR_RETURN(State* const state,
                     Register<State>({name, mode, SchemaOf<VoidNamespace>(), SchemaOf<T>(), {}}));
    return OperatorListState<T>(&state->values);
  }

  template <class State>
  absl::StatusOr<State*> Register(OperatorStateEntries declared) {
    ASSIGN_OR_RETURN(internal::OperatorState * state, FindState(declared, typeid(State)));
    if (state == nullptr) {
      auto made = std::make_unique<State>();
      state = made.get();
      RETURN_IF_ERROR(AddState(std::move(declared), typeid(State), std::move(made)));
    }
    return static_cast<State*>(state);
  }
  [[nodiscard]] absl::StatusOr<internal::OperatorState*> FindState(
      const OperatorStateEntries& declared, const std::type_info& type) const;
  [[nodiscard]] absl::Status AddState(OperatorStateEntries declared, const std::type_info& type,
                                      std::unique_ptr<internal::OperatorState> state);

  std::map<std::string, NamedState, std::less<>> states_;
};

}  // namespace weir
