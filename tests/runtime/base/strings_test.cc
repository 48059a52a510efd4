#include "runtime/base/strings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/ids.h"

namespace weir {
namespace {

using ::testing::ElementsAre;

TEST(StringsTest, ConcatenatesStandardStringViews) {
  EXPECT_EQ(StrCat(std::string_view("a"), 1, std::string("b"), "c"), "a1bc");
}

TEST(StringsTest, SplitKeepsEmptyParts) {
  EXPECT_THAT(StrSplit("a,,b,", ','), ElementsAre("a", "", "b", ""));
  EXPECT_THAT(StrSplit("", ','), ElementsAre(""));
}

TEST(StringsTest, StripsWhitespaceAtBothEnds) {
  EXPECT_EQ(StripWhitespace(" \t a b\n"), "a b");
  EXPECT_EQ(StripWhitespace(" \n "), "");
}

TEST(StringsTest, NearestMatchFindsATypoAndRefusesAStranger) {
  const std::vector<std::string_view> keys = {"rest.port", "rpc.port", "checkpoint.interval"};
  EXPECT_EQ(NearestMatch("rest.prot", keys), "rest.port");
  EXPECT_EQ(NearestMatch("checkpointing.intervall", keys), "checkpoint.interval");
  EXPECT_EQ(NearestMatch("completely-different", keys), "");
}

TEST(IdsTest, PrintsAndParsesThirtyTwoHexDigits) {
  const JobId id(0x0123456789abcdef, 0xfedcba9876543210);
  EXPECT_EQ(ToString(id), "0123456789abcdeffedcba9876543210");
  EXPECT_EQ(*ParseId<JobId>(ToString(id)), id);
  EXPECT_EQ(ParseId<JobId>("xyz").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(RandomId<JobId>(), RandomId<JobId>());
}

}  // namespace
}  // namespace weir
