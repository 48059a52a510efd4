#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "operators/cep/after_match_skip_strategy.h"
#include "operators/cep/pattern_context.h"
#include "operators/cep/pattern_shape.h"

namespace weir {

/// A sequence of events to look for, after Flink's CEP library. A value, made step by step; each
/// step returns a new pattern:
///
///   Pattern<Login>::Begin("failures").Where(&IsFailure).Times(3).Consecutive()
///       .FollowedBy("success").Where(&IsSuccess)
///       .Within(absl::Minutes(5))
///
/// Begin, Next, FollowedBy and so on add a stage; what follows describes that stage. Conditions are
/// fn(const T&), or fn(const T&, const PatternContext<T>&) to look at the events taken before; they
/// must depend on nothing else. Mistakes (a stage named twice, a quantifier on a negation …) are
/// errors of the job's Build, named by the stage.
template <class T>
class Pattern {
 public:
  using Condition = std::function<bool(const T&, const PatternContext<T>&)>;

  /// Starts a pattern. Every event may be the first of a match.
  [[nodiscard]] static Pattern Begin(
      std::string name, AfterMatchSkipStrategy skip = AfterMatchSkipStrategy::NoSkip()) {
    Pattern pattern;
    pattern.shape_.skip = std::move(skip);
    return pattern.AddStage(std::move(name), Contiguity::kNonDeterministicRelaxed);
  }
  /// The stage's event is the very next one of the key.
  [[nodiscard]] Pattern Next(std::string name) const {
    return AddStage(std::move(name), Contiguity::kStrict);
  }
  /// The stage's event is the next one that fits: others in between are passed over.
  [[nodiscard]] Pattern FollowedBy(std::string name) const {
    return AddStage(std::move(name), Contiguity::kRelaxed);
  }
  /// The stage's event is any later one that fits: each makes a match of its own.
  [[nodiscard]] Pattern FollowedByAny(std::string name) const {
    return AddStage(std::move(name), Contiguity::kNonDeterministicRelaxed);
  }
  /// The very next event must not fit.
  [[nodiscard]] Pattern NotNext(std::string name) const {
    return AddStage(std::move(name), Contiguity::kStrict, true);
  }
  /// No event fits until the next stage's. As the last stage it needs Within: the match is then
  /// found when that time is over.
  [[nodiscard]] Pattern NotFollowedBy(std::string name) const {
    return AddStage(std::move(name), Contiguity::kRelaxed, true);
  }

  /// What an event of the stage must fulfil; several calls are joined by "and". A stage without
  /// condition takes any event.
  template <class Fn>
  [[nodiscard]] Pattern Where(Fn fn) const {
    return Join(std::move(fn), [](bool a, bool b) { return a && b; });
  }
  /// An alternative to the condition so far.
  template <class Fn>
  [[nodiscard]] Pattern Or(Fn fn) const {
    return Join(std::move(fn), [](bool a, bool b) { return a || b; });
  }

  // Quantifiers: how many events the stage takes; one if none is given.
  [[nodiscard]] Pattern Times(uint32_t count) const { return Quantify(count, count); }
  [[nodiscard]] Pattern Times(uint32_t from, uint32_t to) const { return Quantify(from, to); }
  [[nodiscard]] Pattern TimesOrMore(uint32_t count) const {
    return Quantify(count, PatternStage::kUnbounded);
  }
  [[nodiscard]] Pattern OneOrMore() const { return Quantify(1, PatternStage::kUnbounded); }
  /// The stage may take no event at all.
  [[nodiscard]] Pattern Optional() const {
    return Change([](PatternStage& stage) { stage.optional = true; });
  }
  /// The stage takes as many events as fit: no event that fits it comes between it and the next.
  [[nodiscard]] Pattern Greedy() const {
    return Change([](PatternStage& stage) { stage.greedy = true; });
  }
  /// The events of the stage follow each other directly.
  [[nodiscard]] Pattern Consecutive() const {
    return Change([](PatternStage& stage) { stage.inner = Contiguity::kStrict; });
  }
  /// The events of the stage may leave out events that fit it.
  [[nodiscard]] Pattern AllowCombinations() const {
    return Change([](PatternStage& stage) { stage.inner = Contiguity::kNonDeterministicRelaxed; });
  }
  /// Ends a stage of many events: it takes neither the event that fulfils `fn` nor any after it.
  template <class Fn>
  [[nodiscard]] Pattern Until(Fn fn) const {
    Pattern pattern = Change([](PatternStage& stage) { stage.has_until = true; });
    pattern.until_.back() = ConditionOf(std::move(fn)).call;
    return pattern;
  }

