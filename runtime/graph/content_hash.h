#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace weir {

/// Names blobs (job libraries, recorded files) by what is in them: SHA-256, as 64 lower-case
/// hexadecimal digits. Equal names mean equal bytes, whoever made them.
[[nodiscard]] std::string ContentHash(std::string_view bytes);

/// Returns the hash of a file's content, which is read in pieces. Blocks. Errors: kNotFound naming
/// the path and why it cannot be read.
[[nodiscard]] absl::StatusOr<std::string> ContentHashOfFile(const std::string& path);

}  // namespace weir
