#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "operators/cep/internal/partial_matches.h"
#include "operators/cep/internal/pattern_ways.h"
#include "operators/cep/pattern.h"
#include "operators/cep/pattern_match.h"
#include "runtime/record/event_time.h"

namespace weir::internal {

/// Hears what a PatternMatcher finds, within its calls.
template <class T>
class PatternMatchSink {
 public:
  virtual ~PatternMatchSink() = default;
  virtual void OnMatch(const PatternMatch<T>& match, int64_t time_ms) = 0;
  /// A partial match ran out of time at `time_ms`.
  virtual void OnTimedOut(const PatternMatch<T>& match, int64_t time_ms) = 0;
  /// AdvanceTime should be called at `time_ms`, because a match begun may then run out of time.
  virtual void OnTimeLimit(int64_t time_ms) = 0;
};

/// Finds the matches of one pattern in the events of one key at a time; all memory of a key is in
/// its PartialMatches.
///
/// A partial match holds the events it took and the set of ways on. Every event is put to every
/// open way: a way that takes it makes a new partial match, a strict way that does not, a relaxed
/// way that does, and one of whose negations fits, are closed; a partial match without open way is
/// forgotten. So each match is found once, and what is kept is bounded by the pattern's time limit.
/// The meaning of contiguity, quantifiers, greediness, until and negation follows Flink's
/// NFACompiler and NFA (flink-cep). Threads: one at a time.
template <class T>
class PatternMatcher {
 public:
  using State = PartialMatches<T>;
  using Sink = PatternMatchSink<T>;

  /// `pattern` was checked. With `wants_timeouts`, partial matches that run out of time are told.
  PatternMatcher(Pattern<T> pattern, bool wants_timeouts)
      : pattern_(std::move(pattern)),
        ways_(pattern_.shape()),
        wants_timeouts_(wants_timeouts),
        within_ms_(pattern_.shape().within == absl::InfiniteDuration()
                       ? std::numeric_limits<int64_t>::max()
                       : absl::ToInt64Milliseconds(pattern_.shape().within)),
        fits_(pattern_.shape().stages.size()) {}
  PatternMatcher(const PatternMatcher&) = delete;
  PatternMatcher& operator=(const PatternMatcher&) = delete;

  [[nodiscard]] const PatternShape& shape() const { return pattern_.shape(); }

  /// Whether `event` changes nothing for a key without state, but for its number.
  [[nodiscard]] bool BeginsNothing(const T& event, int64_t time_ms) {
    const State none;
    Prepare(none, event, time_ms);
    for (const PatternWay& way : ways_.WaysFrom(PatternWays::kStart)) {
      if (TakesFirst(way.stage, State::kNone)) return false;
    }
    return true;
  }

  /// Takes the key's next event. AdvanceTime with its time comes first.
  void Process(State& state, const T& event, int64_t time_ms, Sink& sink) {
    Prepare(state, event, time_ms);
    const uint64_t number = state.next_event++;
    current_ = {&state, &event, number, time_ms, kNoSlot};
    added_.clear();
    found_.clear();
    size_t kept = 0;
    for (size_t i = 0; i < state.partial.size(); ++i) {
      PartialMatch& match = state.partial[i];
      match.alive = FollowWays(match);
      match.fresh = false;
      if (match.alive == 0) {
        state.Release(match.node);
      } else {
        state.partial[kept++] = match;
      }
    }
    state.partial.resize(kept);
    for (const PatternWay& way : ways_.WaysFrom(PatternWays::kStart)) {
      if (TakesFirst(way.stage, State::kNone)) {
        const PartialMatch start{0, 0, State::kNone, 0, true, time_ms, time_ms, number};
        Take(start, way.stage, ways_.CountAfter(way.stage, 0));
      }
    }
    for (const PartialMatch& match : added_) {
      if (within_ms_ != std::numeric_limits<int64_t>::max()) {
        sink.OnTimeLimit(LimitOf(match));
      }
    }
    state.partial.insert(state.partial.end(), added_.begin(), added_.end());
    EmitFound(state, sink);
  }

