#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "operators/api/source.h"

namespace weir {

/// How a file holds its records.
enum class FileFormat : uint8_t {
  kAuto,   ///< An array if its first byte that is not blank is '[', lines otherwise.
  kLines,  ///< A record a line (NDJSON); blank lines count for nothing.
  kArray,  ///< The elements of a JSON array.
};

/// What a FileSource reads.
struct FileSourceOptions {
  /// A file, or a folder of files.
  std::string path{};
  FileFormat format = FileFormat::kAuto;
  /// Which files of a folder are read, by the end of their names. Hidden files never are.
  std::vector<std::string> extensions = {".json", ".ndjson", ".jsonl", ".log"};
  /// Whether folders in the folder are read too.
  bool recursive = false;
  /// False: reads what is there at the start, then ends. True: never ends; what is appended and new
  /// files are read when a look each `poll_interval` finds them. A file that was replaced or became
  /// shorter is read from its beginning.
  bool follow = false;
  absl::Duration poll_interval = absl::Milliseconds(200);
  /// Files of lines longer than this are read by several readers at once, unless they are followed.
  uint64_t range_bytes = uint64_t{64} << 20;
  /// A longer record fails the job.
  size_t max_record_bytes = size_t{64} << 20;
  /// How much is read at a time.
  size_t chunk_bytes = size_t{512} << 10;
};

/// Reads records of JSON text from a file or a folder, without looking into them. Records have no
/// event time; those of one file keep their order, up to the bounds of its ranges.
///
/// Exactly once: positions are bytes after the last record emitted. Errors: kNotFound if there is
/// no such file or folder at the start; kInvalidArgument for text that is neither lines nor an
/// array, and for a record that is too long, with file and byte offset.
class FileSource final : public Source<std::string> {
 public:
  explicit FileSource(FileSourceOptions options);

  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override;
  [[nodiscard]] std::unique_ptr<SourceReader<std::string>> CreateReader() const override;

 private:
  const FileSourceOptions options_;
};

}  // namespace weir
