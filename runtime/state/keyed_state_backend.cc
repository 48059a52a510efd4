#include "runtime/state/keyed_state_backend.h"

#include <algorithm>
#include <optional>

#include "runtime/record/schema_migration.h"
#include "runtime/state/internal/cold_store.h"
#include "runtime/state/internal/entry_key.h"
#include "runtime/state/internal/inline_file.h"
#include "runtime/state/internal/raw_table.h"
#include "runtime/state/internal/snapshot_base.h"
#include "runtime/state/internal/state_migration.h"

namespace weir {

namespace {

bool IsInline(const StateFile& file) { return file.path.empty(); }
bool HasInlineFiles(const KeyedStateHandle& handle) {
  return std::any_of(handle.files.begin(), handle.files.end(), IsInline);
}

// Restored files up to this size are read at once if memory has room for them: on disk an entry
// takes about an eighth of what it takes in memory. Small entries take about 2 us each to read, and
// a job stands still meanwhile; of larger files entries come as they are looked up.
constexpr uint64_t kMaxEagerBytes = uint64_t{2} << 20;
constexpr uint64_t kMemoryPerFileByte = 8;
// A restored file of many key groups is split into files of about this size.
constexpr uint64_t kRestoredFileBytes = uint64_t{128} << 20;
constexpr size_t kEntriesPerShedding = 256;
constexpr int64_t kMetricsIntervalNanos = 200'000'000;

}  // namespace

KeyedStateBackendBase::KeyedStateBackendBase(KeyedStateBackendOptions options)
    : options_(std::move(options)),
      time_(std::make_shared<internal::StateTime>(options_.clock)),
      expiry_rules_(std::make_shared<internal::ExpiryRules>()),
      base_(std::make_shared<internal::SnapshotBase>(options_.local_dir, expiry_rules_,
                                                     options_.memory_budget)),
      cold_store_(options_.memory_budget == nullptr
                      ? nullptr
                      : std::make_unique<internal::ColdStore>(base_, options_.memory_budget,
                                                              options_.metrics)),
      tracks_changes_(options_.track_changes) {
  CHECK(options_.max_parallelism >= 1 && options_.max_parallelism <= kMaxMaxParallelism);
  CHECK(!options_.range.IsEmpty());
  CHECK_LT(options_.range.last, options_.max_parallelism);
  if (options_.metrics != nullptr) {
    num_hits_ = options_.metrics->AddCounter("state.tableHits");
    num_entries_ = options_.metrics->AddGauge("state.numEntries");
    memory_bytes_ = options_.metrics->AddGauge("state.memoryBytes");
  }
}

KeyedStateBackendBase::~KeyedStateBackendBase() = default;

absl::Status KeyedStateBackendBase::CheckHandles(
    const std::vector<KeyedStateHandle>& handles) const {
  std::vector<KeyGroupRange> ranges;
  for (const KeyedStateHandle& handle : handles) {
    if (handle.format_version != KeyedStateHandle::kFormatVersion) {
      return absl::FailedPreconditionError(
          StrCat("cannot restore keyed state: its format version is not known; use a version of "
                 "weir that knows it: format_version=",
                 handle.format_version, " known=", KeyedStateHandle::kFormatVersion));
    }
    if (handle.max_parallelism != options_.max_parallelism) {
      return absl::FailedPreconditionError(
          StrCat("cannot restore keyed state: max parallelism differs from the snapshot; set max "
                 "parallelism back to the snapshot's value, or start without the snapshot: "
                 "snapshot_max_parallelism=",
                 handle.max_parallelism, " job_max_parallelism=", options_.max_parallelism));
    }
    ranges.push_back(handle.key_groups);
  }
  std::sort(ranges.begin(), ranges.end(),
            [](KeyGroupRange a, KeyGroupRange b) { return a.first < b.first; });
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (!ranges[i].Intersect(ranges[i - 1]).IsEmpty()) {
      return absl::InvalidArgumentError(
          StrCat("cannot restore keyed state: two snapshots hold the same key group: key_group=",
                 ranges[i].first));
    }
  }
  return absl::OkStatus();
}

