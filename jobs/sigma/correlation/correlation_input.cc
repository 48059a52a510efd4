#include "jobs/sigma/correlation/correlation_input.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "jobs/sigma/engine/predicate.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr char kSeparator = '\x1f';

using Type = CorrelationType;

bool Calculates(const CorrelationRule& rule) {
  return rule.type == Type::kValueSum || rule.type == Type::kValueAvg ||
         rule.type == Type::kValueMedian ||
         (rule.type == Type::kValuePercentile && rule.condition.percentile.has_value());
}

bool ReadsValues(const CorrelationRule& rule) {
  return rule.type == Type::kValueCount || rule.type == Type::kValuePercentile || Calculates(rule);
}

/// All ways to take one value of each of `fields`, as rules[rule] has them; empty if one has none.
std::vector<std::vector<std::string>> Tuples(const CorrelationRule& rule, uint32_t index,
                                             const std::vector<std::string>& fields,
                                             const FieldValues& values) {
  std::vector<std::vector<std::string>> tuples(1);
  for (const std::string& field : fields) {
    const std::string_view name = rule.FieldOf(index, field);
    if (name.empty()) return {};
    const std::vector<std::string> of_field = values(name);
    std::vector<std::vector<std::string>> longer;
    for (const std::vector<std::string>& tuple : tuples) {
      for (const std::string& value : of_field) {
        if (longer.size() == kMaxGroupsOfMatch) break;
        longer.push_back(tuple);
        longer.back().push_back(value);
      }
    }
    tuples = std::move(longer);
  }
  return tuples;
}

std::string Join(const std::vector<std::string>& parts) {
  std::string joined;
  for (const std::string& part : parts) {
    if (!joined.empty()) joined.push_back(kSeparator);
    joined.append(part);
  }
  return joined;
}

/// What the correlation looks at in one match; empty if that does not count.
std::vector<CorrelatedMatch> ReadMatches(const CorrelationRule& rule, uint32_t index,
                                         const FieldValues& values, int64_t time_ms,
                                         const std::string& event) {
  CorrelatedMatch match{time_ms, index, {}, 0, event};
  if (!ReadsValues(rule)) return {std::move(match)};
  std::vector<CorrelatedMatch> matches;
  for (const std::vector<std::string>& tuple : Tuples(rule, index, rule.condition.fields, values)) {
    if (Calculates(rule)) {
      const std::optional<double> number = ParseNumber(tuple.front());
      if (!number.has_value() || !std::isfinite(*number)) continue;
      match.number = *number;
    } else {
      match.value = Join(tuple);
    }
    matches.push_back(match);
  }
  return matches;
}

std::string TimeText(int64_t time_ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(time_ms),
                          absl::UTCTimeZone());
}

}  // namespace

FieldValues ValuesOf(const EventFields& event) {
  return [&event](std::string_view name) {
    std::vector<std::string> values;
    const std::optional<EventFields::Field> field = event.Find(name);
    if (!field.has_value()) return values;
    for (const ScalarValue& value : field->values) {
      // Of a number both texts are there, of which one is enough.
      std::string text = value.is_string ? std::string(value.text) : CanonicalNumber(value.text);
      if (std::find(values.begin(), values.end(), text) == values.end()) {
        values.push_back(std::move(text));
      }
    }
    return values;
  };
}

void AppendInputs(const CorrelationSet& correlations, std::string_view id,
                  const FieldValues& values, int64_t time_ms, const std::string& event,
                  std::vector<CorrelationInput>* inputs) {
  for (const CorrelationSet::Reader& reader : correlations.ReadersOf(id)) {
    const CorrelationSet::Entry& entry = *reader.correlation;
    const CorrelationRule& rule = *entry.rule;
    const std::vector<CorrelatedMatch> matches =
        ReadMatches(rule, reader.rule, values, time_ms, event);
    if (matches.empty()) continue;
    for (std::vector<std::string>& group : Tuples(rule, reader.rule, rule.group_by, values)) {
      CorrelationInput input;
      input.group = StrCat(rule.id, std::string_view(&kSeparator, 1), Join(group));
      input.correlation = rule.id;
      input.level = entry.level;
      input.definition = entry.definition;
      input.group_values = std::move(group);
      for (const CorrelatedMatch& match : matches) {
        input.match = match;
        inputs->push_back(input);
      }
    }
  }
}

FieldValues ValuesOfFiring(const CorrelationRule& rule,
                           const std::vector<std::string>& group_values) {
  return [&rule, &group_values](std::string_view name) {
    const auto found = std::find(rule.group_by.begin(), rule.group_by.end(), name);
    if (found == rule.group_by.end()) return std::vector<std::string>();
    return std::vector<std::string>{
        group_values[static_cast<size_t>(found - rule.group_by.begin())]};
  };
}

void AppendFiring(const CorrelationRule& rule, const std::vector<std::string>& group_values,
                  const CorrelationFiring& firing, std::string* json) {
  JsonWriter writer(json);
  writer.BeginObject();
  writer.Key("type").String(CorrelationTypeName(rule.type));
  writer.Key("timespan_seconds").Int(absl::ToInt64Seconds(rule.timespan));
  writer.Key("group").BeginObject();
  for (size_t i = 0; i < rule.group_by.size() && i < group_values.size(); ++i) {
    writer.Key(rule.group_by[i]).String(group_values[i]);
  }
  writer.EndObject();
  writer.Key("time").String(TimeText(firing.time_ms));
  writer.Key("first").String(TimeText(firing.first_ms));
  writer.Key("last").String(TimeText(firing.last_ms));
  writer.Key("value").Double(firing.value);
  if (!firing.values.empty()) {
    writer.Key("values").BeginArray();
    for (const std::string& value : firing.values) writer.String(value);
    writer.EndArray();
  }
  writer.Key("rules").BeginArray();
  for (const CorrelationReference& reference : rule.rules) writer.String(reference.id);
  writer.EndArray().Key("events").BeginArray();
  for (const std::string& event : firing.events) {
    if (!event.empty()) writer.String(event);  // Events of files have no place in the job.
  }
  writer.EndArray().EndObject();
}

void AppendFiringJson(const CorrelationRule& rule, const std::vector<std::string>& group_values,
                      const CorrelationFiring& firing, std::string* json) {
  json->append("{\"correlation\":");
  AppendFiring(rule, group_values, firing, json);
  json->push_back('}');
}

Rule DetectionOf(const CorrelationRule& rule) {
  Rule detection;
  detection.id = rule.id;
  detection.title = rule.title;
  detection.level = rule.level;
  detection.techniques = rule.techniques;
  return detection;
}

}  // namespace weir::sigma
