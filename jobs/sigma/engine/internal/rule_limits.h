#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "jobs/sigma/engine/detection.h"
#include "jobs/sigma/engine/rule_document.h"

namespace weir::sigma {

/// How large a rule may become of a text of any size. A few words can ask for more than a machine
/// has: `wide` doubles a value each time, `windash` and placeholders multiply their number,
/// conditions repeat selections, YAML's aliases repeat all of it. Real rules stay far below.

/// In how many forms one value may be tested.
inline constexpr size_t kMostForms = 10'000;
/// The memory of all values of a rule, about.
inline constexpr size_t kMostValueBytes = size_t{32} << 20;
/// The tests and junctions of a rule's condition, its selections put in.
inline constexpr size_t kMostConditionNodes = 500'000;
/// The instructions of one regular expression.
inline constexpr int kMostRegexInstructions = 50'000;

/// Returns the memory that a value takes, about.
[[nodiscard]] size_t SizeOf(const DetectionValue& value);
/// The same for all values of an item, for each of its fields.
[[nodiscard]] size_t SizeOf(const DetectionItem& item);

/// Errors: kInvalidArgument if values of `size_bytes` are too much for one rule; `cause` says what
/// made them so many.
[[nodiscard]] absl::Status CheckValueBytes(size_t size_bytes, std::string_view cause);
[[nodiscard]] absl::Status CheckSize(const RuleDocument& document, std::string_view cause);

}  // namespace weir::sigma
