#include "jobmanager/execution.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace weir {
namespace {

using enum ExecutionState;

TEST(ExecutionTest, TakesLegalMovesOnly) {
  const std::set<std::pair<ExecutionState, ExecutionState>> legal = {
      {kCreated, kScheduled},      {kCreated, kCanceled},      {kCreated, kFailed},
      {kScheduled, kDeploying},    {kScheduled, kCanceled},    {kScheduled, kFailed},
      {kDeploying, kInitializing}, {kDeploying, kRunning},     {kDeploying, kFinished},
      {kDeploying, kCanceling},    {kDeploying, kCanceled},    {kDeploying, kFailed},
      {kInitializing, kRunning},   {kInitializing, kFinished}, {kInitializing, kCanceling},
      {kInitializing, kCanceled},  {kInitializing, kFailed},   {kRunning, kFinished},
      {kRunning, kCanceling},      {kRunning, kCanceled},      {kRunning, kFailed},
      {kCanceling, kFinished},     {kCanceling, kCanceled},    {kCanceling, kFailed}};
  for (size_t from = 0; from < kNumExecutionStates; ++from) {
    for (size_t to = 0; to < kNumExecutionStates; ++to) {
      const auto move =
          std::pair(static_cast<ExecutionState>(from), static_cast<ExecutionState>(to));
      EXPECT_EQ(IsLegalTransition(move.first, move.second), legal.contains(move))
          << ExecutionStateName(move.first) << " to " << ExecutionStateName(move.second);
    }
  }
}

TEST(ExecutionTest, KeepsItsStateWhenAMoveIsIllegal) {
  Execution execution(ExecutionAttemptId(1, 2), 0, absl::UnixEpoch());
  EXPECT_EQ(execution.Transition(kRunning, absl::UnixEpoch()).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(execution.state(), kCreated);
  ASSERT_TRUE(execution.Transition(kScheduled, absl::UnixEpoch() + absl::Seconds(1)).ok());
  EXPECT_EQ(execution.timestamps()[kScheduled], absl::UnixEpoch() + absl::Seconds(1));
  EXPECT_EQ(execution.timestamps()[kRunning], absl::InfinitePast());
}

TEST(ExecutionTest, LeavesNoGloballyTerminalJobState) {
  for (const JobStatus end : {JobStatus::kFinished, JobStatus::kFailed, JobStatus::kCanceled}) {
    for (size_t to = 0; to < kNumJobStatuses; ++to) {
      EXPECT_FALSE(IsLegalTransition(end, static_cast<JobStatus>(to)));
    }
  }
}

}  // namespace
}  // namespace weir
