#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/byte_io.h"
#include "runtime/state/internal/cold_store.h"
#include "runtime/state/internal/encoded_entries.h"
#include "runtime/state/internal/entry_key.h"
#include "runtime/state/internal/state_expiry.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/object_table.h"
#include "runtime/state/state_error.h"
#include "runtime/state/state_handle.h"

namespace weir::internal {

/// The frozen entries of one table: read by the snapshot's thread, made and ended by the task's.
class TableSnapshot {
 public:
  virtual ~TableSnapshot() = default;
  [[nodiscard]] virtual size_t NumEntries() const = 0;
  /// Makes Encode of some key groups after another look at each entry once only; `range` are all.
  virtual void PrepareForPieces(KeyGroupRange, uint32_t) {}
  /// Appends the entries of the key groups `groups`.
  virtual void Encode(KeyGroupRange groups, uint32_t max_parallelism,
                      EncodedEntries& out) const = 0;
  /// For values that Encode left out.
  virtual void WriteValue(size_t index, ByteWriter& writer) const = 0;
};

/// One named state of a backend, its types erased. Threads: the task's.
class StateTable {
 public:
  explicit StateTable(StateSchema schema) : schema_(std::move(schema)) {}
  virtual ~StateTable() = default;

  [[nodiscard]] const StateSchema& schema() const { return schema_; }
  [[nodiscard]] virtual size_t NumEntries() const = 0;
  [[nodiscard]] virtual size_t MemoryBytes() const = 0;
  /// Returns how many look-ups found their entry in memory so far.
  [[nodiscard]] virtual uint64_t NumHits() const = 0;

  /// What the entries have asked of the database.
  [[nodiscard]] const ColdStatistics& cold_statistics() const { return cold_statistics_; }
  /// Returns about how much the entries take there, as of the last snapshot that was written to it.
  [[nodiscard]] uint64_t disk_bytes() const { return disk_bytes_; }
  void set_disk_bytes(uint64_t bytes) { disk_bytes_ = bytes; }

  /// Lets entries leave for `store` and takes over `count` ones that are there already. Without a
  /// call, entries stay in memory. `range` are the backend's key groups.
  virtual void UseColdStore(ColdStore* store, KeyGroupRange range, uint32_t max_parallelism,
                            size_t count) = 0;
  /// Leaves expired entries out of snapshots; for tables of TtlValue only.
  void SetExpiry(std::shared_ptr<const StateExpiry> expiry) { expiry_ = std::move(expiry); }
  /// Lets some entries leave if memory is short, in bounded time; no pointer to one may be in use.
  virtual void Shed(size_t max_entries) = 0;

  /// Puts in an entry of a restored snapshot. `key` is key and namespace; `changed` says that the
  /// base of the next snapshot lacks it. Errors: kDataLoss.
  [[nodiscard]] virtual absl::Status Load(std::string_view key, std::string_view value,
                                          KeyGroup key_group, uint32_t max_parallelism,
                                          bool changed) = 0;

  /// Takes constant time, except that the first one of a table that did not track its changes
  /// lists all entries.
  [[nodiscard]] virtual std::unique_ptr<TableSnapshot> BeginSnapshot() = 0;
  virtual void EndSnapshot(std::unique_ptr<TableSnapshot> snapshot, SnapshotResult result) = 0;

 protected:
  [[nodiscard]] const std::shared_ptr<const StateExpiry>& expiry() const { return expiry_; }
  [[nodiscard]] ColdStatistics* mutable_cold_statistics() { return &cold_statistics_; }

 private:
  const StateSchema schema_;
  ColdStatistics cold_statistics_;
  uint64_t disk_bytes_ = 0;
  std::shared_ptr<const StateExpiry> expiry_;  // Null if nothing expires.
};

/// Returns the error of an entry that checksums hold good but that cannot be read.
[[nodiscard]] absl::Status MalformedEntry(std::string_view state_name, std::string_view part);

/// A table whose keys are K.
template <class K>
class KeyedStateTable : public StateTable {
 public:
  using StateTable::StateTable;
  /// Visits the key of each entry in the key groups `groups`, once an entry; `max_parallelism` is
  /// that of the backend.
  virtual void ForEachKey(KeyGroupRange groups, uint32_t max_parallelism,
                          absl::FunctionRef<void(uint64_t hash, const K& key)> visit) const = 0;
};

/// A StateTable over the typed table.
template <class K, class N, class V>
class TypedStateTable final : public KeyedStateTable<K>, private ColdEntries<K, N, V> {
 public:
  using Table = ObjectTable<K, N, V>;

  TypedStateTable(StateSchema state_schema, bool track_changes, MemoryBudget* budget)
      : KeyedStateTable<K>(std::move(state_schema)), table_(track_changes, budget) {}
  using KeyedStateTable<K>::expiry;
  using KeyedStateTable<K>::schema;

  [[nodiscard]] Table& table() { return table_; }
  [[nodiscard]] size_t NumEntries() const override { return table_.size(); }
  [[nodiscard]] size_t MemoryBytes() const override { return table_.MemoryBytes(); }
  [[nodiscard]] uint64_t NumHits() const override { return table_.NumHits(); }

