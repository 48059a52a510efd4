#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "operators/connectors/file/file_sink.h"

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

/// A FileSink of a line per record, one file per subtask and checkpoint.
template <class T>
class NdjsonFileSink final : public Sink<T> {
 public:
  /// Appends the record's JSON to `*line`, which is empty at the call, without a line end. Line
  /// ends within it become blanks.
  using Format = std::function<void(const T&, std::string* line)>;

  NdjsonFileSink(NdjsonFileSinkOptions options, Format format)
      : NdjsonFileSink(std::move(options), NdjsonEncoder<T>(std::move(format))) {}
  /// Records are written as they are.
  explicit NdjsonFileSink(NdjsonFileSinkOptions options)
    requires std::is_same_v<T, std::string>
      : NdjsonFileSink(std::move(options),
                       FileEncoder<std::string>{
                           .encode = internal::AppendJsonLine, .header = {}, .suffix = ".ndjson"}) {
  }

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const override {
    return files_.CreateWriter(context);
  }
  [[nodiscard]] std::unique_ptr<Committer> CreateCommitter(SinkContext& context) const override {
    return files_.CreateCommitter(context);
  }

 private:
  NdjsonFileSink(NdjsonFileSinkOptions options, FileEncoder<T> encoder)
      : files_({.folder = std::move(options.folder),
                .prefix = std::move(options.prefix),
                .suffix = {},
                .rolling = RollingPolicy::OnCheckpoint(),
                .max_buffered_bytes = options.max_buffered_bytes},
               std::move(encoder)) {}

  FileSink<T> files_;
};

}  // namespace weir
