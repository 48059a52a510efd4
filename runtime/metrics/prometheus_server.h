#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weir {

/// Ports to try, both included; {0, 0} is any free one.
using PortRange = std::pair<uint16_t, uint16_t>;

/// Reads "9249", "9249-9299" or "0". Errors: kInvalidArgument.
[[nodiscard]] absl::StatusOr<PortRange> ParsePortRange(std::string_view text);

struct PrometheusServerOptions {
  std::string bind_address = "127.0.0.1";  // Or a host name.
  PortRange ports = {0, 0};
  /// How long a request may take to arrive, and how long its answer may make no headway.
  absl::Duration timeout = absl::Seconds(5);
};

/// Answers GET and HEAD of /metrics (and of /, as Flink's reporter does) with what `render`
/// returns, and nothing else: one request a connection, one connection at a time, which is what a
/// Prometheus needs.
///
/// Threads: one of its own, on which `render` runs. Lifecycle: Start → destroyed, which ends the
/// thread at once.
class PrometheusServer {
 public:
  /// Listens on the first free port of the range. Errors: kInvalidArgument for an address that is
  /// none, kUnavailable if no port is free.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<PrometheusServer>> Start(
      PrometheusServerOptions options, std::function<std::string()> render);
  ~PrometheusServer();
  PrometheusServer(const PrometheusServer&) = delete;
  PrometheusServer& operator=(const PrometheusServer&) = delete;

  [[nodiscard]] uint16_t port() const;

 private:
  class Impl;
  explicit PrometheusServer(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace weir
