#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "runtime/record/event_time.h"

namespace weir::ndr {

/// A connection seen on the network: what the signals need of it.
struct NetworkEvent {
  EventTime time;
  std::string src_ip;
  std::string dest_ip;     ///< Empty if unknown.
  int32_t dest_port = -1;  ///< -1 if the event has none, as of ICMP.
};

/// Reads network events from JSON objects, and of those only the fields that signals need:
///
/// | field | values |
/// |---|---|
/// | `event_time`, or else `ts` | ISO 8601 (without a zone: UTC); a whole number is milliseconds
/// since the epoch, one with a fraction seconds | | `src_ip` | text | | `dest_ip` | text, or absent
/// | | `dest_port` | 0 to 65535, as number or text, or absent |
///
/// Place: one per subtask; it owns the JSON parser and its buffers. A copy is a parser of its own.
/// Threads: one at a time.
class NetworkEventParser {
 public:
  NetworkEventParser();
  ~NetworkEventParser();
  NetworkEventParser(const NetworkEventParser& other);
  NetworkEventParser& operator=(const NetworkEventParser& other);

  /// Replaces `*event` by what `json` says. Errors: kInvalidArgument saying what is wrong; `*event`
  /// is then unspecified.
  [[nodiscard]] absl::Status Parse(std::string_view json, NetworkEvent* event);

  /// Returns the event's time alone; Min if Parse would fail for it.
  [[nodiscard]] EventTime ParseTime(std::string_view json);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::ndr
