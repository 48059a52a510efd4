#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "operators/api/sink.h"
#include "operators/connectors/internal/sink_io_queue.h"

namespace weir {

namespace internal {
/// Writes whole lines to stdout, one caller at a time. Blocks. Errors: kUnavailable, e.g. when the
/// reader of a pipe has gone.
[[nodiscard]] absl::Status WriteToStdout(const std::string& lines);
}  // namespace internal

/// Prints each record as a line on the TaskManager's stdout. At least once: after a restart, lines
/// come again. Lines of several subtasks alternate but never mix.
template <class T>
class PrintSink final : public Sink<T> {
 public:
  /// Sets `*line`, empty at the call, to the record's text without a line end.
  using Format = std::function<void(const T&, std::string* line)>;

  explicit PrintSink(Format format) : format_(std::move(format)) {}
  PrintSink()
    requires std::is_same_v<T, std::string>
      : format_([](const T& record, std::string* line) { *line = record; }) {}

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const override {
    return std::make_unique<Writer>(context, format_);
  }

 private:
  static constexpr size_t kBlockBytes = size_t{64} << 10;
  static constexpr size_t kMaxWaitingBytes = size_t{1} << 20;

  class Writer final : public SinkWriter<T> {
   public:
    Writer(SinkContext& context, Format format)
        : format_(std::move(format)),
          queue_(internal::SinkIoQueue::Create(context.io_pool(), context.handle(),
                                               kMaxWaitingBytes)) {}
    ~Writer() override { Close(); }

    [[nodiscard]] bool Ready() const override { return queue_->HasRoom(); }
    [[nodiscard]] absl::Status Write(const T& record, EventTime /*time*/) override {
      line_.clear();
      format_(record, &line_);
      block_.append(line_).push_back('\n');
      return block_.size() < kBlockBytes ? absl::OkStatus() : Flush();
    }
    [[nodiscard]] absl::Status Flush() override {
      if (block_.empty()) return absl::OkStatus();
      const size_t bytes = block_.size();
      queue_->Push(bytes,
                   [block = std::exchange(block_, {})] { return internal::WriteToStdout(block); });
      return queue_->status();
    }
    [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId /*checkpoint*/) override {
      const absl::Status status = Flush();
      if (!status.ok()) return status;
      return PrepareCommit([queue = queue_, ticket = queue_->last_ticket()](
                               StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
        const absl::Status printed = queue->WaitFor(ticket);
        if (!printed.ok()) return printed;
        return std::vector<Committable>();
      });
    }
    void Close() override { queue_->Close(); }

   private:
    const Format format_;
    const std::shared_ptr<internal::SinkIoQueue> queue_;
    std::string line_;
    std::string block_;
  };

  Format format_;
};

}  // namespace weir
