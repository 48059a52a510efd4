#include "jobs/ndr/network_event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::ndr {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMillis = 1'738'145'701'000;  // 2025-01-29T10:15:01Z

std::string ErrorOf(std::string_view json) {
  NetworkEventParser parser;
  NetworkEvent event;
  return parser.Parse(json, &event).ToString();
}

int64_t TimeOf(std::string_view json) {
  NetworkEventParser parser;
  NetworkEvent event;
  const absl::Status parsed = parser.Parse(json, &event);
  EXPECT_TRUE(parsed.ok()) << parsed << " of " << json;
  return event.time.millis();
}

TEST(NetworkEventTest, ReadsTheFieldsItNeedsWhateverElseThereIs) {
  NetworkEventParser parser;
  NetworkEvent event;
  const absl::Status parsed = parser.Parse(
      R"({"protocol":"TCP","dest_port":445,"nested":{"src_ip":"1.1.1.1","list":[1,{"ts":0}]},)"
      R"("src_ip":"10.0.0.5","ts":"2025-01-29T10:15:01Z","dest_ip":"10.0.0.9","big":1e400})",
      &event);
  ASSERT_TRUE(parsed.ok()) << parsed;
  EXPECT_EQ(event.time.millis(), kMillis);
  EXPECT_EQ(event.src_ip, "10.0.0.5");
  EXPECT_EQ(event.dest_ip, "10.0.0.9");
  EXPECT_EQ(event.dest_port, 445);
}

TEST(NetworkEventTest, ReadsTimesAsTextAndAsNumbers) {
  EXPECT_EQ(TimeOf(R"({"src_ip":"a","event_time":"2025-01-29T10:15:01.25"})"), kMillis + 250);
  EXPECT_EQ(TimeOf(R"({"src_ip":"a","event_time":1738145701000})"), kMillis);
  EXPECT_EQ(TimeOf(R"({"src_ip":"a","ts":1738145701.125})"), kMillis + 125);
}

TEST(NetworkEventTest, PrefersEventTimeToTs) {
  EXPECT_EQ(TimeOf(R"({"src_ip":"a","ts":1,"event_time":7})"), 7);
  EXPECT_EQ(TimeOf(R"({"src_ip":"a","event_time":7,"ts":1})"), 7);
}

TEST(NetworkEventTest, TakesEventsWithoutDestination) {
  NetworkEventParser parser;
  NetworkEvent event;
  ASSERT_TRUE(
      parser.Parse(R"({"src_ip":"a","ts":1,"dest_ip":null,"dest_port":null})", &event).ok());
  EXPECT_EQ(event.dest_ip, "");
  EXPECT_EQ(event.dest_port, -1);
  ASSERT_TRUE(parser.Parse(R"({"src_ip":"a","ts":1,"dest_port":"22"})", &event).ok());
  EXPECT_EQ(event.dest_port, 22);
}

TEST(NetworkEventTest, SaysWhatIsWrong) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf(R"({"src_ip":"a","ts":1)"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf(R"({"src_ip":"a","ts":1} x)"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf("5"), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf("null"), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf(R"({"src_ip":"a"})"), HasSubstr("no event_time"));
  EXPECT_THAT(ErrorOf(R"({"ts":1})"), HasSubstr("no src_ip"));
  EXPECT_THAT(ErrorOf(R"({"src_ip":5,"ts":1})"), HasSubstr("src_ip"));
  EXPECT_THAT(ErrorOf(R"({"src_ip":"a","ts":"soon"})"), HasSubstr("ts"));
  EXPECT_THAT(ErrorOf(R"({"src_ip":"a","ts":null})"), HasSubstr("ts"));
  EXPECT_THAT(ErrorOf(R"({"src_ip":"a","ts":-5})"), HasSubstr("ts"));
  EXPECT_THAT(ErrorOf(R"({"src_ip":"a","ts":9e30})"), HasSubstr("ts"));
  EXPECT_THAT(ErrorOf(R"({"src_ip":"a","ts":1,"dest_port":65536})"), HasSubstr("dest_port"));
  EXPECT_THAT(ErrorOf(R"({"src_ip":"a","ts":1,"dest_port":2.5})"), HasSubstr("dest_port"));
  EXPECT_THAT(ErrorOf(R"({"src_ip":"a","ts":1,"dest_port":[22]})"), HasSubstr("dest_port"));
}

TEST(NetworkEventTest, IsNotAffectedByTheEventBefore) {
  NetworkEventParser parser;
  NetworkEvent event;
  ASSERT_TRUE(parser.Parse(R"({"src_ip":"a","ts":1,"dest_ip":"b","dest_port":22})", &event).ok());
  ASSERT_FALSE(parser.Parse(R"({"src_ip":"c","ts":)", &event).ok());
  ASSERT_FALSE(parser.Parse(R"({"src_ip":"c"})", &event).ok());
  ASSERT_TRUE(parser.Parse(R"({"src_ip":"d","ts":2})", &event).ok());
  EXPECT_EQ(event.src_ip, "d");
  EXPECT_EQ(event.dest_ip, "");
  EXPECT_EQ(event.dest_port, -1);
}

TEST(NetworkEventTest, ReadsTheTimeAloneAsItReadsTheWhole) {
  NetworkEventParser parser;
  EXPECT_EQ(parser.ParseTime(R"({"src_ip":"a","ts":5})"), EventTime::FromMillis(5));
  EXPECT_EQ(parser.ParseTime(R"({"src_ip":"a"})"), EventTime::Min());
  EXPECT_EQ(parser.ParseTime("[]"), EventTime::Min());
}

}  // namespace
}  // namespace weir::ndr
