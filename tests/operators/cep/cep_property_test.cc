// CEP against a model that follows one match at a time through the whole sequence, by the
// definitions of contiguity, quantifiers and negation. WEIR_TEST_SEEDS sets how many seeds run.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "operators/cep/cep.h"
#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

struct Event {
  int64_t id = 0;
  int32_t key = 0;
  int32_t kind = 0;
  int32_t value = 0;
};

// What a random pattern's stage asks for, in a form that the model reads too.
struct Ask {
  std::vector<int32_t> kinds;
  bool above_first = false;  // The value is not below that of the match's first event.
  int32_t until_kind = -1;
};

bool Asks(const Ask& ask, const Event& event, const Event* first) {
  return std::count(ask.kinds.begin(), ask.kinds.end(), event.kind) > 0 &&
         (!ask.above_first || first == nullptr || event.value >= first->value);
}

struct Case {
  std::vector<Ask> asks;
  Pattern<Event> pattern = Pattern<Event>::Begin("s0");
  int64_t within_ms = -1;
};

AfterMatchSkipStrategy RandomSkip(std::mt19937& random, bool none) {
  switch (none ? 0 : random() % 6) {
    case 1:
      return AfterMatchSkipStrategy::SkipToNext();
    case 2:
      return AfterMatchSkipStrategy::SkipPastLastEvent();
    case 3:
      return AfterMatchSkipStrategy::SkipToFirst("s0");
    case 4:
      return AfterMatchSkipStrategy::SkipToLast("s0");
    default:
      return AfterMatchSkipStrategy::NoSkip();
  }
}

Case RandomCase(std::mt19937& random, bool no_skip) {
  const auto one_in = [&](uint32_t n) { return random() % n == 0; };
  Case result;
  const size_t num_stages = 1 + random() % 4;
  bool negated_before = false;
  bool all_optional = true;
  for (size_t i = 0; i < num_stages; ++i) {
    const std::string name = StrCat("s", i);
    Ask ask;
    ask.kinds.push_back(static_cast<int32_t>(random() % 4));
    if (one_in(4)) ask.kinds.push_back(static_cast<int32_t>(random() % 4));
    ask.above_first = i > 0 && one_in(5);
    bool negated = false;
    Pattern<Event>& pattern = result.pattern;
    if (i == 0) {
      pattern = Pattern<Event>::Begin(name, RandomSkip(random, no_skip));
    } else {
      const auto kind = static_cast<uint32_t>(random() % (negated_before || all_optional ? 3 : 5));
      negated = kind >= 3;
      pattern = kind == 0   ? pattern.Next(name)
                : kind == 1 ? pattern.FollowedBy(name)
                : kind == 2 ? pattern.FollowedByAny(name)
                : kind == 3 ? pattern.NotNext(name)
                            : pattern.NotFollowedBy(name);
    }
    pattern = pattern.Where([ask](const Event& event, const PatternContext<Event>& context) {
      if (!ask.above_first) return Asks(ask, event, nullptr);
      for (const std::string_view stage : {"s0", "s1", "s2", "s3"}) {
        if (stage.back() - '0' >= 4) break;
        std::vector<const Event*> taken;
        try {
          taken = context.EventsForPattern(stage);
        } catch (const std::invalid_argument&) {
          break;
        }
        if (!taken.empty()) return Asks(ask, event, taken.front());
      }
      return Asks(ask, event, nullptr);
    });
    if (!negated) {
      const auto quantifier = static_cast<uint32_t>(random() % 8);
      const bool loops = quantifier >= 4;
      if (quantifier == 4) pattern = pattern.OneOrMore();
      if (quantifier == 5) pattern = pattern.Times(2);
      if (quantifier == 6) pattern = pattern.Times(1, 3);
      if (quantifier == 7) pattern = pattern.TimesOrMore(2);
      bool greedy = false;
      if (loops && one_in(4)) {
        pattern = pattern.Greedy();
        greedy = true;
      }
      if (loops && one_in(3)) {
        pattern = pattern.Consecutive();
      } else if (loops && !greedy && one_in(4)) {
        pattern = pattern.AllowCombinations();
      }
      if (one_in(4)) {
        pattern = pattern.Optional();
      } else {
        all_optional = false;
      }
      if ((quantifier == 4 || quantifier == 7) && one_in(3)) {
        ask.until_kind = static_cast<int32_t>(random() % 4);
        pattern = pattern.Until([kind = ask.until_kind](const Event& e) { return e.kind == kind; });
      }
    }
    negated_before = negated;
    result.asks.push_back(ask);
  }
  const PatternStage& last = result.pattern.shape().stages.back();
  const bool needs_time = last.negated && last.contiguity != Contiguity::kStrict;
  if (needs_time || one_in(2)) {
    result.within_ms = 2 + static_cast<int64_t>(random() % 20);
    const absl::Duration within = absl::Milliseconds(result.within_ms);
    // A negation at the end waits for the time of the whole match.
    result.pattern = !needs_time && one_in(3) ? result.pattern.WithinPreviousAndCurrent(within)
                                              : result.pattern.Within(within);
  }
  return result;
}

