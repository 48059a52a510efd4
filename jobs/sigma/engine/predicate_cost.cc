#include "jobs/sigma/engine/predicate_cost.h"

#include "jobs/sigma/engine/internal/regex.h"

namespace weir::sigma {

PredicateCost CostOf(const Predicate& predicate) {
  switch (predicate.test) {
    case Test::kExists:
      return PredicateCost::kIndexed;
    case Test::kEquals:
    case Test::kContains:
    case Test::kStartsWith:
    case Test::kEndsWith:
      if (predicate.cased) return PredicateCost::kBehindLiteral;
      return predicate.IsKeyword() && predicate.test != Test::kContains
                 ? PredicateCost::kBehindLiteral
                 : PredicateCost::kIndexed;
    case Test::kGlob:
      return predicate.pattern.LiteralRuns().empty() ? PredicateCost::kEveryValue
                                                     : PredicateCost::kBehindLiteral;
    case Test::kRegex:
      return predicate.regex->required_literals().empty() ? PredicateCost::kEveryValue
                                                          : PredicateCost::kBehindLiteral;
    default:
      return PredicateCost::kEveryValue;
  }
}

}  // namespace weir::sigma
