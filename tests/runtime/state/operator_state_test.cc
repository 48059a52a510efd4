#include "runtime/state/operator_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

struct Split {
  std::string topic;
  int64_t offset = 0;
  friend bool operator==(const Split&, const Split&) = default;
};

const OperatorListStateDescriptor<Split> kSplits{"splits"};
const OperatorListStateDescriptor<int64_t> kNumbers{"numbers"};
const BroadcastStateDescriptor<std::string, int64_t> kRules{"rules"};

OperatorStateHandle Numbers(std::vector<int64_t> numbers, bool is_union = false) {
  OperatorStateBackend backend;
  auto list = is_union ? backend.GetUnionListState(kNumbers) : backend.GetListState(kNumbers);
  list->Update(std::move(numbers));
  return backend.Snapshot();
}

std::vector<int64_t> NumbersOf(const std::vector<OperatorStateHandle>& handles,
                               bool is_union = false) {
  OperatorStateBackend backend;
  EXPECT_TRUE(backend.Restore(handles).ok());
  auto list = is_union ? backend.GetUnionListState(kNumbers) : backend.GetListState(kNumbers);
  EXPECT_TRUE(list.ok()) << list.status();
  return list->Get();
}

TEST(OperatorStateTest, RestoresWhatWasSnapshot) {
  OperatorStateBackend backend;
  auto splits = *backend.GetListState(kSplits);
  splits.Add({"events", 7});
  splits.AddAll({{"rules", 1}});
  auto rules = *backend.GetBroadcastState(kRules);
  rules.Put("b", 2);
  rules.Mutable("a") = 1;
  rules.Put("c", 3);
  EXPECT_TRUE(rules.Remove("c"));

  OperatorStateHandle handle;
  ASSERT_TRUE(FromBytes(ToBytes(backend.Snapshot()), handle));
  OperatorStateBackend restored;
  ASSERT_TRUE(restored.Restore({handle}).ok());
  EXPECT_THAT(restored.GetListState(kSplits)->Get(),
              ElementsAre(Split{"events", 7}, Split{"rules", 1}));
  const ReadOnlyBroadcastState<std::string, int64_t> read_only =
      *restored.GetBroadcastState(kRules);
  EXPECT_THAT(read_only.entries(), ElementsAre(Pair("a", 1), Pair("b", 2)));
  EXPECT_EQ(*read_only.Get("a"), 1);
  EXPECT_EQ(read_only.Get("c"), nullptr);
}

TEST(OperatorStateTest, HandlesOfOneNameShareTheState) {
  OperatorStateBackend backend;
  backend.GetListState(kNumbers)->Add(1);
  EXPECT_THAT(backend.GetListState(kNumbers)->Get(), ElementsAre(1));
}

TEST(OperatorStateTest, RefusesOneNameForTwoStates) {
  OperatorStateBackend backend;
  ASSERT_TRUE(backend.GetListState(kNumbers).ok());
  const auto other = backend.GetListState(OperatorListStateDescriptor<std::string>{"numbers"});
  EXPECT_TRUE(absl::IsInvalidArgument(other.status()));
  EXPECT_THAT(other.status().ToString(), HasSubstr("int64"));
  EXPECT_THAT(other.status().ToString(), HasSubstr("string"));
  EXPECT_TRUE(absl::IsInvalidArgument(backend.GetUnionListState(kNumbers).status()));
}

TEST(OperatorStateTest, RefusesARestoredStateOfAnotherSchema) {
  OperatorStateBackend backend;
  ASSERT_TRUE(backend.Restore({Numbers({1, 2})}).ok());
  const auto other = backend.GetListState(OperatorListStateDescriptor<std::string>{"numbers"});
  EXPECT_TRUE(absl::IsFailedPrecondition(other.status()));
  EXPECT_THAT(other.status().ToString(), HasSubstr("state=numbers"));
}

TEST(OperatorStateTest, KeepsStatesThatAreNotRegistered) {
  OperatorStateBackend backend;
  ASSERT_TRUE(backend.Restore({Numbers({1, 2})}).ok());
  backend.GetListState(kSplits)->Add({"a", 1});
  EXPECT_THAT(NumbersOf({backend.Snapshot()}), ElementsAre(1, 2));
}

TEST(OperatorStateTest, DealsOutSplitStateEvenlyAndInOrder) {
  const auto three = RedistributeOperatorState({Numbers({1, 2, 3, 4, 5}), Numbers({6, 7})}, 3);
  ASSERT_TRUE(three.ok());
  std::vector<int64_t> all;
  for (const auto& handles : *three) {
    const std::vector<int64_t> part = NumbersOf(handles);
    EXPECT_GE(part.size(), 2u);
    EXPECT_LE(part.size(), 3u);
    all.insert(all.end(), part.begin(), part.end());
  }
  EXPECT_THAT(all, ElementsAre(1, 2, 3, 4, 5, 6, 7));
}

