#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jobs/sigma/control_message.h"
#include "jobs/sigma/match_events.h"
#include "operators/testing/operator_test_harness.h"

namespace weir::sigma {

using Json = nlohmann::json;

/// The matching operator of one job as the outside sees it: control messages and events in as they
/// lie in Kafka, events, statistics, problems and dead letters out.
class MatchHarness {
 public:
  static constexpr const char* kJob = "j1";

  explicit MatchHarness(MatchEventsOptions options = {}, OperatorTestOptions test_options = {},
                        KeyingOptions keying = {})
      : harness_(
            [options = WithJob(std::move(options)), keying](DataStream<KafkaRecord> events,
                                                            DataStream<KafkaRecord> control) {
              const auto updates = control.FlatMap<ControlUpdate>(
                  [](const KafkaRecord& record, Collector<ControlUpdate>& out) {
                    if (auto update = ReadControlMessage(record, kJob)) {
                      out.Collect(*std::move(update));
                    }
                  });
              DataStream<TaggedEvent> tagged =
                  events.Process(KeyEvents<KafkaRecord>(keying))
                      .KeyBy([](const SourceEvent& event) { return event.bucket; })
                      .Connect(updates.Broadcast())
                      .StartAfterBroadcast()
                      .Process(MatchEvents(options));
              tagged.Uid("match-rules");
              return tagged;
            },
            std::move(test_options)) {
    harness_.CollectSideOutput(RuleProblemTag());
    harness_.CollectSideOutput(DeadLetterTag());
    harness_.CollectSideOutput(MetricsTag());
  }

  auto& harness() { return harness_; }

  /// A message of the control topic; without a value a tombstone.
  void Control(const std::string& key, std::optional<std::string> value) {
    KafkaRecord record;
    record.topic = "sigma-rules";
    record.key = key;
    record.has_key = true;
    record.is_tombstone = !value.has_value();
    record.value = value.value_or("");
    harness_.ProcessElement2(std::move(record));
  }
  void Control(const std::string& key, const Json& message) {
    Control(key, std::optional(message.dump()));
  }
  void Tombstone(const std::string& id) { Control(std::string(kJob) + ":" + id, std::nullopt); }

  void Rule(const std::string& id, const std::string& detection, const std::string& job = kJob) {
    const std::string text = "title: Title of " + id +
                             "\nlogsource: {product: windows}\nlevel: high\ndetection:\n" +
                             detection;
    Control(job + ":" + id,
            Json{{"job_id", job}, {"case", {{"id", id}}}, {"sigma", {{"text", text}}}});
  }
  void DeleteRule(const std::string& id) {
    Control(std::string(kJob) + ":" + id,
            Json{{"job_id", kJob}, {"case", {{"id", id}}}, {"sigma", {{"text", ""}}}});
  }
  void Filter(const std::string& id, const std::string& detection) {
    Control(std::string(kJob) + ":prefilter:" + id,
            Json{{"type", "filter"},
                 {"job_id", kJob},
                 {"filter_id", id},
                 {"filter_body", "detection:\n" + detection}});
  }
  /// `config` in the form of the topic, or a text of the parser language.
  void Parser(const Json& config, const Json& mapping = nullptr) {
    Json parser = nullptr;
    if (!config.is_null()) parser = {{"id", "ls-3"}, {"name", "a parser"}, {"config", config}};
    Control(std::string(kJob) + ":parser",
            Json{{"type", "parser"}, {"job_id", kJob}, {"parser", parser}, {"mapping", mapping}});
  }
  void DeleteParser() {
    Control(std::string(kJob) + ":parser",
            Json{{"type", "parser"}, {"job_id", kJob}, {"parser", nullptr}, {"deleted", true}});
  }
  void CustomFields(const std::string& yaml) {
    Control(std::string(kJob) + ":custom_fields",
            Json{{"type", "custom_fields"}, {"job_id", kJob}, {"custom_fields", yaml}});
  }
  /// The control topic has been read to the end that it had at the start.
  void ControlCaughtUp() { harness_.ProcessCaughtUp2(); }

  void Event(std::string json, std::optional<std::string> key = std::nullopt,
             EventTime time = EventTime::Min()) {
    KafkaRecord record;
    record.topic = "events";
    record.partition = 2;
    record.offset = next_offset_++;
    record.has_key = key.has_value();
    record.key = key.value_or("");
    record.value = std::move(json);
    harness_.ProcessElement1(std::move(record), time);
  }

  /// What has come out since the last call.
  std::vector<std::string> Texts() {
    std::vector<std::string> texts;
    for (TaggedEvent& event : harness_.TakeValues()) texts.push_back(std::move(event.json));
    return texts;
  }
  std::vector<Json> Events() {
    std::vector<Json> events;
    for (const std::string& text : Texts()) events.push_back(Json::parse(text));
    return events;
  }
  /// The rules of the one event that must have come out; nothing if none came.
  std::optional<std::vector<std::string>> Rules() {
    const std::vector<Json> events = Events();
    if (events.empty()) return std::nullopt;
    EXPECT_EQ(events.size(), 1U);
    return events.front().at("sigma_rule_ids").get<std::vector<std::string>>();
  }
  std::vector<std::string> Problems() {
    std::vector<std::string> problems;
    for (const auto& record : harness_.TakeSideOutput(RuleProblemTag())) {
      problems.push_back(record.value.source + "|" + record.value.reason);
    }
    return problems;
  }
  std::vector<DeadLetter> DeadLetters() {
    std::vector<DeadLetter> letters;
    for (auto& record : harness_.TakeSideOutput(DeadLetterTag())) {
      letters.push_back(std::move(record.value));
    }
    return letters;
  }
  std::vector<Json> Metrics() {
    std::vector<Json> messages;
    for (const auto& record : harness_.TakeSideOutput(MetricsTag())) {
      messages.push_back(Json::parse(record.value.json));
    }
    return messages;
  }

 private:
  static MatchEventsOptions WithJob(MatchEventsOptions options) {
    options.origin.job_id = kJob;
    return options;
  }

  TwoInputOperatorTestHarness<KafkaRecord, KafkaRecord, TaggedEvent> harness_;
  int64_t next_offset_ = 0;
};

inline MatchEventsOptions AllEvents(bool keep_filtered = false) {
  MatchEventsOptions options;
  options.tagger.mode = OutputMode::kAllEvents;
  options.tagger.keep_filtered_events = keep_filtered;
  return options;
}

inline MatchEventsOptions ParsedOut() {
  MatchEventsOptions options = AllEvents();
  options.tagger.parsed_events_out = true;
  return options;
}

inline MatchEventsOptions Buffered(absl::Duration window = absl::Seconds(30),
                                   uint64_t threshold = 20'000) {
  MatchEventsOptions options;
  options.buffered = true;
  options.window = window;
  options.count_threshold = threshold;
  return options;
}

}  // namespace weir::sigma
