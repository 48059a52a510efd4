#include <set>
#include <string>
#include <vector>

#include "jobs/sigma/tools/lint_internal.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

void CollectSelections(const Expression& node, std::set<std::string>* names) {
  if (!node.selection.empty()) names->insert(node.selection);
  for (const Expression& child : node.children) CollectSelections(child, names);
}

bool HasModifier(std::string_view key, std::string_view modifier) {
  const std::vector<std::string_view> parts = StrSplit(key, '|');
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i] == modifier) return true;
  }
  return false;
}

/// Checks one line of a selection, `field|modifier: values`.
void LintItem(const std::string& key, const YAML::Node& values, const AddFinding& add) {
  const bool is_list = values.IsSequence();
  if (HasModifier(key, "all") && (!is_list || values.size() < 2)) {
    add(Severity::kInfo, "all-of-one", LineOf(values),
        StrCat("`all` has only one value to find, so it changes nothing: ", key));
  }
  const bool contains = HasModifier(key, "contains");
  const bool open_end = contains || HasModifier(key, "startswith");
  const bool open_start = contains || HasModifier(key, "endswith");
  std::set<std::string> seen;
  const auto check = [&](const YAML::Node& value) {
    if (!value.IsScalar()) return;
    const std::string& text = value.Scalar();
    if (!seen.insert(text).second) {
      add(Severity::kInfo, "duplicate-value", LineOf(value),
          StrCat("the value stands twice: ", text));
    }
    const bool escaped = text.size() > 1 && text[text.size() - 2] == '\\';
    const bool redundant =
        (open_start && text.starts_with('*')) || (open_end && text.ends_with('*') && !escaped);
    if (redundant && text.size() > 1) {
      add(Severity::kInfo, "redundant-wildcard", LineOf(value),
          StrCat("the modifier already says what the wildcard says: ", key, ": ", text));
    }
  };
  if (!is_list) return check(values);
  for (const YAML::Node& value : values) check(value);
}

void LintSelection(const YAML::Node& selection, const AddFinding& add) {
  if (selection.IsSequence()) {
    for (const YAML::Node& item : selection) {
      if (item.IsMap()) LintSelection(item, add);
    }
    return;
  }
  if (!selection.IsMap()) return;
  for (const auto& line : selection) {
    if (line.first.IsScalar()) LintItem(line.first.Scalar(), line.second, add);
  }
}

}  // namespace

void LintDetection(const YAML::Node& document, const Rule& rule, const AddFinding& add) {
  const YAML::Node detection = document["detection"];
  if (!detection.IsDefined() || !detection.IsMap()) return;
  std::set<std::string> used;
  CollectSelections(rule.condition, &used);
  for (const auto& entry : detection) {
    if (!entry.first.IsScalar()) continue;
    const std::string& name = entry.first.Scalar();
    if (name == "condition" || name == "timeframe") continue;
    LintSelection(entry.second, add);
    if (used.contains(name)) continue;
    add(Severity::kWarning, "unused-selection", LineOf(entry.first),
        StrCat("the condition does not use the selection: ", name));
  }
}

}  // namespace weir::sigma
