#include "jobs/ndr/event_time_text.h"

#include <gtest/gtest.h>

namespace weir::ndr {
namespace {

// 2025-01-29T10:15:01Z
constexpr int64_t kMillis = 1'738'145'701'000;

std::optional<EventTime> At(int64_t millis) { return EventTime::FromMillis(millis); }

TEST(EventTimeTextTest, ReadsTimesWithAndWithoutZone) {
  EXPECT_EQ(ParseEventTime("2025-01-29T10:15:01Z"), At(kMillis));
  EXPECT_EQ(ParseEventTime("2025-01-29T10:15:01"), At(kMillis));
  EXPECT_EQ(ParseEventTime("2025-01-29 10:15:01"), At(kMillis));
  EXPECT_EQ(ParseEventTime("2025-01-29t10:15:01z"), At(kMillis));
  EXPECT_EQ(ParseEventTime("2025-01-29T11:15:01+01:00"), At(kMillis));
  EXPECT_EQ(ParseEventTime("2025-01-29T11:15:01+0100"), At(kMillis));
  EXPECT_EQ(ParseEventTime("2025-01-29T04:45:01-05:30"), At(kMillis));
  EXPECT_EQ(ParseEventTime("2025-01-29T12:15:01+02"), At(kMillis));
}

TEST(EventTimeTextTest, ReadsFractionsToTheMillisecond) {
  EXPECT_EQ(ParseEventTime("2025-01-29T10:15:01.2Z"), At(kMillis + 200));
  EXPECT_EQ(ParseEventTime("2025-01-29T10:15:01.045"), At(kMillis + 45));
  EXPECT_EQ(ParseEventTime("2025-01-29T10:15:01,045678912Z"), At(kMillis + 45));
}

TEST(EventTimeTextTest, KnowsTheCalendar) {
  EXPECT_EQ(ParseEventTime("1970-01-01T00:00:00Z"), At(0));
  EXPECT_EQ(ParseEventTime("1969-12-31T23:59:59Z"), At(-1000));
  EXPECT_EQ(ParseEventTime("2024-02-29T00:00:00Z"), At(1'709'164'800'000));
  EXPECT_EQ(ParseEventTime("2000-03-01T00:00:00Z"), At(951'868'800'000));
  EXPECT_EQ(ParseEventTime("2016-12-31T23:59:60Z"), ParseEventTime("2017-01-01T00:00:00Z"));
  EXPECT_FALSE(ParseEventTime("2023-02-29T00:00:00Z"));
  EXPECT_FALSE(ParseEventTime("1900-02-29T00:00:00Z"));
}

TEST(EventTimeTextTest, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "yesterday", "2025-01-29", "2025-01-29T10:15", "2025-13-01T00:00:00Z",
        "2025-00-01T00:00:00Z", "2025-01-32T00:00:00Z", "2025-01-29T24:00:00Z",
        "2025-01-29T10:60:00Z", "2025-01-29T10:15:61Z", "2025-01-29T10:15:01.Z",
        "2025-01-29T10:15:01Zx", "2025-01-29T10:15:01+1", "2025-01-29T10:15:01+01:",
        "2025-01-29T10:15:01+99:00", "25-01-29T10:15:01Z", " 2025-01-29T10:15:01Z"}) {
    EXPECT_FALSE(ParseEventTime(text)) << text;
  }
}

}  // namespace
}  // namespace weir::ndr
