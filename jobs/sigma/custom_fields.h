#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/parser/event_value.h"

namespace weir::sigma {

/// Fields that every event gets on its way out, in place of fields of the same names. Rules do not
/// see them.
class CustomFields {
 public:
  CustomFields() = default;
  /// Errors: kInvalidArgument if `yaml` is no YAML mapping.
  [[nodiscard]] static absl::StatusOr<CustomFields> Read(std::string_view yaml);

  [[nodiscard]] bool empty() const { return fields_.empty(); }
  void AddTo(EventValue* event) const;

 private:
  std::vector<EventMember> fields_;
};

}  // namespace weir::sigma
