#include "operators/cep/pattern_shape.h"

#include <set>
#include <stdexcept>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

absl::Status Wrong(const PatternStage& stage, std::string_view what) {
  return absl::InvalidArgumentError(StrCat(what, ": stage=", stage.name));
}

absl::Status CheckStage(const PatternStage& stage) {
  const bool loops = stage.max > 1;
  if (stage.name.empty()) return Wrong(stage, "a pattern's stage needs a name");
  if (stage.negated && (loops || stage.optional || stage.greedy || stage.has_until)) {
    return Wrong(stage, "a negated stage of a pattern takes no quantifier; remove it");
  }
  if (stage.quantified_twice) {
    return Wrong(stage, "a stage of a pattern has two quantifiers; leave one");
  }
  if (stage.min == 0) {
    return Wrong(stage, "a stage of a pattern must take an event; use Optional() for none at all");
  }
  if (stage.min > stage.max) {
    return Wrong(stage, StrCat("a stage of a pattern takes at least ", stage.min, " and at most ",
                               stage.max, " events; turn the two around"));
  }
  if (!loops && (stage.greedy || stage.has_until || stage.inner != Contiguity::kRelaxed)) {
    return Wrong(stage,
                 "Greedy, Until, Consecutive and AllowCombinations need a stage of several events; "
                 "add OneOrMore() or Times()");
  }
  if (stage.has_until && stage.max != PatternStage::kUnbounded) {
    return Wrong(stage, "Until needs a stage without upper bound; use OneOrMore or TimesOrMore");
  }
  if (stage.greedy && stage.inner == Contiguity::kNonDeterministicRelaxed) {
    return Wrong(stage, "Greedy and AllowCombinations contradict each other; remove one");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PatternShape::Check() const {
  // A position's ways on are a set of 64 bits.
  constexpr size_t kMaxStages = 60;
  if (stages.empty())
    return absl::InvalidArgumentError("a pattern needs a stage; call Begin first");
  if (stages.size() > kMaxStages) {
    return absl::InvalidArgumentError(
        StrCat("a pattern has too many stages: stages=", stages.size(), " limit=", kMaxStages));
  }
  std::set<std::string_view> names;
  bool may_be_first = true;  // Whether everything before may be left out.
  for (const PatternStage& stage : stages) {
    RETURN_IF_ERROR(CheckStage(stage));
    if (stage.negated && may_be_first) {
      return Wrong(
          stage,
          "a negated stage needs an event before it; put a stage that is not optional first");
    }
    may_be_first = may_be_first && (stage.optional || stage.negated);
    if (!names.insert(stage.name).second) {
      return Wrong(stage, "a pattern has two stages of one name; rename one");
    }
  }
  if (within <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("the time of a pattern (Within) must be positive");
  }
  const PatternStage& last = stages.back();
  if (last.negated && last.contiguity != Contiguity::kStrict &&
      (within == absl::InfiniteDuration() || within_type != WithinType::kFirstAndLast)) {
    return Wrong(
        last,
        "a pattern that ends with NotFollowedBy is never complete without a time limit; add "
        "Within()");
  }
  if (!skip.stage().empty() && !names.contains(skip.stage())) {
    return absl::InvalidArgumentError(StrCat(
        "the skip strategy names a stage that the pattern does not have: stage=", skip.stage()));
  }
  return absl::OkStatus();
}

size_t PatternShape::IndexOf(std::string_view name) const {
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i].name == name) return i;
  }
  throw std::invalid_argument(
      StrCat("no stage of the pattern has this name; use one that Begin, Next or FollowedBy gave: "
             "name=",
             name));
}

}  // namespace weir
