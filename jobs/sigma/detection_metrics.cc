#include "jobs/sigma/detection_metrics.h"

#include <algorithm>
#include <utility>

#include "runtime/base/json_writer.h"

namespace weir::sigma {
namespace {

constexpr size_t kNumTopRules = 10;

using RuleCount = std::pair<std::string_view, uint64_t>;

/// Returns the rules with the most matches first; of equals, by id.
std::vector<RuleCount> ByMatches(const WindowStatistics& statistics) {
  std::vector<RuleCount> rules(statistics.matches_by_rule.begin(),
                               statistics.matches_by_rule.end());
  std::stable_sort(rules.begin(), rules.end(),
                   [](const RuleCount& a, const RuleCount& b) { return a.second > b.second; });
  return rules;
}

/// A stretch of time as the message has it four times: begin, end, length, events a second.
void AppendTimes(JsonWriter& json, std::string_view name, absl::Time begin, absl::Time end,
                 uint64_t num_events) {
  const auto key = [&](std::string_view suffix) { return std::string(name).append(suffix); };
  const double seconds = std::max(absl::ToDoubleSeconds(end - begin), 0.0);
  const double rate = seconds > 0 ? static_cast<double>(num_events) / seconds : 0;
  json.Key(key("_start_time")).Double(absl::ToDoubleSeconds(begin - absl::UnixEpoch()));
  json.Key(key("_end_time")).Double(absl::ToDoubleSeconds(end - absl::UnixEpoch()));
  json.Key(key("_duration_seconds")).Double(seconds);
  json.Key(key("_throughput_eps")).Uint(static_cast<uint64_t>(rate));
}

void AppendErrors(JsonWriter& json, const WindowStatistics& statistics, const WindowEnd& end) {
  json.Key("errors").BeginObject();
  json.Key("event_parsing_errors").Uint(statistics.num_event_parsing_errors);
  json.Key("schema_parsing_errors").Uint(statistics.num_schema_parsing_errors);
  json.Key("rule_parsing_errors").Uint(end.num_rule_errors);
  json.Key("matching_errors").Uint(0);  // One fails the task, which reports it.
  json.Key("total").Uint(statistics.num_event_parsing_errors +
                         statistics.num_schema_parsing_errors + end.num_rule_errors);
  json.Key("messages").BeginArray();
  for (const std::string& message : statistics.messages) json.String(message);
  json.EndArray();
  json.EndObject();
}

void AppendRules(JsonWriter& json, const WindowStatistics& statistics, const WindowEnd& end) {
  const std::vector<RuleCount> rules = ByMatches(statistics);
  json.Key("rules").BeginObject();
  json.Key("matched_rules").BeginArray();
  for (const auto& [id, count] : rules) {
    json.BeginObject().Key("rule_id").String(id).Key("window_matches").Uint(count).EndObject();
  }
  json.EndArray();
  json.Key("total").Uint(end.num_rules);
  json.Key("triggered_unique").Uint(rules.size());
  json.Key("top_by_matches").BeginArray();
  for (size_t i = 0; i < std::min(rules.size(), kNumTopRules); ++i) {
    json.BeginObject().Key("rule_id").String(rules[i].first);
    json.Key("count").Uint(rules[i].second).EndObject();
  }
  json.EndArray();
  // Rules are matched together, so none has a time of its own; this is the mean.
  const double matching_ms = static_cast<double>(statistics.matching_nanos) / 1e6;
  json.Key("avg_time_per_rule_ms")
      .Double(end.num_rules == 0 ? 0 : matching_ms / static_cast<double>(end.num_rules));
  json.EndObject();
}

void AppendSystem(JsonWriter& json, const MetricsOrigin& origin) {
  json.Key("system").BeginObject();
  json.Key("parallelism").Uint(origin.parallelism);
  json.Key("subtask_index").Uint(origin.subtask);
  json.Key("hostname").String(origin.hostname);
  if (!origin.input_topics.empty()) json.Key("input_topic").String(origin.input_topics);
  if (!origin.output_topic.empty()) json.Key("output_topic").String(origin.output_topic);
  json.EndObject();
}

}  // namespace

void WindowStatistics::Add(const TagResult& result) {
  ++num_events;
  if (result.filtered) ++num_filtered;
  if (!result.matches.empty()) ++num_matched;
  for (const Rule* rule : result.matches) ++matches_by_rule[rule->id];
  if (!result.parser_error.empty()) {
    ++num_schema_parsing_errors;
    AddError(result.parser_error);
  }
}

void WindowStatistics::AddError(std::string_view message) {
  if (messages.size() < kMaxMessages) messages.emplace_back(message);
}

void AppendMetricsMessage(const MetricsOrigin& origin, const WindowStatistics& statistics,
                          const WindowEnd& end, std::string* json_text) {
  const absl::Time begin = absl::FromUnixMillis(statistics.start_ms);
  const double share = statistics.num_events == 0
                           ? 0
                           : 100.0 * static_cast<double>(statistics.num_matched) /
                                 static_cast<double>(statistics.num_events);
  JsonWriter json(json_text);
  json.BeginObject();
  json.Key("job_id").String(origin.job_id);
  json.Key("instance_id").Uint(origin.subtask);
  json.Key("timestamp").Int(absl::ToUnixMillis(end.now));
  json.Key("window_total_events").Uint(statistics.num_events);
  json.Key("window_matched_events").Uint(statistics.num_matched);
  json.Key("window_match_rate_percent").Double(share);
  AppendTimes(json, "window", begin, end.now, statistics.num_events);
  AppendTimes(json, "on_timer", end.timer_began, end.now, statistics.num_events);
  AppendTimes(json, "matching", end.now - absl::Nanoseconds(statistics.matching_nanos), end.now,
              statistics.num_events);
  json.Key("state").BeginObject();
  json.Key("event_buffer_size").Uint(end.num_buffered_events);
  json.Key("event_buffer_memory_bytes").Uint(end.num_buffered_bytes);
  json.Key("broadcast_state_rules").Uint(end.num_rules);
  json.EndObject();
  AppendErrors(json, statistics, end);
  AppendRules(json, statistics, end);
  AppendSystem(json, origin);
  json.EndObject();
}

}  // namespace weir::sigma
