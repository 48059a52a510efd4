#pragma once

#include <cstdint>
#include <exception>
#include <string_view>

#include "absl/status/status.h"
#include "operators/api/source.h"

namespace weir::internal {

[[nodiscard]] absl::Status ThrownByDeserializer(const std::exception& exception);
[[nodiscard]] DeadLetter MakeDeadLetter(std::string_view split_id, uint64_t position,
                                        std::string_view bytes, const absl::Status& error);
/// The error of a job that does not go on with malformed records: shows where the record lies and
/// how it begins.
[[nodiscard]] absl::Status MalformedRecordError(const DeadLetter& letter);

}  // namespace weir::internal
