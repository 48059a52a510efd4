#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/time/time.h"
#include "runtime/base/ids.h"

/// What the renderers share. Included by them alone: the JSON library is dear to compile.

namespace weir::internal {

/// Keeps the order in which fields are written.
using Json = nlohmann::ordered_json;

/// Returns the text of `json`; bytes that are no UTF-8 are replaced.
[[nodiscard]] inline std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Returns epoch milliseconds, or `never` for the infinite past and future.
[[nodiscard]] inline int64_t Millis(absl::Time time, int64_t never) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return never;
  return absl::ToUnixMillis(time);
}

[[nodiscard]] inline int64_t Millis(absl::Duration duration) {
  return absl::ToInt64Milliseconds(duration);
}

}  // namespace weir::internal
