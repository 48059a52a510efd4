#include "jobs/sigma/engine/internal/rule_limits.h"

#include "runtime/base/strings.h"

namespace weir::sigma {

size_t SizeOf(const DetectionValue& value) {
  size_t size = sizeof(DetectionValue) + value.pattern.size() * sizeof(uint16_t) +
                value.text.size() + value.regex_flags.size();
  for (const DetectionValue& one : value.alternatives) size += SizeOf(one);
  return size;
}

size_t SizeOf(const DetectionItem& item) {
  size_t size = 0;
  for (const DetectionValue& value : item.values) size += SizeOf(value);
  return size * item.fields.size();
}

absl::Status CheckValueBytes(size_t size_bytes, std::string_view cause) {
  if (size_bytes <= kMostValueBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat(
      "the rule's values become too large together; split the rule, or take some out: ", cause,
      " limit_bytes=", kMostValueBytes));
}

absl::Status CheckSize(const RuleDocument& document, std::string_view cause) {
  size_t size = 0;
  ForEachSelection(document, [&](const Selection& selection) {
    ForEachItem(selection, [&](const DetectionItem& item) { size += SizeOf(item); });
  });
  return CheckValueBytes(size, cause);
}

}  // namespace weir::sigma
