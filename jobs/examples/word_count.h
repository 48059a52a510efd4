#pragma once

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::examples {

/// Counts the words of text, and at the end writes one line {"word":…,"count":…} per word, each
/// exactly once. Arguments: --input FILE|DIR (default: a text that comes with the job) --out DIR
/// (default: prints).
[[nodiscard]] absl::Status BuildWordCount(StreamEnvironment& environment, const JobArgs& args);

/// Calls `visit` for each word of `line`: a run of ASCII letters and digits, and of all bytes
/// beyond ASCII, with ASCII letters in lower case.
void ForEachWord(std::string_view line, absl::FunctionRef<void(std::string word)> visit);

}  // namespace weir::examples
