#include "runtime/state/state_reader.h"

#include <cstdint>
#include <map>
#include <vector>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/key_codec.h"
#include "runtime/record/schema_json.h"
#include "runtime/state/internal/entry_key.h"
#include "runtime/state/internal/inline_file.h"
#include "runtime/state/internal/snapshot_base.h"

namespace weir {

namespace {

bool IsEmpty(const Schema& schema) {
  return schema.kind == Schema::Kind::kStruct && schema.fields.empty();
}

// Appends the member `name` with a key or a part of one; false if it is malformed.
bool WriteKeyMember(std::string_view name, const Schema& schema, ByteReader& reader,
                    JsonWriter& json, std::string* text) {
  text->clear();
  JsonWriter part(text);
  if (!WriteKeyAsJson(schema, reader, part)) return false;
  json.Key(name).Raw(*text);
  return true;
}

bool WriteValueMember(const Schema& schema, std::string_view bytes, JsonWriter& json) {
  std::string text;
  JsonWriter part(&text);
  ByteReader reader(bytes);
  if (!WriteValueAsJson(schema, reader, part) || reader.remaining() != 0) return false;
  json.Key("value").Raw(text);
  return true;
}

}  // namespace

absl::Status VisitKeyedState(const KeyedStateHandle& handle, StateFileStore& store,
                             const std::string& scratch_folder,
                             absl::FunctionRef<absl::Status(const KeyedStateEntry&)> visit) {
  if (handle.format_version != KeyedStateHandle::kFormatVersion) {
    return absl::FailedPreconditionError(
        StrCat("cannot read keyed state: its format version is not known; use a version of weir "
               "that knows it: format_version=",
               handle.format_version, " known=", KeyedStateHandle::kFormatVersion));
  }
  std::map<std::string_view, const StateSchema*> schemas;
  for (const StateSchema& schema : handle.states) schemas.emplace(schema.name, &schema);
  internal::EntryKeyReader reader;
  const auto visit_row = [&](std::string_view key, std::string_view value) -> absl::Status {
    if (!reader.Read(key) || !handle.key_groups.Contains(reader.key_group())) {
      return absl::DataLossError("a snapshot holds a malformed key");
    }
    const auto schema = schemas.find(reader.name());
    if (schema == schemas.end()) {
      return absl::DataLossError(
          StrCat("a snapshot holds entries of a state it does not list: state=", reader.name()));
    }
    return visit({*schema->second, reader.key_group(), reader.rest(), value});
  };
  std::vector<StateFile> files;
  for (const StateFile& file : handle.files) {
    if (file.path.empty()) {
      RETURN_IF_ERROR(internal::ReadInlineFile(file, visit_row));
    } else {
      files.push_back(file);
    }
  }
  if (files.empty()) return absl::OkStatus();
  internal::SnapshotBase base(scratch_folder, /*expiry_rules=*/nullptr, /*budget=*/nullptr);
  return base.ReadFiles(files, store, handle.key_groups, visit_row);
}

void VerifyKeyedState(const KeyedStateHandle& handle,
                      absl::FunctionRef<absl::Status(const StoredFile&)> verify,
                      absl::FunctionRef<void(const StateFile&, const absl::Status&)> report) {
  for (const StateFile& file : handle.files) {
    report(file, file.path.empty() ? internal::CheckInlineFile(file)
                                   : verify({file.path, file.size_bytes, file.checksum}));
  }
}

bool WriteEntryAsJson(const KeyedStateEntry& entry, JsonWriter& json, std::string* key_json) {
  const StateSchema& schema = entry.schema;
  ByteReader reader(entry.key);
  std::string text;
  int64_t time_ms = 0;
  if (schema.kind == StateKind::kTimers && !KeyCodec<int64_t>::Decode(reader, time_ms))
    return false;
  if (!WriteKeyMember("key", schema.key, reader, json, key_json)) return false;
  if (schema.kind == StateKind::kMap) {
    if (!WriteKeyMember("map_key", schema.ns, reader, json, &text)) return false;
  } else if (IsEmpty(schema.ns)) {
    // Nothing is written of it.
  } else if (!WriteKeyMember("namespace", schema.ns, reader, json, &text)) {
    return false;
  }
  if (schema.kind == StateKind::kList) {
    uint64_t index = 0;
    if (!KeyCodec<uint64_t>::Decode(reader, index)) return false;
    json.Key("index").Uint(index);
  }
  if (schema.kind == StateKind::kTimers) {
    json.Key("time_ms").Int(time_ms);
    return reader.ok();
  }
  return reader.ok() && WriteValueMember(schema.value, entry.value, json);
}

bool WriteEntryAsJson(const OperatorStateEntries& state, std::string_view entry, JsonWriter& json,
                      std::string* key_json) {
  key_json->clear();
  ByteReader reader(entry);
  if (state.mode == OperatorStateMode::kBroadcast &&
      !WriteKeyMember("key", state.key, reader, json, key_json)) {
    return false;
  }
  std::string_view value;
  return reader.ReadView(reader.remaining(), &value) && WriteValueMember(state.value, value, json);
}

}  // namespace weir