TEST(OperatorStateTest, SevenItemsGoFromThreeSubtasksToFiveToTwo) {
  for (const bool is_union : {false, true}) {
    std::vector<OperatorStateHandle> handles = {
        Numbers({1, 2, 3}, is_union), Numbers({4, 5}, is_union), Numbers({6, 7}, is_union)};
    for (const uint32_t parallelism : {5u, 2u}) {
      const auto dealt_out = RedistributeOperatorState(handles, parallelism);
      ASSERT_TRUE(dealt_out.ok());
      ASSERT_EQ(dealt_out->size(), parallelism);
      handles.clear();
      std::vector<int64_t> all;
      for (uint32_t subtask = 0; subtask < parallelism; ++subtask) {
        const std::vector<int64_t> part = NumbersOf((*dealt_out)[subtask], is_union);
        if (is_union) {
          EXPECT_THAT(part, ElementsAre(1, 2, 3, 4, 5, 6, 7));
          // Each subtask of a source keeps its own of all that it was given.
          handles.push_back(Numbers(subtask == 0 ? part : std::vector<int64_t>(), is_union));
        } else {
          EXPECT_GE(part.size(), 7 / parallelism);
          EXPECT_LE(part.size(), 7 / parallelism + 1);
          all.insert(all.end(), part.begin(), part.end());
          handles.push_back(Numbers(part));
        }
      }
      if (!is_union) {
        EXPECT_THAT(all, ElementsAre(1, 2, 3, 4, 5, 6, 7));
      }
    }
  }
}

TEST(OperatorStateTest, SplitStateStaysWhereItIsWhenTheParallelismDoes) {
  const auto same = RedistributeOperatorState({Numbers({1, 2, 3}), Numbers({})}, 2);
  EXPECT_THAT(NumbersOf((*same)[0]), ElementsAre(1, 2, 3));
  EXPECT_THAT(NumbersOf((*same)[1]), IsEmpty());
}

TEST(OperatorStateTest, GivesUnionStateToAll) {
  const auto three = RedistributeOperatorState({Numbers({1}, true), Numbers({2, 3}, true)}, 3);
  for (const auto& handles : *three) EXPECT_THAT(NumbersOf(handles, true), ElementsAre(1, 2, 3));
}

TEST(OperatorStateTest, GivesBroadcastCopiesToSubtasksInTurn) {
  std::vector<OperatorStateHandle> old;
  for (int64_t subtask = 0; subtask < 2; ++subtask) {
    OperatorStateBackend backend;
    backend.GetBroadcastState(kRules)->Put("copy of", subtask);
    old.push_back(backend.Snapshot());
  }
  const auto three = RedistributeOperatorState(old, 3);
  for (size_t i = 0; i < 3; ++i) {
    OperatorStateBackend backend;
    ASSERT_TRUE(backend.Restore((*three)[i]).ok());
    EXPECT_EQ(*backend.GetBroadcastState(kRules)->Get("copy of"), static_cast<int64_t>(i % 2));
  }
}

TEST(OperatorStateTest, NoOldSubtasksGiveEmptyStates) {
  const auto two = RedistributeOperatorState({}, 2);
  ASSERT_EQ(two->size(), 2u);
  EXPECT_THAT(NumbersOf((*two)[1]), IsEmpty());
}

TEST(OperatorStateTest, RefusesAnUnknownFormatVersion) {
  OperatorStateHandle handle = Numbers({1});
  handle.format_version = 2;
  OperatorStateBackend backend;
  const absl::Status status = backend.Restore({handle});
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.ToString(), HasSubstr("format_version=2"));
}

TEST(OperatorStateTest, EveryChangedOrMissingByteIsFound) {
  const std::string bytes = ToBytes(Numbers({1, 2, 3}));
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const bool truncate : {false, true}) {
      std::string damaged = bytes;
      if (truncate) {
        damaged.resize(i);
      } else {
        damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
      }
      OperatorStateHandle handle;
      if (!FromBytes(damaged, handle)) continue;
      OperatorStateBackend backend;
      EXPECT_FALSE(backend.Restore({handle}).ok()) << "byte " << i;
      EXPECT_FALSE(RedistributeOperatorState({handle}, 2).ok()) << "byte " << i;
    }
  }
}

}  // namespace
}  // namespace weir
