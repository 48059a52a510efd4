#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {

/// Writes `content` to `path` so that it is there whole, and stays after a power failure, or is not
/// there at all: a file aside, fsync, rename, fsync of the folder. Creates the folder. Blocks.
/// Errors: kUnavailable or kResourceExhausted with path and cause.
[[nodiscard]] absl::Status WriteFileDurably(const std::string& path, std::string_view content);

/// Returns the content of a file. Blocks. Errors: kNotFound, kUnavailable.
[[nodiscard]] absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

}  // namespace weir
