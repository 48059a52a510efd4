#include "jobmanager/checkpoint/state_assignment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/base/strings.h"
#include "runtime/record/serde.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/operator_state.h"
#include "runtime/state/operator_subtask_state.h"
#include "tests/jobmanager/test_graphs.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// The state of one subtask: keyed state of its key groups in a file of its own, and a list.
std::string SubtaskState(uint32_t subtask, uint32_t parallelism, const std::vector<int64_t>& list) {
  OperatorSubtaskState state;
  state.keyed.emplace();
  state.keyed->key_groups = RangeOfSubtask(subtask, 128, parallelism);
  state.keyed->max_parallelism = 128;
  state.keyed->files.emplace_back().path = StrCat("file-", subtask);
  OperatorStateBackend backend;
  backend.GetListState(OperatorListStateDescriptor<int64_t>{"list"})->AddAll(list);
  state.operator_state = backend.Snapshot();
  return ToBytes(state);
}

CheckpointMetadata Checkpoint(uint32_t parallelism) {
  CheckpointMetadata metadata;
  metadata.id = CheckpointId(5);
  CheckpointedOperator& source = metadata.operators.emplace_back();
  source.id = TestOperator(1);
  source.subtasks = {"", ""};
  source.coordinator_state = "splits";
  CheckpointedOperator& count = metadata.operators.emplace_back();
  count.id = TestOperator(2);
  count.uid = "count";
  for (uint32_t i = 0; i < parallelism; ++i) {
    count.subtasks.push_back(SubtaskState(i, parallelism, {i * 10, i * 10 + 1}));
  }
  return metadata;
}

struct Restored {
  std::vector<std::string> files;
  std::vector<int64_t> list;
};

Restored RestoredBy(const StateAssignment& assignment, uint32_t subtask) {
  Restored restored;
  std::vector<OperatorStateHandle> handles;
  for (const std::string& bytes : assignment.StatesOf(TestOperator(2), subtask)) {
    OperatorSubtaskState state;
    EXPECT_TRUE(FromBytes(bytes, state));
    if (state.keyed.has_value()) restored.files.push_back(state.keyed->files.at(0).path);
    if (state.operator_state.has_value()) handles.push_back(*state.operator_state);
  }
  OperatorStateBackend backend;
  EXPECT_TRUE(backend.Restore(handles).ok());
  restored.list = backend.GetListState(OperatorListStateDescriptor<int64_t>{"list"})->Get();
  return restored;
}

TEST(StateAssignmentTest, GivesEverySubtaskItsOwnStateBackAtTheSameParallelism) {
  const auto assignment = StateAssignment::Create(Checkpoint(2), SourceAndSink(2, 2), false);
  ASSERT_TRUE(assignment.ok()) << assignment.status();
  EXPECT_EQ(assignment->checkpoint_id(), 5u);
  EXPECT_EQ(*assignment->CoordinatorStateOf(TestOperator(1)), "splits");
  EXPECT_EQ(assignment->CoordinatorStateOf(TestOperator(2)), nullptr);
  EXPECT_THAT(RestoredBy(*assignment, 0).files, ElementsAre("file-0"));
  EXPECT_THAT(RestoredBy(*assignment, 1).files, ElementsAre("file-1"));
  EXPECT_THAT(RestoredBy(*assignment, 1).list, ElementsAre(10, 11));
  EXPECT_THAT(assignment->StatesOf(TestOperator(3), 0), SizeIs(0)) << "an operator without state";
}

TEST(StateAssignmentTest, DividesStateWhenTheJobGrows) {
  const auto assignment = StateAssignment::Create(Checkpoint(2), SourceAndSink(2, 4), false);
  ASSERT_TRUE(assignment.ok()) << assignment.status();
  EXPECT_THAT(RestoredBy(*assignment, 0).files, ElementsAre("file-0"));
  EXPECT_THAT(RestoredBy(*assignment, 1).files, ElementsAre("file-0"));
  EXPECT_THAT(RestoredBy(*assignment, 3).files, ElementsAre("file-1"));
  for (uint32_t i = 0; i < 4; ++i) EXPECT_THAT(RestoredBy(*assignment, i).list, SizeIs(1));
}

TEST(StateAssignmentTest, GathersStateWhenTheJobShrinks) {
  const auto assignment = StateAssignment::Create(Checkpoint(3), SourceAndSink(2, 2), false);
  ASSERT_TRUE(assignment.ok()) << assignment.status();
  EXPECT_THAT(RestoredBy(*assignment, 0).files, ElementsAre("file-0", "file-1"));
  EXPECT_THAT(RestoredBy(*assignment, 1).files, ElementsAre("file-1", "file-2"));
  EXPECT_THAT(RestoredBy(*assignment, 0).list, ElementsAre(0, 1, 10));
}

TEST(StateAssignmentTest, RefusesAnotherMaxParallelismWithBothNumbers) {
  JobGraph graph = SourceAndSink(2, 2);
  graph.vertices[1].max_parallelism = 64;
  const absl::Status status = StateAssignment::Create(Checkpoint(2), graph, true).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ToStd(status.message())),
              HasSubstr("checkpoint_max_parallelism=128 job_max_parallelism=64"));
}

TEST(StateAssignmentTest, DropsStateOfMissingOperatorsOnlyIfAllowed) {
  JobGraph graph = SourceAndSink(2, 2);
  graph.vertices[1].operators.erase(graph.vertices[1].operators.begin());
  const absl::Status status = StateAssignment::Create(Checkpoint(2), graph, false).status();
  EXPECT_THAT(std::string(ToStd(status.message())), HasSubstr("uid=count"));
  EXPECT_TRUE(StateAssignment::Create(Checkpoint(2), graph, true).ok());
}

TEST(StateAssignmentTest, ReportsDamagedState) {
  CheckpointMetadata metadata = Checkpoint(2);
  metadata.operators[1].subtasks[1].resize(9);
  EXPECT_EQ(StateAssignment::Create(metadata, SourceAndSink(2, 2), false).status().code(),
            absl::StatusCode::kDataLoss);
}

// Old subtasks of whose channel state subtask `subtask` is told.
std::vector<uint32_t> ChannelStatesOf(const StateAssignment& assignment, uint32_t subtask) {
  std::vector<uint32_t> old;
  for (const std::string& bytes : assignment.StatesOf(TestOperator(2), subtask)) {
    OperatorSubtaskState state;
    EXPECT_TRUE(FromBytes(bytes, state));
    if (state.channel_state.has_value()) old.push_back(state.channel_state->subtask);
  }
  return old;
}

TEST(StateAssignmentTest, GivesChannelStateToTheSameSubtaskOrToAllOfAnotherParallelism) {
  CheckpointMetadata metadata = Checkpoint(2);
  for (uint32_t i = 0; i < 2; ++i) {
    OperatorSubtaskState state;
    state.channel_state.emplace();
    state.channel_state->subtask = i;
    state.channel_state->parallelism = 2;
    metadata.operators[1].subtasks[i] = ToBytes(state);
  }
  const auto same = StateAssignment::Create(metadata, SourceAndSink(2, 2), false);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_THAT(ChannelStatesOf(*same, 0), ElementsAre(0));
  EXPECT_THAT(ChannelStatesOf(*same, 1), ElementsAre(1));
  const auto grown = StateAssignment::Create(metadata, SourceAndSink(2, 3), false);
  ASSERT_TRUE(grown.ok()) << grown.status();
  for (uint32_t i = 0; i < 3; ++i) EXPECT_THAT(ChannelStatesOf(*grown, i), ElementsAre(0, 1));
}

}  // namespace
}  // namespace weir
