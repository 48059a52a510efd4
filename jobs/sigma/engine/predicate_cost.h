#pragma once

#include <cstdint>

#include "jobs/sigma/engine/predicate.h"

namespace weir::sigma {

/// What testing a predicate costs the Matcher.
enum class PredicateCost : uint8_t {
  kIndexed,        ///< Found by looking the value up, together with all others of its field.
  kBehindLiteral,  ///< Tested by itself, but only on values that hold a literal it implies.
  kEveryValue,     ///< Tested by itself on every value of the field that a rule asks about.
};

/// Returns the cost of `predicate`.
[[nodiscard]] PredicateCost CostOf(const Predicate& predicate);

}  // namespace weir::sigma
