#include "operators/process/combined_watermark.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CombinedWatermarkTest : public ::testing::Test {
 protected:
  CombinedWatermark::Split& Add(const std::string& id) { return combined_.Add(id, now_); }
  // Moves time on and returns what is emitted.
  std::vector<std::string> Update(absl::Duration passed = absl::ZeroDuration(),
                                  bool was_blocked = false) {
    now_ += passed;
    const CombinedWatermark::Outcome outcome = combined_.Update(now_, was_blocked);
    std::vector<std::string> texts;
    if (outcome.became_active) texts.emplace_back("active");
    if (outcome.watermark.has_value()) texts.push_back(StrCat("w", outcome.watermark->millis()));
    if (outcome.became_idle) texts.emplace_back("idle");
    return texts;
  }
  static void Record(CombinedWatermark::Split& split, int64_t watermark) {
    split.watermark = std::max(split.watermark, EventTime::FromMillis(watermark));
    split.got_record = true;
  }

  absl::Time now_ = absl::FromUnixSeconds(1000);
  CombinedWatermark combined_{absl::Seconds(10), now_};
};

TEST_F(CombinedWatermarkTest, IsTheLowestOfTheSplits) {
  auto& a = Add("a");
  auto& b = Add("b");
  Record(a, 5);
  EXPECT_THAT(Update(), IsEmpty()) << "b has read nothing yet";
  Record(b, 7);
  EXPECT_THAT(Update(), ElementsAre("w5"));
}

// FLINK-38454: two splits fall silent at 5 and at 4; whichever is first, time comes to 5.
TEST_F(CombinedWatermarkTest, AllIdleEndsAtTheFurthestInEitherOrder) {
  for (const bool a_first : {true, false}) {
    CombinedWatermark combined(absl::InfiniteDuration(), now_);
    auto& a = combined.Add("a", now_);
    auto& b = combined.Add("b", now_);
    Record(a, 5);
    Record(b, 4);
    EXPECT_EQ(combined.Update(now_, false).watermark, EventTime::FromMillis(4));
    (a_first ? a : b).marked_idle = true;
    static_cast<void>(combined.Update(now_, false));
    (a_first ? b : a).marked_idle = true;
    EXPECT_TRUE(combined.Update(now_, false).became_idle);
    EXPECT_EQ(combined.watermark(), EventTime::FromMillis(5));
  }
}

// FLINK-40475: a split goes idle, resumes and has only partly caught up when it falls silent as
// the last one; and one that resumes alone.
TEST_F(CombinedWatermarkTest, ASplitThatResumedAndFellSilentLastDoesNotKeepTimeBack) {
  auto& a = Add("a");
  auto& b = Add("b");
  Record(a, 3);
  a.marked_idle = true;
  Record(b, 9);
  EXPECT_THAT(Update(), ElementsAre("w9"));
  a.marked_idle = false;
  Record(a, 4);
  EXPECT_THAT(Update(), IsEmpty()) << "time does not go back";
  Record(b, 20);
  EXPECT_THAT(Update(), IsEmpty()) << "a holds it";
  b.marked_idle = true;
  EXPECT_THAT(Update(), IsEmpty());
  a.marked_idle = true;
  EXPECT_THAT(Update(), ElementsAre("w20", "idle"));
  a.marked_idle = false;
  EXPECT_THAT(Update(), ElementsAre("active"));
  Record(a, 21);
  EXPECT_THAT(Update(), ElementsAre("w21")) << "alone, it moves time on by any step";
}

// FLINK-40504: a split that resumes behind where time has come makes the stream active again.
TEST_F(CombinedWatermarkTest, ResumingBehindTimeIsToldAsActive) {
  auto& a = Add("a");
  auto& b = Add("b");
  Record(a, 50);
  Record(b, 10);
  Update();
  EXPECT_THAT(Update(absl::Seconds(10)), ElementsAre("w50", "idle"));
  Record(b, 20);
  EXPECT_TRUE(combined_.Activate()) << "before the record itself";
  EXPECT_THAT(Update(), IsEmpty());
  EXPECT_FALSE(combined_.idle());
}

// FLINK-39586: when the last split has ended, a subtask that gets no other one is idle; it had been
// stuck as active.
TEST_F(CombinedWatermarkTest, WithoutSplitsItIsIdleAfterTheTimeoutOrOnceNoneIsExpected) {
  Record(Add("a"), 5);
  EXPECT_THAT(Update(), ElementsAre("w5"));
  combined_.Remove("a");
  EXPECT_THAT(Update(absl::Seconds(9)), IsEmpty()) << "the next one may be on its way";
  EXPECT_THAT(Update(absl::Seconds(1)), ElementsAre("idle"));
  Add("b");
  EXPECT_THAT(Update(), ElementsAre("active"));
  combined_.Remove("b");
  combined_.ExpectNoSplits();
  EXPECT_THAT(Update(), ElementsAre("idle"));
}

TEST_F(CombinedWatermarkTest, ASubtaskThatNeverGetsASplitDoesNotHoldTimeBack) {
  EXPECT_THAT(Update(), IsEmpty());
  combined_.ExpectNoSplits();
  EXPECT_THAT(Update(), ElementsAre("idle"));
  EXPECT_EQ(combined_.AlignmentWatermark(), EventTime::Max());
}

