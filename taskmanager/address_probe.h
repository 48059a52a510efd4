#pragma once

#include <string>

#include "absl/time/time.h"

namespace weir {

/// What became of an attempt to connect to an address.
enum class ProbeResult {
  kAccepted,
  /// The host answered that nobody listens there: no process serves the address at this moment.
  kRefused,
  /// No answer in time, or the address makes no sense: there is no telling.
  kSilent,
};

/// Connects to "host:port" and closes the connection again. Blocks, for little more than `timeout`
/// per address that the name stands for. An address that has several must be refused at all of
/// them.
[[nodiscard]] ProbeResult ProbeAddress(const std::string& address, absl::Duration timeout);

}  // namespace weir
