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

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/record/key_codec.h"
#include "runtime/state/internal/sampled_state_access.h"
#include "runtime/state/internal/state_expiry.h"
#include "runtime/state/internal/state_metrics.h"
#include "runtime/state/internal/state_table.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/keyed_snapshot.h"
#include "runtime/state/list_table.h"
#include "runtime/state/map_table.h"
#include "runtime/state/object_table.h"
#include "runtime/state/state.h"
#include "runtime/state/state_descriptor.h"
#include "runtime/state/state_file_store.h"
#include "runtime/state/state_handle.h"
#include "runtime/state/timer_service.h"

namespace weir {

class SchemaMigration;

namespace internal {
class ColdStore;
class EntryKeyReader;
class RawTable;
}  // namespace internal

struct KeyedStateBackendOptions {
  /// The key groups of this subtask.
  KeyGroupRange range;
  uint32_t max_parallelism = kDefaultMaxParallelism;
  /// What tables charge; borrowed. Near its limit, entries not used for a while leave memory for
  /// the database. Null means that all stay in memory.
  MemoryBudget* memory_budget = nullptr;
  /// Where the backend counts; borrowed, may be null.
  MetricGroup* metrics = nullptr;
  /// What processing time states expire by; borrowed.
  const Clock* clock = SystemClock();
  /// Folder for the database, made when state first outgrows the limit below and removed with the
  /// backend. No other backend, of any attempt, uses it.
  std::string local_dir;
  /// Snapshots up to this size are one inline file and need no database.
  size_t inline_limit_bytes = size_t{64} << 10;
  /// Whether snapshots are expected. Without it the first snapshot takes time in the size of the
  /// state on the task's thread, but until then nothing is kept for it.
  bool track_changes = true;
};

/// The keyed state of one operator in one subtask: what the task sees of it, whatever the key's
/// type.
///
/// Lifecycle: made, then Restore at most once, then states are registered (Get, Table, …) and used.
/// A restored state that is never registered is kept and goes into every snapshot.
/// Threads: the task's, within a step. Only KeyedSnapshot::Run happens elsewhere.
/// Snapshots: at most one at a time between Snapshot and FinishSnapshot.
class KeyedStateBackendBase {
 public:
  explicit KeyedStateBackendBase(KeyedStateBackendOptions options);
  virtual ~KeyedStateBackendBase();
  KeyedStateBackendBase(const KeyedStateBackendBase&) = delete;
  KeyedStateBackendBase& operator=(const KeyedStateBackendBase&) = delete;

  /// Takes the state of the key groups in options().range out of `handles`, those of all subtasks
  /// of one checkpoint. The files of a handle with just this range become the base of the next
  /// snapshots; other entries are read and will be written anew. Blocks (it fetches files); call
  /// before any state is registered.
  /// Errors: kDataLoss, naming the file, if one is missing or damaged; kFailedPrecondition if the
  /// max parallelism or the format version differs; kInvalidArgument if handles overlap.
  [[nodiscard]] absl::Status Restore(std::vector<KeyedStateHandle> handles, StateFileStore& store);

  /// Takes all changes since the last snapshot; microseconds, whatever their number. Give the
  /// result's Run to an I/O thread, then the result to FinishSnapshot. `files_chosen` may be empty;
  /// Run calls it, on its thread, when GrowthMustWait has become false because of it.
  [[nodiscard]] std::unique_ptr<KeyedSnapshot> Snapshot(CheckpointId checkpoint_id,
                                                        std::function<void()> files_chosen = {});
  [[nodiscard]] bool SnapshotInProgress() const { return snapshot_in_progress_; }
  /// Ends the snapshot in progress. If it was not written, its entries count as changed again.
  void FinishSnapshot(std::unique_ptr<KeyedSnapshot> snapshot);

  /// Whether memory is near its limit while changed entries cannot leave it, because the snapshot
  /// in progress must not see them: whoever feeds this state should wait. That ends by itself, as
  /// the snapshot needs nothing of the task.
  [[nodiscard]] bool GrowthMustWait() const;