  void UseColdStore(ColdStore* store, KeyGroupRange range, uint32_t max_parallelism,
                    size_t count) override {
    cold_.store = store;
    cold_.range = range;
    cold_.max_parallelism = max_parallelism;
    cold_.encoded_name = EncodeKey(schema().name);
    table_.SetColdEntries(this);
    if (count > 0) {
      table_.StartTracking();
      table_.AdoptCold(count);
    }
  }
  void ForEachKey(KeyGroupRange groups, uint32_t max_parallelism,
                  absl::FunctionRef<void(uint64_t, const K&)> visit) const override {
    table_.ForEach(
        [&](uint64_t hash, const K& key, const N&, const V&) {
          if (groups.Contains(KeyGroupOf(hash, max_parallelism))) visit(hash, key);
        },
        groups);
  }
  void Shed(size_t max_entries) override { table_.Shed(/*protected_hash=*/0, max_entries); }

  [[nodiscard]] absl::Status Load(std::string_view key_bytes, std::string_view value_bytes,
                                  KeyGroup key_group, uint32_t max_parallelism,
                                  bool changed) override {
    Row row;
    RETURN_IF_ERROR(Decode(key_bytes, value_bytes, key_group, max_parallelism, row));
    if (table_.Find(row.hash, row.key, row.ns) != nullptr) {
      return MalformedEntry(schema().name, "repeated key");
    }
    table_.Load(row.hash, row.key, row.ns, std::move(row.value), changed);
    return absl::OkStatus();
  }

  [[nodiscard]] std::unique_ptr<TableSnapshot> BeginSnapshot() override {
    table_.StartTracking();
    auto snapshot = std::make_unique<Snapshot>(table_.BeginSnapshot());
    if (expiry() != nullptr) {
      snapshot->expiry = expiry();
      snapshot->now_ms = expiry()->SafeNowMs();
    }
    return snapshot;
  }

  void EndSnapshot(std::unique_ptr<TableSnapshot> snapshot, SnapshotResult result) override {
    table_.EndSnapshot(std::move(static_cast<Snapshot&>(*snapshot).entries), result);
  }

 private:
  struct Snapshot final : public TableSnapshot {
    explicit Snapshot(typename Table::FrozenEntries frozen) : entries(std::move(frozen)) {}
    [[nodiscard]] size_t NumEntries() const override { return entries.size(); }
    void PrepareForPieces(KeyGroupRange range, uint32_t max_parallelism) override {
      std::vector<uint16_t> groups(entries.size());  // Less the first one.
      for (size_t i = 0; i < groups.size(); ++i) {
        groups[i] =
            static_cast<uint16_t>(KeyGroupOf(entries[i].hash, max_parallelism) - range.first);
      }
      by_group.Sort(range, groups);
    }
    void Encode(KeyGroupRange groups, uint32_t max_parallelism,
                EncodedEntries& out) const override {
      if (by_group.sorted()) {
        for (const uint32_t i : by_group.Of(groups)) {
          EncodeOne(i, KeyGroupOf(entries[i].hash, max_parallelism), out);
        }
        return;
      }
      for (size_t i = 0; i < entries.size(); ++i) {
        const KeyGroup group = KeyGroupOf(entries[i].hash, max_parallelism);
        if (groups.Contains(group)) EncodeOne(i, group, out);
      }
    }
    void EncodeOne(size_t i, KeyGroup group, EncodedEntries& out) const {
      const auto entry = entries[i];
      EncodeEntry(out, entry.key, entry.ns);
      bool dead = entry.dead;
      if constexpr (kIsTtlValue<V>) {
        dead = dead || expiry->IsExpired(entry.value.last_access_ms, now_ms);
      }
      out.Finish(group, i, dead);
      if constexpr (sizeof(V) <= EncodedEntries::kMaxSmallValueBytes) {
        if (dead || OwnedBytes(entry.value) > EncodedEntries::kMaxSmallValueBytes) return;
        out.AddValue([&](ByteWriter& writer) { Serde<V>::Write(writer, entry.value); });
      }
    }
    void WriteValue(size_t index, ByteWriter& writer) const override {
      Serde<V>::Write(writer, entries[index].value);
    }
    typename Table::FrozenEntries entries;
    EntriesByKeyGroup by_group;
    std::shared_ptr<const StateExpiry> expiry;  // Of tables of TtlValue.
    int64_t now_ms = 0;
  };

  struct Row {
    uint64_t hash = 0;
    K key{};
    N ns{};
    V value{};
  };

  [[nodiscard]] absl::Status Decode(std::string_view key_bytes, std::string_view value_bytes,
                                    KeyGroup key_group, uint32_t max_parallelism, Row& row) const {
    if (!DecodeEntry(key_bytes, row.key, row.hash, row.ns)) {
      return MalformedEntry(schema().name, "key");
    }
    if (KeyGroupOf(row.hash, max_parallelism) != key_group) {
      return MalformedEntry(schema().name, "key group");
    }
    if (!FromBytes(value_bytes, row.value)) return MalformedEntry(schema().name, "value");
    return absl::OkStatus();
  }

