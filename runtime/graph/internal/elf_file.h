#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir::internal {

/// Checks that `content` is a whole 64-bit shared library for this machine: every part that the
/// system's loader would map or read lies within it, for the loader itself trusts its input and
/// dies of a file that was cut short. Errors: kInvalidArgument saying what is wrong.
[[nodiscard]] absl::Status CheckSharedLibrary(std::string_view content);

/// Returns the text of an exported `const char[]` of a library that passed CheckSharedLibrary;
/// nothing if it exports no such symbol. Runs no code of it. Errors: kInvalidArgument if the symbol
/// lies outside of the file.
[[nodiscard]] absl::StatusOr<std::optional<std::string>> ReadExportedText(std::string_view content,
                                                                          std::string_view symbol);

}  // namespace weir::internal
