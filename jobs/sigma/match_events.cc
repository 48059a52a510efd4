#include "jobs/sigma/match_events.h"

#include <unistd.h>

#include <bit>
#include <stdexcept>

#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr const char* kOnlyEntry = "job";
/// Of a key with a window: fires when the input has ended.
constexpr EventTime kEndOfInput = EventTime::Max();
/// How long a full window waits for what is about to come.
constexpr absl::Duration kFlushDelay = absl::Milliseconds(1);
constexpr absl::Duration kLeastRateInterval = absl::Seconds(1);

std::string SourceOf(const SourceEvent& event) {
  if (event.topic.empty()) return {};
  return StrCat(event.topic, "/", event.partition, "/", event.offset);
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? std::string(name) : std::string();
}

}  // namespace

/// The operator's metrics, under DetectFlow's names. Threads: the task's.
struct MatchEvents::Metrics {
  explicit Metrics(MetricGroup* group)
      : matched(group->AddGauge("matchedEvents")),
        total(group->AddGauge("totalEvents")),
        filtered(group->AddGauge("prefilteredEvents")),
        input_rate(group->AddGauge("inputEventsPerSecond")),
        tagged_rate(group->AddGauge("outputTaggedPerSecond")),
        untagged_rate(group->AddGauge("outputUntaggedPerSecond")),
        last_window(group->AddGauge("lastWindowTimestampMs")),
        active_rules(group->AddGauge("activeRulesCount")),
        event_errors(group->AddCounter("eventParsingErrors")),
        schema_errors(group->AddCounter("schemaParsingErrors")),
        rule_errors(group->AddCounter("ruleParsingErrors")),
        matching_errors(group->AddCounter("matchingErrors")),
        windows(group->AddCounter("windowsProcessed")),
        compilations(group->AddCounter("ruleCompilations")),
        window_duration(group->AddHistogram("windowDurationMs")),
        matching_duration(group->AddHistogram("matchingDurationMs")) {}

  /// Counts an event that was matched, and works out the rates about once a second.
  void Count(const TagResult& result, absl::Time now) {
    ++num_events;
    if (!result.matches.empty()) ++num_matched;
    if (result.filtered) ++num_filtered;
    if (result.emit) ++(result.matches.empty() ? num_untagged_out : num_tagged_out);
    total->Set(static_cast<double>(num_events));
    matched->Set(static_cast<double>(num_matched));
    filtered->Set(static_cast<double>(num_filtered));
    if (rates_since == absl::InfinitePast()) rates_since = now;
    const absl::Duration passed = now - rates_since;
    if (passed < kLeastRateInterval) return;
    const double seconds = absl::ToDoubleSeconds(passed);
    const auto rate = [&](uint64_t count, uint64_t& before) {
      return static_cast<double>(count - std::exchange(before, count)) / seconds;
    };
    input_rate->Set(rate(num_events, events_before));
    tagged_rate->Set(rate(num_tagged_out, tagged_before));
    untagged_rate->Set(rate(num_untagged_out, untagged_before));
    last_window->Set(static_cast<double>(absl::ToUnixMillis(now)));
    rates_since = now;
  }

  void SetRules(const EventTagger& tagger) {
    active_rules->Set(static_cast<double>(tagger.num_rules()));
    const uint64_t counted = compilations->value();
    if (tagger.num_compilations() > counted) {
      compilations->Add(tagger.num_compilations() - counted);
    }
  }

  Gauge* const matched;
  Gauge* const total;
  Gauge* const filtered;
  Gauge* const input_rate;
  Gauge* const tagged_rate;
  Gauge* const untagged_rate;
  Gauge* const last_window;
  Gauge* const active_rules;
  Counter* const event_errors;
  Counter* const schema_errors;
  Counter* const rule_errors;
  Counter* const matching_errors;
  Counter* const windows;
  Counter* const compilations;
  Histogram* const window_duration;
  Histogram* const matching_duration;

