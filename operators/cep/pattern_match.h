#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "operators/cep/pattern_shape.h"

namespace weir {

/// The events of a match, or of one that ran out of time, by stage. Valid for the call it is passed
/// to.
template <class T>
class PatternMatch {
 public:
  /// The events taken in the stage `name`, in order; empty if it took none. A name that the pattern
  /// does not have throws std::invalid_argument, which fails the task.
  [[nodiscard]] std::span<const T* const> Get(std::string_view name) const {
    return events_[shape_->IndexOf(name)];
  }
  /// The first event of the stage, which must have taken one.
  [[nodiscard]] const T& operator[](std::string_view name) const { return *Get(name).front(); }
  [[nodiscard]] bool Contains(std::string_view name) const { return !Get(name).empty(); }
  /// Calls visit(std::string_view stage, const T&) for each event, stage by stage.
  template <class Visitor>
  void ForEach(Visitor&& visit) const {
    for (size_t stage = 0; stage < events_.size(); ++stage) {
      for (const T* event : events_[stage]) visit(shape_->stages[stage].name, *event);
    }
  }

  /// For the operator: one list a stage.
  PatternMatch(const PatternShape* shape, std::vector<std::vector<const T*>> events)
      : shape_(shape), events_(std::move(events)) {}

 private:
  const PatternShape* shape_;
  std::vector<std::vector<const T*>> events_;
};

}  // namespace weir