bool KeyedStateBackendBase::RestoresLazily(const std::vector<KeyedStateHandle>& handles) const {
  if (cold_store_ == nullptr) return false;
  uint64_t bytes = 0;
  for (const KeyedStateHandle& handle : handles) {
    if (!handle.key_groups.Intersect(options_.range).IsEmpty()) bytes += handle.SizeBytes();
  }
  return bytes > kMaxEagerBytes || !cold_store_->HasRoomFor(bytes * kMemoryPerFileByte);
}

absl::Status KeyedStateBackendBase::Restore(std::vector<KeyedStateHandle> handles,
                                            StateFileStore& store) {
  CHECK(tables_.empty()) << "state was registered or restored before";
  RETURN_IF_ERROR(CheckHandles(handles));
  restored_lazily_ = RestoresLazily(handles);
  for (const KeyedStateHandle& handle : handles) {
    if (handle.key_groups.Intersect(options_.range).IsEmpty()) continue;
    const bool is_inline = HasInlineFiles(handle);
    const bool adopt = handle.key_groups == options_.range && !is_inline && !handle.files.empty();
    RETURN_IF_ERROR(AddRestoredSchemas(handle, adopt));
    if (adopt) {
      RETURN_IF_ERROR(base_->Adopt(handle.files, store));
      tracks_changes_ = true;
    } else {
      RETURN_IF_ERROR(RestoreRows(handle, is_inline, store));
    }
  }
  return absl::OkStatus();
}

absl::Status KeyedStateBackendBase::AddRestoredSchemas(const KeyedStateHandle& handle, bool adopt) {
  if (handle.num_entries.size() != handle.states.size()) {
    return absl::DataLossError("a snapshot does not say how many entries its states have");
  }
  for (size_t i = 0; i < handle.states.size(); ++i) {
    const StateSchema& schema = handle.states[i];
    auto& table = tables_[schema.name];
    if (table == nullptr) {
      table = std::make_unique<internal::RawTable>(schema);
    } else if (table->schema() != schema) {
      return absl::FailedPreconditionError(
          StrCat("cannot restore keyed state: subtasks wrote one state with two schemas: state=",
                 schema.name, " schema=", schema.ToString(),
                 " other_schema=", table->schema().ToString()));
    }
    if (adopt) static_cast<internal::RawTable&>(*table).AddInDatabase(handle.num_entries[i]);
  }
  return absl::OkStatus();
}

absl::Status KeyedStateBackendBase::VisitRows(const KeyedStateHandle& handle, bool is_inline,
                                              StateFileStore& store, RowVisitor visit) {
  internal::EntryKeyReader reader;
  const auto visit_row = [&](std::string_view key, std::string_view value) -> absl::Status {
    if (!reader.Read(key) || !handle.key_groups.Contains(reader.key_group())) {
      return absl::DataLossError("a snapshot holds a malformed key");
    }
    if (!options_.range.Contains(reader.key_group())) return absl::OkStatus();
    const auto table = tables_.find(reader.name());
    if (table == tables_.end()) {
      return absl::DataLossError(
          StrCat("a snapshot holds entries of a state it does not list: state=", reader.name()));
    }
    return visit(static_cast<internal::RawTable&>(*table->second), key, reader, value);
  };
  if (!is_inline) {
    if (handle.files.empty()) return absl::OkStatus();
    return base_->ReadFiles(handle.files, store, handle.key_groups.Intersect(options_.range),
                            visit_row);
  }
  for (const StateFile& file : handle.files)
    RETURN_IF_ERROR(internal::ReadInlineFile(file, visit_row));
  return absl::OkStatus();
}

