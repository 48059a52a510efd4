#include "jobs/sigma/engine/rule_filter.h"

#include <algorithm>
#include <utility>

#include "jobs/sigma/engine/internal/condition.h"
#include "jobs/sigma/engine/internal/documents.h"
#include "jobs/sigma/engine/internal/selection_reader.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "jobs/sigma/engine/internal/yaml_reader.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

absl::Status ReadRules(const YAML::Node& section, RuleFilter& filter) {
  const YAML::Node rules = section["rules"];
  if (!rules.IsDefined() || rules.IsNull()) {
    return ErrorAt(PlaceOf(section),
                   "the filter names no rules; write `rules: any`, or ids or names of rules");
  }
  ASSIGN_OR_RETURN(filter.rules, ReadTexts(section, "rules"));
  filter.any_rule = filter.rules.empty() || (rules.IsScalar() && FoldCase(rules.Scalar()) == "any");
  if (filter.any_rule) filter.rules.clear();
  return absl::OkStatus();
}

}  // namespace

bool RuleFilter::AppliesTo(const Rule& rule) const {
  if (!log_source.Accepts(rule.log_source)) return false;
  if (any_rule) return true;
  return std::any_of(rules.begin(), rules.end(), [&](const std::string& reference) {
    return reference == rule.id || (!rule.name.empty() && reference == rule.name);
  });
}

Guard RuleFilter::ToGuard() const {
  return {Guard::Kind::kFilter, selections, condition, title.empty() ? id : title};
}

absl::StatusOr<RuleFilter> ReadFilter(const YAML::Node& document, const RuleOptions& options) {
  ASSIGN_OR_RETURN(DocumentHead head, ReadHead(document, options));
  RuleFilter filter;
  filter.id = std::move(head.id);
  filter.title = std::move(head.title);
  filter.name = std::move(head.name);
  filter.place = head.place;
  const YAML::Node source = document["logsource"];
  ASSIGN_OR_RETURN(filter.log_source, ReadLogSource(source));
  if (filter.log_source == LogSource{}) {
    return ErrorAt(source.IsDefined() ? PlaceOf(source) : head.place,
                   "the filter has no `logsource`; add one, so that it meets only rules of it");
  }
  const YAML::Node section = document["filter"];
  ASSIGN_OR_RETURN(DetectionSection read, ReadDetectionSection(section, "filter", {"rules"}));
  if (read.conditions.size() != 1) {
    return ErrorAt(PlaceOf(section["condition"]), "a filter has exactly one `condition`");
  }
  filter.selections = std::move(read.selections);
  filter.condition = std::move(read.conditions.front());
  RETURN_IF_ERROR(ReadRules(section, filter));
  // A condition that is wrong is wrong for every rule; say so once, here.
  const auto shape = ConditionShape(filter.condition, filter.selections);
  if (!shape.ok()) return shape.status();
  return filter;
}

}  // namespace weir::sigma