// Whether the time limit is one between each event and the next.
bool OfEachEvent(const Case& test) {
  return test.pattern.shape().within_type == WithinType::kPreviousAndCurrent;
}

std::string Describe(const Case& test) {
  const PatternShape& shape = test.pattern.shape();
  std::string text =
      StrCat("skip ", static_cast<int>(shape.skip.kind()), " ", shape.skip.stage(), " within ",
             test.within_ms, OfEachEvent(test) ? " of the event before" : "");
  for (size_t i = 0; i < shape.stages.size(); ++i) {
    const PatternStage& stage = shape.stages[i];
    StrAppend(&text, "\n  ", stage.name, " contiguity ", static_cast<int>(stage.contiguity),
              stage.negated ? " negated" : "", " times ", stage.min, "..", stage.max, " inner ",
              static_cast<int>(stage.inner), stage.optional ? " optional" : "",
              stage.greedy ? " greedy" : "", " until ", test.asks[i].until_kind, " above_first ",
              test.asks[i].above_first, " kinds");
    for (const int32_t kind : test.asks[i].kinds) StrAppend(&text, " ", kind);
  }
  return text;
}

struct TimedEvent {
  Event event;
  int64_t time_ms = 0;
};

struct Found {
  std::vector<std::pair<size_t, size_t>> taken;  // (stage, index of the event).
  int64_t time_ms = 0;
  bool by_time = false;
  bool timed_out = false;
  size_t event = 0;  // Index of the event that completed it, if one did.

  std::vector<size_t> Numbers() const {
    std::vector<size_t> numbers;
    for (const auto& [stage, index] : taken) numbers.push_back(index);
    return numbers;
  }
};

// Follows each match by itself.
class Model {
 public:
  Model(const Case& test, const std::vector<TimedEvent>& events)
      : case_(test), stages_(test.pattern.shape().stages), events_(events) {}

  std::vector<Found> Run() {
    for (size_t i = 0; i < events_.size(); ++i) {
      for (size_t stage = 0; stage < stages_.size(); ++stage) {
        if (TakesFirst(stage, i, {})) Explore({{stage, i}}, 1);
        if (!stages_[stage].optional) break;
      }
    }
    return std::move(found_);
  }

 private:
  using Taken = std::vector<std::pair<size_t, size_t>>;
  static constexpr size_t kEnd = 99;

  struct Way {
    size_t target;  // Stage, or kEnd.
    bool loop;
    std::vector<size_t> negations;
  };

  bool Fits(size_t stage, size_t index, const Taken& taken) const {
    const Event* first = taken.empty() ? nullptr : &events_[taken.front().second].event;
    return Asks(case_.asks[stage], events_[index].event, first);
  }
  bool IsUntil(size_t stage, size_t index) const {
    return case_.asks[stage].until_kind == events_[index].event.kind;
  }
  bool TakesFirst(size_t stage, size_t index, const Taken& taken) const {
    return Fits(stage, index, taken) && !IsUntil(stage, index);
  }

