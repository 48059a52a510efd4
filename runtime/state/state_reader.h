#pragma once

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "runtime/base/json_writer.h"
#include "runtime/state/operator_state.h"
#include "runtime/state/state_file_store.h"
#include "runtime/state/state_handle.h"

namespace weir {

/// One entry of keyed state in a snapshot, as bytes. Plain data; borrows.
struct KeyedStateEntry {
  const StateSchema& schema;
  KeyGroup key_group = 0;
  std::string_view key;  ///< Key and namespace, in the encoding of KeyCodec.
  std::string_view value;
};

/// Calls `visit` with the entries of a snapshot, in the order of files: by key group, state name
/// and key. No job is needed. Fetches files into `scratch_folder`, which is made, and removed at
/// the end. Blocks. Stops at the first error and returns it.
/// Errors: kDataLoss, naming the file, if one is missing or damaged; kFailedPrecondition if the
/// format version is not known.
[[nodiscard]] absl::Status VisitKeyedState(
    const KeyedStateHandle& handle, StateFileStore& store, const std::string& scratch_folder,
    absl::FunctionRef<absl::Status(const KeyedStateEntry& entry)> visit);

/// Checks size and checksum of all files of a snapshot: inline ones here, others by `verify`. Calls
/// `report` with each and what is wrong with it; an inline one has no path.
void VerifyKeyedState(
    const KeyedStateHandle& handle, absl::FunctionRef<absl::Status(const StoredFile& file)> verify,
    absl::FunctionRef<void(const StateFile& file, const absl::Status& status)> report);

/// Writes the members of a JSON object, without its braces, that describe an entry: "key" and
/// "value"; and by the kind of state "namespace" (if it has any), "index" of a list's element,
/// "map_key", or "time_ms" of a timer. `key_json` becomes the key alone. Returns false if the entry
/// is malformed.
bool WriteEntryAsJson(const KeyedStateEntry& entry, JsonWriter& json, std::string* key_json);

/// The same for an entry of operator state: "value", and "key" of broadcast state.
bool WriteEntryAsJson(const OperatorStateEntries& state, std::string_view entry, JsonWriter& json,
                      std::string* key_json);

}  // namespace weir
