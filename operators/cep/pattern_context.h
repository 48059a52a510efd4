#pragma once

#include <string_view>
#include <vector>

#include "runtime/record/event_time.h"

namespace weir {

/// What a condition knows besides the event under test. Valid for the call.
template <class T>
class PatternContext {
 public:
  virtual ~PatternContext() = default;
  /// The events that the match so far took in the stage `name`, in order. Not the one under test.
  [[nodiscard]] virtual std::vector<const T*> EventsForPattern(std::string_view name) const = 0;
  /// Time of the event under test: its event time, or the processing time it came at.
  [[nodiscard]] virtual EventTime timestamp() const = 0;
};

}  // namespace weir
