#include "operators/connectors/socket/socket_source.h"

#include <optional>
#include <utility>
#include <vector>

#include "operators/connectors/socket/internal/socket_connection.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"

namespace weir {
namespace {

// One split, for the reader of subtask 0.
class SocketEnumerator final : public SplitEnumerator {
 public:
  explicit SocketEnumerator(std::string split_id) : split_id_(std::move(split_id)) {}

  absl::Status Start(SplitEnumeratorContext& context, const std::string* restored) override {
    context_ = &context;
    if (restored != nullptr && !FromBytes(*restored, assigned_)) {
      return absl::DataLossError("the checkpoint of a socket source is damaged");
    }
    return absl::OkStatus();
  }
  absl::Status AddReader(uint32_t subtask, const std::vector<std::string>&) override {
    if (subtask == 0 && !std::exchange(assigned_, true)) {
      context_->AssignSplits(subtask, {{split_id_, ToBytes(uint64_t{0})}});
    }
    context_->SignalInitialSplitsAssigned(subtask);
    context_->SignalNoMoreSplits(subtask);
    return absl::OkStatus();
  }
  absl::Status HandleSplitRequest(uint32_t) override { return absl::OkStatus(); }
  absl::StatusOr<std::string> Snapshot(CheckpointId) override { return ToBytes(assigned_); }

 private:
  const std::string split_id_;
  SplitEnumeratorContext* context_ = nullptr;
  bool assigned_ = false;
};

class SocketReader final : public SourceReader<std::string> {
 public:
  explicit SocketReader(SocketSourceOptions options) : options_(std::move(options)) {}

  absl::Status Start(SourceReaderContext& context) override {
    context_ = &context;
    return absl::OkStatus();
  }
  absl::Status AddSplits(std::vector<SourceSplit> splits) override {
    if (splits.size() != 1 || !FromBytes(splits.front().bytes, num_records_)) {
      return absl::DataLossError("the split of a socket source is damaged");
    }
    split_id_ = splits.front().id;
    connection_.emplace(options_, [handle = context_->handle()] { handle->Wake(); });
    return absl::OkStatus();
  }
  void NotifyNoMoreSplits() override {
    no_more_splits_ = true;
    context_->handle()->Wake();
  }
  absl::StatusOr<ReadStatus> Poll(SourceOutput<std::string>& output) override {
    if (!connection_.has_value()) return no_more_splits_ ? ReadStatus::kEnd : ReadStatus::kNothing;
    if (next_ == records_.size()) {
      records_.clear();
      next_ = 0;
      ASSIGN_OR_RETURN(const bool more, connection_->Take(&records_));
      if (!more) {
        output.SplitFinished(split_id_);
        connection_.reset();
        return ReadStatus::kMore;
      }
      if (records_.empty()) return ReadStatus::kNothing;
    }
    while (next_ < records_.size() && !output.Full()) {
      output.CollectAt(std::move(records_[next_++]), EventTime::Min(), split_id_, num_records_++);
    }
    return ReadStatus::kMore;
  }
  std::vector<SourceSplit> Snapshot(CheckpointId) override {
    if (!connection_.has_value()) return {};
    return {{split_id_, ToBytes(num_records_)}};
  }
  // There is always more to come.
  [[nodiscard]] bool IsCaughtUp() const override { return next_ == records_.size(); }
  void Close() override { connection_.reset(); }

 private:
  const SocketSourceOptions options_;
  SourceReaderContext* context_ = nullptr;
  std::optional<internal::SocketConnection> connection_;
  std::string split_id_;
  uint64_t num_records_ = 0;  // Emitted.
  std::vector<std::string> records_;
  size_t next_ = 0;  // Of records_.
  bool no_more_splits_ = false;
};

}  // namespace

std::unique_ptr<SplitEnumerator> SocketSource::CreateEnumerator() const {
  return std::make_unique<SocketEnumerator>(StrCat(options_.host, ":", options_.port));
}

std::unique_ptr<SourceReader<std::string>> SocketSource::CreateReader() const {
  return std::make_unique<SocketReader>(options_);
}

}  // namespace weir
