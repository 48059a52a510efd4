// Broadcast state of functions with and without keys: what each of many subtasks hears, and has
// after a restore at another parallelism.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "operators/testing/operator_test_harness.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

using ::testing::SizeIs;

/// Version -1 takes the rule away.
struct Rule {
  int64_t id = 0;
  int64_t version = 0;
};

using RuleState = BroadcastState<int64_t, int64_t>;
const BroadcastStateDescriptor<int64_t, int64_t> kRules{"rules"};

std::string LineOf(const Rule& rule) { return StrCat("rule ", rule.id, " ", rule.version); }

template <class Entries>
std::string LineOfAll(const Entries& rules) {
  std::string line = "all";
  for (const auto& [id, version] : rules) StrAppend(&line, " ", id, ":", version);
  return line;
}

void Apply(const Rule& rule, RuleState& rules, Collector<std::string>& out) {
  if (rule.version < 0) {
    rules.Remove(rule.id);
  } else {
    rules.Put(rule.id, rule.version);
  }
  out.Collect(LineOf(rule));
}

/// Emits each rule as it comes, and on an event all that hold.
class LogRules final : public BroadcastProcessFunction<int64_t, Rule, std::string> {
 public:
  absl::Status Open(OpenContext& context) override {
    ASSIGN_OR_RETURN(rules_, context.GetBroadcastState(kRules));
    return absl::OkStatus();
  }
  void ProcessElement(const int64_t&, Context&, Collector<std::string>& out) override {
    out.Collect(LineOfAll(rules_.entries()));
  }
  void ProcessBroadcastElement(const Rule& rule, BroadcastContext&,
                               Collector<std::string>& out) override {
    Apply(rule, rules_, out);
  }

 private:
  RuleState rules_;
};

/// The same on a keyed stream.
class LogRulesByKey final
    : public KeyedBroadcastProcessFunction<int64_t, int64_t, Rule, std::string> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(rules_, context.GetBroadcastState(kRules));
    return absl::OkStatus();
  }
  void ProcessElement(const int64_t&, Context&, Collector<std::string>& out) override {
    out.Collect(LineOfAll(rules_.entries()));
  }
  void ProcessBroadcastElement(const Rule& rule, BroadcastContext&,
                               Collector<std::string>& out) override {
    Apply(rule, rules_, out);
  }

 private:
  RuleState rules_;
};

class BroadcastProcessTest : public ::testing::TestWithParam<bool> {
 protected:
  using Harness = TwoInputOperatorTestHarness<int64_t, Rule, std::string>;

  std::unique_ptr<Harness> Make(uint32_t parallelism) const {
    const bool keyed = GetParam();
    return std::make_unique<Harness>(
        [keyed](DataStream<int64_t> events, DataStream<Rule> rules) {
          DataStream<std::string> logged =
              keyed ? events.KeyBy([](int64_t n) { return n; })
                          .Connect(rules.Broadcast())
                          .Process(LogRulesByKey())
                    : events.Connect(rules.Broadcast()).Process(LogRules());
          return logged.Uid("log");
        },
        OperatorTestOptions{.parallelism = parallelism});
  }

  // Sends rules in batches; every subtask must hear each of them once, in order.
  void SendRules(Harness& harness, uint32_t parallelism, size_t count) {
    std::vector<std::string> expected;
    std::vector<StreamRecord<Rule>> batch;
    for (size_t i = 0; i < count; ++i) {
      const Rule rule{static_cast<int64_t>(random_() % 200),
                      random_() % 8 == 0 ? -1 : static_cast<int64_t>(++version_)};
      if (rule.version < 0) {
        model_.erase(rule.id);
      } else {
        model_[rule.id] = rule.version;
      }
      expected.push_back(LineOf(rule));
      batch.push_back({rule, EventTime::Min(), 0});
      if (i + 1 < count && random_() % 20 != 0) continue;
      harness.ProcessElements2(batch);
      batch.clear();
    }
    std::map<uint32_t, std::vector<std::string>> heard;
    for (const StreamRecord<std::string>& record : harness.TakeRecords()) {
      heard[record.subtask].push_back(record.value);
    }
    ASSERT_THAT(heard, SizeIs(parallelism));
    for (const auto& [subtask, lines] : heard) EXPECT_EQ(lines, expected) << "subtask=" << subtask;
  }
  // Asks every subtask for its rules.
  void ExpectModelInAllSubtasks(Harness& harness, uint32_t parallelism) {
    for (int64_t event = 0; event < 200; ++event) harness.ProcessElement1(event);
    std::map<uint32_t, size_t> answers;
    const std::string expected = LineOfAll(model_);
    for (const StreamRecord<std::string>& record : harness.TakeRecords()) {
      ++answers[record.subtask];
      ASSERT_EQ(record.value, expected) << "subtask=" << record.subtask;
    }
    EXPECT_THAT(answers, SizeIs(parallelism));
  }

  std::mt19937 random_{4};
  uint64_t version_ = 0;
  std::map<int64_t, int64_t> model_;
};

TEST_P(BroadcastProcessTest, EverySubtaskHearsEachRuleOnceAndHasAllAfterARestoreAtAnyParallelism) {
  auto harness = Make(8);
  SendRules(*harness, 8, 1'000);
  ExpectModelInAllSubtasks(*harness, 8);
  for (const uint32_t parallelism : {3U, 16U, 1U, 8U}) {
    SCOPED_TRACE(parallelism);
    const OperatorTestSnapshot snapshot = harness->Snapshot();
    harness = Make(parallelism);
    harness->Restore(snapshot);
    ExpectModelInAllSubtasks(*harness, parallelism);
    SendRules(*harness, parallelism, 200);
    ExpectModelInAllSubtasks(*harness, parallelism);
  }
}

INSTANTIATE_TEST_SUITE_P(Functions, BroadcastProcessTest, ::testing::Bool(),
                         [](const auto& parameter) {
                           return parameter.param ? "Keyed" : "NonKeyed";
                         });

}  // namespace
}  // namespace weir
