#include "operators/process/source_reader_operator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "operators/process/timestamps_and_watermarks_operator.h"
#include "tests/support/fake_operator_context.h"

namespace weir::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Strategy = WatermarkStrategy<int64_t>;

/// What the splits of a ScriptedSource hold, and which of them are paused. Numbers are their own
/// event times.
struct Script {
  std::map<std::string, std::deque<int64_t>> splits;
  std::vector<std::string> finished;
  std::vector<std::string> paused;
  bool supports_pausing = true;
  size_t records_per_poll = 100;
};

class ScriptedSource final : public Source<int64_t> {
 public:
  explicit ScriptedSource(Script* script) : script_(script) {}
  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override {
    return nullptr;
  }
  [[nodiscard]] std::unique_ptr<SourceReader<int64_t>> CreateReader() const override {
    return std::make_unique<Reader>(script_);
  }

 private:
  class Reader final : public SourceReader<int64_t> {
   public:
    explicit Reader(Script* script) : script_(script) {}
    absl::Status Start(SourceReaderContext&) override { return absl::OkStatus(); }
    absl::Status AddSplits(std::vector<SourceSplit>) override { return absl::OkStatus(); }
    void NotifyNoMoreSplits() override {}
    absl::StatusOr<ReadStatus> Poll(SourceOutput<int64_t>& output) override {
      size_t left = script_->records_per_poll;
      for (auto& [id, numbers] : script_->splits) {
        if (std::count(script_->paused.begin(), script_->paused.end(), id) > 0) continue;
        for (; left > 0 && !numbers.empty(); --left, numbers.pop_front())
          output.Collect(numbers.front(), EventTime::FromMillis(numbers.front()), id);
      }
      for (const std::string& id : std::exchange(script_->finished, {})) output.SplitFinished(id);
      return left == 0 ? ReadStatus::kMore : ReadStatus::kNothing;
    }
    std::vector<SourceSplit> Snapshot(CheckpointId) override { return {}; }
    [[nodiscard]] bool SupportsPausing() const override { return script_->supports_pausing; }
    absl::Status PauseOrResumeSplits(const std::vector<std::string>& to_pause,
                                     const std::vector<std::string>& to_resume) override {
      script_->paused.insert(script_->paused.end(), to_pause.begin(), to_pause.end());
      for (const std::string& id : to_resume) std::erase(script_->paused, id);
      return absl::OkStatus();
    }
    [[nodiscard]] bool IsCaughtUp() const override { return false; }

   private:
    Script* const script_;
  };

  Script* const script_;
};

class SourceReaderOperatorTest : public ::testing::Test {
 protected:
  void Open(Strategy strategy, const std::vector<std::string>& splits) {
    output_.port(0).AddTarget(&target_);
    op_ = std::make_unique<SourceReaderOperator<int64_t>>(
        std::make_shared<ScriptedSource>(&script_), std::move(strategy),
        std::make_shared<SideOutputs>());
    ASSERT_TRUE(op_->Open(context_, output_, {}).ok());
    SourceEvent assignment{SourceEvent::Kind::kAssignSplits, {}, {}};
    for (const std::string& id : splits) {
      assignment.splits.push_back({id, ""});
      script_.splits[id];
    }
    Send(assignment);
    context_.events.clear();
  }
  void Send(const SourceEvent& event) {
    ASSERT_TRUE(op_->HandleCoordinatorEvent(ToBytes(event)).ok());
  }
  void Allow(int64_t millis) {
    SourceEvent event{SourceEvent::Kind::kAlignment, {}, {}};
    event.watermark_ms = millis;
    Send(event);
  }
  std::vector<std::string> Poll() {
    EXPECT_TRUE(op_->Poll(output_).ok());
    output_.Flush();
    return target_.Take();
  }
  // Goes to the next time the operator asked for and polls.
  std::vector<std::string> PollAtNextWake() {
    const absl::Time next = context_.NextWake();
    EXPECT_NE(next, absl::InfiniteFuture());
    clock_.Advance(next - clock_.Now());
    return Poll();
  }
  // The watermarks reported for alignment since the last call.
  std::vector<int64_t> Reports() {
    std::vector<int64_t> reports;
    for (const std::string& bytes : std::exchange(context_.events, {})) {
      SourceEvent event;
      EXPECT_TRUE(FromBytes(bytes, event));
      if (event.kind == SourceEvent::Kind::kReportWatermark) reports.push_back(event.watermark_ms);
    }
    return reports;
  }
  static Strategy Aligned() {
    return Strategy::Monotonous().WithWatermarkAlignment("group", absl::Milliseconds(30));
  }