  bool WaitsForTime(const Way& way) const {
    return std::any_of(way.negations.begin(), way.negations.end(), [this](size_t stage) {
      return stages_[stage].contiguity != Contiguity::kStrict;
    });
  }

  void Explore(const Taken& taken, uint32_t count) {
    const size_t stage = taken.back().first;
    const size_t last = taken.back().second;
    const PatternStage& shape = stages_[stage];
    std::vector<Way> ways;
    if (count < shape.max) ways.push_back({stage, true, {}});
    if (count >= shape.min) {
      std::vector<size_t> negations;
      bool reaches_end = true;
      for (size_t next = stage + 1; next < stages_.size(); ++next) {
        if (stages_[next].negated) {
          negations.push_back(next);
          continue;
        }
        ways.push_back({next, false, negations});
        if (!stages_[next].optional) {
          reaches_end = false;
          break;
        }
      }
      if (reaches_end && negations.empty()) {
        found_.push_back({taken, events_[last].time_ms, false, false, last});
      } else if (reaches_end) {
        ways.push_back({kEnd, false, negations});
      }
    }
    const size_t from = OfEachEvent(case_) ? last : taken.front().second;
    const int64_t limit_ms =
        case_.within_ms < 0 ? INT64_MAX : events_[from].time_ms + case_.within_ms;
    for (size_t i = last + 1; i < events_.size() && events_[i].time_ms < limit_ms; ++i) {
      std::erase_if(ways, [&](const Way& way) { return !Follow(taken, count, way, i); });
    }
    if (limit_ms == INT64_MAX || ways.empty()) return;
    for (const Way& way : ways) {
      // "Not next" alone waits for an event, not for the time to be over.
      if (way.target == kEnd && WaitsForTime(way)) {
        found_.push_back({taken, limit_ms, true, false});
        return;
      }
    }
    found_.push_back({taken, limit_ms, true, true});
  }

  // Whether the way is still open after event `index`.
  bool Follow(const Taken& taken, uint32_t count, const Way& way, size_t index) {
    const size_t stage = taken.back().first;
    const bool adjacent = index == taken.back().second + 1;
    const PatternStage& shape = stages_[stage];
    if (way.loop) {
      const bool next_is_negation = stage + 1 < stages_.size() && stages_[stage + 1].negated &&
                                    stages_[stage + 1].contiguity == Contiguity::kRelaxed;
      if (next_is_negation && count >= shape.min && Fits(stage + 1, index, taken)) return false;
      if (IsUntil(stage, index)) return false;
      return Take(taken, stage, shape.inner, adjacent, Fits(stage, index, taken), index, count + 1);
    }
    if (shape.greedy && shape.min != shape.max && TakesFirst(stage, index, taken)) return false;
    for (const size_t negation : way.negations) {
      const bool strict = stages_[negation].contiguity == Contiguity::kStrict;
      if ((adjacent || !strict) && Fits(negation, index, taken)) return false;
    }
    if (way.target == kEnd) {
      if (WaitsForTime(way)) return true;
      found_.push_back({taken, events_[index].time_ms, false, false, index});
      return false;
    }
    return Take(taken, way.target, stages_[way.target].contiguity, adjacent,
                TakesFirst(way.target, index, taken), index, 1);
  }

  bool Take(const Taken& taken, size_t stage, Contiguity contiguity, bool adjacent, bool fits,
            size_t index, uint32_t count) {
    if (contiguity == Contiguity::kStrict && !adjacent) return false;
    if (fits) {
      Taken longer = taken;
      longer.emplace_back(stage, index);
      Explore(longer, count);
    }
    return contiguity == Contiguity::kNonDeterministicRelaxed ||
           (contiguity == Contiguity::kRelaxed && !fits);
  }

  const Case& case_;
  const std::vector<PatternStage>& stages_;
  const std::vector<TimedEvent>& events_;
  std::vector<Found> found_;
};

