#include "client/state/inspect_state.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/commands/exit_code.h"
#include "client/text_table.h"
#include "jobmanager/checkpoint/snapshot_files.h"
#include "runtime/base/ids.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/record/serde.h"
#include "runtime/state/operator_subtask_state.h"
#include "runtime/state/state_reader.h"

namespace weir {
namespace {

using Print = std::function<void(std::string_view)>;
using ScratchId = HexId<struct ScratchIdTag>;
using Files = std::shared_ptr<const FileSystems>;

// Reads by path.
FileStateStore StoreOf(const Files& files) {
  return {"", "", FileSharing::kLinkWherePossible, files};
}

// The state of one operator in a snapshot, by subtask.
struct OperatorSnapshot {
  const CheckpointedOperator* op = nullptr;
  std::vector<OperatorSubtaskState> subtasks;
};

absl::StatusOr<OperatorSnapshot> ParseOperator(const CheckpointedOperator& op) {
  OperatorSnapshot snapshot;
  snapshot.op = &op;
  for (size_t i = 0; i < op.subtasks.size(); ++i) {
    OperatorSubtaskState& state = snapshot.subtasks.emplace_back();
    if (!op.subtasks[i].empty() && !FromBytes(op.subtasks[i], state)) {
      return absl::DataLossError(
          StrCat("the state of an operator in the checkpoint is damaged or of another version: "
                 "operator=",
                 op.uid, " subtask=", i));
    }
  }
  return snapshot;
}

// One state over all subtasks.
struct StateSummary {
  std::string name;
  std::string kind;
  std::string schema;
  uint64_t num_entries = 0;
};

struct OperatorSummary {
  std::vector<StateSummary> states;
  std::vector<KeyGroupRange> key_groups;
  uint64_t size_bytes = 0;
  size_t num_files = 0;
};

StateSummary& FindOrAdd(std::vector<StateSummary>& states, const std::string& name,
                        std::string_view kind) {
  for (StateSummary& state : states) {
    if (state.name == name && state.kind == kind) return state;
  }
  return states.emplace_back(StateSummary{name, std::string(kind), "", 0});
}

OperatorSummary Summarize(const OperatorSnapshot& snapshot) {
  OperatorSummary summary;
  for (const OperatorSubtaskState& subtask : snapshot.subtasks) {
    if (subtask.keyed.has_value()) {
      const KeyedStateHandle& keyed = *subtask.keyed;
      summary.key_groups.push_back(keyed.key_groups);
      summary.size_bytes += keyed.SizeBytes();
      summary.num_files += keyed.files.size();
      for (size_t i = 0; i < keyed.states.size(); ++i) {
        StateSummary& state =
            FindOrAdd(summary.states, keyed.states[i].name, ToString(keyed.states[i].kind));
        state.schema = keyed.states[i].ToString();
        if (i < keyed.num_entries.size()) state.num_entries += keyed.num_entries[i];
      }
    }
    if (!subtask.operator_state.has_value()) continue;
    summary.size_bytes += subtask.operator_state->SizeBytes();
    for (const OperatorStateEntries& entries : subtask.operator_state->states) {
      StateSummary& state = FindOrAdd(summary.states, entries.name, ToString(entries.mode));
      state.schema = entries.mode == OperatorStateMode::kBroadcast
                         ? StrCat("broadcast(key: ", entries.key.ToString(),
                                  ", value: ", entries.value.ToString(), ")")
                         : StrCat(state.kind, "(value: ", entries.value.ToString(), ")");
      state.num_entries += entries.entries.size();
    }
  }
  return summary;
}

void WriteJson(const OperatorSnapshot& snapshot, const OperatorSummary& summary, JsonWriter& json) {
  const CheckpointedOperator& op = *snapshot.op;
  json.BeginObject();
  json.Key("id").String(ToString(op.id)).Key("uid").String(op.uid).Key("name").String(op.name);
  json.Key("parallelism").Uint(op.parallelism());
  json.Key("max-parallelism").Uint(op.max_parallelism);
  json.Key("size").Uint(summary.size_bytes).Key("files").Uint(summary.num_files);
  json.Key("coordinator-state").Bool(op.coordinator_state.has_value());
  json.Key("key-groups").BeginArray();
  for (const KeyGroupRange& range : summary.key_groups) {
    json.BeginArray().Uint(range.first).Uint(range.last).EndArray();
  }
  json.EndArray().Key("states").BeginArray();
  for (const StateSummary& state : summary.states) {
    json.BeginObject();
    json.Key("name").String(state.name).Key("kind").String(state.kind);
    json.Key("entries").Uint(state.num_entries).Key("schema").String(state.schema).EndObject();
  }
  json.EndArray().EndObject();
}

std::string AsText(const OperatorSnapshot& snapshot, const OperatorSummary& summary) {
  const CheckpointedOperator& op = *snapshot.op;
  std::string text = StrCat(op.uid, "  (", op.name, ")\n  ", op.parallelism(),
                            " subtasks, max parallelism ", op.max_parallelism, ", ",
                            summary.size_bytes, " bytes in ", summary.num_files, " files");
  if (!summary.key_groups.empty()) {
    StrAppend(&text, ", key groups");
    for (const KeyGroupRange& range : summary.key_groups) {
      StrAppend(&text, " ", range.first, "-", range.last);
    }
  }
  text += op.coordinator_state.has_value() ? ", state of a coordinator\n" : "\n";
  std::vector<std::vector<std::string>> rows;
  for (const StateSummary& state : summary.states) {
    rows.push_back({"  " + state.name, StrCat(state.num_entries, " entries"), state.schema});
  }
  return text + (rows.empty() ? "" : FormatTable(rows));
}

absl::StatusOr<int> List(const CheckpointMetadata& metadata, bool json, const Print& print) {
  std::string text;
  JsonWriter writer(&text);
  if (json) {
    writer.BeginObject().Key("checkpoint").Uint(metadata.id.value());
    writer.Key("job").String(ToString(metadata.job_id));
    writer.Key("job-name").String(metadata.job_name);
    writer.Key("trigger-timestamp").Int(absl::ToUnixMillis(metadata.trigger_time));
    writer.Key("operators").BeginArray();
  } else {
    text = StrCat(
        "checkpoint ", metadata.id.value(), " of ", metadata.job_name, " (",
        ToString(metadata.job_id), "), triggered ",
        absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", metadata.trigger_time, absl::UTCTimeZone()),
        "\n");
  }
  for (const CheckpointedOperator& op : metadata.operators) {
    ASSIGN_OR_RETURN(const OperatorSnapshot snapshot, ParseOperator(op));
    const OperatorSummary summary = Summarize(snapshot);
    if (json) {
      WriteJson(snapshot, summary, writer);
    } else {
      StrAppend(&text, "\n", AsText(snapshot, summary));
    }
  }
  if (json) writer.EndArray().EndObject().EndLine();
  print(text);
  return kExitDone;
}

absl::StatusOr<const CheckpointedOperator*> FindOperator(const CheckpointMetadata& metadata,
                                                         const std::string& wanted) {
  std::vector<std::string> known;
  for (const CheckpointedOperator& op : metadata.operators) {
    if (op.uid == wanted || ToString(op.id) == wanted) return &op;
    known.push_back(op.uid);
  }
  return absl::NotFoundError(StrCat("the snapshot has no such operator; it has ",
                                    StrJoin(known, ", "), ": operator=", wanted));
}

absl::Status CheckState(const OperatorSnapshot& snapshot, const std::string& wanted) {
  if (wanted.empty()) return absl::OkStatus();
  std::vector<std::string> known;
  for (const StateSummary& state : Summarize(snapshot).states) {
    if (state.name == wanted) return absl::OkStatus();
    known.push_back(state.name);
  }
  return absl::NotFoundError(StrCat("the operator has no such state; it has ", StrJoin(known, ", "),
                                    ": state=", wanted, " operator=", snapshot.op->uid));
}

// Returns JSON as this program writes it, so that keys can be compared.
absl::StatusOr<std::string> NormalizedJson(const std::string& text) {
  simdjson::dom::parser parser;
  simdjson::dom::element element;
  if (parser.parse(text).get(element) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(
        StrCat("--key is not JSON; a text needs quotes: --key '\"alice\"': key=", text));
  }
  return std::string(simdjson::minify(element));
}

// Prints entries until there were enough.
class EntryPrinter {
 public:
  EntryPrinter(const StateCommand& command, std::string key, const Files& files, const Print& print)
      : command_(command),
        files_(files),
        key_(std::move(key)),
        left_(command.limit.value_or(std::numeric_limits<uint64_t>::max())),
        print_(print) {}

