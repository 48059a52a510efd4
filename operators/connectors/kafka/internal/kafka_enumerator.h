#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operators/api/source.h"
#include "operators/connectors/internal/enumerator_link.h"
#include "operators/connectors/kafka/internal/kafka_configuration.h"
#include "operators/connectors/kafka/internal/kafka_split.h"
#include "operators/connectors/kafka/kafka_source.h"

namespace weir::internal {

/// Errors: kInvalidArgument.
[[nodiscard]] absl::Status ValidateKafkaSource(const KafkaSourceOptions& options);

/// Returns the properties of a source's clients.
[[nodiscard]] KafkaConfiguration ConsumerConfiguration(const KafkaSourceOptions& options);

/// Finds the partitions of a source's topics, where to begin in each and where it ends now. Each
/// look runs on the I/O pool with a client of its own.
class KafkaEnumerator final : public SplitEnumerator {
 public:
  explicit KafkaEnumerator(KafkaSourceOptions options);
  ~KafkaEnumerator() override;

  [[nodiscard]] absl::Status Start(SplitEnumeratorContext& context,
                                   const std::string* restored) override;
  [[nodiscard]] absl::Status AddReader(uint32_t subtask,
                                       const std::vector<std::string>& split_ids) override;
  [[nodiscard]] absl::Status HandleSplitRequest(uint32_t /*subtask*/) override {
    return absl::OkStatus();
  }
  [[nodiscard]] absl::StatusOr<std::string> Snapshot(CheckpointId checkpoint) override;
  void Close() override;

 private:
  using Partition = std::pair<std::string, int32_t>;
  struct Look;
  struct Found;

  static absl::StatusOr<Found> Discover(const Look& look);
  void PostLook();
  absl::Status OnFound(absl::StatusOr<Found> found);
  void LookAgainIn(absl::Duration delay);
  void Assign(uint32_t subtask);
  void ShowUnassigned() { unassigned_splits_->Set(static_cast<double>(unassigned_.size())); }
  void SignalAssigned(uint32_t subtask);
  absl::Status Restore(const std::string& bytes);

  const std::shared_ptr<const KafkaSourceOptions> options_;
  SplitEnumeratorContext* context_ = nullptr;
  std::shared_ptr<EnumeratorLink> link_;
  bool discovered_ = false;  // All topics, at least once, in this attempt or an earlier one.
  std::set<Partition> known_;
  std::deque<KafkaSplit> unassigned_;
  Gauge* unassigned_splits_ = nullptr;
  std::set<uint32_t> readers_;
  std::optional<int64_t> first_answer_nanos_;  // When brokers first answered.
  uint64_t num_failed_looks_ = 0;
};

}  // namespace weir::internal