// What is left of all matches by the pattern's skip strategy.
std::vector<Found> Skip(const PatternShape& shape, std::vector<Found> found) {
  using Kind = AfterMatchSkipStrategy::Kind;
  if (shape.skip.kind() == Kind::kNoSkip) return found;
  std::erase_if(found, [](const Found& f) { return f.timed_out; });
  std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    const auto order = [](const Found& f) {
      return std::tuple(f.taken.front().second, f.time_ms, !f.by_time, f.event, f.Numbers());
    };
    return order(a) < order(b);
  });
  std::vector<Found> left;
  size_t limit = 0;
  for (const Found& match : found) {
    if (match.taken.front().second < limit) continue;
    left.push_back(match);
    switch (shape.skip.kind()) {
      case Kind::kNoSkip:
        break;
      case Kind::kSkipToNext:
        limit = std::max(limit, match.taken.front().second + 1);
        break;
      case Kind::kSkipPastLastEvent:
        limit = std::max(limit, match.taken.back().second + 1);
        break;
      case Kind::kSkipToFirst:
      case Kind::kSkipToLast:
        for (const auto& [stage, index] : match.taken) {
          if (stage != shape.IndexOf(shape.skip.stage())) continue;
          limit = std::max(limit, index);
          if (shape.skip.kind() == Kind::kSkipToFirst) break;
        }
        break;
    }
  }
  return left;
}

using Line = std::pair<std::string, int64_t>;

class Report final : public PatternProcessFunction<Event, std::string> {
 public:
  void ProcessMatch(const PatternMatch<Event>& match, FunctionContext&,
                    Collector<std::string>& out) override {
    out.Collect("match" + Text(match));
  }
  void ProcessTimedOutMatch(const PatternMatch<Event>& match, FunctionContext&,
                            Collector<std::string>& out) override {
    out.Collect("timed out" + Text(match));
  }

 private:
  static std::string Text(const PatternMatch<Event>& match) {
    std::string text;
    match.ForEach([&](std::string_view stage, const Event& event) {
      StrAppend(&text, " ", stage, "=", event.id);
    });
    return text;
  }
};

