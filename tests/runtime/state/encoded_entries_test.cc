#include "runtime/state/internal/encoded_entries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(EntriesByKeyGroupTest, GivesTheEntriesOfSomeGroupsInTheirOrder) {
  const std::vector<uint16_t> groups = {2, 0, 2, 4, 0};  // Less the first, 10.
  internal::EntriesByKeyGroup by_group;
  EXPECT_FALSE(by_group.sorted());
  by_group.Sort({10, 14}, groups);
  EXPECT_TRUE(by_group.sorted());
  EXPECT_THAT(by_group.Of({10, 10}), ElementsAre(1, 4));
  EXPECT_THAT(by_group.Of({11, 11}), IsEmpty());
  EXPECT_THAT(by_group.Of({11, 14}), ElementsAre(0, 2, 3));
  EXPECT_THAT(by_group.Of({10, 14}), ElementsAre(1, 4, 0, 2, 3));
}

TEST(EntriesByKeyGroupTest, PiecesAreAllEntriesOnce) {
  std::mt19937 random(1);
  std::vector<uint16_t> groups(10'000);
  for (uint16_t& group : groups) group = static_cast<uint16_t>(random() % 32'768);
  internal::EntriesByKeyGroup by_group;
  by_group.Sort({0, 32'767}, groups);
  std::vector<int> seen(groups.size(), 0);
  for (KeyGroup first = 0; first < 32'768; first += 1'000) {
    const KeyGroup last = std::min<KeyGroup>(first + 999, 32'767);
    for (const uint32_t i : by_group.Of({first, last})) {
      ASSERT_TRUE(groups[i] >= first && groups[i] <= last);
      ++seen[i];
    }
  }
  EXPECT_EQ(seen, std::vector<int>(groups.size(), 1));
}

}  // namespace
}  // namespace weir
