#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "operators/api/sink.h"
#include "operators/connectors/file/file_sink_options.h"
#include "operators/connectors/internal/sink_io_queue.h"

namespace weir::internal {

class PartFile;

/// Writes the records of one subtask into files, one at a time per bucket. Threads: within the
/// task's steps; the file work runs on the I/O pool.
class PartFileWriter {
 public:
  /// Makes the folder and removes the files that earlier attempts left in progress. Blocks.
  /// Errors: kFailedPrecondition if the folder cannot be made or written.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<PartFileWriter>> Create(
      SinkContext& context, const FileSinkOptions& options, std::string header);
  ~PartFileWriter();
  PartFileWriter(const PartFileWriter&) = delete;
  PartFileWriter& operator=(const PartFileWriter&) = delete;

  [[nodiscard]] bool Ready() const { return queue_->HasRoom(); }
  /// Whether files end with time.
  [[nodiscard]] bool needs_time() const { return needs_time_; }
  /// Returns what the next record of the bucket is to be appended to; End goes with it. Errors:
  /// kInvalidArgument for a bucket that is no path below the folder, or is hidden.
  [[nodiscard]] absl::StatusOr<std::string*> Begin(const std::string& bucket, absl::Time now);
  [[nodiscard]] absl::Status End();
  /// Ends all files.
  [[nodiscard]] absl::Status EndInput();
  /// The committables name the files that have ended since the last one, and those that go on.
  [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit();
  void Close();

 private:
  // A file that is written.
  struct Part {
    std::shared_ptr<PartFile> file;
    std::string block;        // Not yet handed to the queue.
    uint64_t size_bytes = 0;  // With the block.
    absl::Time begun;
    absl::Time last_record;
  };
  using Parts = std::map<std::string, Part>;  // By bucket.

  PartFileWriter(SinkContext& context, const FileSinkOptions& options, std::string header,
                 std::string name);
  absl::StatusOr<Parts::iterator> NewPart(const std::string& bucket, absl::Time now);
  void PushBlock(Part& part);
  // Moves the part to those that have ended.
  Parts::iterator EndPart(Parts::iterator part);
  [[nodiscard]] bool IsDue(const Part& part, absl::Time now) const;

  const FileSinkOptions options_;
  const std::string header_;
  const std::string name_;   // Of the final files, up to the number.
  const std::string owner_;  // The job.
  const std::string attempt_;
  const Clock* const clock_;
  const bool needs_time_;
  const std::shared_ptr<SinkIoQueue> queue_;
  Parts parts_;
  Parts::iterator current_;  // That of the record that is written; end() if there is none.
  size_t size_before_ = 0;   // Of its block.
  std::vector<std::shared_ptr<PartFile>> ended_;  // Since the last checkpoint.
  uint64_t num_files_ = 0;
};

/// Gives files their final names. Those that this attempt goes on writing stay as they are; those
/// that an earlier one went on writing are cut to what the checkpoint knows of them.
[[nodiscard]] std::unique_ptr<Committer> CreatePartFileCommitter(SinkContext& context);

}  // namespace weir::internal