  ManualClock clock_;
  FakeOperatorContext context_{&clock_};
  TextTarget target_;
  Output output_{1};
  Script script_;
  std::unique_ptr<SourceReaderOperator<int64_t>> op_;
};

TEST_F(SourceReaderOperatorTest, SplitsAnHourApartMakeNoLateRecords) {
  constexpr int64_t kHour = 3'600'000;
  Open(Strategy::Monotonous(), {"a", "b"});
  for (int64_t i = 0; i < 10; ++i) {
    script_.splits["a"].push_back(kHour + i);
    script_.splits["b"].push_back(i);
  }
  EXPECT_EQ(Poll().back(), "w8") << "as far as the slow one, less the millisecond that may repeat";
  script_.splits["b"].push_back(kHour);
  EXPECT_THAT(Poll(), ElementsAre("3600000", "w3599999"));
}

TEST_F(SourceReaderOperatorTest, ASilentSplitGivesWayAfterTheTimeoutByItsOwnWake) {
  Open(Strategy::Monotonous().WithIdleness(absl::Seconds(5)), {"a", "b"});
  script_.splits["a"] = {10};
  EXPECT_THAT(Poll(), ElementsAre("10"));
  clock_.Advance(absl::Seconds(3));
  script_.splits["a"] = {20};
  EXPECT_THAT(Poll(), ElementsAre("20"));
  EXPECT_EQ(context_.NextWake(), clock_.Now() + absl::Seconds(2));
  EXPECT_THAT(PollAtNextWake(), ElementsAre("w19")) << "b has been silent for 5 s";
  EXPECT_THAT(PollAtNextWake(), ElementsAre("idle")) << "and a";
  script_.splits["b"] = {5};
  EXPECT_THAT(Poll(), ElementsAre("active", "5"));
}

TEST_F(SourceReaderOperatorTest, ASubtaskWithoutSplitsIsIdleOnceTheFirstAreAssigned) {
  Open(Strategy::Monotonous(), {});
  EXPECT_THAT(Poll(), IsEmpty());
  Send(SourceEvent{SourceEvent::Kind::kInitialSplitsAssigned, {}, {}});
  EXPECT_THAT(Poll(), ElementsAre("idle"));
}

TEST_F(SourceReaderOperatorTest, AnEndedSplitNoLongerHoldsTimeBack) {
  Open(Strategy::Monotonous(), {"a", "b"});
  script_.splits["a"] = {10};
  script_.splits["b"] = {100};
  EXPECT_THAT(Poll(), ElementsAre("10", "100", "w9"));
  script_.finished = {"a"};
  EXPECT_THAT(Poll(), ElementsAre("w99"));
}

TEST_F(SourceReaderOperatorTest, PunctuatedWatermarksComeFromTheDataPerSplit) {
  Open(Strategy::Punctuated([](const int64_t& n, EventTime time) -> std::optional<EventTime> {
         if (n % 10 != 0) return std::nullopt;
         return time;
       }),
       {"a", "b"});
  script_.splits["a"] = {8, 10, 7};
  script_.splits["b"] = {19};
  EXPECT_THAT(Poll(), ElementsAre("8", "10", "7", "19"));
  script_.splits["b"] = {20};
  EXPECT_THAT(Poll(), ElementsAre("20", "w10"));
}

/// Says at each periodic emission that time has come to 100 per call; idle after the third.
class Counting final : public WatermarkGenerator<int64_t> {
 public:
  void OnEvent(const int64_t&, EventTime, WatermarkOutput&) override {}
  void OnPeriodicEmit(WatermarkOutput& output) override {
    if (++calls_ > 3) return output.MarkIdle();
    output.EmitWatermark(EventTime::FromMillis(100 * calls_));
  }

 private:
  int64_t calls_ = 0;
};

TEST_F(SourceReaderOperatorTest, AGeneratorIsAskedAtTheIntervalWithoutRecords) {
  Open(Strategy::ForGenerator([] { return std::make_unique<Counting>(); }), {"a"});
  EXPECT_THAT(Poll(), ElementsAre("w100"));
  const absl::Time before = clock_.Now();
  EXPECT_THAT(PollAtNextWake(), ElementsAre("w200"));
  EXPECT_EQ(clock_.Now() - before, absl::Milliseconds(200));
  EXPECT_THAT(PollAtNextWake(), ElementsAre("w300"));
  EXPECT_THAT(PollAtNextWake(), ElementsAre("idle"));
}

