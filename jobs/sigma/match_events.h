#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "jobs/sigma/control_message.h"
#include "jobs/sigma/correlation/correlation_input.h"
#include "jobs/sigma/detection_metrics.h"
#include "jobs/sigma/event_keys.h"
#include "jobs/sigma/event_tagger.h"
#include "operators/api/functions.h"
#include "operators/connectors/kafka/kafka_record.h"

namespace weir::sigma {

/// An event on its way to be matched, as it came.
struct SourceEvent {
  std::string bucket{};  ///< The key by which events are spread.
  std::string json{};
  std::string topic{};  ///< Of a Kafka record; empty for others.
  int32_t partition = 0;
  int64_t offset = 0;
  std::string key{};  ///< Of the Kafka record.
  bool has_key = false;
};

/// An event with the rules it matches, ready to be written: `json` has sigma_rule_ids and
/// sigma_detections. The key is that of the Kafka record it came in.
struct TaggedEvent {
  std::string json{};
  std::string key{};
  bool has_key = false;
};

/// An event that cannot be matched, and why.
struct DeadLetter {
  std::string reason{};
  std::string source{};  ///< Of a Kafka record: topic/partition/offset.
  std::string event{};
  std::string key{};
  bool has_key = false;
};

/// A message about one window of one key.
struct MetricsMessage {
  std::string json{};
  int64_t timestamp_ms = 0;
};

/// Side outputs of MatchEvents.
[[nodiscard]] inline OutputTag<RuleProblem> RuleProblemTag() {
  return OutputTag<RuleProblem>("rule-errors");
}
[[nodiscard]] inline OutputTag<DeadLetter> DeadLetterTag() {
  return OutputTag<DeadLetter>("dead-letters");
}
[[nodiscard]] inline OutputTag<MetricsMessage> MetricsTag() {
  return OutputTag<MetricsMessage>("metrics");
}

/// Matches that correlations read; of Correlate too.
[[nodiscard]] inline OutputTag<CorrelationInput> CorrelationTag() {
  return OutputTag<CorrelationInput>("correlation-inputs");
}

/// How MatchEvents works.
struct MatchEventsOptions {
  TaggerOptions tagger = {};
  /// Whether events wait, by key, until the window has passed or holds enough of them.
  bool buffered = false;
  absl::Duration window = absl::Seconds(30);
  uint64_t count_threshold = 20'000;
  /// Whether anybody reads the statistics.
  bool metrics = true;
  MetricsOrigin origin = {};
  std::string settings = {};  ///< All settings in force, for the log.
};

/// An event that waits for its window.
struct BufferedEvent {
  SourceEvent event{};
  EventTime time = EventTime::Min();
};

/// Where the window of a key stands. Times are milliseconds of the clock.
struct WindowProgress {
  int64_t timer_ms = 0;
  uint64_t num_events = 0;
  uint64_t num_bytes = 0;
  bool flushing = false;
};

inline SourceEvent ToSourceEvent(const std::string& line) {
  SourceEvent event;
  event.json = line;
  return event;
}
inline SourceEvent ToSourceEvent(const KafkaRecord& record) {
  SourceEvent event;
  event.json = record.value;
  event.topic = record.topic;
  event.partition = record.partition;
  event.offset = record.offset;
  event.key = record.key;
  event.has_key = record.has_key;
  return event;
}

/// Takes events out of what a source gives, and gives them the keys by which they are spread.
template <class Record>
class KeyEvents final : public ProcessFunction<Record, SourceEvent> {
 public:
  explicit KeyEvents(KeyingOptions options) : options_(std::move(options)) {}

  [[nodiscard]] absl::Status Open(OpenContext& context) override {
    keys_ = std::make_shared<EventKeys>(options_, context.place().subtask);
    return absl::OkStatus();
  }
  void ProcessElement(const Record& record, FunctionContext&,
                      Collector<SourceEvent>& out) override {
    SourceEvent event = ToSourceEvent(record);
    event.bucket = keys_->KeyOf(event.json);
    out.Collect(std::move(event));
  }

 private:
  KeyingOptions options_;
  std::shared_ptr<EventKeys> keys_;  // Made in Open: each subtask has its own.
};

/// Matches events against the rules that the broadcast side sets and deletes, with parser, filters
/// and custom fields from there too.
///
/// Broadcast state holds what is in force, so a restored job has it before its first event. What is
/// broken is reported, by subtask 0 alone. An event that is no JSON object goes to the dead
/// letters. Buffered, the events of a key wait, in state, from the first one on for the length of
/// the window, or until there are enough of them and a millisecond has passed. In both modes each
/// key has a message of statistics per window. At the end of the input all windows end. What
/// correlations read of an event goes to a side output, with the event's time, or the clock's where
/// it has none.
class MatchEvents final
    : public KeyedBroadcastProcessFunction<std::string, SourceEvent, ControlUpdate, TaggedEvent> {
 public:
  using Context = KeyedContext<std::string>;

  explicit MatchEvents(MatchEventsOptions options) : options_(std::move(options)) {}

  [[nodiscard]] absl::Status Open(KeyedOpenContext<std::string>& context) override;
  void ProcessElement(const SourceEvent& event, Context& context,
                      Collector<TaggedEvent>& out) override;
  void ProcessBroadcastElement(const ControlUpdate& update, FunctionContext& context,
                               Collector<TaggedEvent>& out) override;
  void OnTimer(TimerKind kind, Context& context, Collector<TaggedEvent>& out) override;

 private:
  struct Metrics;

  void Restore();
  void ApplyRule(const ControlUpdate& update, std::vector<RuleProblem>* problems);
  void ApplyOthers(const ControlUpdate& update, std::vector<RuleProblem>* problems);
  void BeginWindow(Context& context, WindowProgress& progress);
  void Buffer(const SourceEvent& event, Context& context);
  void Match(const SourceEvent& event, Context& context, Collector<TaggedEvent>& out);
  void Correlate(const SourceEvent& event, Context& context);
  void ReportProblems(std::vector<RuleProblem> problems, FunctionContext& context);
  void OnDeadLetter(const SourceEvent& event, const absl::Status& reason, Context& context);
  void EmitStatistics(absl::Time timer_began, const WindowProgress& progress, Context& context);

  MatchEventsOptions options_;
  BroadcastState<std::string, StoredRule> rules_;
  BroadcastState<std::string, StoredFilter> filters_;
  BroadcastState<std::string, StoredParser> parser_;  // One entry, as the next.
  BroadcastState<std::string, StoredCustomFields> custom_fields_;
  ValueState<WindowProgress> progress_;
  ValueState<WindowStatistics> statistics_;
  ListState<BufferedEvent> buffer_;
  std::shared_ptr<EventTagger> tagger_;  // Made in Open: each subtask has its own.
  std::shared_ptr<Metrics> metrics_;
  bool reports_ = false;
  TagResult result_;
  std::vector<CorrelationInput> inputs_;
};

}  // namespace weir::sigma