  [[nodiscard]] bool done() const { return left_ == 0; }

  absl::Status Show(const OperatorSnapshot& snapshot, const std::string& scratch_folder) {
    FileStateStore store = StoreOf(files_);
    for (size_t i = 0; i < snapshot.subtasks.size() && !done(); ++i) {
      const OperatorSubtaskState& subtask = snapshot.subtasks[i];
      if (subtask.operator_state.has_value()) {
        RETURN_IF_ERROR(VerifyOperatorState(*subtask.operator_state));
        for (const OperatorStateEntries& state : subtask.operator_state->states) {
          RETURN_IF_ERROR(ShowOperatorState(i, state));
        }
      }
      if (!subtask.keyed.has_value() || done() || !HasWantedState(*subtask.keyed)) continue;
      const absl::Status read = VisitKeyedState(
          *subtask.keyed, store, scratch_folder, [&](const KeyedStateEntry& entry) -> absl::Status {
            if (!IsWanted(entry.schema.name)) return absl::OkStatus();
            const bool written =
                ShowEntry(i, entry.schema.name, ToString(entry.schema.kind), entry.key_group,
                          [&](JsonWriter& json, std::string* key) {
                            return WriteEntryAsJson(entry, json, key);
                          });
            if (!written) return Malformed(entry.schema.name);
            return done() ? absl::OutOfRangeError("enough") : absl::OkStatus();
          });
      if (!read.ok() && !absl::IsOutOfRange(read)) return read;
    }
    return absl::OkStatus();
  }