TEST_F(SourceReaderOperatorTest, PausesSplitsThatAreAheadAndLetsThemGoOn) {
  Open(Aligned(), {"fast", "slow"});
  script_.splits["fast"] = {1000};
  script_.splits["slow"] = {10};
  EXPECT_THAT(Poll(), ElementsAre("1000", "10", "w9"));
  EXPECT_THAT(script_.paused, ElementsAre("fast", "slow")) << "nothing is known of the others yet";
  Allow(39);
  EXPECT_THAT(script_.paused, ElementsAre("fast"));
  script_.splits["fast"] = {1001};
  script_.splits["slow"] = {40};
  EXPECT_THAT(Poll(), ElementsAre("40", "w39"));
  Allow(1200);
  EXPECT_THAT(script_.paused, IsEmpty());
  EXPECT_THAT(Poll(), ElementsAre("1001"));
}

TEST_F(SourceReaderOperatorTest, AReaderThatCannotPauseSplitsIsPausedByItsSlowest) {
  script_.supports_pausing = false;
  Open(Aligned(), {"a", "b"});
  Allow(50);
  script_.splits["a"] = {1000};
  script_.splits["b"] = {10};
  EXPECT_THAT(Poll(), ElementsAre("1000", "10", "w9"));
  script_.splits["b"] = {200};
  EXPECT_THAT(Poll(), ElementsAre("200", "w199"));
  script_.splits["b"] = {201};
  EXPECT_THAT(Poll(), IsEmpty());
  Allow(300);
  EXPECT_THAT(Poll(), ElementsAre("201", "w200"));
}

TEST_F(SourceReaderOperatorTest, ReportsItsSlowestSplitForAlignment) {
  Open(Aligned(), {"a", "b"});
  EXPECT_THAT(Poll(), IsEmpty());
  EXPECT_THAT(Reports(), ElementsAre(EventTime::Min().millis()));
  script_.splits["a"] = {50};
  script_.splits["b"] = {20};
  Poll();
  EXPECT_THAT(Reports(), ElementsAre(19)) << "the first that is known goes at once";
  Allow(1000);
  script_.splits["b"] = {30};
  Poll();
  EXPECT_THAT(Reports(), IsEmpty());
  PollAtNextWake();
  EXPECT_THAT(Reports(), ElementsAre(29)) << "then each update interval";
  script_.finished = {"a", "b"};
  Send(SourceEvent{SourceEvent::Kind::kInitialSplitsAssigned, {}, {}});
  Poll();
  PollAtNextWake();
  EXPECT_THAT(Reports(), ElementsAre(EventTime::Max().millis())) << "holds nobody back";
}

TEST_F(SourceReaderOperatorTest, ShowsWhichSplitHoldsTimeBackAndSinceWhen) {
  std::vector<std::string> ids;
  for (int i = 0; i < 64; ++i) ids.push_back(StrCat("topic-", i));
  Open(Strategy::Monotonous(), ids);
  const auto all_but_17 = [&](int64_t time) {
    for (const std::string& id : ids) {
      if (id != "topic-17") script_.splits[id].push_back(time);
    }
  };
  script_.splits["topic-17"] = {1};
  all_but_17(1);
  Poll();
  const absl::Time stopped = clock_.Now();
  for (int second = 1; second <= 5; ++second) {
    clock_.Advance(absl::Seconds(1));
    all_but_17(1000 * second);
    Poll();
  }
  ASSERT_THAT(context_.reported, SizeIs(16)) << "bounded";
  EXPECT_EQ(context_.reported[0].split, "topic-17");
  EXPECT_EQ(context_.reported[0].since, stopped);
  EXPECT_EQ(context_.reported[0].watermark, EventTime::FromMillis(0));
  EXPECT_EQ(context_.reported[1].since, clock_.Now());
}

TEST_F(SourceReaderOperatorTest, TheLastChangeIsShownThoughNothingFollows) {
  Open(Strategy::Monotonous(), {"a"});
  script_.splits["a"] = {10};
  Poll();
  clock_.Advance(absl::Milliseconds(100));
  script_.splits["a"] = {20};
  Poll();
  EXPECT_EQ(context_.reported[0].watermark, EventTime::FromMillis(9));
  PollAtNextWake();
  EXPECT_EQ(context_.reported[0].watermark, EventTime::FromMillis(19));
}

