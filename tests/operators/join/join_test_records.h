#pragma once

#include <compare>
#include <cstdint>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "operators/testing/operator_test_harness.h"
#include "runtime/record/event_time.h"

namespace weir {

/// A record of either side of a join under test; `id` tells all apart.
struct Row {
  int64_t key = 0;
  int64_t id = 0;
  friend auto operator<=>(const Row&, const Row&) = default;
};
struct OtherRow {
  std::string name;
  int64_t key = 0;
  int64_t id = 0;
  friend auto operator<=>(const OtherRow&, const OtherRow&) = default;
};

/// A result: the ids that met, -1 for what is missing.
struct Met {
  int64_t left = -1;
  int64_t right = -1;
  friend auto operator<=>(const Met&, const Met&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Met& met) {
    return out << "(" << met.left << "," << met.right << ")";
  }
};

inline Met MeetOuter(const Row* left, const OtherRow* right) {
  return {left == nullptr ? -1 : left->id, right == nullptr ? -1 : right->id};
}
inline Met MeetInner(const Row& left, const OtherRow& right) { return {left.id, right.id}; }

/// Result and event time.
using TimedMet = std::pair<Met, int64_t>;

/// Puts the records of `output` into `results` and returns false if one is at or before a watermark
/// that was emitted before it.
inline bool CollectInTime(const std::vector<OutputElement<Met>>& output, EventTime* watermark,
                          std::multiset<TimedMet>* results) {
  bool in_time = true;
  for (const OutputElement<Met>& element : output) {
    if (const auto* record = std::get_if<StreamRecord<Met>>(&element)) {
      in_time = in_time && record->timestamp > *watermark;
      results->emplace(record->value, record->timestamp.millis());
    } else if (const auto* emitted = std::get_if<Watermark>(&element)) {
      *watermark = emitted->time;
    }
  }
  return in_time;
}

}  // namespace weir