  /// Tells that a checkpoint has completed, so that its files may be referred to by later ones. A
  /// file that is in no completed checkpoint is stored anew, because a failed checkpoint's files
  /// are deleted. Unknown ids are ignored.
  void NotifyCheckpointComplete(CheckpointId checkpoint_id);

  [[nodiscard]] const KeyedStateBackendOptions& options() const { return options_; }
  [[nodiscard]] size_t NumEntries() const;
  /// Calls `visit` with the schema of each state and how many entries it has, in order of names.
  void VisitStates(const std::function<void(const StateSchema&, size_t entries)>& visit) const;
  [[nodiscard]] size_t MemoryBytes() const;

  /// Lets some entries leave if memory is short, and drops some that have expired, in bounded time.
  /// For now and then between two keys, so that an operator without new records does so too.
  void ShedMemory();

  /// Shows in metrics what has come about, unless that was done a moment ago; also done at each
  /// ShedMemory and FinishSnapshot. `now_nanos` is of the monotonic clock.
  void PublishMetrics(int64_t now_nanos);

  // What event time states expire by.
  void AdvanceWatermark(EventTime watermark) { time_->AdvanceWatermark(watermark); }
  void SetRecordTime(EventTime time) { time_->SetRecordTime(time); }

 protected:
  /// Anything a name may be registered as: a table, list table, map table or timer queue.
  class RegisteredState {
   public:
    virtual ~RegisteredState() = default;
  };
  template <class T>
  struct Registered final : public RegisteredState {
    template <class... Arguments>
    explicit Registered(Arguments&&... arguments) : state(std::forward<Arguments>(arguments)...) {}
    T state;
  };

  /// Returns what `schema.name` is registered as, null if it is not.
  /// Errors: kInvalidArgument if it is registered with another type.
  [[nodiscard]] absl::StatusOr<RegisteredState*> FindState(const StateSchema& schema,
                                                           const std::type_info& type) const;
  /// Returns the table of a registered state, null if there is none.
  [[nodiscard]] internal::StateTable* FindTable(std::string_view name) const;
  /// Fills the table with restored entries of its name and adopts it. Values of an earlier schema
  /// become values of this one; those in the database are rewritten there, file to file.
  /// Errors: kFailedPrecondition if they cannot; kDataLoss.
  [[nodiscard]] absl::Status AddTable(std::unique_ptr<internal::StateTable> table);
  /// Whether new tables record their changes: always once there is a snapshot, because an entry
  /// that it holds and that is erased would else come back.
  [[nodiscard]] bool tracks_changes() const { return tracks_changes_; }
  void AddState(const StateSchema& schema, const std::type_info& type,
                std::unique_ptr<RegisteredState> state);

  /// Returns the rule by which values of a state expire. Errors: kInvalidArgument.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const internal::StateExpiry>> MakeExpiry(
      std::string_view name, const StateTtlConfig& ttl) const;
  /// Makes the entries of a state that was just registered expire. `state` lives as long as the
  /// backend.
  void AddExpiry(std::string_view name, std::shared_ptr<const internal::StateExpiry> expiry,
                 internal::TtlStateBase* state);

 private:
  struct NamedState {
    StateSchema schema;
    const std::type_info* type = nullptr;
    std::unique_ptr<RegisteredState> state;
  };

  [[nodiscard]] absl::Status CheckHandles(const std::vector<KeyedStateHandle>& handles) const;
  [[nodiscard]] absl::Status AddRestoredSchemas(const KeyedStateHandle& handle, bool adopt);
  // Whether restored files of that size stay on disk, and are read entry by entry.
  [[nodiscard]] bool RestoresLazily(const std::vector<KeyedStateHandle>& handles) const;
  [[nodiscard]] absl::Status RestoreRows(const KeyedStateHandle& handle, bool is_inline,
                                         StateFileStore& store);
  // Calls add(table, reader, value) with the entries of the handle that are in our key groups; the
  // reader holds the parts of the entry's key.
  using RowVisitor =
      absl::FunctionRef<absl::Status(internal::RawTable& table, std::string_view entry_key,
                                     const internal::EntryKeyReader& key, std::string_view value)>;
  [[nodiscard]] absl::Status VisitRows(const KeyedStateHandle& handle, bool is_inline,
                                       StateFileStore& store, RowVisitor visit);
  // `migration` turns the values; null if they stay as they are.
  [[nodiscard]] absl::Status LoadInto(internal::StateTable& table, const internal::RawTable& raw,
                                      const SchemaMigration* migration) const;
  // Calls visit(key group, prefix size, key, value) with the entries of a state in the database.
  template <class Visitor>
  [[nodiscard]] absl::Status VisitDatabase(std::string_view state_name, Visitor&& visit) const;
  // Rewrites the values of a state in the database, whatever its size.
  [[nodiscard]] absl::Status MigrateDatabase(std::string_view state_name,
                                             const SchemaMigration& migration) const;

