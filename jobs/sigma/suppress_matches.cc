#include "jobs/sigma/suppress_matches.h"

#include <algorithm>
#include <utility>

#include "jobs/sigma/parser/event_value.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr const char* kDetections = "sigma_detections";
constexpr const char* kRuleIds = "sigma_rule_ids";
constexpr EventTime kEndOfInput = EventTime::Max();

/// The value of a field as text; empty if it has none.
std::string ValueOf(const EventValue& event, const std::string& field) {
  const EventValue* value = FindField(event, field);
  if (value == nullptr) value = FindField(event, StrCat("correlation.group.", field));
  if (value == nullptr) return {};
  std::string text;
  AppendJson(*value, &text);
  return text;
}

std::string TimeText(int64_t time_ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(time_ms),
                          absl::UTCTimeZone());
}

/// Adds what was held back to the event, an object with at least one member.
void AppendSummary(const SuppressionPeriod& period, std::string* event) {
  event->pop_back();
  event->append(",\"sigma_suppressed\":");
  JsonWriter json(event);
  json.BeginObject().Key("count").Uint(period.num_held);
  json.Key("first").String(TimeText(period.first_ms));
  json.Key("last").String(TimeText(period.last_ms)).EndObject();
  event->push_back('}');
}

SuppressionInput WithDetection(const TaggedEvent& event, EventValue value,
                               const EventValue& detection,
                               const std::vector<std::string>& fields) {
  SuppressionInput input;
  input.has_detection = true;
  const EventValue* const id = detection.Find("rule_id");
  if (id != nullptr) input.key = id->text;
  for (const std::string& field : fields) {
    StrAppend(&input.key, std::string_view("\x1f", 1), ValueOf(value, field));
  }
  EventValue ids = EventValue::Array();
  if (id != nullptr) ids.items.push_back(*id);
  EventValue detections = EventValue::Array();
  detections.items.push_back(detection);
  value.Set(kRuleIds, std::move(ids));
  value.Set(kDetections, std::move(detections));
  AppendJson(value, &input.event.json);
  input.event.key = event.key;
  input.event.has_key = event.has_key;
  return input;
}

}  // namespace

std::vector<SuppressionInput> SplitDetections(const TaggedEvent& event,
                                              const std::vector<std::string>& fields) {
  static thread_local EventReader reader;
  std::vector<SuppressionInput> inputs;
  absl::StatusOr<EventValue> value = reader.Read(event.json);
  const EventValue* const detections = value.ok() ? value->Find(kDetections) : nullptr;
  if (detections == nullptr || detections->items.empty()) {
    inputs.push_back({event.key, event, false});
    return inputs;
  }
  const std::vector<EventValue> items = detections->items;
  for (const EventValue& detection : items) {
    inputs.push_back(WithDetection(event, *value, detection, fields));
  }
  return inputs;
}

absl::Status SuppressMatches::Open(KeyedOpenContext<std::string>& context) {
  ASSIGN_OR_RETURN(period_, context.GetState(ValueStateDescriptor<SuppressionPeriod>{"period"}));
  num_held_ = context.metrics()->AddCounter("suppressedMatches");
  return absl::OkStatus();
}

void SuppressMatches::ProcessElement(const SuppressionInput& input, Context& context,
                                     Collector<TaggedEvent>& out) {
  if (!input.has_detection) return out.Collect(input.event);
  const absl::Time now = context.current_processing_time();
  const int64_t time_ms = context.timestamp() == EventTime::Min() ? absl::ToUnixMillis(now)
                                                                  : context.timestamp().millis();
  const SuppressionPeriod* const before = period_.Get();
  if (before != nullptr && time_ms < before->end_ms) {
    SuppressionPeriod& period = period_.Mutable();
    period.first_ms = period.num_held == 0 ? time_ms : std::min(period.first_ms, time_ms);
    period.last_ms = period.num_held == 0 ? time_ms : std::max(period.last_ms, time_ms);
    ++period.num_held;
    num_held_->Add();
    if (options_.summary) period.last = input.event;
    return;
  }
  TimerService& timers = context.timer_service();
  if (before != nullptr) {
    timers.DeleteProcessingTimeTimer(absl::FromUnixMillis(before->timer_ms));
    End(*before, context, out);
  }
  SuppressionPeriod period;
  period.end_ms = time_ms + absl::ToInt64Milliseconds(options_.period);
  period.timer_ms = absl::ToUnixMillis(now + options_.period);
  timers.RegisterProcessingTimeTimer(absl::FromUnixMillis(period.timer_ms));
  timers.RegisterEventTimeTimer(kEndOfInput);
  period_.Set(std::move(period));
  out.Collect(input.event);
}

void SuppressMatches::OnTimer(TimerKind, Context& context, Collector<TaggedEvent>& out) {
  const SuppressionPeriod* const period = period_.Get();
  if (period == nullptr) return;
  context.timer_service().DeleteProcessingTimeTimer(absl::FromUnixMillis(period->timer_ms));
  context.timer_service().DeleteEventTimeTimer(kEndOfInput);
  End(*period, context, out);
  period_.Clear();
}

void SuppressMatches::End(const SuppressionPeriod& period, Context&, Collector<TaggedEvent>& out) {
  if (!options_.summary || period.num_held == 0) return;
  TaggedEvent summary = period.last;
  AppendSummary(period, &summary.json);
  out.Collect(std::move(summary), EventTime::FromMillis(period.last_ms));
}

}  // namespace weir::sigma
