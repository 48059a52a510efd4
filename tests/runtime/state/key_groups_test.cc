#include "runtime/state/key_groups.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace weir {
namespace {

TEST(KeyGroupsTest, RangesOfSubtasksDivideTheSpaceForEveryParallelism) {
  for (const uint32_t max_parallelism : {1u, 2u, 7u, 128u, 200u}) {
    for (uint32_t parallelism = 1; parallelism <= max_parallelism; ++parallelism) {
      KeyGroup next = 0;
      for (uint32_t index = 0; index < parallelism; ++index) {
        const KeyGroupRange range = RangeOfSubtask(index, max_parallelism, parallelism);
        ASSERT_FALSE(range.IsEmpty());
        ASSERT_EQ(range.first, next);
        next = range.last + 1;
        for (KeyGroup group = range.first; group <= range.last; ++group) {
          ASSERT_EQ(SubtaskOfKeyGroup(group, max_parallelism, parallelism), index);
        }
      }
      ASSERT_EQ(next, max_parallelism);
    }
  }
}

TEST(KeyGroupsTest, EveryHashHasAGroupBelowMaxParallelism) {
  EXPECT_EQ(KeyGroupOf(0, 128), 0u);
  EXPECT_EQ(KeyGroupOf(~uint64_t{0}, 128), 127u);
  EXPECT_EQ(KeyGroupOf(~uint64_t{0}, kMaxMaxParallelism), kMaxMaxParallelism - 1);
  EXPECT_EQ(KeyGroupOf(uint64_t{1} << 63, 128), 64u);
  EXPECT_EQ(KeyGroupOf(uint64_t{0xffffffff}, 128), 0u);  // The low bits do not choose.
}

TEST(KeyGroupsTest, IntersectsRanges) {
  const KeyGroupRange range{10, 20};
  EXPECT_EQ(range.Intersect({15, 30}), (KeyGroupRange{15, 20}));
  EXPECT_EQ(range.Intersect({20, 20}).size(), 1u);
  EXPECT_TRUE(range.Intersect({21, 30}).IsEmpty());
  EXPECT_TRUE(KeyGroupRange::Empty().IsEmpty());
  EXPECT_EQ(KeyGroupRange::Empty().size(), 0u);
  EXPECT_TRUE(range.Contains(20));
  EXPECT_FALSE(range.Contains(21));
}

}  // namespace
}  // namespace weir
