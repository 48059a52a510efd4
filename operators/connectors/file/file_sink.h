#pragma once

#include <memory>
#include <string>
#include <utility>

#include "operators/api/sink.h"
#include "operators/connectors/file/bucket_assigner.h"
#include "operators/connectors/file/file_encoder.h"
#include "operators/connectors/file/file_sink_options.h"
#include "operators/connectors/file/internal/part_file_writer.h"

namespace weir {

/// Writes records into files, exactly once: a file gets its name, in the folder of its bucket, when
/// it has ended and a checkpoint after that has completed, and is whole then. Until then it is
/// hidden, in the sink's folder, by a leading dot.
///
/// Each subtask writes files of its own, one at a time per bucket; `RollingPolicy` says when one
/// ends. After a failure a file that was being written is cut to what the restored checkpoint knows
/// of it and gets its name; the job goes on in a new one.
///
/// Left over after a crash: files of no checkpoint (`….inprogress`) are removed when the same
/// subtask of the same job starts again. Those that a checkpoint may refer to (`….pending`) stay,
/// because any subtask may yet restore it; those of checkpoints that never completed stay hidden
/// and may be deleted once the job has ended.
template <class T>
class FileSink final : public Sink<T> {
 public:
  /// Without a bucket assigner all files lie in the folder itself.
  FileSink(FileSinkOptions options, FileEncoder<T> encoder, BucketAssigner<T> buckets = nullptr)
      : options_(std::move(options)), encoder_(std::move(encoder)), buckets_(std::move(buckets)) {
    if (options_.suffix.empty()) options_.suffix = encoder_.suffix;
  }

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const override {
    auto files = internal::PartFileWriter::Create(context, options_, encoder_.header);
    if (!files.ok()) return files.status();
    return std::make_unique<Writer>(*std::move(files), context.clock(), encoder_, buckets_);
  }
  [[nodiscard]] std::unique_ptr<Committer> CreateCommitter(SinkContext& context) const override {
    return internal::CreatePartFileCommitter(context);
  }

 private:
  class Writer final : public SinkWriter<T> {
   public:
    Writer(std::unique_ptr<internal::PartFileWriter> files, const Clock* clock,
           FileEncoder<T> encoder, BucketAssigner<T> buckets)
        : files_(std::move(files)),
          clock_(clock),
          encoder_(std::move(encoder)),
          buckets_(std::move(buckets)),
          needs_time_(buckets_ != nullptr || files_->needs_time()) {}

    [[nodiscard]] bool Ready() const override { return files_->Ready(); }
    [[nodiscard]] absl::Status Write(const T& record, EventTime time) override {
      const absl::Time now = needs_time_ ? clock_->Now() : absl::InfinitePast();
      if (buckets_) bucket_ = buckets_(record, time, now);
      const absl::StatusOr<std::string*> file = files_->Begin(bucket_, now);
      if (!file.ok()) return file.status();
      encoder_.encode(record, *file);
      return files_->End();
    }
    [[nodiscard]] absl::Status EndInput() override { return files_->EndInput(); }
    [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId /*checkpoint*/) override {
      return files_->BeginCommit();
    }
    void Close() override { files_->Close(); }

   private:
    const std::unique_ptr<internal::PartFileWriter> files_;
    const Clock* const clock_;
    const FileEncoder<T> encoder_;
    const BucketAssigner<T> buckets_;
    const bool needs_time_;
    std::string bucket_;
  };

  FileSinkOptions options_;
  FileEncoder<T> encoder_;
  BucketAssigner<T> buckets_;
};

}  // namespace weir
