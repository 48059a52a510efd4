#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// Fields of rules, each with the fields of events that stand for it.
using FieldMapping = std::map<std::string, std::vector<std::string>>;

/// Reads a mapping: YAML with a field of events, or a list of them, under each field of rules;
/// blank and null ones do not count. A rule's own name is always one of its fields, the last unless
/// it is listed. Errors: kInvalidArgument, naming the field, if it is anything else.
[[nodiscard]] absl::StatusOr<FieldMapping> ReadFieldMapping(std::string_view yaml);

/// Returns `rule` as it reads mapped fields: any of a field's stand-ins may pass a test, and all of
/// them must have no value to pass a test for none, or be empty to pass one for an empty text.
[[nodiscard]] Rule MapFields(const Rule& rule, const FieldMapping& mapping);

}  // namespace weir::sigma
