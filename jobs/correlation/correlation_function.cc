#include "jobs/correlation/correlation_function.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::correlation {
namespace {

/// When a signal's records all lie behind the watermark: its time is the exclusive end of a window.
EventTime CompleteAt(EventTime signal_time) { return signal_time - 1; }

int64_t WindowMillis(const CorrelationRule& rule) {
  return absl::ToInt64Milliseconds(rule.time_window);
}

/// Whether each required type has a signal, the oldest no further than the window from the latest.
bool IsComplete(const CorrelationRule& rule, const std::map<std::string, Signal>& latest) {
  if (latest.size() < rule.required_signals.size()) return false;
  const auto [first, last] = std::minmax_element(
      latest.begin(), latest.end(),
      [](const auto& a, const auto& b) { return a.second.time < b.second.time; });
  return first->second.time + WindowMillis(rule) >= last->second.time;
}

Detection MakeDetection(const CorrelationRule& rule, const std::map<std::string, Signal>& latest) {
  std::vector<const Signal*> signals;
  for (const auto& [type, signal] : latest) signals.push_back(&signal);
  std::stable_sort(signals.begin(), signals.end(),
                   [](const Signal* a, const Signal* b) { return a->time < b->time; });
  Detection detection;
  detection.detection_id =
      StrCat(rule.id, ":", signals.front()->entity, ":", signals.front()->time.millis());
  detection.detection_type = rule.detection_type;
  detection.src_ip = signals.front()->entity;
  detection.severity = rule.severity;
  detection.confidence = rule.confidence;
  detection.signal_count = static_cast<int64_t>(signals.size());
  detection.timestamp = signals.back()->time;
  detection.technique = rule.technique;
  JsonWriter json(&detection.signals);
  json.BeginArray();
  for (const Signal* signal : signals) json.Raw(signal->json);
  json.EndArray();
  return detection;
}

/// Whether `a` takes the place of `b` of the same type: the later one, and of two at one time
/// always the same, in whatever order they came.
bool Supersedes(const Signal& a, const Signal& b) {
  return std::tie(a.time, a.json) > std::tie(b.time, b.json);
}

}  // namespace

CorrelationFunction::CorrelationFunction(std::vector<CorrelationRule> rules)
    : rules_(std::make_shared<const std::vector<CorrelationRule>>(std::move(rules))) {}

absl::Status CorrelationFunction::Open(KeyedOpenContext<std::string>& context) {
  ASSIGN_OR_RETURN(waiting_,
                   context.GetState(MapStateDescriptor<int64_t, std::vector<Signal>>{"waiting"}));
  ASSIGN_OR_RETURN(progress_,
                   context.GetState(MapStateDescriptor<std::string, Progress>{"progress"}));
  return absl::OkStatus();
}

void CorrelationFunction::ProcessElement(const Signal& signal, Context& context,
                                         Collector<Detection>& out) {
  const bool wanted = std::any_of(rules_->begin(), rules_->end(), [&](const CorrelationRule& rule) {
    return rule.Requires(signal.type);
  });
  if (!wanted) return;
  if (CompleteAt(signal.time) <= context.current_watermark()) {
    Evaluate({signal}, context, out);
    return;
  }
  waiting_.Mutable(signal.time.millis()).push_back(signal);
  context.timer_service().RegisterEventTimeTimer(CompleteAt(signal.time));
}

void CorrelationFunction::OnTimer(TimerKind, Context& context, Collector<Detection>& out) {
  const int64_t complete = (context.timestamp() + 1).millis();
  if (const std::vector<Signal>* waiting = waiting_.Get(complete)) {
    const std::vector<Signal> signals = *waiting;
    waiting_.Remove(complete);
    Evaluate(signals, context, out);
  }
  RemoveEndedIncidents(context);
}

void CorrelationFunction::Evaluate(const std::vector<Signal>& signals, Context& context,
                                   Collector<Detection>& out) {
  for (const CorrelationRule& rule : *rules_) {
    std::vector<const Signal*> required;
    for (const Signal& signal : signals) {
      if (rule.Requires(signal.type)) required.push_back(&signal);
    }
    if (!required.empty()) EvaluateRule(rule, required, context, out);
  }
}

void CorrelationFunction::EvaluateRule(const CorrelationRule& rule,
                                       const std::vector<const Signal*>& signals, Context& context,
                                       Collector<Detection>& out) {
  const EventTime time = signals.front()->time;
  Progress& progress = progress_.Mutable(rule.id);
  if (time > progress.last_required + WindowMillis(rule)) {
    progress.latest.clear();
    progress.detected = false;
  }
  progress.last_required = std::max(progress.last_required, time);
  if (progress.timer == EventTime::Min()) {
    progress.timer = progress.last_required + WindowMillis(rule);
    context.timer_service().RegisterEventTimeTimer(progress.timer);
  }
  if (progress.detected) return;
  for (const Signal* signal : signals) {
    const auto [entry, added] = progress.latest.try_emplace(signal->type, *signal);
    if (!added && Supersedes(*signal, entry->second)) entry->second = *signal;
  }
  if (!IsComplete(rule, progress.latest)) return;
  out.Collect(MakeDetection(rule, progress.latest));
  progress.detected = true;
  progress.latest.clear();
}

void CorrelationFunction::RemoveEndedIncidents(Context& context) {
  const EventTime now = context.timestamp();
  for (const CorrelationRule& rule : *rules_) {
    const Progress* progress = progress_.Get(rule.id);
    if (progress == nullptr || progress->timer > now) continue;
    const EventTime end = progress->last_required + WindowMillis(rule);
    if (end <= now) {
      progress_.Remove(rule.id);
    } else {
      progress_.Mutable(rule.id).timer = end;
      context.timer_service().RegisterEventTimeTimer(end);
    }
  }
}

}  // namespace weir::correlation
