#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace weir::internal {

/// The payload of a compressed data frame: the size of what was compressed as u32, then one LZ4
/// block.

/// Replaces the payload in `out` from `begin` on by its compressed form, if that saves an eighth or
/// more; returns whether it did. `scratch` is memory kept between calls.
[[nodiscard]] bool CompressPayload(size_t begin, std::string* out, std::string* scratch);

/// Returns the size of what was compressed, as the frame says. Errors: kDataLoss if it is more than
/// a payload may have.
[[nodiscard]] absl::StatusOr<size_t> DecompressedBytes(std::string_view payload);

/// Decompresses into `scratch`; the view is valid until its next use. Errors: kDataLoss for a
/// payload that is not what CompressPayload made.
[[nodiscard]] absl::StatusOr<std::string_view> DecompressPayload(std::string_view payload,
                                                                 std::string* scratch);

}  // namespace weir::internal