  uint64_t num_events = 0;
  uint64_t num_matched = 0;
  uint64_t num_filtered = 0;
  uint64_t num_tagged_out = 0;
  uint64_t num_untagged_out = 0;
  uint64_t events_before = 0;
  uint64_t tagged_before = 0;
  uint64_t untagged_before = 0;
  absl::Time rates_since = absl::InfinitePast();
  uint64_t rule_errors_reported = 0;  // In messages of statistics.
};

absl::Status MatchEvents::Open(KeyedOpenContext<std::string>& context) {
  ASSIGN_OR_RETURN(rules_, context.GetBroadcastState(
                               BroadcastStateDescriptor<std::string, StoredRule>{"rules"}));
  ASSIGN_OR_RETURN(filters_, context.GetBroadcastState(
                                 BroadcastStateDescriptor<std::string, StoredFilter>{"filters"}));
  ASSIGN_OR_RETURN(parser_, context.GetBroadcastState(
                                BroadcastStateDescriptor<std::string, StoredParser>{"parser"}));
  ASSIGN_OR_RETURN(custom_fields_,
                   context.GetBroadcastState(
                       BroadcastStateDescriptor<std::string, StoredCustomFields>{"custom-fields"}));
  ASSIGN_OR_RETURN(progress_,
                   context.GetState(ValueStateDescriptor<WindowProgress>{"window-progress"}));
  ASSIGN_OR_RETURN(statistics_,
                   context.GetState(ValueStateDescriptor<WindowStatistics>{"window-statistics"}));
  ASSIGN_OR_RETURN(buffer_, context.GetState(ListStateDescriptor<BufferedEvent>{"window-events"}));
  tagger_ = std::make_shared<EventTagger>(options_.tagger);
  metrics_ = std::make_shared<Metrics>(context.metrics());
  reports_ = context.place().subtask == 0;
  options_.origin.subtask = context.place().subtask;
  options_.origin.parallelism = context.place().parallelism;
  options_.origin.hostname = HostName();
  if (reports_ && !options_.settings.empty()) {
    LogInfo("sigma", StrCat("settings in force:\n", options_.settings));
  }
  Restore();
  return absl::OkStatus();
}

void MatchEvents::Restore() {
  std::vector<RuleProblem> problems;
  // The parser first: its mapping then applies to each rule once.
  for (const auto& [key, parser] : parser_.entries()) tagger_->SetParser(parser, &problems);
  for (const auto& [key, rule] : rules_.entries()) tagger_->SetRule(key, rule, &problems);
  for (const auto& [id, filter] : filters_.entries()) tagger_->SetFilter(id, filter, &problems);
  for (const auto& [key, fields] : custom_fields_.entries()) {
    tagger_->SetCustomFields(fields, &problems);
  }
  for (const RuleProblem& problem : problems) LogRuleProblem(problem);
  metrics_->SetRules(*tagger_);
}

void MatchEvents::ApplyRule(const ControlUpdate& update, std::vector<RuleProblem>* problems) {
  if (update.kind == ControlUpdate::Kind::kDeleteRule) {
    rules_.Remove(update.key);
    tagger_->RemoveRule(update.key);
  } else if (tagger_->SetRule(update.key, update.rule, problems)) {
    rules_.Put(update.key, update.rule);
  }
}

