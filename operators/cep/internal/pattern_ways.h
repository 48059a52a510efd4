#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "operators/cep/pattern_shape.h"

namespace weir::internal {

/// A way on from the last event of one stage to the first of another, or to the match's end.
struct PatternWay {
  static constexpr uint32_t kEnd = 0xFFFFFFFF;

  uint32_t stage = kEnd;
  std::vector<uint32_t> negations;  // Stages between the two whose events close the way.
};

/// Where a match may go from each of its positions. Immutable after it is made; any thread.
///
/// A position is the stage of the last event taken and how many it has taken. Its ways on are bits:
/// bit 0 takes another event of the stage, bit i + 1 follows WaysFrom(stage)[i]. A match that has
/// taken nothing is at kStart.
class PatternWays {
 public:
  static constexpr uint32_t kStart = 0xFFFFFFFF;
  static constexpr uint64_t kLoop = 1;

  explicit PatternWays(const PatternShape& shape);

  [[nodiscard]] const std::vector<PatternWay>& WaysFrom(uint32_t stage) const {
    return ways_[stage + 1];  // kStart wraps to 0.
  }
  /// The ways that are open right after the position is reached.
  [[nodiscard]] uint64_t OpenWays(uint32_t stage, uint32_t count) const;
  /// Whether what was taken is a match.
  [[nodiscard]] bool IsMatch(uint32_t stage, uint32_t count) const {
    return complete_[stage + 1] && count >= (*shape_).stages[stage].min;
  }
  /// The count after one more event. Beyond the minimum of an unbounded stage it does not grow.
  [[nodiscard]] uint32_t CountAfter(uint32_t stage, uint32_t count) const;
  /// Whether a way to the end waits for the time to run out: its negations include one of any
  /// distance.
  [[nodiscard]] bool EndsByTime(const PatternWay& way) const;
  /// The negation that, standing right behind `stage`, ends its loop too; kEnd if there is none.
  [[nodiscard]] uint32_t LoopNegation(uint32_t stage) const;

 private:
  const PatternShape* shape_;
  std::vector<std::vector<PatternWay>> ways_;  // By stage + 1.
  std::vector<bool> complete_;                 // By stage + 1: all that is left is optional.
};

}  // namespace weir::internal
