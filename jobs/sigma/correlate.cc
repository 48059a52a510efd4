#include "jobs/sigma/correlate.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>

#include "jobs/sigma/engine/tagged_event.h"
#include "jobs/sigma/parser/event_value.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr const char* kOnlyEntry = "job";
/// How often at most a group that only waits for the end of its window is looked at.
constexpr absl::Duration kLongestCheck = absl::Hours(1);

std::string KeyOf(const std::vector<std::string>& group_values) {
  return StrJoin(group_values, ",");
}

}  // namespace

/// A correlation of this level, ready to run.
struct Correlate::Running {
  std::shared_ptr<const CorrelationRule> rule;
  uint64_t definition = 0;
  CorrelationEvaluator evaluator;
  Rule detection;
};

struct Correlate::Subtask {
  CorrelationSet set;
  std::map<std::string, Running> running;  // By id.
  bool is_read = false;                    // Whether `set` is what the texts say.
  CustomFields custom_fields;
  EventReader reader;
  std::vector<CorrelationFiring> firings;
  std::vector<CorrelationInput> inputs;
  Counter* num_fired = nullptr;
  Counter* num_late = nullptr;
};

absl::Status Correlate::Open(KeyedOpenContext<std::string>& context) {
  ASSIGN_OR_RETURN(texts_,
                   context.GetBroadcastState(
                       BroadcastStateDescriptor<std::string, StoredCorrelations>{"correlations"}));
  ASSIGN_OR_RETURN(stored_fields_,
                   context.GetBroadcastState(
                       BroadcastStateDescriptor<std::string, StoredCustomFields>{"custom-fields"}));
  ASSIGN_OR_RETURN(group_, context.GetState(ValueStateDescriptor<CorrelationGroup>{"group"}));
  subtask_ = std::make_shared<Subtask>();
  subtask_->num_fired = context.metrics()->AddCounter("correlationsFired");
  subtask_->num_late = context.metrics()->AddCounter("lateMatches");
  ReadCustomFields();
  return absl::OkStatus();
}

void Correlate::ReadCustomFields() {
  subtask_->custom_fields = {};
  for (const auto& [key, stored] : stored_fields_.entries()) {
    absl::StatusOr<CustomFields> fields = CustomFields::Read(stored.yaml);
    if (fields.ok()) subtask_->custom_fields = *std::move(fields);  // MatchEvents reports others.
  }
}

void Correlate::ReadSet() {
  std::vector<const StoredCorrelations*> texts;
  for (const auto& [key, text] : texts_.entries()) texts.push_back(&text);
  subtask_->running.clear();
  subtask_->set = MakeCorrelationSet(texts, options_.num_levels);
  subtask_->is_read = true;
}

const Correlate::Running* Correlate::Find(const std::string& id, uint64_t definition) {
  if (!subtask_->is_read) ReadSet();
  const CorrelationSet::Entry* const entry = subtask_->set.Find(id);
  if (entry == nullptr || entry->definition != definition || entry->level != options_.level) {
    return nullptr;
  }
  auto found = subtask_->running.find(id);
  if (found == subtask_->running.end()) {
    Running running{entry->rule, entry->definition,
                    CorrelationEvaluator(entry->rule, options_.lateness),
                    DetectionOf(*entry->rule)};
    found = subtask_->running.emplace(id, std::move(running)).first;
  }
  return &found->second;
}

void Correlate::ProcessBroadcastElement(const CorrelationUpdate& update, FunctionContext&,
                                        Collector<TaggedEvent>&) {
  switch (update.kind) {
    case CorrelationUpdate::Kind::kSet:
      texts_.Put(update.key, update.correlations);
      break;
    case CorrelationUpdate::Kind::kDelete:
      texts_.Remove(update.key);
      break;
    case CorrelationUpdate::Kind::kSetCustomFields:
      stored_fields_.Put(kOnlyEntry, update.custom_fields);
      return ReadCustomFields();
    case CorrelationUpdate::Kind::kDeleteCustomFields:
      stored_fields_.Remove(kOnlyEntry);
      return ReadCustomFields();
  }
  subtask_->is_read = false;
}

void Correlate::ProcessElement(const CorrelationInput& input, Context& context,
                               Collector<TaggedEvent>& out) {
  CorrelationGroup* group = &group_.Mutable();
  if (group->definition != input.definition) {
    // Changes reach the operators at different times. What the sender knew before the change that
    // this one has seen is over; in the other case the group begins anew.
    if (group->definition != 0 && Find(group->correlation, group->definition) != nullptr) return;
    *group = CorrelationGroup();
    group->definition = input.definition;
    group->correlation = input.correlation;
    group->group_values = input.group_values;
  }
  group->waiting.push_back(input.match);
  group->latest_ms = std::max(group->latest_ms, input.match.time_ms);
  group->arrival_ms = absl::ToUnixMillis(context.current_processing_time());
  WatchStandstill(*group, context);
  const EventTime time = EventTime::FromMillis(input.match.time_ms);
  if (time > context.current_watermark()) {
    return context.timer_service().RegisterEventTimeTimer(time);
  }
  subtask_->num_late->Add();
  const Running* const running = Find(input.correlation, input.definition);
  if (running == nullptr) return group_.Clear();
  Advance(context.current_watermark().millis(), *running, *group, context, out);
}

