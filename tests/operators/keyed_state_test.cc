#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/testing/operator_test_harness.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/state/state_error.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Visit {
  std::string user;
  int64_t id = 0;
};

std::string UserOf(const Visit& visit) { return visit.user; }

/// Numbers the visits of each user that are less than ten seconds apart, and tells, five seconds
/// after each, whether the number is still known.
class NumberVisits final : public KeyedProcessFunction<std::string, Visit, std::string> {
 public:
  absl::Status Open(KeyedOpenContext<std::string>& context) override {
    const StateTtlConfig ttl{
        .ttl = absl::Seconds(10),
        .time_characteristic = StateTtlConfig::TtlTimeCharacteristic::kEventTime};
    const ValueStateDescriptor<int64_t> number{"number"};
    ASSIGN_OR_RETURN(number_, context.GetState(number.EnableTimeToLive(ttl)));
    return absl::OkStatus();
  }
  void ProcessElement(const Visit& visit, Context& context, Collector<std::string>& out) override {
    out.Collect(StrCat(visit.user, " ", visit.id, " number ", ++number_.Mutable()));
    context.timer_service().RegisterEventTimeTimer(context.timestamp() + 5'000);
    context.timer_service().RegisterEventTimeTimer(context.timestamp() + 10'000);
  }
  void OnTimer(TimerKind, Context& context, Collector<std::string>& out) override {
    out.Collect(StrCat(context.current_key(), " at ", context.timestamp().millis(),
                       number_.Get() != nullptr ? " known" : " forgotten"));
  }

 private:
  ValueState<int64_t> number_;
};

using Harness = OperatorTestHarness<Visit, std::string>;

Harness NewHarness(int64_t state_memory_bytes) {
  return Harness(
      [](DataStream<Visit> visits) { return visits.KeyBy(UserOf).Process(NumberVisits{}); },
      OperatorTestOptions{.state_memory_bytes = state_memory_bytes});
}

TEST(KeyedStateTest, EventTimeExpiresTheSameLiveAndAsAReplay) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    std::mt19937 random(seed);
    std::vector<std::pair<Visit, int64_t>> visits;
    int64_t now_ms = 0;
    for (int64_t id = 0; id < 200; ++id) {
      now_ms += 1 + static_cast<int64_t>(random() % 4'000);
      visits.push_back({{std::string(1, static_cast<char>('a' + random() % 5)), id}, now_ms});
    }
    // Per user, in order: timers and records of different users may take turns.
    const auto run = [&](size_t visits_per_watermark, int64_t state_memory_bytes) {
      Harness harness = NewHarness(state_memory_bytes);
      std::map<char, std::vector<std::string>> records;
      std::map<char, std::vector<std::string>> timers;
      for (size_t i = 0; i < visits.size(); ++i) {
        harness.ProcessElement(visits[i].first, visits[i].second);
        if ((i + 1) % visits_per_watermark == 0) harness.ProcessWatermark(visits[i].second);
      }
      harness.ProcessWatermark(EventTime::Max());
      EXPECT_TRUE(harness.status().ok()) << harness.status();
      for (std::string& line : harness.TakeValues()) {
        auto& lines = line.find(" at ") == std::string::npos ? records : timers;
        lines[line[0]].push_back(std::move(line));
      }
      return std::pair(records, timers);
    };
    const auto live = run(1, int64_t{1} << 40);
    std::map<std::string, std::pair<int64_t, int64_t>> model;  // Last visit, number.
    std::map<char, std::vector<std::string>> expected;
    for (const auto& [visit, time_ms] : visits) {
      auto& [last_ms, number] = model[visit.user];
      number = number > 0 && time_ms - last_ms < 10'000 ? number + 1 : 1;
      last_ms = time_ms;
      expected[visit.user[0]].push_back(StrCat(visit.user, " ", visit.id, " number ", number));
    }
    EXPECT_EQ(live.first, expected);
    EXPECT_EQ(run(1, 1), live);
    // Records of a replay run ahead of their watermark, so timers see later visits too.
    EXPECT_EQ(run(50, int64_t{1} << 40).first, expected);
    EXPECT_EQ(run(50, 1).first, expected);
    EXPECT_EQ(run(visits.size(), 1).first, expected);
  }
}

TEST(KeyedStateTest, ATimerSeesWhatIsAliveAtItsTimeHoweverFarTheWatermarkJumps) {
  for (const int64_t watermark_ms : {int64_t{11'000}, int64_t{1'000'000}}) {
    Harness harness = NewHarness(int64_t{1} << 40);
    harness.ProcessElement({"a", 1}, 1'000);
    harness.ProcessWatermark(watermark_ms);
    EXPECT_THAT(harness.TakeValues(),
                ElementsAre("a 1 number 1", "a at 6000 known", "a at 11000 forgotten"));
  }
}

/// Fills a list, a map and a value of each key.
class Collect final : public KeyedProcessFunction<std::string, Visit, std::string> {
 public:
  absl::Status Open(KeyedOpenContext<std::string>& context) override {
    ASSIGN_OR_RETURN(count_, context.GetState(ValueStateDescriptor<int64_t>{"count"}));
    ASSIGN_OR_RETURN(ids_, context.GetState(ListStateDescriptor<int64_t>{"ids"}));
    ASSIGN_OR_RETURN(parities_, context.GetState(MapStateDescriptor<int64_t, int64_t>{"parities"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Visit& visit, Context& context, Collector<std::string>&) override {
    ++count_.Mutable();
    ids_.Add(visit.id);
    parities_.Mutable(visit.id % 2) += visit.id;
    context.timer_service().RegisterEventTimeTimer(EventTime::FromMillis(1'000'000));
  }
  void OnTimer(TimerKind, Context& context, Collector<std::string>& out) override {
    std::string line = StrCat(context.current_key(), ": ", *count_.Get(), " [");
    ids_.ForEach([&](int64_t id) { line += StrCat(" ", id); });
    line += " ]";
    parities_.ForEach([&](int64_t parity, int64_t sum) { line += StrCat(" ", parity, "=", sum); });
    out.Collect(line);
  }

 private:
  ValueState<int64_t> count_;
  ListState<int64_t> ids_;
  MapState<int64_t, int64_t> parities_;
};

TEST(KeyedStateTest, StateThatLeftMemoryIsRestoredAtAnyParallelism) {
  const auto make = [](uint32_t parallelism, int64_t state_memory_bytes) {
    return Harness(
        [](DataStream<Visit> in) { return in.KeyBy(UserOf).Process(Collect{}).Uid("c"); },
        OperatorTestOptions{.parallelism = parallelism, .state_memory_bytes = state_memory_bytes});
  };
  const auto key = [](int64_t i) { return StrCat("user-", i % 700); };
  std::vector<std::multiset<std::string>> results;
  for (const int64_t state_memory_bytes : {int64_t{1} << 40, int64_t{1}}) {
    std::optional<OperatorTestSnapshot> snapshot;
    int64_t next = 0;
    std::multiset<std::string> lines;
    for (const uint32_t parallelism : {1u, 3u, 2u, 5u, 1u}) {
      Harness harness = make(parallelism, state_memory_bytes);
      if (snapshot.has_value()) harness.Restore(*snapshot);
      for (int i = 0; i < 2'000; ++i, ++next) {
        harness.ProcessElement({key(next * 3), next}, next);
        if (next % 100 == 0) harness.ProcessWatermark(next);
      }
      EXPECT_EQ(harness.CounterValue("state.rocksdbGetsFound") > 0, state_memory_bytes == 1);
      // What comes between the two parts of a snapshot is not in it.
      (void)harness.BeginSnapshot();
      for (int64_t i = 0; i < 300; ++i) harness.ProcessElement({key(i), -1}, next);
      harness.ProcessWatermark(next);
      snapshot = harness.FinishSnapshot();
      ASSERT_TRUE(harness.status().ok()) << harness.status();
    }
    Harness harness = make(2, state_memory_bytes);
    harness.Restore(*snapshot);
    harness.ProcessWatermark(EventTime::Max());
    for (std::string& line : harness.TakeValues()) lines.insert(std::move(line));
    ASSERT_TRUE(harness.status().ok()) << harness.status();
    results.push_back(std::move(lines));
  }
  EXPECT_EQ(results[0].size(), 700u);
  EXPECT_EQ(results[0], results[1]);
  int64_t total = 0;
  for (const std::string& line : results[1]) {
    total += std::stoll(line.substr(line.find(": ") + 2));
  }
  EXPECT_EQ(total, 10'000);
}

TEST(KeyedStateTest, ALookUpThatTheDiskFailsFailsTheTask) {
  class LookUp final : public KeyedProcessFunction<std::string, Visit, std::string> {
   public:
    void ProcessElement(const Visit&, Context&, Collector<std::string>&) override {
      throw StateError(absl::DataLossError("cannot read a state database: bad block"));
    }
  };
  Harness harness([](DataStream<Visit> visits) { return visits.KeyBy(UserOf).Process(LookUp{}); });
  harness.ProcessElement({"a", 1}, 1);
  EXPECT_TRUE(absl::IsDataLoss(harness.status())) << harness.status();
  EXPECT_THAT(std::string(harness.status().message()),
              AllOf(HasSubstr("bad block"), HasSubstr("subtask=0/1"), HasSubstr("record=0/1")));
}

}  // namespace
}  // namespace weir