// FLINK-40503 documents detection between the timeout and three probes later. Here it is when the
// timeout has passed since the last record.
TEST_F(CombinedWatermarkTest, IdlenessBeginsExactlyWhenTheTimeoutHasPassed) {
  auto& a = Add("a");
  Record(a, 5);
  Update();
  EXPECT_EQ(combined_.NextIdleTime(), now_ + absl::Seconds(10));
  EXPECT_THAT(Update(absl::Seconds(10) - absl::Milliseconds(1)), IsEmpty());
  EXPECT_EQ(combined_.NextIdleTime(), now_ + absl::Milliseconds(1));
  EXPECT_THAT(Update(absl::Milliseconds(1)), ElementsAre("idle"));
}

// FLINK-35886: time in which the output was full is not silence.
TEST_F(CombinedWatermarkTest, BlockedTimeIsNoIdleness) {
  Record(Add("a"), 5);
  Update();
  EXPECT_THAT(Update(absl::Hours(1), true), IsEmpty());
  EXPECT_THAT(Update(absl::Seconds(9)), IsEmpty());
  EXPECT_THAT(Update(absl::Seconds(1)), ElementsAre("idle"));
}

// FLINK-40093 and FLINK-35886: nor is the time in which alignment kept a split from being read.
TEST_F(CombinedWatermarkTest, PausedTimeIsNoIdleness) {
  auto& a = Add("a");
  Record(a, 5);
  Update();
  a.paused = true;
  EXPECT_THAT(Update(absl::Hours(1)), IsEmpty());
  EXPECT_EQ(combined_.NextIdleTime(), absl::InfiniteFuture());
  a.paused = false;
  EXPECT_THAT(Update(absl::Seconds(9)), IsEmpty());
  EXPECT_THAT(Update(absl::Seconds(1)), ElementsAre("idle"));
}

TEST_F(CombinedWatermarkTest, DescribesTheSplitsThatHoldTimeBackFirstAndSinceWhen) {
  auto& a = Add("a");
  auto& b = Add("b");
  auto& c = Add("c");
  Record(a, 50);
  Record(b, 10);
  Record(c, 5);
  c.marked_idle = true;
  const absl::Time begin = now_;
  Update();
  Record(a, 60);
  Update(absl::Seconds(5));
  const std::vector<SplitWatermark> described = combined_.Describe(2);
  ASSERT_THAT(described, testing::SizeIs(2));
  EXPECT_EQ(described[0].split, "b");
  EXPECT_EQ(described[0].since, begin);
  EXPECT_EQ(described[0].watermark, EventTime::FromMillis(10));
  EXPECT_EQ(described[1].split, "a");
  EXPECT_EQ(described[1].since, begin + absl::Seconds(5));
}

// Whatever the order in which splits progress, fall silent, resume, pause and end: the watermark
// never goes back, never passes a split that is active and has not been passed before, and at the
// end it is the furthest of all.
TEST_F(CombinedWatermarkTest, EndsUpTheSameForEveryOrder) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    CombinedWatermark combined(absl::InfiniteDuration(), now_);
    std::vector<std::string> ids;
    std::map<std::string, std::vector<int64_t>> watermarks;  // Still to come, last first.
    int64_t furthest = 0;
    for (uint64_t i = 0; i < 1 + random() % 4; ++i) {
      ids.push_back(StrCat("split ", i));
      combined.Add(ids.back(), now_);
      for (uint64_t n = 1 + random() % 5; n > 0; --n)
        watermarks[ids.back()].push_back(static_cast<int64_t>(random() % 100));
      std::sort(watermarks[ids.back()].rbegin(), watermarks[ids.back()].rend());
      furthest = std::max(furthest, watermarks[ids.back()].front());
    }
    EventTime last = EventTime::Min();
    bool told_idle = false;
    const auto update = [&] {
      const EventTime before = last;
      const CombinedWatermark::Outcome outcome = combined.Update(now_, false);
      if (outcome.became_active) told_idle = false;
      if (outcome.watermark.has_value()) {
        EXPECT_GT(*outcome.watermark, last);
        last = *outcome.watermark;
      }
      if (outcome.became_idle) told_idle = true;
      EXPECT_EQ(told_idle, combined.idle());
      for (const auto& [id, split] : combined.splits()) {
        if (!split.idle) {
          EXPECT_LE(last, std::max(before, split.watermark)) << id;
        }
      }
    };
    while (!ids.empty()) {
      const std::string id = ids[random() % ids.size()];
      CombinedWatermark::Split* const split = combined.Find(id);
      std::vector<int64_t>& to_come = watermarks[id];
      switch (random() % 4) {
        case 0:
          split->marked_idle = true;
          break;
        case 1:
          split->paused = !split->paused;
          break;
        default:
          if (!to_come.empty()) {
            split->marked_idle = false;
            Record(*split, to_come.back());
            to_come.pop_back();
          } else {
            // Its last word: silence, or its end.
            std::erase(ids, id);
            if (random() % 2 == 0) {
              combined.Remove(id);
            } else {
              split->marked_idle = true;
            }
          }
      }
      update();
    }
    EXPECT_EQ(last, EventTime::FromMillis(furthest));
  }
}

}  // namespace
}  // namespace weir::internal
