#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "operators/api/source.h"
#include "operators/connectors/file/file_source.h"
#include "runtime/record/byte_io.h"

namespace weir::internal {

/// A file, or the lines of a file that begin within [begin, end).
struct FileSplit {
  static constexpr uint64_t kNoEnd = std::numeric_limits<uint64_t>::max();

  std::string path;
  uint64_t begin = 0;
  uint64_t end = kNoEnd;  // kNoEnd: up to the end of the file, wherever that is.
  uint64_t offset = 0;    // Where reading goes on: begin, or just after a record.
  FileFormat format = FileFormat::kAuto;
  uint64_t inode = 0;  // Of the file that `offset` is a place in; 0 if not known yet.

  friend bool operator==(const FileSplit&, const FileSplit&) = default;
};

[[nodiscard]] SourceSplit ToSourceSplit(const FileSplit& split);
/// Errors: kDataLoss.
[[nodiscard]] absl::StatusOr<FileSplit> ParseFileSplit(std::string_view bytes);

}  // namespace weir::internal