  /// A match takes less than `duration` from its first to its last event.
  [[nodiscard]] Pattern Within(absl::Duration duration) const {
    return SetWithin(duration, WithinType::kFirstAndLast);
  }
  /// Every event of a match comes less than `duration` after the one before.
  [[nodiscard]] Pattern WithinPreviousAndCurrent(absl::Duration duration) const {
    return SetWithin(duration, WithinType::kPreviousAndCurrent);
  }

  /// For the operator.
  [[nodiscard]] const PatternShape& shape() const { return shape_; }
  /// Whether stage `stage` takes the event. `simple` conditions do not look at the context.
  [[nodiscard]] bool IsSimple(size_t stage) const { return conditions_[stage].simple; }
  [[nodiscard]] bool Fits(size_t stage, const T& event, const PatternContext<T>& context) const {
    const Condition& condition = conditions_[stage].call;
    return !condition || condition(event, context);
  }
  [[nodiscard]] bool EndsLoop(size_t stage, const T& event,
                              const PatternContext<T>& context) const {
    return shape_.stages[stage].has_until && until_[stage](event, context);
  }

 private:
  struct StageCondition {
    Condition call;  // Empty: any event.
    bool simple = true;
  };

  template <class Fn>
  static StageCondition ConditionOf(Fn fn) {
    if constexpr (std::is_invocable_r_v<bool, Fn&, const T&>) {
      return {[fn = std::move(fn)](const T& event, const PatternContext<T>&) mutable {
                return static_cast<bool>(std::invoke(fn, event));
              },
              true};
    } else {
      static_assert(
          std::is_invocable_r_v<bool, Fn&, const T&, const PatternContext<T>&>,
          "a condition is fn(const T&) or fn(const T&, const PatternContext<T>&) -> bool");
      return {std::move(fn), false};
    }
  }

  template <class Fn, class Combine>
  Pattern Join(Fn fn, Combine combine) const {
    Pattern pattern = *this;
    StageCondition& current = pattern.conditions_.back();
    StageCondition added = ConditionOf(std::move(fn));
    if (current.call) {
      added.simple = added.simple && current.simple;
      added.call = [first = std::move(current.call), second = std::move(added.call), combine](
                       const T& event, const PatternContext<T>& context) {
        return combine(first(event, context), second(event, context));
      };
    }
    current = std::move(added);
    return pattern;
  }

  Pattern AddStage(std::string name, Contiguity contiguity, bool negated = false) const {
    PatternStage stage;
    stage.name = std::move(name);
    stage.contiguity = contiguity;
    stage.negated = negated;
    Pattern pattern = *this;
    pattern.shape_.stages.push_back(std::move(stage));
    pattern.conditions_.emplace_back();
    pattern.until_.emplace_back();
    return pattern;
  }
  Pattern Quantify(uint32_t from, uint32_t to) const {
    return Change([&](PatternStage& stage) {
      stage.quantified_twice = stage.quantified;
      stage.quantified = true;
      stage.min = from;
      stage.max = to;
    });
  }
  template <class Fn>
  Pattern Change(Fn change) const {
    Pattern pattern = *this;
    change(pattern.shape_.stages.back());
    return pattern;
  }
  Pattern SetWithin(absl::Duration duration, WithinType type) const {
    Pattern pattern = *this;
    pattern.shape_.within = duration;
    pattern.shape_.within_type = type;
    return pattern;
  }

  PatternShape shape_;
  std::vector<StageCondition> conditions_;
  std::vector<Condition> until_;
};

}  // namespace weir
