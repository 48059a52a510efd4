#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "operators/api/sink.h"
#include "operators/connectors/internal/sink_io_queue.h"

namespace weir::internal {

class EpochFile;

/// Writes the lines of one subtask into a file per epoch. Threads: within the task's steps; the
/// file work runs on the I/O pool.
class LineFileWriter {
 public:
  struct Options {
    std::string folder;
    std::string prefix;
    size_t max_buffered_bytes = 0;
  };

  /// Makes the folder and removes the files that earlier attempts left in progress. Blocks.
  /// Errors: kFailedPrecondition if the folder cannot be made or written.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LineFileWriter>> Create(
      SinkContext& context, const Options& options);
  ~LineFileWriter();
  LineFileWriter(const LineFileWriter&) = delete;
  LineFileWriter& operator=(const LineFileWriter&) = delete;

  [[nodiscard]] bool Ready() const { return queue_->HasRoom(); }
  [[nodiscard]] absl::Status Append(std::string_view line);
  /// The committable, if any, names the epoch's pending file.
  [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint);
  void Close();

 private:
  LineFileWriter(std::string folder, std::string name, std::string owner,
                 std::shared_ptr<SinkIoQueue> queue);
  void PushBlock();

  const std::string folder_;
  const std::string name_;   // Of the final files, up to the number.
  const std::string owner_;  // The job.
  const std::shared_ptr<SinkIoQueue> queue_;
  std::string block_;
  std::shared_ptr<EpochFile> file_;  // Null while the epoch is empty.
  uint64_t num_files_ = 0;
};

/// Gives pending files their final names.
[[nodiscard]] std::unique_ptr<Committer> CreateLineFileCommitter();

}  // namespace weir::internal