absl::Status KeyedStateBackendBase::RestoreRows(const KeyedStateHandle& handle, bool is_inline,
                                                StateFileStore& store) {
  if (is_inline || !restored_lazily_) {
    return VisitRows(handle, is_inline, store,
                     [&](internal::RawTable& table, std::string_view /*entry_key*/,
                         const internal::EntryKeyReader& key, std::string_view value) {
                       return table.Load(key.rest(), value, key.key_group(),
                                         options_.max_parallelism, /*changed=*/true);
                     });
  }
  // From file to file, whatever their size. Our database is the base of the next snapshot.
  ASSIGN_OR_RETURN(internal::StateDatabase* const database, base_->OpenDatabase());
  tracks_changes_ = true;
  std::unique_ptr<internal::StateDatabase::FileWriter> writer;
  uint64_t bytes = 0;
  const auto write_row = [&](internal::RawTable& table, std::string_view entry_key,
                             const internal::EntryKeyReader&,
                             std::string_view value) -> absl::Status {
    if (writer == nullptr) {
      ASSIGN_OR_RETURN(writer, database->NewFile());
    }
    RETURN_IF_ERROR(writer->Put(entry_key, value));
    table.AddInDatabase(1);
    bytes += entry_key.size() + value.size();
    if (bytes < kRestoredFileBytes) return absl::OkStatus();
    bytes = 0;
    return database->Ingest(std::move(writer));
  };
  RETURN_IF_ERROR(VisitRows(handle, is_inline, store, write_row));
  return writer == nullptr ? absl::OkStatus() : database->Ingest(std::move(writer));
}

std::unique_ptr<KeyedSnapshot> KeyedStateBackendBase::Snapshot(CheckpointId checkpoint_id,
                                                               std::function<void()> files_chosen) {
  CHECK(!snapshot_in_progress_);
  snapshot_in_progress_ = true;
  tracks_changes_ = true;
  KeyedStateHandle header;
  header.key_groups = options_.range;
  header.max_parallelism = options_.max_parallelism;
  base_->BeginSnapshot();
  for (const auto& [name, table] : tables_) {
    header.states.push_back(table->schema());
    header.num_entries.push_back(table->NumEntries());
  }
  std::unique_ptr<KeyedSnapshot> snapshot(new KeyedSnapshot(checkpoint_id, std::move(header), base_,
                                                            options_.inline_limit_bytes,
                                                            std::move(files_chosen)));
  for (const auto& [name, table] : tables_) {
    snapshot->tables_.push_back({table.get(), EncodeKey(name), table->BeginSnapshot()});
  }
  return snapshot;
}

void KeyedStateBackendBase::FinishSnapshot(std::unique_ptr<KeyedSnapshot> snapshot) {
  CHECK(snapshot_in_progress_);
  CHECK(snapshot->base_ == base_);
  snapshot_in_progress_ = false;
  SnapshotResult result = SnapshotResult::kWritten;
  if (!snapshot->written_) {
    result =
        base_->database() == nullptr ? SnapshotResult::kNothingWritten : SnapshotResult::kUnknown;
  }
  for (internal::FrozenTable& frozen : snapshot->tables_) {
    if (frozen.disk_bytes.has_value()) frozen.table->set_disk_bytes(*frozen.disk_bytes);
    frozen.table->EndSnapshot(std::move(frozen.snapshot), result);
  }
  replaced_tables_.clear();
  base_->EndSnapshot();
  UpdateMetrics();
}

bool KeyedStateBackendBase::GrowthMustWait() const {
  return snapshot_in_progress_ && cold_store_ != nullptr && !cold_store_->CanWrite() &&
         cold_store_->NearLimit();
}

void KeyedStateBackendBase::ShedMemory() {
  for (internal::TtlStateBase* state : expiring_states_) {
    state->DropSomeExpired(kEntriesPerShedding);
  }
  UpdateMetrics();
  if (cold_store_ == nullptr || !cold_store_->UnderPressure()) return;
  for (const auto& [name, table] : tables_) table->Shed(kEntriesPerShedding);
}

