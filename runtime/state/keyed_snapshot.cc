#include "runtime/state/keyed_snapshot.h"

#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/byte_io.h"
#include "runtime/state/internal/entry_key.h"
#include "runtime/state/internal/snapshot_base.h"
#include "xxhash.h"

namespace weir {

namespace {

using internal::EncodedEntries;
using internal::FrozenTable;

// Calls visit(key, dead, value) with the entries of all tables in the order of the file: by key
// group, name, key. Of entries with equal keys only the first counts. Stops at the first error.
using EntryVisitor =
    absl::FunctionRef<absl::Status(std::string_view key, bool dead, std::string_view value)>;

absl::Status ForEachEntry(const std::vector<FrozenTable>& tables,
                          const std::vector<EncodedEntries>& encoded, KeyGroupRange range,
                          EntryVisitor visit) {
  constexpr size_t kPrefetchDistance = 12;  // The bytes lie in the order of changes.
  std::vector<size_t> next(tables.size(), 0);
  std::string key;
  std::string value_buffer;
  for (KeyGroup group = range.first; group <= range.last; ++group) {
    for (size_t i = 0; i < tables.size(); ++i) {
      const auto& entries = encoded[i].entries();
      key.clear();
      internal::AppendKeyGroup(group, &key);
      key += tables[i].encoded_name;
      const size_t prefix_size = key.size();
      bool first = true;
      for (; next[i] < entries.size() && entries[next[i]].key_group == group; ++next[i]) {
        const EncodedEntries::Entry& entry = entries[next[i]];
        if (next[i] + kPrefetchDistance < entries.size()) {
          encoded[i].Prefetch(entries[next[i] + kPrefetchDistance]);
        }
        const std::string_view rest = encoded[i].Key(entry);
        if (!first && std::string_view(key).substr(prefix_size) == rest) continue;
        first = false;
        key.resize(prefix_size);
        key += rest;
        std::string_view value;
        if (entry.has_value) {
          value = encoded[i].Value(entry);
        } else if (!entry.dead) {
          value_buffer.clear();
          ByteWriter writer(&value_buffer);
          tables[i].snapshot->WriteValue(entry.index, writer);
          value = value_buffer;
        }
        RETURN_IF_ERROR(visit(key, entry.dead, value));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

KeyedSnapshot::KeyedSnapshot(CheckpointId checkpoint_id, KeyedStateHandle header,
                             std::shared_ptr<internal::SnapshotBase> base,
                             size_t inline_limit_bytes)
    : checkpoint_id_(checkpoint_id),
      header_(std::move(header)),
      base_(std::move(base)),
      inline_limit_bytes_(inline_limit_bytes) {}

KeyedSnapshot::~KeyedSnapshot() = default;

absl::Status KeyedSnapshot::CheckCancelled() const {
  if (!cancelled_.load(std::memory_order_relaxed)) return absl::OkStatus();
  return absl::AbortedError("the snapshot was cancelled");
}

absl::StatusOr<KeyedStateHandle> KeyedSnapshot::Run(StateFileStore& store) {
  std::vector<EncodedEntries> encoded(tables_.size());
  for (size_t i = 0; i < tables_.size(); ++i) {
    RETURN_IF_ERROR(CheckCancelled());
    tables_[i].snapshot->Encode(header_.max_parallelism, encoded[i]);
    encoded[i].Sort();
  }
  KeyedStateHandle handle = header_;
  if (base_->database() == nullptr) {
    // Without a database, all entries there are count as changed: this is the whole state.
    std::optional<StateFile> file = WriteInline(encoded);
    if (file.has_value()) {
      if (file->size_bytes > 0) handle.files.push_back(*std::move(file));
      return handle;
    }
  }
  RETURN_IF_ERROR(WriteToDatabase(encoded));
  // From here on the next snapshot can build on this one, whatever becomes of its files.
  written_ = true;
  ASSIGN_OR_RETURN(handle.files, base_->StoreLiveFiles(checkpoint_id_, store, cancelled_));
  return handle;
}

std::optional<StateFile> KeyedSnapshot::WriteInline(
    const std::vector<EncodedEntries>& encoded) const {
  StateFile file;
  file.key_group_min = header_.key_groups.last;
  file.key_group_max = header_.key_groups.first;
  ByteWriter writer(&file.inline_bytes);
  const absl::Status written =
      ForEachEntry(tables_, encoded, header_.key_groups,
                   [&](std::string_view key, bool dead, std::string_view value) {
                     if (dead) return absl::OkStatus();
                     writer.WriteString(key);
                     writer.WriteString(value);
                     if (file.smallest_key.empty()) file.smallest_key = key;
                     file.largest_key = key;
                     return writer.size() > inline_limit_bytes_ ? absl::OutOfRangeError("too large")
                                                                : absl::OkStatus();
                   });
  if (!written.ok()) return std::nullopt;
  file.size_bytes = file.inline_bytes.size();
  file.checksum = XXH3_64bits(file.inline_bytes.data(), file.inline_bytes.size());
  if (!file.smallest_key.empty()) {
    file.key_group_min = internal::KeyGroupOfEntry(file.smallest_key);
    file.key_group_max = internal::KeyGroupOfEntry(file.largest_key);
  }
  return file;
}

absl::Status KeyedSnapshot::WriteToDatabase(const std::vector<EncodedEntries>& encoded) {
  constexpr uint64_t kEntriesPerCheck = 4096;
  ASSIGN_OR_RETURN(internal::StateDatabase* const database, base_->OpenDatabase());
  ASSIGN_OR_RETURN(std::unique_ptr<internal::StateDatabase::FileWriter> writer,
                   database->NewFile());
  uint64_t num_entries = 0;
  const absl::Status written =
      ForEachEntry(tables_, encoded, header_.key_groups,
                   [&](std::string_view key, bool dead, std::string_view value) {
                     if (++num_entries % kEntriesPerCheck == 0) RETURN_IF_ERROR(CheckCancelled());
                     return dead ? writer->Delete(key) : writer->Put(key, value);
                   });
  RETURN_IF_ERROR(written);
  RETURN_IF_ERROR(database->Flush());  // Of entries that left memory before the snapshot.
  return database->Ingest(std::move(writer));
}

}  // namespace weir
