#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "runtime/record/byte_io.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/object_table.h"
#include "runtime/state/state_handle.h"

namespace weir::internal {

/// The encoded keys of one table's frozen entries, to be sorted, and the values that are small: a
/// small value is best read while its entry is in the cache anyway. Plain data.
class EncodedEntries {
 public:
  static constexpr size_t kMaxSmallValueBytes = 128;

  struct Entry {
    uint64_t prefix;  // The first bytes of the key, so that most comparisons end here.
    uint64_t offset;  // Of the key; a small value follows it.
    uint32_t key_size;
    uint32_t index;  // In the table's frozen entries.
    uint16_t key_group;
    uint16_t value_size;
    bool has_value;
    bool dead;
  };

  // The sink of KeyCodec::Encode; bytes appended belong to the entry that Finish closes.
  void Append(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
  }
  void Finish(KeyGroup key_group, size_t index, bool dead);
  /// Appends the value of the entry finished last, of at most kMaxSmallValueBytes if it is kept.
  template <class Write>
  void AddValue(Write&& write) {
    const size_t begin = bytes_.size();
    ByteWriter writer(&bytes_);
    write(writer);
    KeepValue(begin);
  }

  /// Sorts by key group, then key; of equal keys the live one first.
  void Sort();
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] std::string_view Key(const Entry& entry) const {
    return std::string_view(bytes_).substr(entry.offset, entry.key_size);
  }
  /// Needs entry.has_value.
  [[nodiscard]] std::string_view Value(const Entry& entry) const {
    return std::string_view(bytes_).substr(entry.offset + entry.key_size, entry.value_size);
  }
  void Prefetch(const Entry& entry) const { __builtin_prefetch(bytes_.data() + entry.offset); }

 private:
  void KeepValue(size_t begin);

  std::string bytes_;
  size_t begin_ = 0;  // Of the entry not finished yet.
  std::vector<Entry> entries_;
};

/// The frozen entries of one table: read by the snapshot's thread, made and ended by the task's.
class TableSnapshot {
 public:
  virtual ~TableSnapshot() = default;
  virtual void Encode(uint32_t max_parallelism, EncodedEntries& out) const = 0;
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

  /// Puts in an entry of a restored snapshot. `key` is key and namespace; `changed` says that the
  /// base of the next snapshot lacks it. Errors: kDataLoss.
  [[nodiscard]] virtual absl::Status Load(std::string_view key, std::string_view value,
                                          KeyGroup key_group, uint32_t max_parallelism,
                                          bool changed) = 0;

  /// Takes constant time, except that the first one of a table that did not track its changes
  /// lists all entries.
  [[nodiscard]] virtual std::unique_ptr<TableSnapshot> BeginSnapshot() = 0;
  virtual void EndSnapshot(std::unique_ptr<TableSnapshot> snapshot, SnapshotResult result) = 0;

 private:
  const StateSchema schema_;
};

/// Returns the error of an entry that checksums hold good but that cannot be read.
[[nodiscard]] absl::Status MalformedEntry(std::string_view state_name, std::string_view part);

/// A StateTable over the typed table.
template <class K, class N, class V>
class TypedStateTable final : public StateTable {
 public:
  using Table = ObjectTable<K, N, V>;

  TypedStateTable(StateSchema schema, bool track_changes, MemoryBudget* budget)
      : StateTable(std::move(schema)), table_(track_changes, budget) {}

  [[nodiscard]] Table& table() { return table_; }
  [[nodiscard]] size_t NumEntries() const override { return table_.size(); }
  [[nodiscard]] size_t MemoryBytes() const override { return table_.MemoryBytes(); }

  [[nodiscard]] absl::Status Load(std::string_view key_bytes, std::string_view value_bytes,
                                  KeyGroup key_group, uint32_t max_parallelism,
                                  bool changed) override {
    ByteReader reader(key_bytes);
    K key{};
    if (!KeyCodec<K>::Decode(reader, key)) return MalformedEntry(schema().name, "key");
    // The hash is that of the key's own bytes.
    const size_t key_size = key_bytes.size() - reader.remaining();
    const uint64_t hash = XXH3_64bits(key_bytes.data(), key_size);
    if (KeyGroupOf(hash, max_parallelism) != key_group)
      return MalformedEntry(schema().name, "key group");
    N ns{};
    if (!KeyCodec<N>::Decode(reader, ns) || reader.remaining() != 0) {
      return MalformedEntry(schema().name, "namespace");
    }
    V value{};
    if (!FromBytes(value_bytes, value)) return MalformedEntry(schema().name, "value");
    if (table_.Find(hash, key, ns) != nullptr) return MalformedEntry(schema().name, "repeated key");
    table_.Load(hash, key, ns, std::move(value), changed);
    return absl::OkStatus();
  }

  [[nodiscard]] std::unique_ptr<TableSnapshot> BeginSnapshot() override {
    table_.StartTracking();
    return std::make_unique<Snapshot>(table_.BeginSnapshot());
  }

  void EndSnapshot(std::unique_ptr<TableSnapshot> snapshot, SnapshotResult result) override {
    table_.EndSnapshot(std::move(static_cast<Snapshot&>(*snapshot).entries), result);
  }

 private:
  struct Snapshot final : public TableSnapshot {
    explicit Snapshot(typename Table::FrozenEntries frozen) : entries(std::move(frozen)) {}
    void Encode(uint32_t max_parallelism, EncodedEntries& out) const override {
      for (size_t i = 0; i < entries.size(); ++i) {
        const auto entry = entries[i];
        KeyCodec<K>::Encode(out, entry.key);
        KeyCodec<N>::Encode(out, entry.ns);
        out.Finish(KeyGroupOf(entry.hash, max_parallelism), i, entry.dead);
        if constexpr (sizeof(V) <= EncodedEntries::kMaxSmallValueBytes) {
          if (entry.dead || OwnedBytes(entry.value) > EncodedEntries::kMaxSmallValueBytes) continue;
          out.AddValue([&](ByteWriter& writer) { Serde<V>::Write(writer, entry.value); });
        }
      }
    }
    void WriteValue(size_t index, ByteWriter& writer) const override {
      Serde<V>::Write(writer, entries[index].value);
    }
    typename Table::FrozenEntries entries;
  };

  Table table_;
};

}  // namespace weir::internal