 private:
  static absl::Status Malformed(const std::string& state) {
    return absl::DataLossError(
        StrCat("an entry cannot be read by the schema of its state: state=", state));
  }

  [[nodiscard]] bool IsWanted(const std::string& state) const {
    return command_.state.empty() || command_.state == state;
  }
  [[nodiscard]] bool HasWantedState(const KeyedStateHandle& handle) const {
    return std::any_of(handle.states.begin(), handle.states.end(),
                       [this](const StateSchema& schema) { return IsWanted(schema.name); });
  }

  absl::Status ShowOperatorState(size_t subtask, const OperatorStateEntries& state) {
    if (!IsWanted(state.name)) return absl::OkStatus();
    for (const std::string& entry : state.entries) {
      if (done()) break;
      const bool written = ShowEntry(subtask, state.name, ToString(state.mode), std::nullopt,
                                     [&](JsonWriter& json, std::string* key) {
                                       return WriteEntryAsJson(state, entry, json, key);
                                     });
      if (!written) return Malformed(state.name);
    }
    return absl::OkStatus();
  }

  template <class Write>
  bool ShowEntry(size_t subtask, const std::string& state, std::string_view kind,
                 std::optional<KeyGroup> key_group, Write write) {
    std::string line;
    std::string key;
    JsonWriter json(&line);
    json.BeginObject().Key("state").String(state).Key("kind").String(kind);
    json.Key("subtask").Uint(subtask);
    if (key_group.has_value()) json.Key("key_group").Uint(*key_group);
    if (!write(json, &key)) return false;
    json.EndObject().EndLine();
    if (!key_.empty() && key != key_) return true;
    print_(line);
    --left_;
    return true;
  }

