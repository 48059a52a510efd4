#include "operators/cep/internal/pattern_ways.h"

#include <algorithm>

namespace weir::internal {

PatternWays::PatternWays(const PatternShape& shape) : shape_(&shape) {
  const auto& stages = shape.stages;
  for (size_t from = 0; from <= stages.size(); ++from) {  // Stage from - 1, the start first.
    std::vector<PatternWay>& ways = ways_.emplace_back();
    std::vector<uint32_t> negations;
    size_t next = from;
    for (; next < stages.size(); ++next) {
      if (stages[next].negated) {
        negations.push_back(static_cast<uint32_t>(next));
        continue;
      }
      ways.push_back({static_cast<uint32_t>(next), negations});
      if (!stages[next].optional) break;
    }
    const bool reaches_end = next == stages.size();
    if (reaches_end && !negations.empty()) ways.push_back({PatternWay::kEnd, negations});
    complete_.push_back(reaches_end && negations.empty());
  }
}

uint64_t PatternWays::OpenWays(uint32_t stage, uint32_t count) const {
  const PatternStage& shape = shape_->stages[stage];
  uint64_t open = count < shape.max ? kLoop : 0;
  if (count >= shape.min) open |= ((uint64_t{1} << WaysFrom(stage).size()) - 1) << 1;
  return open;
}

uint32_t PatternWays::CountAfter(uint32_t stage, uint32_t count) const {
  const PatternStage& shape = shape_->stages[stage];
  return shape.max == PatternStage::kUnbounded ? std::min(count + 1, shape.min) : count + 1;
}

bool PatternWays::EndsByTime(const PatternWay& way) const {
  return std::any_of(way.negations.begin(), way.negations.end(), [this](uint32_t stage) {
    return shape_->stages[stage].contiguity != Contiguity::kStrict;
  });
}

uint32_t PatternWays::LoopNegation(uint32_t stage) const {
  const size_t next = size_t{stage} + 1;
  if (next >= shape_->stages.size() || !shape_->stages[next].negated ||
      shape_->stages[next].contiguity == Contiguity::kStrict) {
    return PatternWay::kEnd;
  }
  return static_cast<uint32_t>(next);
}

}  // namespace weir::internal
