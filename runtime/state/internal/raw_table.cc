#include "runtime/state/internal/raw_table.h"

#include <utility>

#include "runtime/base/status_macros.h"

namespace weir::internal {

class RawTable::Snapshot final : public TableSnapshot {
 public:
  explicit Snapshot(std::shared_ptr<const Rows> rows) : rows_(std::move(rows)) {}

  [[nodiscard]] size_t NumEntries() const override { return rows_->rows.size(); }
  void Encode(KeyGroupRange groups, uint32_t /*max_parallelism*/,
              EncodedEntries& out) const override {
    for (size_t i = 0; i < rows_->rows.size(); ++i) {
      if (!groups.Contains(rows_->rows[i].key_group)) continue;
      const std::string_view key = rows_->Key(rows_->rows[i]);
      out.Append(key.data(), key.size());
      out.Finish(rows_->rows[i].key_group, i, /*dead=*/false);
    }
  }
  void WriteValue(size_t index, ByteWriter& writer) const override {
    const std::string_view value = rows_->Value(rows_->rows[index]);
    writer.WriteBytes(value.data(), value.size());
  }

 private:
  const std::shared_ptr<const Rows> rows_;
};

size_t RawTable::NumEntries() const { return num_in_database_ + rows_->rows.size(); }

size_t RawTable::MemoryBytes() const {
  return rows_->bytes.capacity() + rows_->rows.capacity() * sizeof(Rows::Row);
}

absl::Status RawTable::Load(std::string_view key, std::string_view value, KeyGroup key_group,
                            uint32_t /*max_parallelism*/, bool /*changed*/) {
  rows_->rows.push_back({rows_->bytes.size(), key.size(), value.size(), key_group});
  rows_->bytes.append(key);
  rows_->bytes.append(value);
  return absl::OkStatus();
}

std::unique_ptr<TableSnapshot> RawTable::BeginSnapshot() {
  return std::make_unique<Snapshot>(rows_);
}

void RawTable::EndSnapshot(std::unique_ptr<TableSnapshot> /*snapshot*/, SnapshotResult result) {
  if (result != SnapshotResult::kWritten) return;
  num_in_database_ += rows_->rows.size();
  rows_ = std::make_shared<Rows>();
}

absl::Status RawTable::LoadInto(StateTable& table, uint32_t max_parallelism,
                                const SchemaMigration* migration) const {
  std::string migrated;
  for (const Rows::Row& row : rows_->rows) {
    std::string_view value = rows_->Value(row);
    if (migration != nullptr) {
      if (!migration->MigrateWhole(value, &migrated)) {
        return MalformedEntry(schema().name, "value");
      }
      value = migrated;
    }
    RETURN_IF_ERROR(table.Load(rows_->Key(row), value, row.key_group, max_parallelism,
                               /*changed=*/true));
  }
  return absl::OkStatus();
}

}  // namespace weir::internal
