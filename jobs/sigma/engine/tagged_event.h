#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "jobs/sigma/engine/explanation.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// Appends to `*output` the event with its detections: compact JSON, the event's own fields in
/// their order and with their numbers as written, then `sigma_rule_ids` and `sigma_detections`.
/// Fields of these two names that the event had are dropped.
///
/// With `explanations`, one for each of `matches`, each detection also has `matched_selections` and
/// `matched_fields`: what of the event made the rule match.
///
/// `json_event` must have passed Matcher::Match; `matches` may be empty and gives two empty lists.
/// Errors: kInvalidArgument if the bytes are no JSON object; `*output` is then as before.
[[nodiscard]] absl::Status AppendTaggedEvent(std::string_view json_event,
                                             std::span<const Rule* const> matches,
                                             std::string* output,
                                             std::span<const Explanation> explanations = {});

}  // namespace weir::sigma
