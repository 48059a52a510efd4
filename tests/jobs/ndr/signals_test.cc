#include "jobs/ndr/signals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace weir::ndr {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// 1970-01-01T00:01:00Z to 00:02:00Z.
constexpr TimeWindow kWindow = {EventTime::FromMillis(60'000), EventTime::FromMillis(120'000)};

std::string SeverityOf(const std::optional<correlation::Signal>& signal) {
  return signal.has_value() ? json::parse(signal->json)["severity"].get<std::string>() : "none";
}

NetworkEvent Event(std::string dest_ip, int32_t dest_port) {
  return {EventTime::FromMillis(0), "10.0.0.1", std::move(dest_ip), dest_port};
}

TEST(SignalsTest, PortScanBeginsAbove20PortsAndGrowsWithThem) {
  EXPECT_EQ(SeverityOf(PortScanSignal("10.0.0.1", kWindow, 20)), "none");
  EXPECT_EQ(SeverityOf(PortScanSignal("10.0.0.1", kWindow, 21)), "MEDIUM");
  EXPECT_EQ(SeverityOf(PortScanSignal("10.0.0.1", kWindow, 30)), "MEDIUM");
  EXPECT_EQ(SeverityOf(PortScanSignal("10.0.0.1", kWindow, 31)), "HIGH");
  EXPECT_EQ(SeverityOf(PortScanSignal("10.0.0.1", kWindow, 50)), "HIGH");
  EXPECT_EQ(SeverityOf(PortScanSignal("10.0.0.1", kWindow, 51)), "CRITICAL");
}

TEST(SignalsTest, SignalsCarryTheirColumnsAndTheWindowsEndAsTime) {
  const auto signal = PortScanSignal("10.0.0.1", kWindow, 24);
  ASSERT_TRUE(signal.has_value());
  EXPECT_EQ(signal->type, "PORT_SCAN");
  EXPECT_EQ(signal->entity, "10.0.0.1");
  EXPECT_EQ(signal->time, kWindow.end);
  EXPECT_EQ(json::parse(signal->json),
            json::parse(R"({"signal_type":"PORT_SCAN","src_ip":"10.0.0.1","unique_ports":24,)"
                        R"("severity":"MEDIUM","window_start":"1970-01-01T00:01:00Z",)"
                        R"("window_end":"1970-01-01T00:02:00Z",)"
                        R"("timestamp":"1970-01-01T00:02:00Z"})"));
}

TEST(SignalsTest, ConnectionSpikeBeginsAboveThreeDeviations) {
  EXPECT_EQ(SeverityOf(ConnectionSpikeSignal("10.0.0.1", kWindow, 19)), "none");
  EXPECT_EQ(SeverityOf(ConnectionSpikeSignal("10.0.0.1", kWindow, 20)), "MEDIUM");
  EXPECT_EQ(SeverityOf(ConnectionSpikeSignal("10.0.0.1", kWindow, 22)), "MEDIUM");
  EXPECT_EQ(SeverityOf(ConnectionSpikeSignal("10.0.0.1", kWindow, 23)), "HIGH");
  EXPECT_EQ(SeverityOf(ConnectionSpikeSignal("10.0.0.1", kWindow, 25)), "HIGH");
  EXPECT_EQ(SeverityOf(ConnectionSpikeSignal("10.0.0.1", kWindow, 26)), "CRITICAL");
  const json row = json::parse(ConnectionSpikeSignal("10.0.0.1", kWindow, 40)->json);
  EXPECT_EQ(row["connection_count"], 40);
  EXPECT_EQ(row["baseline_mean"], 10.0);
  EXPECT_EQ(row["baseline_stddev"], 3.0);
  EXPECT_EQ(row["deviation_score"], 10.0);
}

TEST(SignalsTest, PrivilegedAccessIsTwoServicesOrThreeDestinations) {
  EXPECT_EQ(SeverityOf(PrivilegedAccessSignal("10.0.0.1", kWindow, {{"SSH"}, 2})), "none");
  EXPECT_EQ(SeverityOf(PrivilegedAccessSignal("10.0.0.1", kWindow, {{"SSH"}, 3})), "MEDIUM");
  EXPECT_EQ(SeverityOf(PrivilegedAccessSignal("10.0.0.1", kWindow, {{"SSH", "SMB"}, 1})), "HIGH");
  const auto signal = PrivilegedAccessSignal("10.0.0.1", kWindow, {{"SSH", "SMB", "RDP"}, 9});
  EXPECT_EQ(SeverityOf(signal), "CRITICAL");
  const json row = json::parse(signal->json);
  EXPECT_EQ(row["unique_services"], 3);
  EXPECT_EQ(row["services_list"], "SSH,SMB,RDP");
  EXPECT_EQ(row["unique_destinations"], 9);
}

TEST(SignalsTest, PortScanCountsEachPortOnceAndNoneForEventsWithout) {
  const PortScanAggregate aggregate;
  PortScanAggregate::Accumulator ports;
  for (const int32_t port : {443, 22, 65'535, 22, 0, 443, -1})
    aggregate.Add(Event("", port), ports);
  EXPECT_EQ(aggregate.GetResult(ports), 4);
  EXPECT_THAT(ports.ports, ElementsAre(0, 22, 443, 65'535));
}

TEST(SignalsTest, PrivilegedAccessListsServicesInOrderOfTheirPorts) {
  const PrivilegedAccessAggregate aggregate;
  PrivilegedAccessAggregate::Accumulator access;
  EXPECT_THAT(aggregate.GetResult(access).services, IsEmpty());
  aggregate.Add(Event("10.0.0.2", 5986), access);
  aggregate.Add(Event("10.0.0.3", 3389), access);
  aggregate.Add(Event("10.0.0.3", 22), access);
  aggregate.Add(Event("10.0.0.4", 80), access);
  aggregate.Add(Event("", 22), access);
  EXPECT_THAT(aggregate.GetResult(access).services, ElementsAre("SSH", "RDP", "WinRM-HTTPS"));
  EXPECT_EQ(aggregate.GetResult(access).destinations, 2);
}

}  // namespace
}  // namespace weir::ndr
