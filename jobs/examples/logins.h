#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "operators/api/stream_environment.h"
#include "runtime/record/event_time.h"

namespace weir::examples {

/// The events of most examples. Plain data.
struct Login {
  std::string user;
  std::string host;
  bool failed = false;
  EventTime time;
};

/// Returns login `index` of an endless sequence, the same in every run: 20 users on 2 hosts, one in
/// five fails, one each second from the epoch on. From 40,000 on, two in a thousand come later than
/// their time says: one by two hours, one by ten.
[[nodiscard]] Login LoginAt(uint64_t index);

/// Adds a source of the first --records logins (default: `records`), at --rate a second (default:
/// as fast as it goes). Its watermarks let no time for disorder.
[[nodiscard]] absl::StatusOr<DataStream<Login>> Logins(StreamEnvironment& environment,
                                                       const JobArgs& args, int64_t records);

/// Writes lines to files in --out, or prints them.
void WriteLines(const DataStream<std::string>& lines, const JobArgs& args);

/// Returns a JSON object of the fields, in order.
[[nodiscard]] std::string JsonLine(
    std::initializer_list<std::pair<std::string_view, std::variant<std::string_view, int64_t>>>
        fields);

}  // namespace weir::examples