  void UpdateMetrics();

  const KeyedStateBackendOptions options_;
  const std::shared_ptr<internal::StateTime> time_;
  const std::shared_ptr<internal::ExpiryRules> expiry_rules_;
  const std::shared_ptr<internal::SnapshotBase> base_;     // Shared with the running snapshot.
  const std::unique_ptr<internal::ColdStore> cold_store_;  // Null without a budget.
  // In the order of names, which is that of files within a key group. Declared before the states
  // that borrow them.
  std::map<std::string, std::unique_ptr<internal::StateTable>, std::less<>> tables_;
  // Restored tables that a registered one replaced while a snapshot held their entries.
  std::vector<std::unique_ptr<internal::StateTable>> replaced_tables_;
  std::map<std::string, NamedState, std::less<>> states_;
  std::vector<internal::TtlStateBase*> expiring_states_;
  bool snapshot_in_progress_ = false;
  bool tracks_changes_;
  bool restored_lazily_ = false;  // Restored entries in the database stay there until looked up.
  std::map<std::string, internal::StateMetrics, std::less<>> state_metrics_;  // By name.
  int64_t next_metrics_nanos_ = 0;
  Counter* num_hits_ = nullptr;  // These may be null.
  Gauge* num_entries_ = nullptr;
  Gauge* memory_bytes_ = nullptr;
};

/// KeyedStateBackendBase for keys of type K: gives out handles and tables.
///
/// Handles act on the current key; tables, lists, maps and timers of the typed kind take the key
/// and its hash with each call and know no current key. All live as long as the backend.
template <class K>
class KeyedStateBackend final : public KeyedStateBackendBase {
 public:
  explicit KeyedStateBackend(KeyedStateBackendOptions options)
      : KeyedStateBackendBase(std::move(options)) {}

  /// Sets the key that handles act on. `hash` is KeyHash(key), whose key group is in range.
  void SetCurrentKey(const K& key, uint64_t hash) {
    DCHECK(options().range.Contains(KeyGroupOf(hash, options().max_parallelism)));
    current_.key = key;
    current_.hash = hash;
  }
  [[nodiscard]] const K& current_key() const { return current_.key; }

  /// Calls visit(const K&) for each key in the key groups `groups` that has a value in the state of
  /// that name, with the key as the current one: `visit` may read and change state. Keys whose
  /// values have expired and are not cleaned up yet are visited too. Holds all these keys in memory
  /// meanwhile; ask for some key groups after another where that is too much.
  /// Errors: kNotFound if no such state is registered; StateError is thrown.
  template <class Visitor>
  [[nodiscard]] absl::Status ForEachKey(std::string_view state_name, KeyGroupRange groups,
                                        Visitor&& visit);
  [[nodiscard]] uint64_t current_hash() const { return current_.hash; }

  // All of these return the state of that name, made at the first call.
  // Errors: kInvalidArgument, naming both schemas, if the name is registered with other types;
  // kFailedPrecondition if a restored snapshot holds it with a schema that cannot become this one;
  // kDataLoss. To be registered before the first record: what a snapshot in progress holds with an
  // earlier schema else stays in memory.

