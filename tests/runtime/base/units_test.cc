#include "runtime/base/units.h"

#include <gtest/gtest.h>

#include <string_view>

namespace weir {
namespace {

TEST(UnitsTest, ParsesDurationsInEveryUnit) {
  EXPECT_EQ(*ParseDurationText("5 s"), absl::Seconds(5));
  EXPECT_EQ(*ParseDurationText("100ms"), absl::Milliseconds(100));
  EXPECT_EQ(*ParseDurationText(" 1 min "), absl::Minutes(1));
  EXPECT_EQ(*ParseDurationText("1m"), absl::Minutes(1));
  EXPECT_EQ(*ParseDurationText("2 HOURS"), absl::Hours(2));
  EXPECT_EQ(*ParseDurationText("1d"), absl::Hours(24));
  EXPECT_EQ(*ParseDurationText("1.5 s"), absl::Milliseconds(1500));
  EXPECT_EQ(*ParseDurationText("7us"), absl::Microseconds(7));
  EXPECT_EQ(*ParseDurationText("9 nanoseconds"), absl::Nanoseconds(9));
}

TEST(UnitsTest, PlainNumberIsMillisecondsOrBytes) {
  EXPECT_EQ(*ParseDurationText("250"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseDurationText("0"), absl::ZeroDuration());
  EXPECT_EQ(ParseMemorySize("4096")->bytes(), 4096);
}

TEST(UnitsTest, ParsesMemorySizesInPowersOf1024) {
  EXPECT_EQ(*ParseMemorySize("64 mb"), MemorySize::Mebibytes(64));
  EXPECT_EQ(*ParseMemorySize("1g"), MemorySize::Gibibytes(1));
  EXPECT_EQ(*ParseMemorySize("256KiB"), MemorySize::Kibibytes(256));
  EXPECT_EQ(*ParseMemorySize("1.5 kb"), MemorySize(1536));
  EXPECT_EQ(*ParseMemorySize("3 bytes"), MemorySize(3));
  EXPECT_EQ(ParseMemorySize("2t")->bytes(), int64_t{2} << 40);
}

TEST(UnitsTest, RefusesWhatIsNoValueAndSaysWhatWouldBe) {
  for (const std::string_view text :
       {"", "s", "-1 s", "1 fortnight", "1 2 s", "1..2 s", "0x5", "."}) {
    const auto duration = ParseDurationText(text);
    ASSERT_FALSE(duration.ok()) << text;
    EXPECT_EQ(duration.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(duration.status().ToString().find("like \"5 s\""), std::string::npos);
    EXPECT_FALSE(ParseMemorySize(text).ok()) << text;
  }
}

TEST(UnitsTest, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(ParseDurationText("99999999999999999 d").ok());
  EXPECT_FALSE(ParseDurationText("99999999999999999999999").ok());
  EXPECT_FALSE(ParseDurationText("99999999999999.5 d").ok());
  EXPECT_FALSE(ParseMemorySize("9999999999 gb").ok());
}

TEST(UnitsTest, FormatsInTheLargestUnitThatDivides) {
  EXPECT_EQ(FormatDurationText(absl::Seconds(60)), "1 min");
  EXPECT_EQ(FormatDurationText(absl::Seconds(90)), "90 s");
  EXPECT_EQ(FormatDurationText(absl::Milliseconds(100)), "100 ms");
  EXPECT_EQ(FormatDurationText(absl::Hours(48)), "2 d");
  EXPECT_EQ(FormatDurationText(absl::ZeroDuration()), "0 ms");
  EXPECT_EQ(ToString(MemorySize::Mebibytes(64)), "64 mb");
  EXPECT_EQ(ToString(MemorySize(1000)), "1000 bytes");
  EXPECT_EQ(ToString(MemorySize(0)), "0 bytes");
}

TEST(UnitsTest, FormattedTextReadsBackAsTheSameValue) {
  for (const int64_t n : {int64_t{1}, int64_t{999}, int64_t{60'000'000'000}, int64_t{1'500'000},
                          int64_t{1} << 40, INT64_MAX}) {
    EXPECT_EQ(*ParseDurationText(FormatDurationText(absl::Nanoseconds(n))), absl::Nanoseconds(n));
    EXPECT_EQ(*ParseMemorySize(ToString(MemorySize(n))), MemorySize(n));
  }
}

}  // namespace
}  // namespace weir
