// Timers and state of a KeyedProcessFunction against a model that has a set of timers per key and
// clock.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operators/testing/operator_test_harness.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "tests/support/seeds.h"

namespace weir {
namespace {

/// What one record asks the function to do.
struct Command {
  enum Kind : int32_t {
    kSetEventTimer,
    kDeleteEventTimer,
    kSetProcessingTimer,
    kDeleteProcessingTimer,
    kCount,
    kNumKinds
  };
  int64_t key = 0;
  int32_t kind = kCount;
  int64_t time_ms = 0;
};

/// Does as it is told, and counts what happens to a key. Timers set and delete others: of their own
/// clock, also where its time has passed, and of the other one.
class Scripted final : public KeyedProcessFunction<int64_t, Command, std::string> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(count_, context.GetState(ValueStateDescriptor<int64_t>{"count"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Command& command, Context& context,
                      Collector<std::string>& out) override {
    TimerService& timers = context.timer_service();
    switch (command.kind) {
      case Command::kSetEventTimer:
        timers.RegisterEventTimeTimer(EventTime::FromMillis(command.time_ms));
        break;
      case Command::kDeleteEventTimer:
        timers.DeleteEventTimeTimer(EventTime::FromMillis(command.time_ms));
        break;
      case Command::kSetProcessingTimer:
        timers.RegisterProcessingTimeTimer(absl::FromUnixMillis(command.time_ms));
        break;
      case Command::kDeleteProcessingTimer:
        timers.DeleteProcessingTimeTimer(absl::FromUnixMillis(command.time_ms));
        break;
      default:
        break;
    }
    out.Collect(StrCat(context.current_key(), " record ", ++count_.Mutable()));
  }
  void OnTimer(TimerKind kind, Context& context, Collector<std::string>& out) override {
    const int64_t time_ms = context.timestamp().millis();
    TimerService& timers = context.timer_service();
    if (kind == TimerKind::kEventTime) {
      out.Collect(StrCat(context.current_key(), " event timer ", ++count_.Mutable()));
      if (time_ms % 3 == 0) timers.RegisterEventTimeTimer(EventTime::FromMillis(time_ms + 4));
      if (time_ms % 5 == 0) timers.RegisterEventTimeTimer(EventTime::FromMillis(time_ms - 1));
      if (time_ms % 7 == 0) timers.DeleteEventTimeTimer(EventTime::FromMillis(time_ms + 1));
      if (time_ms % 4 == 0) {
        timers.RegisterProcessingTimeTimer(context.current_processing_time() +
                                           absl::Milliseconds(10 + time_ms % 9));
      }
    } else {
      out.Collect(StrCat(context.current_key(), " processing timer ", ++count_.Mutable()));
      if (time_ms % 3 == 0) {
        timers.RegisterProcessingTimeTimer(absl::FromUnixMillis(time_ms + 4));
      }
      if (time_ms % 7 == 0) timers.DeleteProcessingTimeTimer(absl::FromUnixMillis(time_ms + 1));
      if (time_ms % 4 == 0) timers.RegisterEventTimeTimer(EventTime::FromMillis(time_ms - 5));
    }
    if (time_ms % 11 == 0) count_.Clear();
  }

 private:
  ValueState<int64_t> count_;
};

/// Text and event time of a record that was emitted.
using Line = std::pair<std::string, int64_t>;

struct Model {
  struct OfKey {
    std::set<int64_t> event_timers;
    std::set<int64_t> processing_timers;
    int64_t count = 0;
    std::vector<Line> lines;
  };
  std::map<int64_t, OfKey> keys;
  int64_t watermark_ms = INT64_MIN;
  int64_t now_ms = 0;

  void Process(const Command& command, int64_t event_time_ms) {
    OfKey& key = keys[command.key];
    if (command.kind == Command::kSetEventTimer) key.event_timers.insert(command.time_ms);
    if (command.kind == Command::kDeleteEventTimer) key.event_timers.erase(command.time_ms);
    if (command.kind == Command::kSetProcessingTimer) key.processing_timers.insert(command.time_ms);
    if (command.kind == Command::kDeleteProcessingTimer) {
      key.processing_timers.erase(command.time_ms);
    }
    key.lines.emplace_back(StrCat(command.key, " record ", ++key.count), event_time_ms);
    AdvanceClock(now_ms);  // The timer's time may have passed.
  }
  void AdvanceWatermark(int64_t to_ms) {
    watermark_ms = to_ms;
    for (auto& [id, key] : keys) {
      while (!key.event_timers.empty() && *key.event_timers.begin() <= to_ms) {
        const int64_t time_ms = *key.event_timers.begin();
        key.event_timers.erase(time_ms);
        key.lines.emplace_back(StrCat(id, " event timer ", ++key.count), time_ms);
        if (time_ms % 3 == 0) key.event_timers.insert(time_ms + 4);
        if (time_ms % 5 == 0) key.event_timers.insert(time_ms - 1);
        if (time_ms % 7 == 0) key.event_timers.erase(time_ms + 1);
        if (time_ms % 4 == 0) key.processing_timers.insert(now_ms + 10 + time_ms % 9);
        if (time_ms % 11 == 0) key.count = 0;
      }
    }
  }
  void AdvanceClock(int64_t to_ms) {
    now_ms = to_ms;
    for (auto& [id, key] : keys) {
      while (!key.processing_timers.empty() && *key.processing_timers.begin() <= to_ms) {
        const int64_t time_ms = *key.processing_timers.begin();
        key.processing_timers.erase(time_ms);
        key.lines.emplace_back(StrCat(id, " processing timer ", ++key.count), time_ms);
        if (time_ms % 3 == 0) key.processing_timers.insert(time_ms + 4);
        if (time_ms % 7 == 0) key.processing_timers.erase(time_ms + 1);
        if (time_ms % 4 == 0) key.event_timers.insert(time_ms - 5);
        if (time_ms % 11 == 0) key.count = 0;
      }
    }
  }
};

class ScriptedRun {
 public:
  explicit ScriptedRun(unsigned seed) : random_(seed) { Start(); }

  void Step() {
    switch (random_() % 12) {
      case 0:
      case 1:
        model_.AdvanceWatermark(std::max<int64_t>(model_.watermark_ms, 0) + 1 + Below(15));
        harness_->ProcessWatermark(model_.watermark_ms);
        break;
      case 2:
      case 3:
        model_.AdvanceClock(model_.now_ms + Below(15));
        harness_->SetProcessingTime(model_.now_ms);
        break;
      case 4:
        if (Below(3) == 0) Restart();
        break;
      default:
        Send(&model_);
    }
  }
  void Finish() {
    Collect();
    size_t event_timers = 0;
    size_t processing_timers = 0;
    size_t counts = 0;
    for (const auto& [id, key] : model_.keys) {
      event_timers += key.event_timers.size();
      processing_timers += key.processing_timers.size();
      if (key.count > 0) ++counts;
      EXPECT_EQ(lines_[id], key.lines) << "key=" << id;
      for (const Line& line : key.lines) {
        num_event_ += line.first.find("event") != std::string::npos;
        num_processing_ += line.first.find("processing") != std::string::npos;
      }
    }
    EXPECT_EQ(harness_->NumEventTimeTimers(), event_timers);
    EXPECT_EQ(harness_->NumProcessingTimeTimers(), processing_timers);
    EXPECT_EQ(harness_->NumKeyedStateEntries(), counts);
  }
  [[nodiscard]] size_t num_event() const { return num_event_; }
  [[nodiscard]] size_t num_processing() const { return num_processing_; }

 private:
  using Harness = OperatorTestHarness<Command, std::string>;

  int64_t Below(uint32_t limit) { return static_cast<int64_t>(random_() % limit); }

  void Start() {
    OperatorTestOptions options;
    options.parallelism = static_cast<uint32_t>(1 + Below(4));
    if (Below(3) == 0) options.output_capacity = static_cast<size_t>(1 + Below(3));
    options.start_time = absl::FromUnixMillis(model_.now_ms);
    if (Below(6) == 0) options.state_memory_bytes = 1;  // All state goes by the disk.
    harness_ = std::make_unique<Harness>(
        [](DataStream<Command> commands) {
          return commands.KeyBy([](const Command& command) { return command.key; })
              .Process(Scripted())
              .Uid("scripted");
        },
        options);
  }
  // A record to the harness and, if given, to a model.
  void Send(Model* model) {
    Command command{Below(6), static_cast<int32_t>(Below(Command::kNumKinds)), 0};
    const bool by_clock = command.kind == Command::kSetProcessingTimer ||
                          command.kind == Command::kDeleteProcessingTimer;
    const int64_t near_ms = by_clock ? model_.now_ms : std::max<int64_t>(model_.watermark_ms, 0);
    command.time_ms = near_ms + Below(40) - 8;
    const int64_t event_time_ms = Below(1000);
    harness_->ProcessElement(command, event_time_ms);
    if (model != nullptr) model->Process(command, event_time_ms);
  }
  void Collect() {
    ASSERT_TRUE(harness_->status().ok()) << harness_->status();
    for (const StreamRecord<std::string>& record : harness_->TakeRecords()) {
      lines_[record.value[0] - '0'].emplace_back(record.value, record.timestamp.millis());
    }
  }
  // What comes between the two halves of the snapshot, or after it, is lost with the harness.
  void Restart() {
    Collect();
    harness_->BeginSnapshot();
    for (int64_t i = Below(4); i > 0; --i) Send(nullptr);
    if (Below(2) == 0) harness_->SetProcessingTime(model_.now_ms + Below(30));
    if (Below(2) == 0) harness_->ProcessWatermark(std::max<int64_t>(model_.watermark_ms, 0) + 20);
    const OperatorTestSnapshot snapshot = harness_->FinishSnapshot();
    Start();
    harness_->Restore(snapshot);
    if (model_.watermark_ms == INT64_MIN) return;
    // Event time is not in a snapshot. Timers that were set behind it fire when it is there again.
    harness_->ProcessWatermark(model_.watermark_ms);
    model_.AdvanceWatermark(model_.watermark_ms);
  }

  std::mt19937 random_;
  Model model_;
  std::unique_ptr<Harness> harness_;
  std::map<int64_t, std::vector<Line>> lines_;
  size_t num_event_ = 0;
  size_t num_processing_ = 0;
};

TEST(KeyedProcessPropertyTest, EachKeysTimersFireInTheOrderOfTheModelThroughRestores) {
  size_t num_event = 0;
  size_t num_processing = 0;
  for (unsigned seed = 1; seed <= NumSeeds(150) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    ScriptedRun run(seed);
    for (int step = 0; step < 250; ++step) run.Step();
    run.Finish();
    num_event += run.num_event();
    num_processing += run.num_processing();
  }
  EXPECT_GT(num_event, NumSeeds(150) * 20);
  EXPECT_GT(num_processing, NumSeeds(150) * 20);
}

}  // namespace
}  // namespace weir