  // ColdEntries: as bytes, in the backend's database.

  bool UnderPressure() override { return cold_.store->UnderPressure(); }
  [[nodiscard]] bool NearLimit() const override { return cold_.store->NearLimit(); }
  [[nodiscard]] bool CanWrite() const override { return cold_.store->CanWrite(); }
  bool Read(uint64_t hash, const K& key, const N& ns, V& value) override {
    bool whole = true;
    const bool found = cold_.store->Get(
        EntryKey(hash, key, ns), [&](std::string_view bytes) { whole = FromBytes(bytes, value); },
        this->mutable_cold_statistics());
    if (!whole) throw StateError(MalformedEntry(schema().name, "value"));
    return found;
  }
  void Put(uint64_t hash, const K& key, const N& ns, const V& value) override {
    cold_.value.clear();
    ByteWriter writer(&cold_.value);
    Serde<V>::Write(writer, value);
    cold_.store->Put(EntryKey(hash, key, ns), cold_.value);
  }
  void Delete(uint64_t hash, const K& key, const N& ns) override {
    cold_.store->Delete(EntryKey(hash, key, ns));
  }
  void Commit() override { cold_.store->Commit(this->mutable_cold_statistics()); }
  void CountEvictions(size_t count) override {
    cold_.store->CountEvictions(count, this->mutable_cold_statistics());
  }
  using Visitor = typename ColdEntries<K, N, V>::Visitor;
  void ForEach(KeyGroupRange groups, Visitor visit) override {
    groups = groups.Intersect(cold_.range);
    for (KeyGroup group = groups.first; group <= groups.last; ++group) {
      const std::string prefix = KeyGroupPrefix(group) + cold_.encoded_name;
      const absl::Status read = Scan(group, prefix, prefix, [&](const Row& row) -> absl::Status {
        visit(row.hash, row.key, row.ns, row.value);
        return absl::OkStatus();
      });
      if (!read.ok()) throw StateError(read);
    }
  }

  int64_t ForEachTimerAfter(int64_t after_ms, size_t count, Visitor visit) override {
    int64_t until_ms = std::numeric_limits<int64_t>::max();
    if constexpr (kIsTimerPlace<N>) {
      // Keys fall evenly on groups: so many of each reach to about the same time.
      const size_t per_group = std::max<size_t>(kMinTimersPerGroup, count / cold_.range.size());
      std::vector<Row> rows;
      for (KeyGroup group = cold_.range.first; group <= cold_.range.last; ++group) {
        const std::string prefix = KeyGroupPrefix(group) + cold_.encoded_name;
        size_t num_read = 0;
        int64_t last_ms = after_ms;
        const absl::Status read =
            Scan(group, prefix, prefix + EncodeKey(after_ms + 1), [&](Row& row) -> absl::Status {
              if (row.ns.time_ms > until_ms) return absl::OutOfRangeError("later");
              if (num_read >= per_group && row.ns.time_ms > last_ms) {
                until_ms = last_ms;
                return absl::OutOfRangeError("enough");
              }
              last_ms = row.ns.time_ms;
              ++num_read;
              rows.push_back(std::move(row));
              return absl::OkStatus();
            });
        if (!read.ok() && !absl::IsOutOfRange(read)) throw StateError(read);
      }
      for (const Row& row : rows) {
        if (row.ns.time_ms <= until_ms) visit(row.hash, row.key, row.ns, row.value);
      }
    }
    return until_ms;
  }

  static constexpr size_t kMinTimersPerGroup = 16;

  // Reads the rows of one key group from `begin` on. Stops at the first error and returns it.
  template <class Body>
  absl::Status Scan(KeyGroup group, const std::string& prefix, const std::string& begin,
                    Body body) {
    std::string end = prefix;
    ++end.back();  // An encoded name ends with 01.
    return cold_.store->ForEach(
        begin, end, [&](std::string_view key, std::string_view value) -> absl::Status {
          Row row;
          RETURN_IF_ERROR(
              Decode(key.substr(prefix.size()), value, group, cold_.max_parallelism, row));
          return body(row);
        });
  }

  // A sink of KeyCodec::Encode.
  struct StringSink {
    std::string* out;
    void Append(const void* data, size_t size) {
      out->append(static_cast<const char*>(data), size);
    }
  };
  std::string_view EntryKey(uint64_t hash, const K& key, const N& ns) {
    cold_.key.clear();
    AppendKeyGroup(KeyGroupOf(hash, cold_.max_parallelism), &cold_.key);
    cold_.key += cold_.encoded_name;
    StringSink sink{&cold_.key};
    EncodeEntry(sink, key, ns);
    return cold_.key;
  }

  struct Cold {
    ColdStore* store = nullptr;
    KeyGroupRange range;
    uint32_t max_parallelism = 0;
    std::string encoded_name;
    std::string key;    // Scratch.
    std::string value;  // Scratch.
  };
  Cold cold_;
  Table table_;
};

}  // namespace weir::internal