absl::StatusOr<std::shared_ptr<const internal::StateExpiry>> KeyedStateBackendBase::MakeExpiry(
    std::string_view name, const StateTtlConfig& ttl) const {
  if (ttl.ttl < absl::Milliseconds(1) || ttl.ttl == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(
        StrCat("the time to live of a state is not a positive time; give it one of at least a "
               "millisecond, or none: state=",
               name, " ttl=", absl::FormatDuration(ttl.ttl)));
  }
  return std::make_shared<const internal::StateExpiry>(ttl, time_);
}

void KeyedStateBackendBase::AddExpiry(std::string_view name,
                                      std::shared_ptr<const internal::StateExpiry> expiry,
                                      internal::TtlStateBase* state) {
  tables_.find(name)->second->SetExpiry(expiry);
  expiry_rules_->Add(EncodeKey(std::string(name)), std::move(expiry));
  expiring_states_.push_back(state);
}

void KeyedStateBackendBase::UpdateMetrics() {
  if (num_hits_ != nullptr) {
    uint64_t hits = 0;
    for (const auto& [name, table] : tables_) hits += table->NumHits();
    num_hits_->Add(hits - num_hits_->value());
  }
  if (num_entries_ != nullptr) num_entries_->Set(static_cast<double>(NumEntries()));
  if (memory_bytes_ != nullptr) memory_bytes_->Set(static_cast<double>(MemoryBytes()));
  if (options_.metrics == nullptr) return;
  for (const auto& [name, state] : states_) {
    const internal::StateTable& table = *tables_.find(name)->second;
    auto metrics = state_metrics_.find(name);
    if (metrics == state_metrics_.end()) {
      if (table.NumEntries() == 0) continue;  // Until there are any, there is nothing to see.
      MetricGroup* const group = internal::MetricGroupOfState(options_.metrics, name);
      metrics = state_metrics_.try_emplace(name, group).first;
    }
    metrics->second.Update(table);
  }
}

void KeyedStateBackendBase::PublishMetrics(int64_t now_nanos) {
  if (now_nanos < next_metrics_nanos_) return;
  next_metrics_nanos_ = now_nanos + kMetricsIntervalNanos;
  UpdateMetrics();
}

void KeyedStateBackendBase::NotifyCheckpointComplete(CheckpointId checkpoint_id) {
  base_->NotifyCheckpointComplete(checkpoint_id);
}

size_t KeyedStateBackendBase::NumEntries() const {
  size_t entries = 0;
  for (const auto& [name, table] : tables_) entries += table->NumEntries();
  return entries;
}

void KeyedStateBackendBase::VisitStates(
    const std::function<void(const StateSchema&, size_t)>& visit) const {
  for (const auto& [name, table] : tables_) visit(table->schema(), table->NumEntries());
}

size_t KeyedStateBackendBase::MemoryBytes() const {
  size_t bytes = 0;
  for (const auto& [name, table] : tables_) bytes += table->MemoryBytes();
  return bytes;
}

absl::StatusOr<KeyedStateBackendBase::RegisteredState*> KeyedStateBackendBase::FindState(
    const StateSchema& schema, const std::type_info& type) const {
  const auto found = states_.find(schema.name);
  if (found == states_.end()) return nullptr;
  const NamedState& known = found->second;
  if (known.schema != schema || *known.type != type) {
    return absl::InvalidArgumentError(StrCat(
        "a state name is used for two states; give one of them another name: state=", schema.name,
        " registered=", known.schema.ToString(), " requested=", schema.ToString()));
  }
  return known.state.get();
}

internal::StateTable* KeyedStateBackendBase::FindTable(std::string_view name) const {
  return states_.contains(name) ? tables_.find(name)->second.get() : nullptr;
}

absl::Status KeyedStateBackendBase::AddTable(std::unique_ptr<internal::StateTable> table) {
  const std::string name = table->schema().name;
  auto& place = tables_[name];
  if (place != nullptr) {
    // Only a restored state has a table before it is registered.
    auto& raw = static_cast<internal::RawTable&>(*place);
    ASSIGN_OR_RETURN(const std::optional<SchemaMigration> migration,
                     internal::PlanStateMigration(raw.schema(), table->schema()));
    RETURN_IF_ERROR(LoadInto(*table, raw, migration.has_value() ? &*migration : nullptr));
    if (snapshot_in_progress_) replaced_tables_.push_back(std::move(place));
  } else if (cold_store_ != nullptr) {
    table->UseColdStore(cold_store_.get(), options_.range, options_.max_parallelism, /*count=*/0);
  }
  place = std::move(table);
  return absl::OkStatus();
}

