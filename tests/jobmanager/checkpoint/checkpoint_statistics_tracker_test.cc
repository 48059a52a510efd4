#include "jobmanager/checkpoint/checkpoint_statistics_tracker.h"

#include <gtest/gtest.h>

#include <vector>

namespace weir {
namespace {

SubtaskCheckpointStatistics Acknowledged(uint32_t index, bool unaligned) {
  SubtaskCheckpointStatistics subtask;
  subtask.index = index;
  subtask.ack_time = absl::UnixEpoch();
  subtask.persisted_data_bytes = unaligned ? 100 : 0;
  subtask.processed_data_bytes = 7;
  subtask.unaligned = unaligned;
  return subtask;
}

TEST(CheckpointStatisticsTrackerTest, ACheckpointIsUnalignedIfItWasInAnySubtask) {
  CheckpointStatisticsTracker tracker;
  const JobVertexId vertex(1, 1);
  TaskCheckpointStatistics task;
  task.vertex_id = vertex;
  task.subtasks.resize(2);
  for (uint64_t id = 1; id <= 2; ++id) {
    tracker.OnTriggered(CheckpointId(id), absl::UnixEpoch(), {task});
    tracker.OnAcknowledged(CheckpointId(id), vertex, Acknowledged(0, id == 2));
    tracker.OnAcknowledged(CheckpointId(id), vertex, Acknowledged(1, false));
    tracker.OnCompleted(CheckpointId(id), "path");
  }
  const CheckpointStatistics statistics = tracker.Snapshot();
  ASSERT_EQ(statistics.history.size(), 2U);
  EXPECT_EQ(statistics.history[1].kind, CheckpointKind::kCheckpoint);
  EXPECT_EQ(statistics.history[0].kind, CheckpointKind::kUnalignedCheckpoint);
  EXPECT_EQ(statistics.latest_completed->kind, CheckpointKind::kUnalignedCheckpoint);
  EXPECT_EQ(TotalsOf(*statistics.latest_completed).persisted_data_bytes, 100);
  EXPECT_EQ(TotalsOf(*statistics.latest_completed).processed_data_bytes, 14);
}

}  // namespace
}  // namespace weir
