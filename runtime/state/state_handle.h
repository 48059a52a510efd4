#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/record/schema.h"
#include "runtime/record/serde.h"
#include "runtime/state/key_groups.h"

namespace weir {

/// Lets the plain structs below hold a Schema; its own Read bounds the depth of nesting.
template <>
struct Serde<Schema> {
  static void Write(ByteWriter& writer, const Schema& schema) { schema.Write(writer); }
  static bool Read(ByteReader& reader, Schema& schema) { return schema.Read(reader); }
  static Schema GetSchema() { return {Schema::Kind::kOpaque, "weir.Schema", {}}; }
};

enum class StateKind : uint8_t {
  kValue,
  kList,
  kMap,
  kReducing,
  kAggregating,
  kTable,  // KeyedStateBackend::Table: one value per key and namespace.
  kTimers,
};

/// Returns e.g. "list".
[[nodiscard]] std::string_view ToString(StateKind kind);

/// What a snapshot says of one named state. Plain data; state is restored only into an equal one.
struct StateSchema {
  std::string name;
  StateKind kind = StateKind::kValue;
  Schema key;
  /// Of what tells the entries of one key apart, besides what `kind` implies.
  Schema ns;
  Schema value;

  friend bool operator==(const StateSchema&, const StateSchema&) = default;

  /// Returns e.g. "value(key: string, namespace: struct{}, value: int64)".
  [[nodiscard]] std::string ToString() const;
};

/// One immutable sorted file of a snapshot. Plain data.
struct StateFile {
  /// As the StateFileStore named it; empty if the content is `inline_bytes`.
  std::string path;
  uint64_t size_bytes = 0;
  uint64_t checksum = 0;  ///< XXH3_64 of the content.
  KeyGroup key_group_min = 0;
  KeyGroup key_group_max = 0;
  // The file's place in the order of files: on overlap, the larger sequence number holds.
  int32_t level = 0;
  uint64_t smallest_sequence_number = 0;
  uint64_t largest_sequence_number = 0;
  std::string smallest_key;
  std::string largest_key;
  /// Name in the database that wrote it, e.g. "000012.sst".
  std::string local_name;
  /// The whole content of a small snapshot: entries of (length, key, length, value).
  std::string inline_bytes;

  friend bool operator==(const StateFile&, const StateFile&) = default;
};

/// The keyed state of one operator in one subtask at one checkpoint: what KeyedSnapshot::Run
/// returns, checkpoints record and KeyedStateBackendBase::Restore takes. Plain data, written by
/// Serde.
///
/// An entry's key is [key group, 16 bits big-endian][name][key][namespace], all in the encoding of
/// KeyCodec, its value what Serde writes; a file is sorted by the key.
struct KeyedStateHandle {
  static constexpr uint32_t kFormatVersion = 2;

  uint32_t format_version = kFormatVersion;
  KeyGroupRange key_groups;
  uint32_t max_parallelism = 0;
  std::vector<StateSchema> states;
  /// Of each state; with time to live, expired ones that are gone may be counted.
  std::vector<uint64_t> num_entries;
  std::vector<StateFile> files;

  /// Returns the bytes of all files: the full size of the snapshot.
  [[nodiscard]] uint64_t SizeBytes() const;

  friend bool operator==(const KeyedStateHandle&, const KeyedStateHandle&) = default;
};

}  // namespace weir
