#include "jobs/sigma/custom_fields.h"

#include <utility>

#include "jobs/sigma/yaml_value.h"
#include "runtime/base/status_macros.h"

namespace weir::sigma {

absl::StatusOr<CustomFields> CustomFields::Read(std::string_view yaml) {
  ASSIGN_OR_RETURN(EventValue document, ReadYamlValue(yaml));
  CustomFields fields;
  if (document.is_null()) return fields;
  if (!document.is_object()) {
    return absl::InvalidArgumentError(
        "custom fields are no YAML mapping; write a line `name: value` for each");
  }
  fields.fields_ = std::move(document.members);
  return fields;
}

void CustomFields::AddTo(EventValue* event) const {
  for (const EventMember& field : fields_) event->Set(field.name, field.value);
}

}  // namespace weir::sigma
