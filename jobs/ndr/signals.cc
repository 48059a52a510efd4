#include "jobs/ndr/signals.h"

#include <utility>

#include "absl/time/time.h"
#include "jobs/ndr/private_address.h"
#include "operators/api/keyed_stream.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/strings.h"

namespace weir::ndr {
namespace {

using correlation::FormatTimestamp;
using correlation::Signal;

constexpr int64_t kMaxUsualPorts = 20;
constexpr double kBaselineMean = 10;
constexpr double kBaselineDeviation = 3;
constexpr double kMaxDeviationScore = 3;

/// Writes the columns that all signals share around those of one.
template <class WriteColumns>
Signal MakeSignal(std::string_view type, const std::string& src_ip, const TimeWindow& window,
                  std::string_view severity, WriteColumns write_columns) {
  Signal signal{std::string(type), src_ip, window.end, {}};
  JsonWriter json(&signal.json);
  json.BeginObject();
  json.Key("signal_type").String(type);
  json.Key("src_ip").String(src_ip);
  write_columns(json);
  json.Key("severity").String(severity);
  json.Key("window_start").String(FormatTimestamp(window.start));
  json.Key("window_end").String(FormatTimestamp(window.end));
  json.Key("timestamp").String(FormatTimestamp(window.end));
  json.EndObject();
  return signal;
}

std::string_view SeverityAbove(double value, double critical, double high) {
  return value > critical ? "CRITICAL" : value > high ? "HIGH" : "MEDIUM";
}

/// Makes a window function of one that says whether a window's result is a signal.
template <class MakeRow>
auto EmitIfSignal(MakeRow make_row) {
  return [make_row](const std::string& src_ip, const TimeWindow& window, const auto& result,
                    Collector<Signal>& out) {
    if (std::optional<Signal> signal = make_row(src_ip, window, result)) {
      out.Collect(*std::move(signal));
    }
  };
}

}  // namespace

std::optional<Signal> PortScanSignal(const std::string& src_ip, const TimeWindow& window,
                                     int64_t unique_ports) {
  if (unique_ports <= kMaxUsualPorts) return std::nullopt;
  const auto severity = SeverityAbove(static_cast<double>(unique_ports), 50, 30);
  return MakeSignal(kPortScan, src_ip, window, severity,
                    [&](JsonWriter& json) { json.Key("unique_ports").Int(unique_ports); });
}

std::optional<Signal> ConnectionSpikeSignal(const std::string& src_ip, const TimeWindow& window,
                                            int64_t connection_count) {
  const double score = (static_cast<double>(connection_count) - kBaselineMean) / kBaselineDeviation;
  if (score <= kMaxDeviationScore) return std::nullopt;
  return MakeSignal(kConnectionSpike, src_ip, window, SeverityAbove(score, 5, 4),
                    [&](JsonWriter& json) {
                      json.Key("connection_count").Int(connection_count);
                      json.Key("baseline_mean").Double(kBaselineMean);
                      json.Key("baseline_stddev").Double(kBaselineDeviation);
                      json.Key("deviation_score").Double(score);
                    });
}

std::optional<Signal> PrivilegedAccessSignal(const std::string& src_ip, const TimeWindow& window,
                                             const PrivilegedAccessAggregate::Result& access) {
  const auto num_services = static_cast<int64_t>(access.services.size());
  if (num_services < 2 && access.destinations < 3) return std::nullopt;
  const auto severity = num_services >= 3 ? "CRITICAL" : num_services == 2 ? "HIGH" : "MEDIUM";
  return MakeSignal(kPrivilegedAccess, src_ip, window, severity, [&](JsonWriter& json) {
    json.Key("unique_services").Int(num_services);
    json.Key("services_list").String(StrJoin(access.services, ","));
    json.Key("unique_destinations").Int(access.destinations);
  });
}

DataStream<Signal> LateralMovementSignals(const DataStream<NetworkEvent>& events) {
  const auto source_address = [](const NetworkEvent& event) { return event.src_ip; };
  const auto sliding = SlidingEventTimeWindows::Of(absl::Seconds(60), absl::Seconds(10));
  const auto from_inside =
      events.Filter([](const NetworkEvent& event) { return IsPrivateAddress(event.src_ip); })
          .Name("Internal sources");

  auto port_scans = from_inside.KeyBy(source_address)
                        .Window(sliding)
                        .Aggregate<Signal>(PortScanAggregate(), EmitIfSignal(PortScanSignal))
                        .Name("Port scans")
                        .Uid("port-scans");
  auto spikes =
      from_inside.KeyBy(source_address)
          .Window(TumblingEventTimeWindows::Of(absl::Seconds(60)))
          .Aggregate<Signal>(ConnectionCountAggregate(), EmitIfSignal(ConnectionSpikeSignal))
          .Name("Connection spikes")
          .Uid("connection-spikes");
  auto privileged =
      from_inside
          .Filter([](const NetworkEvent& event) {
            return PrivilegedServiceIndex(event.dest_port) >= 0;
          })
          .Name("Privileged services")
          .KeyBy(source_address)
          .Window(sliding)
          .Aggregate<Signal>(PrivilegedAccessAggregate(), EmitIfSignal(PrivilegedAccessSignal))
          .Name("Privileged access")
          .Uid("privileged-access");
  return port_scans.Union(spikes, privileged);
}

}  // namespace weir::ndr