/// The operator behind AssignTimestampsAndWatermarks.
class TimestampsOperatorTest : public ::testing::Test {
 protected:
  void Open(Strategy strategy) {
    output_.port(0).AddTarget(&target_);
    op_ = std::make_unique<TimestampsAndWatermarksOperator<int64_t>>(std::move(strategy));
    ASSERT_TRUE(op_->Open(context_, output_, {}).ok());
  }
  std::vector<std::string> Process(const std::vector<int64_t>& numbers) {
    TypedBatchBuilder<int64_t> builder;
    for (const int64_t n : numbers) builder.Add(n, EventTime::Min());
    BatchCursor cursor{builder.Finish(), 0};
    EXPECT_TRUE(op_->ProcessBatch(0, cursor, output_).ok());
    output_.Flush();
    return target_.Take();
  }
  std::vector<std::string> Wake(absl::Duration after) {
    clock_.Advance(after);
    EXPECT_TRUE(op_->OnWake(output_).ok());
    return target_.Take();
  }
  static EventTime Itself(const int64_t& n) { return EventTime::FromMillis(n); }

  ManualClock clock_;
  FakeOperatorContext context_{&clock_};
  TextTarget target_;
  Output output_{1};
  std::unique_ptr<TimestampsAndWatermarksOperator<int64_t>> op_;
};

TEST_F(TimestampsOperatorTest, MonotonousFollowsTheLatest) {
  Open(Strategy::Monotonous().WithTimestamps(Itself));
  EXPECT_THAT(Process({3, 5}), ElementsAre("3", "5", "w4"));
  EXPECT_THAT(Process({4}), ElementsAre("4"));
  EXPECT_THAT(Process({6}), ElementsAre("6", "w5"));
}

TEST_F(TimestampsOperatorTest, BoundedOutOfOrdernessStaysTheBoundBehind) {
  Open(Strategy::BoundedOutOfOrderness(absl::Milliseconds(10)).WithTimestamps(Itself));
  EXPECT_THAT(Process({100}), ElementsAre("100", "w89"));
  EXPECT_THAT(Process({95, 105}), ElementsAre("95", "105", "w94"));
}

TEST_F(TimestampsOperatorTest, OnlyTheEndOfTimePassesFromUpstream) {
  Open(Strategy::Monotonous().WithTimestamps(Itself));
  EXPECT_TRUE(op_->ProcessWatermark({EventTime::FromMillis(77)}, output_).ok());
  op_->ProcessWatermarkStatus({true}, output_);
  EXPECT_THAT(target_.Take(), IsEmpty());
  EXPECT_TRUE(op_->ProcessWatermark({EventTime::Max()}, output_).ok());
  EXPECT_THAT(target_.Take(), ElementsAre("w max"));
}

TEST_F(TimestampsOperatorTest, IsIdleAfterTheTimeoutOnceAStepHasBroughtNothing) {
  Open(Strategy::Monotonous().WithTimestamps(Itself).WithIdleness(absl::Seconds(5)));
  Process({10});
  EXPECT_THAT(Wake(absl::Seconds(5)), IsEmpty()) << "records may have waited for the output";
  EXPECT_THAT(Wake(absl::Milliseconds(1)), ElementsAre("idle"));
  EXPECT_THAT(Process({3}), ElementsAre("active", "3"));
  EXPECT_THAT(Wake(absl::Seconds(6)), IsEmpty());
  EXPECT_THAT(Process({4}), ElementsAre("4")) << "they had waited: not idle";
  EXPECT_THAT(Wake(absl::Milliseconds(1)), IsEmpty());
}

TEST_F(TimestampsOperatorTest, AGeneratorIsAskedBehindBatchesAndAtTheInterval) {
  Open(Strategy::ForGenerator([] { return std::make_unique<Counting>(); }));
  EXPECT_THAT(Process({1, 2}), ElementsAre("1", "2", "w100"));
  EXPECT_THAT(Wake(absl::Milliseconds(199)), IsEmpty());
  EXPECT_THAT(Wake(absl::Milliseconds(1)), ElementsAre("w200"));
  EXPECT_THAT(Process({3}), ElementsAre("3", "w300"));
  EXPECT_THAT(Process({4}), ElementsAre("4", "idle"));
}

}  // namespace
}  // namespace weir::internal
