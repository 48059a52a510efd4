#pragma once

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/sigma/parser/event_value.h"
#include "jobs/sigma/parser/parser_config.h"

namespace weir::sigma {

/// A parser that is ready to run: its patterns are compiled. Immutable; may be shared by threads.
class EventParser {
 public:
  /// Errors: kInvalidArgument naming the step, by its number from 1, whose pattern or arguments
  /// cannot be used.
  [[nodiscard]] static absl::StatusOr<EventParser> Create(const ParserConfig& config);

  ~EventParser();
  EventParser(EventParser&&) noexcept;
  EventParser& operator=(EventParser&&) noexcept;

  /// Runs the steps on `*event`, an object, one after the other. `reader` reads JSON that lies in
  /// fields. Errors: kInvalidArgument naming the step that failed and the field; the event is then
  /// as the steps before have left it.
  [[nodiscard]] absl::Status Parse(EventValue* event, EventReader& reader) const;

  /// Whether it has no steps.
  [[nodiscard]] bool empty() const;

 private:
  struct Step;
  struct Steps;
  explicit EventParser(std::unique_ptr<Steps> steps);

  std::unique_ptr<Steps> steps_;
};

}  // namespace weir::sigma
