#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "jobmanager/checkpoint/state_assignment.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/operator_state.h"
#include "runtime/state/operator_subtask_state.h"
#include "tests/jobmanager/test_graphs.h"

namespace weir {
namespace {

using ::testing::ElementsAreArray;
using ::testing::UnorderedElementsAreArray;

constexpr uint32_t kKeyGroups = 128;

// What a subtask of the operator holds: a value for each of its key groups, part of a list, and a
// whole union list.
struct SubtaskContent {
  std::map<KeyGroup, std::string> groups;
  std::vector<int64_t> list;
  std::vector<int64_t> unioned;
};

// An operator whose subtasks restore, and are snapshotted, as a job's would be: the table in the
// state's files is a map from the files' names here.
class RescaledOperator {
 public:
  explicit RescaledOperator(uint32_t parallelism) {
    subtasks_.resize(parallelism);
    for (uint32_t i = 0; i < parallelism; ++i) {
      const KeyGroupRange range = RangeOfSubtask(i, kKeyGroups, parallelism);
      for (KeyGroup group = range.first; group <= range.last; ++group) {
        subtasks_[i].groups[group] = StrCat("value of ", group);
      }
      subtasks_[i].list = {i * 10, i * 10 + 1, i * 10 + 2};
      subtasks_[i].unioned = {i};
    }
  }

  CheckpointMetadata Snapshot() {
    CheckpointMetadata metadata;
    metadata.id = CheckpointId(++num_checkpoints_);
    CheckpointedOperator& op = metadata.operators.emplace_back();
    op.id = TestOperator(2);
    op.uid = "count";
    const auto parallelism = static_cast<uint32_t>(subtasks_.size());
    for (uint32_t i = 0; i < parallelism; ++i) {
      const std::string file = StrCat("file-", num_checkpoints_, "-", i);
      files_[file] = subtasks_[i].groups;
      OperatorSubtaskState state;
      state.keyed.emplace();
      state.keyed->key_groups = RangeOfSubtask(i, kKeyGroups, parallelism);
      state.keyed->max_parallelism = kKeyGroups;
      state.keyed->files.emplace_back().path = file;
      OperatorStateBackend backend;
      backend.GetListState(OperatorListStateDescriptor<int64_t>{"list"})->AddAll(subtasks_[i].list);
      backend.GetUnionListState(OperatorListStateDescriptor<int64_t>{"union"})
          ->AddAll(subtasks_[i].unioned);
      state.operator_state = backend.Snapshot();
      op.subtasks.push_back(ToBytes(state));
    }
    return metadata;
  }

  void Restore(const CheckpointMetadata& metadata, uint32_t parallelism) {
    const auto assignment = StateAssignment::Create(metadata, SourceAndSink(1, parallelism), false);
    ASSERT_TRUE(assignment.ok()) << assignment.status();
    subtasks_.assign(parallelism, {});
    for (uint32_t i = 0; i < parallelism; ++i) RestoreSubtask(*assignment, i);
  }

  const std::vector<SubtaskContent>& subtasks() const { return subtasks_; }

 private:
  void RestoreSubtask(const StateAssignment& assignment, uint32_t subtask) {
    const KeyGroupRange range =
        RangeOfSubtask(subtask, kKeyGroups, static_cast<uint32_t>(subtasks_.size()));
    SubtaskContent& content = subtasks_[subtask];
    std::vector<OperatorStateHandle> handles;
    for (const std::string& bytes : assignment.StatesOf(TestOperator(2), subtask)) {
      OperatorSubtaskState state;
      ASSERT_TRUE(FromBytes(bytes, state));
      if (state.operator_state.has_value()) handles.push_back(*state.operator_state);
      if (!state.keyed.has_value()) continue;
      for (const auto& [group, value] : files_.at(state.keyed->files.at(0).path)) {
        if (!range.Contains(group)) continue;
        EXPECT_TRUE(content.groups.emplace(group, value).second) << "twice: " << group;
      }
    }
    OperatorStateBackend backend;
    ASSERT_TRUE(backend.Restore(handles).ok());
    content.list = backend.GetListState(OperatorListStateDescriptor<int64_t>{"list"})->Get();
    content.unioned =
        backend.GetUnionListState(OperatorListStateDescriptor<int64_t>{"union"})->Get();
  }

  std::vector<SubtaskContent> subtasks_;
  std::map<std::string, std::map<KeyGroup, std::string>> files_;
  uint64_t num_checkpoints_ = 0;
};

TEST(RescaledStateTest, LosesAndDoublesNothingOver4To7To2) {
  RescaledOperator op(4);
  std::vector<int64_t> all;
  for (const SubtaskContent& subtask : op.subtasks()) {
    all.insert(all.end(), subtask.list.begin(), subtask.list.end());
  }
  for (const uint32_t parallelism : {7u, 2u}) {
    SCOPED_TRACE(parallelism);
    op.Restore(op.Snapshot(), parallelism);
    ASSERT_EQ(op.subtasks().size(), parallelism);
    std::vector<int64_t> list;
    size_t num_groups = 0;
    size_t least = all.size();
    size_t most = 0;
    for (uint32_t i = 0; i < parallelism; ++i) {
      const SubtaskContent& subtask = op.subtasks()[i];
      const KeyGroupRange range = RangeOfSubtask(i, kKeyGroups, parallelism);
      EXPECT_EQ(subtask.groups.size(), range.size());
      num_groups += subtask.groups.size();
      for (const auto& [group, value] : subtask.groups) {
        EXPECT_EQ(value, StrCat("value of ", group));
        EXPECT_TRUE(range.Contains(group));
      }
      list.insert(list.end(), subtask.list.begin(), subtask.list.end());
      least = std::min(least, subtask.list.size());
      most = std::max(most, subtask.list.size());
    }
    EXPECT_EQ(num_groups, kKeyGroups);
    EXPECT_THAT(list, UnorderedElementsAreArray(all)) << "each element of the list once";
    EXPECT_LE(most - least, 1u) << "divided evenly";
    // Union state: each subtask gets what all had.
    for (const SubtaskContent& subtask : op.subtasks()) {
      EXPECT_THAT(subtask.unioned, ElementsAreArray(op.subtasks()[0].unioned));
    }
    EXPECT_EQ(op.subtasks()[0].unioned.size(), parallelism == 7 ? 4u : 28u);
  }
}

}  // namespace
}  // namespace weir
