#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/record/schema_migration.h"
#include "runtime/state/internal/state_table.h"

namespace weir::internal {

/// A restored state that nobody has registered yet: its entries as bytes, in memory or in the
/// database of the backend. Takes part in snapshots, so that it is not lost. Threads: the task's.
class RawTable final : public StateTable {
 public:
  explicit RawTable(StateSchema schema) : StateTable(std::move(schema)) {}

  /// Says that `count` more entries are in the backend's database.
  void AddInDatabase(size_t count) { num_in_database_ += count; }
  /// Returns how many entries are in the backend's database, and not in memory.
  [[nodiscard]] size_t num_in_database() const { return num_in_database_; }

  void UseColdStore(ColdStore*, KeyGroupRange, uint32_t, size_t) override {}
  void Shed(size_t) override {}

  [[nodiscard]] size_t NumEntries() const override;
  [[nodiscard]] size_t MemoryBytes() const override;
  [[nodiscard]] uint64_t NumHits() const override { return 0; }
  [[nodiscard]] absl::Status Load(std::string_view key, std::string_view value, KeyGroup key_group,
                                  uint32_t max_parallelism, bool changed) override;
  [[nodiscard]] std::unique_ptr<TableSnapshot> BeginSnapshot() override;
  void EndSnapshot(std::unique_ptr<TableSnapshot> snapshot, SnapshotResult result) override;

  /// Puts the entries in memory into `table`, as changed ones, their values turned by `migration`
  /// unless that is null. Errors: kDataLoss.
  [[nodiscard]] absl::Status LoadInto(StateTable& table, uint32_t max_parallelism,
                                      const SchemaMigration* migration) const;

 private:
  struct Rows {
    struct Row {
      size_t offset;
      size_t key_size;
      size_t value_size;
      KeyGroup key_group;
    };
    std::string bytes;
    std::vector<Row> rows;

    [[nodiscard]] std::string_view Key(const Row& row) const {
      return std::string_view(bytes).substr(row.offset, row.key_size);
    }
    [[nodiscard]] std::string_view Value(const Row& row) const {
      return std::string_view(bytes).substr(row.offset + row.key_size, row.value_size);
    }
  };
  class Snapshot;

  // Not changed any more once a snapshot shares it: all loading happens before.
  std::shared_ptr<Rows> rows_ = std::make_shared<Rows>();
  size_t num_in_database_ = 0;
};

}  // namespace weir::internal
