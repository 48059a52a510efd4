#include "jobs/correlation/correlation_rule.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/status/status.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "simdjson.h"

namespace weir::correlation {
namespace {

namespace dom = simdjson::dom;

const std::vector<std::string> kSeverities = {"INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"};
const std::vector<std::string> kConfidences = {"LOW", "MEDIUM", "HIGH"};

/// Reads the fields of one rule object; errors name the place.
class RuleReader {
 public:
  RuleReader(dom::object object, std::string_view source, size_t index)
      : object_(object), place_(StrCat("source=", source, " rule=", index + 1)) {}

  absl::StatusOr<CorrelationRule> Read() {
    CorrelationRule rule;
    ASSIGN_OR_RETURN(rule.id, RequiredText("rule_id"));
    place_ += StrCat(" rule_id=", rule.id);
    if (rule.id.find(':') != std::string::npos) {
      return Error("rule_id", "a text without \":\", which separates the parts of detection ids");
    }
    ASSIGN_OR_RETURN(rule.name, RequiredText("rule_name"));
    ASSIGN_OR_RETURN(rule.required_signals, RequiredSignals());
    ASSIGN_OR_RETURN(rule.time_window, TimeWindow());
    ASSIGN_OR_RETURN(rule.detection_type, RequiredText("detection_type"));
    ASSIGN_OR_RETURN(rule.severity, OneOf("severity", kSeverities));
    ASSIGN_OR_RETURN(rule.confidence, OneOf("confidence", kConfidences));
    ASSIGN_OR_RETURN(rule.technique, Techniques());
    return rule;
  }

 private:
  absl::Status Error(std::string_view field, std::string_view accepted) const {
    dom::element found;
    const bool is_there = object_.at_key(field).get(found) == simdjson::SUCCESS;
    return absl::InvalidArgumentError(
        StrCat("correlation rule has ", is_there ? "a wrong field" : "no such field", "; give ",
               accepted, ": ", place_, " field=", field,
               is_there ? StrCat(" found=", std::string(simdjson::minify(found))) : std::string()));
  }

  absl::StatusOr<std::string> RequiredText(std::string_view field) const {
    std::string_view text;
    if (object_.at_key(field).get(text) != simdjson::SUCCESS || text.empty()) {
      return Error(field, "a text that is not empty");
    }
    return std::string(text);
  }

  absl::StatusOr<std::string> OneOf(std::string_view field,
                                    const std::vector<std::string>& accepted) const {
    std::string_view text;
    if (object_.at_key(field).get(text) == simdjson::SUCCESS) {
      if (std::find(accepted.begin(), accepted.end(), text) != accepted.end())
        return std::string(text);
    }
    return Error(field, StrCat("one of ", StrJoin(accepted, ", ")));
  }

  absl::StatusOr<std::vector<std::string>> RequiredSignals() const {
    constexpr std::string_view kField = "required_signals";
    constexpr std::string_view kAccepted = "a list of signal types, at least one and each once";
    dom::array array;
    if (object_.at_key(kField).get(array) != simdjson::SUCCESS) return Error(kField, kAccepted);
    std::vector<std::string> types;
    for (const dom::element element : array) {
      std::string_view type;
      if (element.get(type) != simdjson::SUCCESS || type.empty() ||
          std::find(types.begin(), types.end(), type) != types.end()) {
        return Error(kField, kAccepted);
      }
      types.emplace_back(type);
    }
    if (types.empty()) return Error(kField, kAccepted);
    return types;
  }

  absl::StatusOr<absl::Duration> TimeWindow() const {
    constexpr double kMaxMinutes = 60.0 * 24 * 366;
    double minutes = 0;
    if (object_.at_key("time_window_minutes").get(minutes) != simdjson::SUCCESS ||
        !(minutes * 60'000 >= 1) || minutes > kMaxMinutes) {
      return Error("time_window_minutes", "a number of minutes above 0, of at most a year");
    }
    return absl::Milliseconds(std::llround(minutes * 60'000));
  }

  /// Takes {technique: id} and {techniques: [{id, …}]}; a rule without mitre_attack has none.
  absl::StatusOr<std::string> Techniques() const {
    constexpr std::string_view kField = "mitre_attack";
    constexpr std::string_view kAccepted =
        "{\"technique\": id}, {\"techniques\": [{\"id\": id}]}, or leave it out";
    dom::element element;
    if (object_.at_key(kField).get(element) != simdjson::SUCCESS || element.is_null()) return "";
    dom::object attack;
    if (element.get(attack) != simdjson::SUCCESS) return Error(kField, kAccepted);
    std::string_view id;
    if (attack.at_key("technique").get(id) == simdjson::SUCCESS) return std::string(id);
    dom::array list;
    if (attack.at_key("techniques").get(list) != simdjson::SUCCESS) return Error(kField, kAccepted);
    std::vector<std::string> ids;
    for (const dom::element technique : list) {
      if (technique.at_key("id").get(id) != simdjson::SUCCESS) return Error(kField, kAccepted);
      ids.emplace_back(id);
    }
    return StrJoin(ids, ", ");
  }

  dom::object object_;
  std::string place_;
};

}  // namespace

bool CorrelationRule::Requires(std::string_view signal_type) const {
  return std::find(required_signals.begin(), required_signals.end(), signal_type) !=
         required_signals.end();
}

absl::StatusOr<std::vector<CorrelationRule>> ParseCorrelationRules(std::string_view json,
                                                                   std::string_view source) {
  dom::parser parser;
  dom::element root;
  const simdjson::error_code error = parser.parse(simdjson::padded_string(json)).get(root);
  if (error != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(
        StrCat("correlation rules are not valid JSON; give one rule object, or an array of them: ",
               "source=", source, " error=", std::string_view(simdjson::error_message(error))));
  }
  std::vector<dom::element> elements{root};
  dom::array array;
  if (root.get(array) == simdjson::SUCCESS) elements.assign(array.begin(), array.end());
  std::vector<CorrelationRule> rules;
  std::set<std::string> ids;
  for (size_t i = 0; i < elements.size(); ++i) {
    dom::object object;
    if (elements[i].get(object) != simdjson::SUCCESS) {
      return absl::InvalidArgumentError(
          StrCat("correlation rule is not a JSON object: source=", source, " rule=", i + 1));
    }
    ASSIGN_OR_RETURN(CorrelationRule rule, RuleReader(object, source, i).Read());
    if (!ids.insert(rule.id).second) {
      return absl::InvalidArgumentError(StrCat(
          "two correlation rules have one id; rename one: source=", source, " rule_id=", rule.id));
    }
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace weir::correlation