  /// Ends the partial matches that cannot be completed at or after `time_ms` any more.
  void AdvanceTime(State& state, int64_t time_ms, Sink& sink) {
    if (within_ms_ == std::numeric_limits<int64_t>::max() || state.partial.empty()) return;
    found_.clear();
    std::vector<PartialMatch> timed_out;
    size_t kept = 0;
    for (const PartialMatch& match : state.partial) {
      if (LimitOf(match) > time_ms) {
        state.partial[kept++] = match;
      } else if (WaitsForTime(match)) {
        found_.push_back({match.node, LimitOf(match), match.first_event});
      } else {
        timed_out.push_back(match);
      }
    }
    state.partial.resize(kept);
    for (const PartialMatch& match : timed_out) {
      if (wants_timeouts_) sink.OnTimedOut(MatchOf(state, match.node), LimitOf(match));
      state.Release(match.node);
    }
    EmitFound(state, sink);
  }

  /// No further event will come, ever: what waited for an earlier match is emitted.
  void End(State& state, Sink& sink) {
    for (const PartialMatch& match : state.partial) state.Release(match.node);
    state.partial.clear();
    found_.clear();
    EmitFound(state, sink);
  }

 private:
  static constexpr uint32_t kNoSlot = 0xFFFFFFFF;
  enum class Known : uint8_t { kUnknown, kNo, kYes };

  /// The event being processed.
  struct Current {
    State* state = nullptr;
    const T* event = nullptr;
    uint64_t number = 0;
    int64_t time_ms = 0;
    uint32_t slot = kNoSlot;  // In the state, once a match has taken it.
  };

  class Context final : public PatternContext<T> {
   public:
    void Set(const State* state, uint32_t node, const PatternShape* shape, int64_t time_ms) {
      state_ = state;
      node_ = node;
      shape_ = shape;
      time_ms_ = time_ms;
    }
    std::vector<const T*> EventsForPattern(std::string_view name) const override {
      const size_t stage = shape_->IndexOf(name);
      std::vector<const T*> events;
      for (uint32_t node = node_; node != State::kNone; node = state_->nodes[node].previous) {
        if (state_->nodes[node].stage == stage) {
          events.push_back(&state_->events[state_->nodes[node].event].value);
        }
      }
      std::reverse(events.begin(), events.end());
      return events;
    }
    EventTime timestamp() const override { return EventTime::FromMillis(time_ms_); }

   private:
    const State* state_ = nullptr;
    uint32_t node_ = State::kNone;
    const PatternShape* shape_ = nullptr;
    int64_t time_ms_ = 0;
  };

  void Prepare(const State& state, const T& event, int64_t time_ms) {
    std::fill(fits_.begin(), fits_.end(), Known::kUnknown);
    tested_state_ = &state;
    tested_event_ = &event;
    tested_time_ms_ = time_ms;
  }

  // Whether the event fulfils the stage's condition, for a match that ends at `node`. Conditions
  // that do not look at the match are asked once an event.
  bool Fits(uint32_t stage, uint32_t node) {
    const bool simple = pattern_.IsSimple(stage);
    if (simple && fits_[stage] != Known::kUnknown) return fits_[stage] == Known::kYes;
    context_.Set(tested_state_, node, &pattern_.shape(), tested_time_ms_);
    const bool fits = pattern_.Fits(stage, *tested_event_, context_);
    if (simple) fits_[stage] = fits ? Known::kYes : Known::kNo;
    return fits;
  }
  bool EndsLoop(uint32_t stage, uint32_t node) {
    if (!pattern_.shape().stages[stage].has_until) return false;
    context_.Set(tested_state_, node, &pattern_.shape(), tested_time_ms_);
    return pattern_.EndsLoop(stage, *tested_event_, context_);
  }
  // Whether the event can be the first one of the stage.
  bool TakesFirst(uint32_t stage, uint32_t node) {
    return stage != PatternWay::kEnd && Fits(stage, node) && !EndsLoop(stage, node);
  }

