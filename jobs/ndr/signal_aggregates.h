#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "jobs/ndr/network_event.h"

namespace weir::ndr {

// What each signal counts in a window of one source address: aggregates for
// WindowedStream::Aggregate.

/// The distinct destination ports.
struct PortScanAggregate {
  struct Accumulator {
    std::vector<uint16_t> ports;  // Ascending.
  };
  using Result = int64_t;

  void Add(const NetworkEvent& event, Accumulator& accumulator) const {
    if (event.dest_port < 0) return;
    const auto port = static_cast<uint16_t>(event.dest_port);
    const auto place = std::lower_bound(accumulator.ports.begin(), accumulator.ports.end(), port);
    if (place == accumulator.ports.end() || *place != port) accumulator.ports.insert(place, port);
  }
  void Merge(const Accumulator& from, Accumulator& into) const {
    std::vector<uint16_t> ports;
    ports.reserve(from.ports.size() + into.ports.size());
    std::set_union(from.ports.begin(), from.ports.end(), into.ports.begin(), into.ports.end(),
                   std::back_inserter(ports));
    into.ports = std::move(ports);
  }
  Result GetResult(const Accumulator& accumulator) const {
    return static_cast<int64_t>(accumulator.ports.size());
  }
};

/// How many connections there were.
struct ConnectionCountAggregate {
  using Accumulator = int64_t;
  using Result = int64_t;

  void Add(const NetworkEvent&, Accumulator& accumulator) const { ++accumulator; }
  void Merge(const Accumulator& from, Accumulator& into) const { into += from; }
  Result GetResult(const Accumulator& accumulator) const { return accumulator; }
};

/// A service that administers a host, by its port.
struct PrivilegedService {
  int32_t port;
  std::string_view name;
};
inline constexpr PrivilegedService kPrivilegedServices[] = {
    {22, "SSH"}, {445, "SMB"}, {3389, "RDP"}, {5985, "WinRM"}, {5986, "WinRM-HTTPS"}};

/// Returns the service's index in kPrivilegedServices, or -1.
[[nodiscard]] constexpr int PrivilegedServiceIndex(int32_t port) {
  for (int i = 0; i < static_cast<int>(std::size(kPrivilegedServices)); ++i) {
    if (kPrivilegedServices[i].port == port) return i;
  }
  return -1;
}

/// The distinct privileged services and destinations. Events of other ports count for nothing.
struct PrivilegedAccessAggregate {
  struct Accumulator {
    uint8_t services = 0;  // Bit i: kPrivilegedServices[i].
    absl::flat_hash_set<std::string> destinations;
  };
  struct Result {
    std::vector<std::string> services;  // Names, in order of their ports.
    int64_t destinations = 0;
  };

  void Add(const NetworkEvent& event, Accumulator& accumulator) const {
    const int service = PrivilegedServiceIndex(event.dest_port);
    if (service < 0) return;
    accumulator.services = static_cast<uint8_t>(accumulator.services | (1U << service));
    if (!event.dest_ip.empty()) accumulator.destinations.insert(event.dest_ip);
  }
  void Merge(const Accumulator& from, Accumulator& into) const {
    into.services = static_cast<uint8_t>(into.services | from.services);
    into.destinations.insert(from.destinations.begin(), from.destinations.end());
  }
  Result GetResult(const Accumulator& accumulator) const {
    Result result;
    for (size_t i = 0; i < std::size(kPrivilegedServices); ++i) {
      if ((accumulator.services >> i & 1U) != 0) {
        result.services.emplace_back(kPrivilegedServices[i].name);
      }
    }
    result.destinations = static_cast<int64_t>(accumulator.destinations.size());
    return result;
  }
};

}  // namespace weir::ndr
