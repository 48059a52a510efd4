#include "runtime/network/internal/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/runtime/network/network_test_support.h"

namespace weir::internal {
namespace {

std::string_view Payload(const std::string& frame) {
  return std::string_view(frame).substr(kFrameHeaderBytes);
}

TEST(FrameTest, HeadersRoundTrip) {
  std::string out = "before";
  AppendNumber(FrameType::kCredit, 77, 12345, &out);
  const FrameHeader header = ReadFrameHeader(out.data() + 6);
  EXPECT_EQ(header.payload_bytes, 8u);
  EXPECT_EQ(header.type, FrameType::kCredit);
  EXPECT_EQ(header.channel, 77u);
  EXPECT_EQ(*ParseNumber(std::string_view(out).substr(6 + kFrameHeaderBytes)), 12345u);
}

TEST(FrameTest, RequestsAndStatusesRoundTrip) {
  std::string request;
  AppendRequest(3, {TestKey(9), 4096}, &request);
  const auto parsed = ParseRequest(Payload(request));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->key, TestKey(9));
  EXPECT_EQ(parsed->credit_bytes, 4096u);
  std::string status;
  AppendStatus(FrameType::kBreak, 3, absl::AbortedError("why"), &status);
  EXPECT_EQ(ParseStatus(Payload(status)), absl::AbortedError("why"));
}

TEST(FrameTest, AnAnnouncementRoundTripsAndNothingShorterDoes) {
  std::string frame;
  AppendAnnouncement(3, {CheckpointId(7), -5}, &frame);
  EXPECT_EQ(ReadFrameHeader(frame.data()).type, FrameType::kAnnouncement);
  const auto read = ParseAnnouncement(Payload(frame));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->id, CheckpointId(7));
  EXPECT_EQ(read->trigger_time_ms, -5);
  EXPECT_FALSE(ParseAnnouncement(Payload(frame).substr(1)).ok());
}

TEST(FrameTest, HelloRefusesOtherProtocolsVersionsAndClusters) {
  std::string hello;
  AppendHello("prod", &hello);
  const std::string payload(Payload(hello));
  EXPECT_TRUE(CheckHello(payload, "prod").ok());
  EXPECT_EQ(CheckHello(payload, "test").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CheckHello("GET / HTTP/1.1", "prod").code(), absl::StatusCode::kDataLoss);
  std::string newer = payload;
  newer[4] = 5;
  EXPECT_THAT(CheckHello(newer, "prod").ToString(), ::testing::HasSubstr("peer_version=5"));
  EXPECT_EQ(CheckHello(payload + "x", "prod").code(), absl::StatusCode::kDataLoss);
}

TEST(FrameTest, ParsersRefuseTruncationsAndNonsense) {
  std::string request;
  AppendRequest(3, {TestKey(9), 4096}, &request);
  for (size_t size = 0; size < Payload(request).size(); ++size) {
    EXPECT_FALSE(ParseRequest(Payload(request).substr(0, size)).ok());
  }
  std::string no_credit;
  AppendRequest(3, {TestKey(9), 0}, &no_credit);
  EXPECT_FALSE(ParseRequest(Payload(no_credit)).ok());
  EXPECT_EQ(ParseStatus(std::string("\0\0", 2)).code(), absl::StatusCode::kDataLoss)
      << "a break is never OK";
  EXPECT_EQ(ParseStatus("\x7f").code(), absl::StatusCode::kDataLoss);
  std::mt19937 random(11);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(random() % 48, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    (void)ParseRequest(bytes);
    (void)ParseNumber(bytes);
    (void)ParseAnnouncement(bytes);
    EXPECT_FALSE(ParseStatus(bytes).ok());
    EXPECT_FALSE(CheckHello(bytes, "").ok());
  }
}

}  // namespace
}  // namespace weir::internal