  // Puts the event to all open ways of a match; returns those that stay open.
  uint64_t FollowWays(const PartialMatch& match) {
    const PatternStage& stage = pattern_.shape().stages[match.stage];
    uint64_t alive = match.alive;
    // A greedy stage lets go of no event that fits it.
    const bool held_by_greed = stage.greedy && stage.min != stage.max &&
                               Fits(match.stage, match.node) && !EndsLoop(match.stage, match.node);
    if (held_by_greed) alive &= PatternWays::kLoop;
    if ((alive & PatternWays::kLoop) != 0 && !FollowLoop(match, stage))
      alive &= ~PatternWays::kLoop;
    const std::vector<PatternWay>& ways = ways_.WaysFrom(match.stage);
    for (size_t i = 0; i < ways.size(); ++i) {
      const uint64_t bit = uint64_t{2} << i;
      if ((alive & bit) != 0 && !FollowWay(match, ways[i])) alive &= ~bit;
    }
    return alive;
  }

  // Both return whether the way stays open for later events.
  bool FollowLoop(const PartialMatch& match, const PatternStage& stage) {
    const uint32_t negation = ways_.LoopNegation(match.stage);
    if (negation != PatternWay::kEnd && match.count >= stage.min && Fits(negation, match.node)) {
      return false;
    }
    if (EndsLoop(match.stage, match.node)) return false;
    return FollowTo(match, match.stage, stage.inner, Fits(match.stage, match.node),
                    ways_.CountAfter(match.stage, match.count));
  }
  bool FollowWay(const PartialMatch& match, const PatternWay& way) {
    for (const uint32_t negation : way.negations) {
      const bool strict = pattern_.shape().stages[negation].contiguity == Contiguity::kStrict;
      if ((!strict || match.fresh) && Fits(negation, match.node)) return false;
    }
    if (way.stage == PatternWay::kEnd) {
      if (ways_.EndsByTime(way)) return true;
      // Only "not next" stood in the way, and this event was the next one.
      current_.state->Hold(match.node);
      found_.push_back({match.node, current_.time_ms, match.first_event});
      return false;
    }
    return FollowTo(match, way.stage, pattern_.shape().stages[way.stage].contiguity,
                    TakesFirst(way.stage, match.node), ways_.CountAfter(way.stage, 0));
  }
  bool FollowTo(const PartialMatch& match, uint32_t stage, Contiguity contiguity, bool fits,
                uint32_t count) {
    if (contiguity == Contiguity::kStrict && !match.fresh) return false;
    if (fits) Take(match, stage, count);
    switch (contiguity) {
      case Contiguity::kStrict:
        return false;
      case Contiguity::kRelaxed:
        return !fits;
      case Contiguity::kNonDeterministicRelaxed:
        return true;
    }
    return false;
  }

  // Adds the match that takes the current event after `from`.
  void Take(const PartialMatch& from, uint32_t stage, uint32_t count) {
    State& state = *current_.state;
    if (current_.slot == kNoSlot) current_.slot = state.AddEvent(*current_.event, current_.number);
    const uint32_t node = state.AddNode(current_.slot, stage, from.node);
    if (ways_.IsMatch(stage, count)) {
      state.Hold(node);
      found_.push_back({node, current_.time_ms, from.first_event});
    }
    const uint64_t open = ways_.OpenWays(stage, count);
    if (open == 0) {
      state.Release(node);
      return;
    }
    added_.push_back(
        {stage, count, node, open, true, from.first_time_ms, current_.time_ms, from.first_event});
  }

  [[nodiscard]] int64_t LimitOf(const PartialMatch& match) const {
    const int64_t from_ms =
        shape().within_type == WithinType::kFirstAndLast ? match.first_time_ms : match.last_time_ms;
    return from_ms > std::numeric_limits<int64_t>::max() - within_ms_
               ? std::numeric_limits<int64_t>::max()
               : from_ms + within_ms_;
  }
  [[nodiscard]] bool WaitsForTime(const PartialMatch& match) const {
    const std::vector<PatternWay>& ways = ways_.WaysFrom(match.stage);
    return !ways.empty() && ways.back().stage == PatternWay::kEnd &&
           (match.alive & (uint64_t{1} << ways.size())) != 0 && ways_.EndsByTime(ways.back());
  }