absl::Status KeyedStateBackendBase::LoadInto(internal::StateTable& table,
                                             const internal::RawTable& raw,
                                             const SchemaMigration* migration) const {
  const std::string& name = table.schema().name;
  RETURN_IF_ERROR(raw.LoadInto(table, options_.max_parallelism, migration));
  const bool in_database = raw.num_in_database() > 0;
  // A snapshot in progress says that its rows have the earlier schema, so the database may not be
  // changed; then the new values are in memory, from where the next snapshot writes them.
  const bool in_memory_only = migration != nullptr && in_database && !base_->FilesChosen();
  if (migration != nullptr && in_database && !in_memory_only) {
    RETURN_IF_ERROR(MigrateDatabase(name, *migration));
  }
  const bool lazily = restored_lazily_ && cold_store_ != nullptr && !in_memory_only;
  if (cold_store_ != nullptr && !in_memory_only) {
    table.UseColdStore(cold_store_.get(), options_.range, options_.max_parallelism,
                       lazily ? raw.num_in_database() : 0);
  }
  if (lazily || !in_database) return absl::OkStatus();
  std::string migrated;
  return VisitDatabase(
      name, [&](KeyGroup group, size_t prefix, std::string_view key, std::string_view value) {
        if (in_memory_only) {
          if (!migration->MigrateWhole(value, &migrated)) {
            return internal::MalformedEntry(name, "value");
          }
          value = migrated;
        }
        return table.Load(key.substr(prefix), value, group, options_.max_parallelism,
                          /*changed=*/in_memory_only);
      });
}

template <class Visitor>
absl::Status KeyedStateBackendBase::VisitDatabase(std::string_view state_name,
                                                  Visitor&& visit) const {
  const std::string encoded_name = EncodeKey(std::string(state_name));
  for (KeyGroup group = options_.range.first; group <= options_.range.last; ++group) {
    const std::string begin = internal::KeyGroupPrefix(group) + encoded_name;
    std::string end = begin;
    ++end.back();  // An encoded name ends with 01.
    RETURN_IF_ERROR(
        base_->database()->ForEach(begin, end, [&](std::string_view key, std::string_view value) {
          return visit(group, begin.size(), key, value);
        }));
  }
  return absl::OkStatus();
}

absl::Status KeyedStateBackendBase::MigrateDatabase(std::string_view state_name,
                                                    const SchemaMigration& migration) const {
  internal::StateDatabase* const database = base_->database();
  std::unique_ptr<internal::StateDatabase::FileWriter> writer;
  std::string migrated;
  uint64_t bytes = 0;
  const auto rewrite = [&](KeyGroup, size_t, std::string_view key,
                           std::string_view value) -> absl::Status {
    if (!migration.MigrateWhole(value, &migrated)) {
      return internal::MalformedEntry(state_name, "value");
    }
    if (writer == nullptr) {
      ASSIGN_OR_RETURN(writer, database->NewFile());
    }
    RETURN_IF_ERROR(writer->Put(key, migrated));
    bytes += key.size() + migrated.size();
    if (bytes < kRestoredFileBytes) return absl::OkStatus();
    bytes = 0;
    return database->Ingest(std::move(writer));
  };
  RETURN_IF_ERROR(VisitDatabase(state_name, rewrite));
  return writer == nullptr ? absl::OkStatus() : database->Ingest(std::move(writer));
}

void KeyedStateBackendBase::AddState(const StateSchema& schema, const std::type_info& type,
                                     std::unique_ptr<RegisteredState> state) {
  states_[schema.name] = {schema, &type, std::move(state)};
}

}  // namespace weir