  const StateCommand& command_;
  const Files& files_;
  const std::string key_;  // Empty for all.
  uint64_t left_;
  const Print& print_;
};

absl::StatusOr<int> Show(const Files& files, const CheckpointMetadata& metadata,
                         const StateCommand& command, const Print& print) {
  if (command.op.empty()) {
    return absl::InvalidArgumentError(
        "weir state show needs --operator; weir state list says which there are");
  }
  std::string key;
  if (!command.key.empty()) {
    ASSIGN_OR_RETURN(key, NormalizedJson(command.key));
  }
  ASSIGN_OR_RETURN(const CheckpointedOperator* const op, FindOperator(metadata, command.op));
  ASSIGN_OR_RETURN(const OperatorSnapshot snapshot, ParseOperator(*op));
  RETURN_IF_ERROR(CheckState(snapshot, command.state));
  const std::string scratch = StrCat(std::filesystem::temp_directory_path().string(),
                                     "/weir-state-", ToString(RandomId<ScratchId>()));
  EntryPrinter printer(command, std::move(key), files, print);
  RETURN_IF_ERROR(printer.Show(snapshot, scratch));
  return kExitDone;
}

// What is wrong with a snapshot.
struct Verification {
  uint64_t num_files = 0;
  uint64_t size_bytes = 0;
  std::vector<std::string> damages;
};

std::string_view Text(const absl::Status& status) { return ToStd(status.message()); }

void VerifyOperator(const FileStateStore& store, const CheckpointedOperator& op,
                    std::set<std::string>* seen, Verification* result) {
  const absl::StatusOr<OperatorSnapshot> snapshot = ParseOperator(op);
  if (!snapshot.ok()) {
    result->damages.push_back(StrCat("operator ", op.uid, ": ", Text(snapshot.status())));
    return;
  }
  for (size_t i = 0; i < snapshot->subtasks.size(); ++i) {
    const OperatorSubtaskState& subtask = snapshot->subtasks[i];
    const auto note = [&](const absl::Status& status) {
      if (status.ok()) return;
      result->damages.push_back(StrCat("operator ", op.uid, " subtask ", i, ": ", Text(status)));
    };
    if (subtask.operator_state.has_value()) note(VerifyOperatorState(*subtask.operator_state));
    if (!subtask.keyed.has_value()) continue;
    VerifyKeyedState(
        *subtask.keyed, [&store](const StoredFile& file) { return store.Verify(file); },
        [&](const StateFile& file, const absl::Status& status) {
          note(status);
          if (!file.path.empty() && !seen->insert(file.path).second) return;
          ++result->num_files;
          result->size_bytes += file.size_bytes;
        });
  }
}

absl::StatusOr<int> Verify(const Files& files, const CheckpointMetadata& metadata, bool json,
                           const Print& print) {
  Verification result;
  std::set<std::string> seen;
  const FileStateStore store = StoreOf(files);
  for (const CheckpointedOperator& op : metadata.operators) {
    VerifyOperator(store, op, &seen, &result);
  }
  std::string text;
  if (json) {
    JsonWriter writer(&text);
    writer.BeginObject().Key("checkpoint").Uint(metadata.id.value());
    writer.Key("files").Uint(result.num_files).Key("size").Uint(result.size_bytes);
    writer.Key("damages").BeginArray();
    for (const std::string& damage : result.damages) writer.String(damage);
    writer.EndArray().EndObject().EndLine();
  } else {
    for (const std::string& damage : result.damages) StrAppend(&text, "damaged: ", damage, "\n");
    StrAppend(&text, "checkpoint ", metadata.id.value(), ": metadata and ", result.num_files,
              " files of ", result.size_bytes, " bytes read, ",
              result.damages.empty() ? std::string("all are well")
                                     : StrCat(result.damages.size(), " damaged"),
              "\n");
  }
  print(text);
  return result.damages.empty() ? kExitDone : kExitFailed;
}

}  // namespace

absl::StatusOr<int> InspectState(const StateCommand& command, bool json,
                                 const Configuration& configuration,
                                 const std::function<void(std::string_view)>& print) {
  ASSIGN_OR_RETURN(const Files files, FileSystems::FromConfiguration(configuration));
  ASSIGN_OR_RETURN(const CheckpointMetadata metadata, ReadCheckpoint(*files, command.path));
  switch (command.action) {
    case StateCommand::Action::kList:
      return List(metadata, json, print);
    case StateCommand::Action::kShow:
      return Show(files, metadata, command, print);
    case StateCommand::Action::kVerify:
      return Verify(files, metadata, json, print);
  }
  return kExitUsage;
}

}  // namespace weir