  template <class T>
  [[nodiscard]] absl::StatusOr<ValueState<T>> GetState(const ValueStateDescriptor<T>& descriptor);
  template <class T>
  [[nodiscard]] absl::StatusOr<ListState<T>> GetState(const ListStateDescriptor<T>& descriptor);
  template <class UK, class UV>
  [[nodiscard]] absl::StatusOr<MapState<UK, UV>> GetState(
      const MapStateDescriptor<UK, UV>& descriptor);
  /// A name keeps the functions of its first registration.
  template <class T>
  [[nodiscard]] absl::StatusOr<ReducingState<T>> GetState(
      const ReducingStateDescriptor<T>& descriptor);
  template <class In, class Acc, class Out>
  [[nodiscard]] absl::StatusOr<AggregatingState<In, Out>> GetState(
      const AggregatingStateDescriptor<In, Acc, Out>& descriptor);

  // The same with time to live. A name keeps its first registration's.
  // Errors: also kInvalidArgument if the time is not positive.

  template <class T>
  [[nodiscard]] absl::StatusOr<ValueState<T>> GetState(
      const TtlStateDescriptor<ValueStateDescriptor<T>>& descriptor);
  template <class T>
  [[nodiscard]] absl::StatusOr<ListState<T>> GetState(
      const TtlStateDescriptor<ListStateDescriptor<T>>& descriptor);
  template <class UK, class UV>
  [[nodiscard]] absl::StatusOr<MapState<UK, UV>> GetState(
      const TtlStateDescriptor<MapStateDescriptor<UK, UV>>& descriptor);
  template <class T>
  [[nodiscard]] absl::StatusOr<ReducingState<T>> GetState(
      const TtlStateDescriptor<ReducingStateDescriptor<T>>& descriptor);
  template <class In, class Acc, class Out>
  [[nodiscard]] absl::StatusOr<AggregatingState<In, Out>> GetState(
      const TtlStateDescriptor<AggregatingStateDescriptor<In, Acc, Out>>& descriptor);

  template <class N, class V>
  [[nodiscard]] absl::StatusOr<ObjectTable<K, N, V>*> Table(
      const TableDescriptor<N, V>& descriptor);
  template <class N, class T>
  [[nodiscard]] absl::StatusOr<ListTable<K, N, T>*> Lists(
      const ListTableDescriptor<N, T>& descriptor);
  template <class N, class UK, class UV>
  [[nodiscard]] absl::StatusOr<MapTable<K, N, UK, UV>*> Maps(
      const MapTableDescriptor<N, UK, UV>& descriptor);
  /// Returns the timers of `name` in one domain; the other domain's are another queue.
  template <class N>
  [[nodiscard]] absl::StatusOr<TimerQueue<K, N>*> Timers(std::string_view name, TimeDomain domain);

 private:
  // Returns the state of `schema`, made by make(table) if it is new, where `table` is an
  // ObjectTable<K, N, V> with the restored entries.
  template <class State, class N, class V, class Make>
  absl::StatusOr<State*> Register(const StateSchema& schema, Make&& make);

  [[nodiscard]] internal::LatencySampler Sampler(const std::string& state) const {
    return {options().metrics, state};
  }

  using MadeState = absl::StatusOr<std::unique_ptr<RegisteredState>>;

  // The same with time to live, made by make(table, expiry).
  template <class State, class N, class V, class Make>
  absl::StatusOr<State*> RegisterExpiring(const StateSchema& schema, const StateTtlConfig& ttl,
                                          Make&& make);

  internal::CurrentKey<K> current_;
};

template <class K>
template <class State, class N, class V, class Make>
absl::StatusOr<State*> KeyedStateBackend<K>::Register(const StateSchema& schema, Make&& make) {
  ASSIGN_OR_RETURN(RegisteredState * found, FindState(schema, typeid(State)));
  if (found == nullptr) {
    auto table = std::make_unique<internal::TypedStateTable<K, N, V>>(schema, tracks_changes(),
                                                                      options().memory_budget);
    ObjectTable<K, N, V>* entries = &table->table();
    RETURN_IF_ERROR(AddTable(std::move(table)));
    ASSIGN_OR_RETURN(std::unique_ptr<RegisteredState> made, make(entries));
    found = made.get();
    AddState(schema, typeid(State), std::move(made));
  }
  return &static_cast<Registered<State>*>(found)->state;
}

}  // namespace weir

#include "runtime/state/internal/keyed_state_backend_inl.h"