void MatchEvents::ApplyOthers(const ControlUpdate& update, std::vector<RuleProblem>* problems) {
  switch (update.kind) {
    case ControlUpdate::Kind::kSetFilter:
      if (tagger_->SetFilter(update.key, update.filter, problems)) {
        filters_.Put(update.key, update.filter);
      } else {
        filters_.Remove(update.key);
      }
      return;
    case ControlUpdate::Kind::kDeleteFilter:
      filters_.Remove(update.key);
      return tagger_->RemoveFilter(update.key);
    case ControlUpdate::Kind::kSetParser:
      if (tagger_->SetParser(update.parser, problems)) parser_.Put(kOnlyEntry, update.parser);
      return;
    case ControlUpdate::Kind::kDeleteParser:
      parser_.Remove(kOnlyEntry);
      return tagger_->RemoveParser();
    case ControlUpdate::Kind::kSetCustomFields:
      if (tagger_->SetCustomFields(update.custom_fields, problems)) {
        custom_fields_.Put(kOnlyEntry, update.custom_fields);
      } else {
        custom_fields_.Remove(kOnlyEntry);
      }
      return;
    case ControlUpdate::Kind::kDeleteCustomFields:
      custom_fields_.Remove(kOnlyEntry);
      return tagger_->RemoveCustomFields();
    case ControlUpdate::Kind::kSetRule:
    case ControlUpdate::Kind::kDeleteRule:
      return ApplyRule(update, problems);
    case ControlUpdate::Kind::kProblem:
      problems->push_back(update.problem);
      return;
  }
}

void MatchEvents::ProcessBroadcastElement(const ControlUpdate& update, FunctionContext& context,
                                          Collector<TaggedEvent>&) {
  std::vector<RuleProblem> problems;
  ApplyOthers(update, &problems);
  metrics_->SetRules(*tagger_);
  ReportProblems(std::move(problems), context);
}

void MatchEvents::ReportProblems(std::vector<RuleProblem> problems, FunctionContext& context) {
  if (!reports_) return;
  for (RuleProblem& problem : problems) {
    LogRuleProblem(problem);
    metrics_->rule_errors->Add();
    context.Output(RuleProblemTag(), std::move(problem));
  }
}

void MatchEvents::ProcessElement(const SourceEvent& event, Context& context,
                                 Collector<TaggedEvent>& out) {
  if (options_.buffered) return Buffer(event, context);
  if (options_.metrics) {
    WindowProgress& progress = progress_.Mutable();
    if (progress.num_events++ == 0) BeginWindow(context, progress);
  }
  Match(event, context, out);
}

void MatchEvents::BeginWindow(Context& context, WindowProgress& progress) {
  const absl::Time now = context.current_processing_time();
  const absl::Time end = now + options_.window;
  progress.timer_ms = absl::ToUnixMillis(end);
  statistics_.Mutable().start_ms = absl::ToUnixMillis(now);
  context.timer_service().RegisterProcessingTimeTimer(absl::FromUnixMillis(progress.timer_ms));
  context.timer_service().RegisterEventTimeTimer(kEndOfInput);
}

void MatchEvents::Buffer(const SourceEvent& event, Context& context) {
  WindowProgress& progress = progress_.Mutable();
  if (progress.num_events++ == 0) BeginWindow(context, progress);
  progress.num_bytes += event.json.size();
  if (progress.num_events >= options_.count_threshold && !progress.flushing) {
    TimerService& timers = context.timer_service();
    timers.DeleteProcessingTimeTimer(absl::FromUnixMillis(progress.timer_ms));
    progress.timer_ms = absl::ToUnixMillis(context.current_processing_time() + kFlushDelay);
    progress.flushing = true;
    timers.RegisterProcessingTimeTimer(absl::FromUnixMillis(progress.timer_ms));
  }
  buffer_.Add({event, context.timestamp()});
}

void MatchEvents::OnTimer(TimerKind, Context& context, Collector<TaggedEvent>& out) {
  const WindowProgress* const found = progress_.Get();
  if (found == nullptr) return;
  const WindowProgress progress = *found;
  const absl::Time began = context.current_processing_time();
  buffer_.ForEach([&](const BufferedEvent& buffered) {
    context.set_timestamp(buffered.time);
    out.set_timestamp(buffered.time);
    Match(buffered.event, context, out);
  });
  EmitStatistics(began, progress, context);
  buffer_.Clear();
  statistics_.Clear();
  progress_.Clear();
  context.timer_service().DeleteProcessingTimeTimer(absl::FromUnixMillis(progress.timer_ms));
  context.timer_service().DeleteEventTimeTimer(kEndOfInput);
}

