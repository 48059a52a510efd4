#include "taskmanager/task_activity.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

class TaskActivityTest : public ::testing::Test {
 protected:
  TaskActivityTest() {
    metrics_.split_watermarks.emplace_back().split = "a";
    EXPECT_TRUE(activity_.Update(metrics_)) << "the first time everything is news";
  }
  // Whether the task counts as active when it was idle for a second but for what the caller
  // changed.
  bool ActiveAfterASecond() {
    metrics_.idle += absl::Seconds(1);
    return activity_.Update(metrics_);
  }

  TaskMetricsSnapshot metrics_;
  TaskActivity activity_;
};

TEST_F(TaskActivityTest, TakesATaskForIdleOfWhichOnlyTheIdleTimeGrows) {
  EXPECT_FALSE(ActiveAfterASecond());
  metrics_.busy += absl::Milliseconds(1);  // A checkpoint now and then is no work to speak of.
  EXPECT_FALSE(ActiveAfterASecond());
}

TEST_F(TaskActivityTest, NoticesRecords) {
  ++metrics_.records_in;
  EXPECT_TRUE(ActiveAfterASecond());
  EXPECT_FALSE(ActiveAfterASecond());
  ++metrics_.records_out;
  EXPECT_TRUE(ActiveAfterASecond());
  ++metrics_.bytes_out;
  EXPECT_TRUE(ActiveAfterASecond());
}

TEST_F(TaskActivityTest, NoticesEventTime) {
  metrics_.watermark = EventTime::FromMillis(5);
  EXPECT_TRUE(ActiveAfterASecond());
  metrics_.split_watermarks[0].watermark = EventTime::FromMillis(2);
  EXPECT_TRUE(ActiveAfterASecond());
  metrics_.split_watermarks[0].idle = true;
  EXPECT_TRUE(ActiveAfterASecond());
  metrics_.split_watermarks[0].paused = true;
  EXPECT_TRUE(ActiveAfterASecond());
  metrics_.split_watermarks.clear();
  EXPECT_TRUE(ActiveAfterASecond());
  EXPECT_FALSE(ActiveAfterASecond());
}

TEST_F(TaskActivityTest, NoticesWorkAndBackPressureWithoutRecords) {
  metrics_.busy += absl::Milliseconds(20);
  EXPECT_TRUE(ActiveAfterASecond());
  metrics_.backpressured += absl::Milliseconds(20);
  EXPECT_TRUE(ActiveAfterASecond());
  EXPECT_FALSE(ActiveAfterASecond());
}

}  // namespace
}  // namespace weir
