#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "operators/cep/after_match_skip_strategy.h"

namespace weir {

/// How an event follows the one taken before it.
enum class Contiguity : uint8_t {
  kStrict,                   ///< Directly.
  kRelaxed,                  ///< As the first that fits.
  kNonDeterministicRelaxed,  ///< As any that fits.
};

/// Between which events a pattern's time is measured.
enum class WithinType : uint8_t { kFirstAndLast, kPreviousAndCurrent };

/// One stage of a pattern without its conditions. Plain data.
struct PatternStage {
  static constexpr uint32_t kUnbounded = std::numeric_limits<uint32_t>::max();

  std::string name;
  Contiguity contiguity = Contiguity::kRelaxed;  ///< Towards the stage before.
  bool negated = false;
  uint32_t min = 1;
  uint32_t max = 1;
  Contiguity inner = Contiguity::kRelaxed;  ///< Among the stage's own events.
  bool optional = false;
  bool greedy = false;
  bool has_until = false;
  bool quantified = false;
  bool quantified_twice = false;
};

/// A pattern without its conditions: what does not depend on the type of the events.
struct PatternShape {
  std::vector<PatternStage> stages;
  AfterMatchSkipStrategy skip;
  absl::Duration within = absl::InfiniteDuration();
  WithinType within_type = WithinType::kFirstAndLast;

  /// Errors: kInvalidArgument, naming the stage and what to change, for a pattern that cannot be
  /// run.
  [[nodiscard]] absl::Status Check() const;
  /// Returns the stage's index. Throws std::invalid_argument, which fails the task, if the pattern
  /// has none of that name: for user code, which has no other way to hear of it.
  [[nodiscard]] size_t IndexOf(std::string_view name) const;
};

}  // namespace weir
