#include "runtime/state/keyed_snapshot.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/byte_io.h"
#include "runtime/state/internal/entry_key.h"
#include "runtime/state/internal/snapshot_base.h"
#include "xxhash.h"

namespace weir {

namespace {

using internal::EncodedEntries;
using internal::FrozenTable;

// An entry takes at least this in an inline file: two lengths, key group, end of the name.
constexpr size_t kLeastEntryBytes = 6;
// What one usually takes while it is sorted, its small value too, and what all may take.
constexpr uint64_t kUsualEntryBytes = 160;
constexpr uint64_t kLeastEncodedBytes = uint64_t{256} << 10;
constexpr uint64_t kMostEncodedBytes = uint64_t{64} << 20;
constexpr uint32_t kMostMeasuredGroups = 128;

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
                             size_t inline_limit_bytes, std::function<void()> files_chosen)
    : checkpoint_id_(checkpoint_id),
      header_(std::move(header)),
      base_(std::move(base)),
      inline_limit_bytes_(inline_limit_bytes),
      files_chosen_(std::move(files_chosen)) {}

KeyedSnapshot::~KeyedSnapshot() = default;

absl::Status KeyedSnapshot::CheckCancelled() const {
  if (!cancelled_.load(std::memory_order_relaxed)) return absl::OkStatus();
  return absl::AbortedError("the snapshot was cancelled");
}

absl::StatusOr<std::vector<EncodedEntries>> KeyedSnapshot::Encode(KeyGroupRange groups,
                                                                  MemoryCharge* charge) const {
  std::vector<EncodedEntries> encoded(tables_.size());
  int64_t bytes = 0;
  for (size_t i = 0; i < tables_.size(); ++i) {
    RETURN_IF_ERROR(CheckCancelled());
    tables_[i].snapshot->Encode(groups, header_.max_parallelism, encoded[i]);
    encoded[i].Sort();
    bytes += static_cast<int64_t>(encoded[i].MemoryBytes());
    charge->Resize(bytes);
  }
  return encoded;
}

absl::StatusOr<KeyedStateHandle> KeyedSnapshot::Run(StateFileStore& store) {
  size_t num_entries = 0;
  for (const FrozenTable& table : tables_) num_entries += table.snapshot->NumEntries();
  KeyedStateHandle handle = header_;
  if (base_->database() == nullptr && num_entries <= inline_limit_bytes_ / kLeastEntryBytes) {
    // Without a database, all entries there are count as changed: this is the whole state.
    MemoryCharge charge(base_->budget(), 0);
    ASSIGN_OR_RETURN(const std::vector<EncodedEntries> encoded,
                     Encode(header_.key_groups, &charge));
    std::optional<StateFile> file = WriteInline(encoded);
    if (file.has_value()) {
      if (file->size_bytes > 0) handle.files.push_back(*std::move(file));
      return handle;
    }
  }
  RETURN_IF_ERROR(WriteToDatabase(num_entries));
  // From here on the next snapshot can build on this one, whatever becomes of its files.
  written_ = true;
  const auto files_chosen = [this] {
    if (files_chosen_) files_chosen_();
  };
  ASSIGN_OR_RETURN(handle.files,
                   base_->StoreLiveFiles(checkpoint_id_, store, cancelled_, files_chosen));
  MeasureTables();
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

absl::Status KeyedSnapshot::WriteToDatabase(size_t num_entries) {
  constexpr uint64_t kEntriesPerCheck = 4096;
  ASSIGN_OR_RETURN(internal::StateDatabase* const database, base_->OpenDatabase());
  ASSIGN_OR_RETURN(std::unique_ptr<internal::StateDatabase::FileWriter> writer,
                   database->NewFile());
  uint64_t num_written = 0;
  // Some key groups after another, so that what is sorted takes a part of the memory only.
  const uint32_t groups_at_once = GroupsAtOnce(num_entries);
  MemoryCharge order_charge(base_->budget(), 0);
  if (groups_at_once < header_.key_groups.size()) {
    order_charge.Resize(static_cast<int64_t>(num_entries * sizeof(uint32_t)));
    for (const FrozenTable& table : tables_) {
      table.snapshot->PrepareForPieces(header_.key_groups, header_.max_parallelism);
    }
  }
  for (uint32_t first = header_.key_groups.first; first <= header_.key_groups.last;
       first += groups_at_once) {
    const KeyGroupRange groups{first,
                               std::min(header_.key_groups.last, first + groups_at_once - 1)};
    MemoryCharge charge(base_->budget(), 0);
    ASSIGN_OR_RETURN(const std::vector<EncodedEntries> encoded, Encode(groups, &charge));
    const absl::Status written = ForEachEntry(
        tables_, encoded, groups, [&](std::string_view key, bool dead, std::string_view value) {
          if (++num_written % kEntriesPerCheck == 0) RETURN_IF_ERROR(CheckCancelled());
          return dead ? writer->Delete(key) : writer->Put(key, value);
        });
    RETURN_IF_ERROR(written);
  }
  RETURN_IF_ERROR(database->Flush());  // Of entries that left memory before the snapshot.
  return database->Ingest(std::move(writer));
}

void KeyedSnapshot::MeasureTables() {
  // Keys fall evenly on key groups: some tell of all, where there are many.
  const uint32_t stride = 1 + header_.key_groups.size() / kMostMeasuredGroups;
  for (FrozenTable& table : tables_) {
    std::vector<internal::StateDatabase::KeyRange> ranges;
    for (KeyGroup group = header_.key_groups.first; group <= header_.key_groups.last;
         group += stride) {
      std::string begin = internal::KeyGroupPrefix(group) + table.encoded_name;
      std::string end = begin;
      ++end.back();  // An encoded name ends with 01.
      ranges.push_back({std::move(begin), std::move(end)});
    }
    const uint64_t bytes = base_->database()->ApproximateBytes(ranges);
    table.disk_bytes = bytes * header_.key_groups.size() / ranges.size();
  }
}

uint32_t KeyedSnapshot::GroupsAtOnce(size_t num_entries) const {
  uint64_t most_bytes = kMostEncodedBytes;
  if (const MemoryBudget* const budget = base_->budget(); budget != nullptr) {
    most_bytes = std::clamp(static_cast<uint64_t>(budget->limit_bytes()) / 16, kLeastEncodedBytes,
                            kMostEncodedBytes);
  }
  const uint64_t pieces = 1 + num_entries * kUsualEntryBytes / most_bytes;
  return static_cast<uint32_t>(std::max<uint64_t>(1, header_.key_groups.size() / pieces));
}

}  // namespace weir
