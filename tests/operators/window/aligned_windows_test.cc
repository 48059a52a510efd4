#include "operators/window/aligned_windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "operators/window/window_assigners.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::pair<int64_t, int64_t>> WindowsOf(const AlignedWindows& windows, int64_t time) {
  std::vector<std::pair<int64_t, int64_t>> found;
  windows.ForEachWindow(EventTime::FromMillis(time), [&](const TimeWindow& window) {
    found.emplace_back(window.start.millis(), window.end.millis());
  });
  return found;
}

TEST(AlignedWindowsTest, PutsAnInstantIntoEveryWindowThatHoldsIt) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const int64_t size = 1 + static_cast<int64_t>(random() % 60);
    const int64_t slide = 1 + static_cast<int64_t>(random() % 60);
    const int64_t offset = static_cast<int64_t>(random() % 100) - 50;
    const AlignedWindows windows = SlidingEventTimeWindows::Of(
        absl::Milliseconds(size), absl::Milliseconds(slide), absl::Milliseconds(offset));
    for (int64_t time = -150; time < 150; ++time) {
      std::vector<std::pair<int64_t, int64_t>> expected;
      for (int64_t k = -300; k <= 300; ++k) {
        const int64_t start = offset + k * slide;
        if (start <= time && time < start + size) expected.emplace_back(start, start + size);
      }
      ASSERT_EQ(WindowsOf(windows, time), expected) << "time=" << time;
      // All instants of a slice are in the same windows.
      const AlignedWindows::Slice slice = windows.SliceOf(time);
      ASSERT_LE(slice.start, time);
      ASSERT_GT(slice.end, time);
      ASSERT_EQ(WindowsOf(windows, slice.start), expected);
      ASSERT_EQ(WindowsOf(windows, slice.end - 1), expected);
    }
  }
}

TEST(AlignedWindowsTest, CumulativeWindowsBeginTogether) {
  const AlignedWindows windows =
      CumulativeEventTimeWindows::Of(absl::Milliseconds(30), absl::Milliseconds(10));
  EXPECT_THAT(WindowsOf(windows, 5),
              ElementsAre(std::pair(0, 10), std::pair(0, 20), std::pair(0, 30)));
  EXPECT_THAT(WindowsOf(windows, 20), ElementsAre(std::pair(0, 30)));
  EXPECT_THAT(WindowsOf(windows, -1), ElementsAre(std::pair(-30, 0)));
  EXPECT_EQ(windows.MaxSlicesPerWindow(), 3);
}

TEST(AlignedWindowsTest, DaysFollowTheClockChangesOfTheirZone) {
  struct Case {
    const char* zone;
    const char* instant;
    const char* start;
    const char* end;
    int hours;
  };
  // 2024: Europe goes forward on 31 March and back on 27 October, New York on 10 March and 3
  // November. Havana changes at midnight.
  const std::vector<Case> cases = {
      {"Europe/Berlin", "2024-03-30T22:59:59.999Z", "2024-03-29T23:00:00Z", "2024-03-30T23:00:00Z",
       24},
      {"Europe/Berlin", "2024-03-30T23:00:00Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z", 23},
      {"Europe/Berlin", "2024-03-31T21:59:59.999Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z",
       23},
      {"Europe/Berlin", "2024-10-27T12:00:00Z", "2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z", 25},
      {"America/New_York", "2024-03-10T05:00:00Z", "2024-03-10T05:00:00Z", "2024-03-11T04:00:00Z",
       23},
      {"America/New_York", "2024-11-03T04:00:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z",
       25},
      {"America/New_York", "2024-11-04T04:59:59.999Z", "2024-11-03T04:00:00Z",
       "2024-11-04T05:00:00Z", 25},
      {"America/Havana", "2024-03-10T12:00:00Z", "2024-03-10T05:00:00Z", "2024-03-11T04:00:00Z",
       23},
      {"America/Havana", "2024-11-03T12:00:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z",
       25},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(StrCat(c.zone, " ", c.instant));
    absl::TimeZone zone;
    ASSERT_TRUE(absl::LoadTimeZone(c.zone, &zone));
    const auto millis = [](const char* text) {
      absl::Time time;
      std::string error;
      EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << error;
      return absl::ToUnixMillis(time);
    };
    const AlignedWindows windows = TumblingEventTimeWindows::OfDays(1, zone);
    EXPECT_THAT(WindowsOf(windows, millis(c.instant)),
                ElementsAre(std::pair(millis(c.start), millis(c.end))));
    EXPECT_EQ(millis(c.end) - millis(c.start), int64_t{c.hours} * 3'600'000);
    EXPECT_EQ(windows.WindowStart(windows.NextWindowEnd(millis(c.end))), millis(c.end));
  }
}

TEST(AlignedWindowsTest, DaysCoverEveryInstantOnce) {
  absl::TimeZone zone;
  ASSERT_TRUE(absl::LoadTimeZone("America/Havana", &zone));
  const AlignedWindows windows = TumblingEventTimeWindows::OfDays(7, zone);
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const auto time = static_cast<int64_t>(random() % 4'000'000'000'000) - 2'000'000'000'000;
    const AlignedWindows::Slice slice = windows.SliceOf(time);
    ASSERT_LE(slice.start, time);
    ASSERT_GT(slice.end, time);
    ASSERT_EQ(windows.SliceOf(slice.start).end, slice.end);
    ASSERT_EQ(windows.SliceOf(slice.end - 1).start, slice.start);
  }
}

TEST(AlignedWindowsTest, ExtremeTimesStayWithinBounds) {
  const AlignedWindows windows =
      SlidingEventTimeWindows::Of(absl::Milliseconds(7), absl::Milliseconds(3));
  for (const int64_t time :
       {std::numeric_limits<int64_t>::min() + 1, std::numeric_limits<int64_t>::max()}) {
    EXPECT_GE(windows.LastWindowEnd(time), windows.FirstWindowEnd(time));
  }
}

TEST(AlignedWindowsTest, RefusesSizesThatMakeNoWindows) {
  const auto message = [](const AlignedWindows& windows) {
    return std::string(windows.Validate().message());
  };
  EXPECT_THAT(message(TumblingEventTimeWindows::Of(absl::ZeroDuration())), HasSubstr("above zero"));
  EXPECT_THAT(message(SlidingEventTimeWindows::Of(absl::Seconds(1), absl::Seconds(-1))),
              HasSubstr("above zero"));
  EXPECT_THAT(message(CumulativeEventTimeWindows::Of(absl::Seconds(10), absl::Seconds(3))),
              HasSubstr("multiple"));
  EXPECT_THAT(message(TumblingEventTimeWindows::Of(absl::Microseconds(1500))),
              HasSubstr("whole milliseconds"));
  EXPECT_THAT(message(TumblingEventTimeWindows::Of(absl::InfiniteDuration())), HasSubstr("finite"));
  EXPECT_THAT(message(TumblingEventTimeWindows::OfDays(0, absl::UTCTimeZone())),
              HasSubstr("days=0"));
  EXPECT_TRUE(TumblingEventTimeWindows::Of(absl::Seconds(1), absl::Seconds(-5)).Validate().ok());
}

}  // namespace
}  // namespace weir
