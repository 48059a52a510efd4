#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "operators/api/sink.h"
#include "operators/connectors/file/internal/line_file_writer.h"

namespace weir {

/// Where an NdjsonFileSink writes.
struct NdjsonFileSinkOptions {
  /// Made if it is not there. On a cluster, all TaskManagers must see it under this path.
  std::string folder{};
  /// Files are named part-<prefix>-<subtask>-<attempt>-<n>.ndjson. Empty: the sink's uid.
  std::string prefix{};
  /// How much may wait to be written before the sink pushes back.
  size_t max_buffered_bytes = size_t{4} << 20;
};

/// Writes a line per record into files, one per subtask and checkpoint, exactly once: a file gets
/// its name when its checkpoint has completed, and is whole then. Until then it is hidden (a
/// leading dot): `….inprogress` while it is written, `….pending` when it waits for its checkpoint.
///
/// Left over after a crash: files in progress are removed when the same subtask of the same job
/// starts again, because no checkpoint can refer to them. A pending file may be part of a
/// checkpoint that is still to be restored, perhaps by another subtask, so nobody removes it; those
/// of checkpoints that never completed stay hidden and may be deleted once the job has ended.
template <class T>
class NdjsonFileSink final : public Sink<T> {
 public:
  /// Appends the record's JSON to `*line`, which is empty at the call, without a line end. Line
  /// ends within it become blanks.
  using Format = std::function<void(const T&, std::string* line)>;

  NdjsonFileSink(NdjsonFileSinkOptions options, Format format)
      : options_(std::move(options)), format_(std::move(format)) {}
  /// Records are written as they are.
  explicit NdjsonFileSink(NdjsonFileSinkOptions options)
    requires std::is_same_v<T, std::string>
      : options_(std::move(options)) {}

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const override {
    auto lines = internal::LineFileWriter::Create(
        context, {options_.folder, options_.prefix, options_.max_buffered_bytes});
    if (!lines.ok()) return lines.status();
    return std::make_unique<Writer>(*std::move(lines), format_);
  }
  [[nodiscard]] std::unique_ptr<Committer> CreateCommitter() const override {
    return internal::CreateLineFileCommitter();
  }

 private:
  class Writer final : public SinkWriter<T> {
   public:
    Writer(std::unique_ptr<internal::LineFileWriter> lines, Format format)
        : lines_(std::move(lines)), format_(std::move(format)) {}

    [[nodiscard]] bool Ready() const override { return lines_->Ready(); }
    [[nodiscard]] absl::Status Write(const T& record, EventTime /*time*/) override {
      if constexpr (std::is_same_v<T, std::string>) {
        if (!format_) return lines_->Append(record);
      }
      line_.clear();
      format_(record, &line_);
      return lines_->Append(line_);
    }
    [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint) override {
      return lines_->BeginCommit(checkpoint);
    }
    void Close() override { lines_->Close(); }

   private:
    const std::unique_ptr<internal::LineFileWriter> lines_;
    const Format format_;
    std::string line_;
  };

  NdjsonFileSinkOptions options_;
  Format format_;
};

}  // namespace weir
