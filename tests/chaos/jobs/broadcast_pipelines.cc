#include <cstdint>
#include <string>
#include <vector>

#include "operators/api/broadcast_stream.h"
#include "operators/api/keyed_stream.h"
#include "operators/connectors/values_source.h"
#include "runtime/base/status_macros.h"
#include "tests/chaos/jobs/functions.h"
#include "tests/chaos/jobs/pipelines.h"

namespace weir::chaos {
namespace {

struct Rule {
  int64_t id = 0;
  int64_t divisor = 1;
};

/// All rules, which are there before the first record.
template <class Out>
class RuleFunction : public BroadcastProcessFunction<Reading, Rule, Out> {
 public:
  using BroadcastContext = typename BroadcastProcessFunction<Reading, Rule, Out>::BroadcastContext;

  absl::Status Open(OpenContext& context) override {
    ASSIGN_OR_RETURN(
        rules_, context.GetBroadcastState(BroadcastStateDescriptor<int64_t, int64_t>{"rules"}));
    return absl::OkStatus();
  }
  void ProcessBroadcastElement(const Rule& rule, BroadcastContext&, Collector<Out>&) override {
    rules_.Put(rule.id, rule.divisor);
  }

 protected:
  BroadcastState<int64_t, int64_t> rules_;
};

/// A line for each rule that a record meets.
class ApplyRules final : public RuleFunction<Outcome> {
 public:
  void ProcessElement(const Reading& reading, Context&, Collector<Outcome>& out) override {
    for (const auto& [id, divisor] : rules_.entries()) {
      if (reading.value % divisor == 0) out.Collect({id, reading.index, reading.value});
    }
  }
};

/// Each record with the sum of the rules that it meets as its value.
class SumRules final : public RuleFunction<Reading> {
 public:
  void ProcessElement(const Reading& reading, Context&, Collector<Reading>& out) override {
    int64_t sum = 0;
    for (const auto& [id, divisor] : rules_.entries()) {
      if (reading.value % divisor == 0) sum += id;
    }
    out.Collect({reading.key, reading.index, sum});
  }
};

BroadcastStream<Rule> Rules(StreamEnvironment& environment, const std::string& uid, int64_t least) {
  std::vector<Rule> rules;
  for (int64_t id = 0; id < 20; ++id) rules.push_back({id, least + 13 * id});
  return environment
      .FromSource(ValuesSource<Rule>(rules), WatermarkStrategy<Rule>::NoWatermarks(), uid)
      .Uid(uid)
      .Broadcast();
}

}  // namespace

void Broadcast(StreamEnvironment& environment, const Settings& settings) {
  auto readings = Readings(environment, settings, "broadcast-source", 6);
  Write(readings.Connect(Rules(environment, "rules", 50))
            .StartAfterBroadcast()
            .Process(ApplyRules())
            .Uid("apply-rules"),
        settings, "matches");
}

void Edges(StreamEnvironment& environment, const Settings& settings) {
  const auto same = [](const Reading& reading) { return reading; };
  auto spread = FastReadings(environment, settings, "edges-source", 7)
                    .Rebalance()
                    .Map(same)
                    .Uid("edges-rebalanced");
  auto summed = spread.Connect(Rules(environment, "edges-rules", 3))
                    .StartAfterBroadcast()
                    .Process(SumRules())
                    .Uid("edges-sums")
                    .DisableChaining();
  auto rescaled = summed.Rescale().Map(same).Uid("edges-rescaled");
  auto forwarded = rescaled.Forward().Map(same).Uid("edges-forwarded").DisableChaining();
  auto outcomes = forwarded.Map(
      [](const Reading& reading) { return Outcome{reading.key, reading.index, reading.value}; });
  Write(outcomes.Uid("edges-outcomes"), settings, "edge-sums");
  Write(forwarded.KeyBy(&KeyOf).Process(CountSoFar(settings.rate)).Uid("edges-counts"), settings,
        "edge-counts");
}

}  // namespace weir::chaos