void Correlate::OnTimer(TimerKind kind, Context& context, Collector<TaggedEvent>& out) {
  if (group_.Get() == nullptr) return;
  CorrelationGroup& group = group_.Mutable();
  const Running* const running = Find(group.correlation, group.definition);
  if (running == nullptr) return group_.Clear();
  if (kind == TimerKind::kProcessingTime) return OnStandstill(*running, group, context, out);
  const int64_t now_ms = context.timestamp().millis();
  if (group.cleanup_ms <= now_ms) group.cleanup_ms = CorrelationGroup::kNever;
  Advance(now_ms, *running, group, context, out);
}

void Correlate::Advance(int64_t now_ms, const Running& running, CorrelationGroup& group,
                        Context& context, Collector<TaggedEvent>& out) {
  std::vector<CorrelationFiring> firings = std::exchange(subtask_->firings, {});
  running.evaluator.Advance(now_ms, &group, &firings);
  for (const CorrelationFiring& firing : firings) Fire(running, group, firing, context, out);
  firings.clear();
  subtask_->firings = std::move(firings);
  TimerService& timers = context.timer_service();
  if (group.window_end_ms != CorrelationGroup::kNever) {
    timers.RegisterEventTimeTimer(EventTime::FromMillis(group.window_end_ms));
  }
  const int64_t expires_ms = running.evaluator.ExpiresAt(group);
  if (expires_ms <= now_ms) return group_.Clear();
  if (group.cleanup_ms != CorrelationGroup::kNever) return;
  group.cleanup_ms = expires_ms;
  timers.RegisterEventTimeTimer(EventTime::FromMillis(expires_ms));
}

void Correlate::WatchStandstill(CorrelationGroup& group, Context& context) {
  if (options_.idle <= absl::ZeroDuration()) return;
  if (group.check_at_ms != CorrelationGroup::kNever) return;
  group.checked_ms = context.current_watermark().millis();
  absl::Duration wait = options_.idle;
  if (group.waiting.empty()) {
    wait = std::clamp(absl::Milliseconds(group.window_end_ms - group.latest_ms), options_.idle,
                      std::max(options_.idle, kLongestCheck));
  }
  group.check_at_ms = absl::ToUnixMillis(context.current_processing_time() + wait);
  context.timer_service().RegisterProcessingTimeTimer(absl::FromUnixMillis(group.check_at_ms));
}

void Correlate::OnStandstill(const Running& running, CorrelationGroup& group, Context& context,
                             Collector<TaggedEvent>& out) {
  const int64_t now_ms = absl::ToUnixMillis(context.current_processing_time());
  // The timer may be that of a group under this key that has expired since.
  if (group.check_at_ms == CorrelationGroup::kNever || now_ms < group.check_at_ms) return;
  group.check_at_ms = CorrelationGroup::kNever;
  if (group.checked_ms == context.current_watermark().millis()) {
    // As if the clock had gone on from the latest match.
    Advance(group.latest_ms + (now_ms - group.arrival_ms), running, group, context, out);
  }
  const CorrelationGroup* const left = group_.Get();
  if (left == nullptr) return;
  if (left->waiting.empty() && left->window_end_ms == CorrelationGroup::kNever) return;
  WatchStandstill(group_.Mutable(), context);
}

void Correlate::Fire(const Running& running, const CorrelationGroup& group,
                     const CorrelationFiring& firing, Context& context,
                     Collector<TaggedEvent>& out) {
  const EventTime time = EventTime::FromMillis(firing.time_ms);
  subtask_->num_fired->Add();
  subtask_->inputs.clear();
  AppendInputs(subtask_->set, running.rule->id, ValuesOfFiring(*running.rule, group.group_values),
               firing.time_ms, StrCat("correlation/", running.rule->id), &subtask_->inputs);
  context.set_timestamp(time);
  for (CorrelationInput& input : subtask_->inputs) {
    context.Output(CorrelationTag(), std::move(input));
  }
  if (subtask_->set.IsSilent(running.rule->id)) return;
  std::string json;
  AppendFiringJson(*running.rule, group.group_values, firing, &json);
  if (!subtask_->custom_fields.empty()) {
    absl::StatusOr<EventValue> value = subtask_->reader.Read(json);
    if (!value.ok()) throw std::runtime_error(value.status().ToString());
    subtask_->custom_fields.AddTo(&*value);
    json.clear();
    AppendJson(*value, &json);
  }
  TaggedEvent alert;
  const Rule* const detection = &running.detection;
  const absl::Status status = AppendTaggedEvent(json, {&detection, 1}, &alert.json);
  if (!status.ok()) throw std::runtime_error(status.ToString());
  alert.has_key = !group.group_values.empty();
  alert.key = KeyOf(group.group_values);
  out.Collect(std::move(alert), time);
}

}  // namespace weir::sigma