void MatchEvents::Match(const SourceEvent& event, Context& context, Collector<TaggedEvent>& out) {
  const absl::Time began = context.current_processing_time();
  TaggedEvent tagged;
  const absl::Status status = tagger_->Tag(event.json, &tagged.json, &result_);
  if (!status.ok()) {
    // Not the event's fault, so the task fails rather than lose it.
    if (!absl::IsInvalidArgument(status)) throw std::runtime_error(status.ToString());
    return OnDeadLetter(event, status, context);
  }
  const absl::Time now = context.current_processing_time();
  if (options_.metrics) {
    WindowStatistics& statistics = statistics_.Mutable();
    statistics.Add(result_);
    statistics.matching_nanos += absl::ToInt64Nanoseconds(now - began);
  }
  if (tagger_->num_compilations() != metrics_->compilations->value()) {
    metrics_->SetRules(*tagger_);
    ReportProblems(tagger_->TakeProblems(), context);
  }
  if (tagger_->feeds_correlations()) Correlate(event, context);
  if (!result_.parser_error.empty()) metrics_->schema_errors->Add();
  metrics_->Count(result_, now);
  if (!result_.emit) return;
  tagged.key = event.key;
  tagged.has_key = event.has_key;
  out.Collect(std::move(tagged));
}

void MatchEvents::Correlate(const SourceEvent& event, Context& context) {
  const int64_t time_ms = context.timestamp() == EventTime::Min()
                              ? absl::ToUnixMillis(context.current_processing_time())
                              : context.timestamp().millis();
  inputs_.clear();
  tagger_->AppendCorrelationInputs(event.json, time_ms, SourceOf(event), &inputs_);
  for (CorrelationInput& input : inputs_) context.Output(CorrelationTag(), std::move(input));
}

void MatchEvents::OnDeadLetter(const SourceEvent& event, const absl::Status& reason,
                               Context& context) {
  DeadLetter letter;
  letter.reason = std::string(reason.message().data(), reason.message().size());
  letter.source = SourceOf(event);
  letter.event = event.json;
  letter.key = event.key;
  letter.has_key = event.has_key;
  metrics_->event_errors->Add();
  if (std::has_single_bit(metrics_->event_errors->value())) {
    LogWarning("sigma", StrCat("an event cannot be matched: ", letter.reason,
                               " dead_letters_so_far=", metrics_->event_errors->value()));
  }
  if (options_.metrics) {
    WindowStatistics& statistics = statistics_.Mutable();
    ++statistics.num_event_parsing_errors;
    statistics.AddError(letter.reason);
  }
  context.Output(DeadLetterTag(), std::move(letter));
}

void MatchEvents::EmitStatistics(absl::Time timer_began, const WindowProgress& progress,
                                 Context& context) {
  const WindowStatistics* const statistics = statistics_.Get();
  if (!options_.metrics || statistics == nullptr || statistics->num_events == 0) return;
  WindowEnd end;
  end.now = context.current_processing_time();
  end.timer_began = timer_began;
  if (options_.buffered) {
    end.num_buffered_events = progress.num_events;
    end.num_buffered_bytes = progress.num_bytes;
  }
  end.num_rules = tagger_->num_rules();
  end.num_rule_errors =
      metrics_->rule_errors->value() -
      std::exchange(metrics_->rule_errors_reported, metrics_->rule_errors->value());
  metrics_->windows->Add();
  metrics_->last_window->Set(static_cast<double>(absl::ToUnixMillis(end.now)));
  metrics_->window_duration->Record(absl::ToUnixMillis(end.now) - statistics->start_ms);
  metrics_->matching_duration->Record(statistics->matching_nanos / 1'000'000);
  MetricsMessage message;
  message.timestamp_ms = absl::ToUnixMillis(end.now);
  AppendMetricsMessage(options_.origin, *statistics, end, &message.json);
  context.Output(MetricsTag(), std::move(message));
}

}  // namespace weir::sigma
