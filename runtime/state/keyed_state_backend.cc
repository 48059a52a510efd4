#include "runtime/state/keyed_state_backend.h"

#include <algorithm>

#include "runtime/state/internal/entry_key.h"
#include "runtime/state/internal/raw_table.h"
#include "runtime/state/internal/snapshot_base.h"
#include "xxhash.h"

namespace weir {

namespace {

// Calls visit(key, value) with the entries of an inline file. Errors: kDataLoss.
template <class Visitor>
absl::Status ReadInlineFile(const StateFile& file, Visitor&& visit) {
  const std::string& bytes = file.inline_bytes;
  if (bytes.size() != file.size_bytes || XXH3_64bits(bytes.data(), bytes.size()) != file.checksum) {
    return absl::DataLossError(StrCat("the inline file of a snapshot is damaged: size_bytes=",
                                      bytes.size(), " expected_size_bytes=", file.size_bytes));
  }
  ByteReader reader(bytes);
  while (reader.remaining() > 0) {
    std::string_view key;
    std::string_view value;
    if (!reader.ReadStringView(&key) || !reader.ReadStringView(&value)) {
      return absl::DataLossError("the inline file of a snapshot is malformed");
    }
    RETURN_IF_ERROR(visit(key, value));
  }
  return absl::OkStatus();
}

bool IsInline(const StateFile& file) { return file.path.empty(); }

}  // namespace

KeyedStateBackendBase::KeyedStateBackendBase(KeyedStateBackendOptions options)
    : options_(std::move(options)),
      base_(std::make_shared<internal::SnapshotBase>(options_.local_dir)),
      tracks_changes_(options_.track_changes) {
  CHECK(options_.max_parallelism >= 1 && options_.max_parallelism <= kMaxMaxParallelism);
  CHECK(!options_.range.IsEmpty());
  CHECK_LT(options_.range.last, options_.max_parallelism);
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

absl::Status KeyedStateBackendBase::Restore(std::vector<KeyedStateHandle> handles,
                                            StateFileStore& store) {
  CHECK(tables_.empty()) << "state was registered or restored before";
  RETURN_IF_ERROR(CheckHandles(handles));
  for (const KeyedStateHandle& handle : handles) {
    if (handle.key_groups.Intersect(options_.range).IsEmpty()) continue;
    const bool is_inline = std::any_of(handle.files.begin(), handle.files.end(), IsInline);
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

absl::Status KeyedStateBackendBase::AddRestoredSchemas(const KeyedStateHandle& handle,
                                                       bool in_database) {
  for (const StateSchema& schema : handle.states) {
    auto& table = tables_[schema.name];
    if (table == nullptr) {
      table = std::make_unique<internal::RawTable>(schema, in_database);
    } else if (table->schema() != schema) {
      return absl::FailedPreconditionError(
          StrCat("cannot restore keyed state: subtasks wrote one state with two schemas: state=",
                 schema.name, " schema=", schema.ToString(),
                 " other_schema=", table->schema().ToString()));
    }
  }
  return absl::OkStatus();
}

absl::Status KeyedStateBackendBase::RestoreRows(const KeyedStateHandle& handle, bool is_inline,
                                                StateFileStore& store) {
  internal::EntryKeyReader reader;
  const auto add_row = [&](std::string_view key, std::string_view value) -> absl::Status {
    if (!reader.Read(key) || !handle.key_groups.Contains(reader.key_group())) {
      return absl::DataLossError("a snapshot holds a malformed key");
    }
    if (!options_.range.Contains(reader.key_group())) return absl::OkStatus();
    const auto table = tables_.find(reader.name());
    if (table == tables_.end()) {
      return absl::DataLossError(
          StrCat("a snapshot holds entries of a state it does not list: state=", reader.name()));
    }
    return table->second->Load(reader.rest(), value, reader.key_group(), options_.max_parallelism,
                               /*changed=*/true);
  };
  if (!is_inline) {
    if (handle.files.empty()) return absl::OkStatus();
    return base_->ReadFiles(handle.files, store, handle.key_groups.Intersect(options_.range),
                            add_row);
  }
  for (const StateFile& file : handle.files) RETURN_IF_ERROR(ReadInlineFile(file, add_row));
  return absl::OkStatus();
}

std::unique_ptr<KeyedSnapshot> KeyedStateBackendBase::Snapshot(CheckpointId checkpoint_id) {
  CHECK(!snapshot_in_progress_);
  snapshot_in_progress_ = true;
  tracks_changes_ = true;
  KeyedStateHandle header;
  header.key_groups = options_.range;
  header.max_parallelism = options_.max_parallelism;
  for (const auto& [name, table] : tables_) header.states.push_back(table->schema());
  std::unique_ptr<KeyedSnapshot> snapshot(
      new KeyedSnapshot(checkpoint_id, std::move(header), base_, options_.inline_limit_bytes));
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
    frozen.table->EndSnapshot(std::move(frozen.snapshot), result);
  }
  replaced_tables_.clear();
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

absl::Status KeyedStateBackendBase::AddTable(std::unique_ptr<internal::StateTable> table) {
  const std::string name = table->schema().name;
  auto& place = tables_[name];
  if (place != nullptr) {
    // Only a restored state has a table before it is registered.
    auto& raw = static_cast<internal::RawTable&>(*place);
    if (raw.schema() != table->schema()) {
      return absl::FailedPreconditionError(StrCat(
          "cannot restore a state: its schema differs from the snapshot's; declare it as it "
          "was, or under another name: state=",
          name, " snapshot=", raw.schema().ToString(), " declared=", table->schema().ToString()));
    }
    RETURN_IF_ERROR(LoadInto(*table, raw));
    if (snapshot_in_progress_) replaced_tables_.push_back(std::move(place));
  }
  place = std::move(table);
  return absl::OkStatus();
}

absl::Status KeyedStateBackendBase::LoadInto(internal::StateTable& table,
                                             const internal::RawTable& raw) const {
  if (!raw.in_database()) return raw.LoadInto(table, options_.max_parallelism);
  const std::string encoded_name = EncodeKey(table.schema().name);
  for (KeyGroup group = options_.range.first; group <= options_.range.last; ++group) {
    const std::string begin = internal::KeyGroupPrefix(group) + encoded_name;
    std::string end = begin;
    ++end.back();  // An encoded name ends with 01.
    RETURN_IF_ERROR(
        base_->database()->ForEach(begin, end, [&](std::string_view key, std::string_view value) {
          return table.Load(key.substr(begin.size()), value, group, options_.max_parallelism,
                            /*changed=*/false);
        }));
  }
  return absl::OkStatus();
}

void KeyedStateBackendBase::AddState(const StateSchema& schema, const std::type_info& type,
                                     std::unique_ptr<RegisteredState> state) {
  states_[schema.name] = {schema, &type, std::move(state)};
}

}  // namespace weir
