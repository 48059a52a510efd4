#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/correlation/signal.h"
#include "jobs/ndr/network_event.h"
#include "jobs/ndr/signal_aggregates.h"
#include "operators/api/data_stream.h"
#include "operators/window/time_window.h"

namespace weir::ndr {

inline constexpr std::string_view kPortScan = "PORT_SCAN";
inline constexpr std::string_view kConnectionSpike = "CONNECTION_SPIKE";
inline constexpr std::string_view kPrivilegedAccess = "PRIVILEGED_ACCESS";

// Whether what was counted in a window is a signal: the row it makes, or nothing.

/// More than 20 distinct ports.
[[nodiscard]] std::optional<correlation::Signal> PortScanSignal(const std::string& src_ip,
                                                                const TimeWindow& window,
                                                                int64_t unique_ports);
/// More than 3 standard deviations above the usual number of connections, 10 ± 3.
[[nodiscard]] std::optional<correlation::Signal> ConnectionSpikeSignal(const std::string& src_ip,
                                                                       const TimeWindow& window,
                                                                       int64_t connection_count);
/// At least two privileged services, or at least three hosts reached through them.
[[nodiscard]] std::optional<correlation::Signal> PrivilegedAccessSignal(
    const std::string& src_ip, const TimeWindow& window,
    const PrivilegedAccessAggregate::Result& access);

/// The three signals of lateral movement in one stream: per internal source address, in windows of
/// 60 s of event time; port scans and privileged access in one each 10 s. `events` must have event
/// times and watermarks.
[[nodiscard]] DataStream<correlation::Signal> LateralMovementSignals(
    const DataStream<NetworkEvent>& events);

}  // namespace weir::ndr
