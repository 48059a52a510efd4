#include "runtime/base/check.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "runtime/base/strong_id.h"

namespace weir {
namespace {

using TestId = StrongId<struct TestIdTag>;

TEST(CheckTest, PassesWithoutEvaluatingTheMessage) {
  int evaluated = 0;
  const auto count = [&evaluated] { return ++evaluated; };
  CHECK(true) << count();
  CHECK_EQ(1, 1) << count();
  EXPECT_EQ(evaluated, 0);
}

TEST(CheckTest, EvaluatesComparedValuesOnce) {
  int evaluated = 0;
  CHECK_GE(++evaluated, 1);
  EXPECT_EQ(evaluated, 1);
}

TEST(CheckTest, ComparesIntegersOfDifferentSignsByValue) {
  const std::vector<int> values(3);
  CHECK_EQ(values.size(), 3);
  CHECK_GT(values.size(), -1);
  CHECK_LT(int64_t{-1}, uint32_t{0});
}

TEST(CheckTest, StandsInAnIfWithoutBraces) {
  bool other = false;
  if (false)
    CHECK(true);
  else
    other = true;
  EXPECT_TRUE(other);
}

TEST(CheckDeathTest, NamesConditionPlaceAndMessage) {
  EXPECT_DEATH(CHECK(1 == 2) << "uid=" << 7,
               "FATAL.*check failed at .*check_test.cc:[0-9]+: 1 == 2 uid=7");
}

TEST(CheckDeathTest, PrintsBothValuesOfAComparison) {
  EXPECT_DEATH(CHECK_EQ(2, 3), "2 == 3 \\(2 vs 3\\)");
  EXPECT_DEATH(CHECK_LT(TestId(9), TestId(4)), "\\(9 vs 4\\)");
}

TEST(CheckDeathTest, DcheckStandsInDebugBuildsOnly) {
#if WEIR_DCHECK_IS_ON
  EXPECT_DEATH(DCHECK_GE(1, 2), "1 vs 2");
#else
  DCHECK_GE(1, 2);
  DCHECK(false);
#endif
}

}  // namespace
}  // namespace weir