  PatternMatch<T> MatchOf(const State& state, uint32_t last) const {
    std::vector<std::vector<const T*>> events(shape().stages.size());
    for (uint32_t node = last; node != State::kNone; node = state.nodes[node].previous) {
      events[state.nodes[node].stage].push_back(&state.events[state.nodes[node].event].value);
    }
    for (auto& stage : events) std::reverse(stage.begin(), stage.end());
    return PatternMatch<T>(&shape(), std::move(events));
  }
  static std::vector<uint64_t> NumbersOf(const State& state, uint32_t last) {
    std::vector<uint64_t> numbers;
    for (uint32_t node = last; node != State::kNone; node = state.nodes[node].previous) {
      numbers.push_back(state.events[state.nodes[node].event].number);
    }
    std::reverse(numbers.begin(), numbers.end());
    return numbers;
  }

  // Emits what was found, or lets it wait for earlier matches, as the skip strategy says.
  void EmitFound(State& state, Sink& sink) {
    if (found_.size() > 1) {
      std::vector<std::pair<std::vector<uint64_t>, CompletedMatch>> order;
      for (const CompletedMatch& match : found_) {
        order.emplace_back(NumbersOf(state, match.node), match);
      }
      std::stable_sort(order.begin(), order.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
      for (size_t i = 0; i < order.size(); ++i) found_[i] = order[i].second;
    }
    if (shape().skip.kind() == AfterMatchSkipStrategy::Kind::kNoSkip) {
      for (const CompletedMatch& match : found_) Emit(state, match, sink);
      return;
    }
    for (const CompletedMatch& match : found_) {
      const auto place = std::upper_bound(
          state.completed.begin(), state.completed.end(), match.first_event,
          [](uint64_t first, const CompletedMatch& other) { return first < other.first_event; });
      state.completed.insert(place, match);
    }
    while (!state.completed.empty() && !HasEarlierPartial(state)) {
      const CompletedMatch match = state.completed.front();
      state.completed.erase(state.completed.begin());
      const uint64_t limit = SkipLimit(state, match);
      Emit(state, match, sink);
      Prune(state, limit);
    }
  }
  void Emit(State& state, const CompletedMatch& match, Sink& sink) {
    sink.OnMatch(MatchOf(state, match.node), match.time_ms);
    state.Release(match.node);
  }
  static bool HasEarlierPartial(const State& state) {
    const uint64_t first = state.completed.front().first_event;
    return std::any_of(state.partial.begin(), state.partial.end(),
                       [first](const PartialMatch& match) { return match.first_event < first; });
  }
  // What began before the event of this number is forgotten.
  [[nodiscard]] uint64_t SkipLimit(const State& state, const CompletedMatch& match) const {
    using Kind = AfterMatchSkipStrategy::Kind;
    const Kind kind = shape().skip.kind();
    if (kind == Kind::kSkipToNext) return match.first_event + 1;
    const auto number_of = [&](uint32_t node) {
      return state.events[state.nodes[node].event].number;
    };
    if (kind == Kind::kSkipPastLastEvent) return number_of(match.node) + 1;
    const size_t stage = shape().IndexOf(shape().skip.stage());
    uint64_t limit = 0;
    for (uint32_t node = match.node; node != State::kNone; node = state.nodes[node].previous) {
      if (state.nodes[node].stage != stage) continue;
      limit = number_of(node);
      if (kind == Kind::kSkipToLast) break;
    }
    return limit;
  }
  static void Prune(State& state, uint64_t limit) {
    const auto forget = [&](auto& matches) {
      std::erase_if(matches, [&](const auto& match) {
        if (match.first_event >= limit) return false;
        state.Release(match.node);
        return true;
      });
    };
    forget(state.partial);
    forget(state.completed);
  }

  const Pattern<T> pattern_;
  const PatternWays ways_;
  const bool wants_timeouts_;
  const int64_t within_ms_;

  // Of the event being tested; scratch between calls.
  const State* tested_state_ = nullptr;
  const T* tested_event_ = nullptr;
  int64_t tested_time_ms_ = 0;
  std::vector<Known> fits_;  // By stage; of simple conditions.
  Context context_;
  Current current_;
  std::vector<PartialMatch> added_;
  std::vector<CompletedMatch> found_;
};

}  // namespace weir::internal
