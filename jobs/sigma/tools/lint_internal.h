#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "jobs/sigma/engine/rule.h"
#include "jobs/sigma/tools/commands.h"
#include "yaml-cpp/yaml.h"

namespace weir::sigma {

/// Takes a finding about the rule at hand: severity, check, line, message.
using AddFinding =
    std::function<void(Severity severity, std::string_view check, int line, std::string message)>;

/// Returns the line of `node`, from one, or 0 if it is not in a text.
[[nodiscard]] inline int LineOf(const YAML::Node& node) {
  return node.IsDefined() && !node.Mark().is_null() ? node.Mark().line + 1 : 0;
}

/// Checks what a rule says about itself by the specification and by SigmaHQ's conventions.
/// `file_name` is without folders; empty for text that comes from no file.
void LintMetadata(const YAML::Node& document, std::string_view file_name, const AddFinding& add);

/// Checks the selections as written: values that cannot mean what was meant, unused selections.
void LintDetection(const YAML::Node& document, const Rule& rule, const AddFinding& add);

/// Checks the condition as a formula: whether it can hold, holds without a cause, or is slow to
/// test. `line` is where findings point to.
void LintCondition(const Rule& rule, int line, const AddFinding& add);

/// Returns a text that is equal for conditions that ask the same tests in the same order.
[[nodiscard]] std::string ConditionIdentity(const Expression& condition);

}  // namespace weir::sigma