std::vector<Line> Expected(const Case& test, const std::vector<TimedEvent>& all) {
  std::vector<Line> lines;
  for (int32_t key = 0; key < 3; ++key) {
    std::vector<TimedEvent> events;
    for (const TimedEvent& event : all) {
      if (event.event.key == key) events.push_back(event);
    }
    std::stable_sort(events.begin(), events.end(), [](const TimedEvent& a, const TimedEvent& b) {
      return a.time_ms < b.time_ms;
    });
    for (const Found& found : Skip(test.pattern.shape(), Model(test, events).Run())) {
      std::string text = found.timed_out ? "timed out" : "match";
      for (const auto& [stage, index] : found.taken) {
        StrAppend(&text, " s", stage, "=", events[index].event.id);
      }
      lines.emplace_back(std::move(text), found.time_ms);
    }
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

struct Counts {
  size_t of_each_event = 0;  // Cases with a time limit between events.
  size_t late = 0;
  size_t suspensions = 0;
};

void RunSeed(uint32_t seed, Counts& counts) {
  SCOPED_TRACE(StrCat("seed ", seed));
  std::mt19937 random(seed);
  const bool no_skip = random() % 2 == 0;
  const Case test = RandomCase(random, no_skip);
  SCOPED_TRACE(Describe(test));
  ASSERT_TRUE(test.pattern.shape().Check().ok()) << test.pattern.shape().Check();
  if (OfEachEvent(test)) ++counts.of_each_event;

  const OutputTag<Event> late_tag("late");
  const auto make = [&](uint32_t parallelism) {
    OperatorTestOptions options;
    options.parallelism = parallelism;
    if (seed % 3 == 0) options.output_capacity = 1 + seed % 2;
    if (seed % 9 == 0) options.state_memory_bytes = 1;
    auto made = std::make_unique<OperatorTestHarness<Event, std::string>>(
        [&](DataStream<Event> in) {
          return CEP::Pattern(in.KeyBy([](const Event& event) { return event.key; }), test.pattern)
              .SideOutputLateData(late_tag)
              .Process(Report{})
              .Uid("cep");
        },
        options);
    made->CollectSideOutput(late_tag);
    return made;
  };
  auto harness = make(static_cast<uint32_t>(1 + random() % 3));
  std::vector<TimedEvent> all;
  std::vector<Line> lines;
  std::vector<int64_t> late;  // Ids.
  std::vector<int64_t> put_aside;
  uint64_t num_counted_late = 0;
  const auto take = [&] {
    for (const StreamRecord<Event>& record : harness->TakeSideOutput(late_tag)) {
      put_aside.push_back(record.value.id);
    }
    num_counted_late += harness->CounterValue("numLateRecordsDropped");
    counts.suspensions += harness->num_suspensions();
    for (const StreamRecord<std::string>& record : harness->TakeRecords()) {
      // Skipping forgets matches begun, so that they do not run out of time.
      if (test.pattern.shape().skip.kind() != AfterMatchSkipStrategy::Kind::kNoSkip &&
          record.value.starts_with("timed out")) {
        continue;
      }
      lines.emplace_back(record.value, record.timestamp.millis());
    }
  };
  const int num_events = 4 + static_cast<int>(random() % 26);
  int64_t watermark_ms = -1;
  bool has_watermark = false;
  for (int i = 0; i < num_events; ++i) {
    TimedEvent event;
    event.event = {i, static_cast<int32_t>(random() % 3), static_cast<int32_t>(random() % 4),
                   static_cast<int32_t>(random() % 5)};
    event.time_ms = watermark_ms + 1 + static_cast<int64_t>(random() % 8);
    if (has_watermark && random() % 10 == 0) {
      event.time_ms = watermark_ms - static_cast<int64_t>(random() % 6);
      late.push_back(event.event.id);
    } else {
      all.push_back(event);
    }
    harness->ProcessElement(event.event, EventTime::FromMillis(event.time_ms));
    if (random() % 4 == 0) {
      has_watermark = true;
      watermark_ms += static_cast<int64_t>(random() % 5);
      harness->ProcessWatermark(watermark_ms);
    }
    if (random() % 10 == 0) {
      take();
      OperatorTestSnapshot snapshot = harness->Snapshot();
      harness = make(static_cast<uint32_t>(1 + random() % 3));
      harness->Restore(std::move(snapshot));
      harness->ProcessWatermark(watermark_ms);
      has_watermark = true;
    }
  }
  harness->ProcessWatermark(EventTime::Max());
  take();
  ASSERT_TRUE(harness->status().ok()) << harness->status();
  std::sort(lines.begin(), lines.end());
  std::string events;
  for (const TimedEvent& event : all) {
    StrAppend(&events, " ", event.event.id, ":key", event.event.key, ":kind", event.event.kind,
              ":value", event.event.value, "@", event.time_ms);
  }
  SCOPED_TRACE(events);
  ASSERT_THAT(lines, ::testing::ElementsAreArray(Expected(test, all)));
  ASSERT_THAT(put_aside, ::testing::UnorderedElementsAreArray(late));
  EXPECT_EQ(num_counted_late, late.size());
  counts.late += late.size();
  if (test.within_ms >= 0) {
    EXPECT_EQ(harness->NumKeyedStateEntries(), 0u) << "state is left behind";
  }
}

TEST(CepPropertyTest, FindsWhatTheDefinitionsSay) {
  const char* seeds = std::getenv("WEIR_TEST_SEEDS");
  const uint32_t num_seeds = seeds == nullptr ? 600 : static_cast<uint32_t>(std::atoi(seeds));
  Counts counts;
  for (uint32_t seed = 1; seed <= num_seeds; ++seed) {
    RunSeed(seed, counts);
    if (::testing::Test::HasFatalFailure()) return;
  }
  if (num_seeds < 100) return;
  EXPECT_GT(counts.of_each_event, num_seeds / 20);
  EXPECT_GT(counts.late, num_seeds / 5);
  EXPECT_GT(counts.suspensions, num_seeds / 5);
}

}  // namespace
}  // namespace weir
