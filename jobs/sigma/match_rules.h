#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/sigma/rule_update.h"
#include "operators/api/functions.h"
#include "operators/connectors/kafka/kafka_record.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {

/// An event with the rules it matches, ready to be written: `json` has sigma_rule_ids and
/// sigma_detections. The key is that of the Kafka record it came in.
struct TaggedEvent {
  std::string json;
  std::string key;
  bool has_key = false;
};

/// An event that cannot be matched, and why.
struct DeadLetter {
  std::string reason;
  std::string source;  ///< Of a Kafka record: topic/partition/offset.
  std::string event;
};

/// Which events are emitted.
enum class OutputMode : uint8_t { kMatchedOnly, kAllEvents };

/// Side outputs of MatchRules.
[[nodiscard]] inline OutputTag<RuleProblem> RuleProblemTag() {
  return OutputTag<RuleProblem>("rule-errors");
}
[[nodiscard]] inline OutputTag<DeadLetter> DeadLetterTag() {
  return OutputTag<DeadLetter>("dead-letters");
}

/// The work of one MatchRules, apart from the streams: rules in, events in, tagged events out.
/// Threads: one at a time.
class EventTagger {
 public:
  explicit EventTagger(OutputMode mode);
  ~EventTagger();

  /// As RuleSet::Set and Remove.
  bool SetRule(const std::string& key, const StoredRule& rule, std::vector<RuleProblem>* problems);
  void RemoveRule(const std::string& key);

  /// Matches `event`, after compiling the rules if they changed. Returns whether it is to be
  /// emitted, and sets `*tagged` to its JSON then. Errors: kInvalidArgument if it is no JSON
  /// object; others are no fault of the event.
  [[nodiscard]] absl::StatusOr<bool> Tag(std::string_view event, std::string* tagged);

  /// Counts an event that could not be matched, and logs it at every doubling of the count.
  void CountDeadLetter(std::string_view reason);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

[[nodiscard]] inline std::string_view EventText(const std::string& event) { return event; }
[[nodiscard]] inline std::string_view EventText(const KafkaRecord& record) { return record.value; }
[[nodiscard]] inline std::string EventSource(const std::string&) { return {}; }
[[nodiscard]] inline std::string EventSource(const KafkaRecord& record) {
  return StrCat(record.topic, "/", record.partition, "/", record.offset);
}
inline void CopyEventKey(const std::string&, TaggedEvent&) {}
inline void CopyEventKey(const KafkaRecord& record, TaggedEvent& tagged) {
  tagged.key = record.key;
  tagged.has_key = record.has_key;
}

/// Logs a problem with a rule.
void LogRuleProblem(const RuleProblem& problem);

/// Matches each event (a JSON text, or a Kafka record with one) against the rules that the
/// broadcast side sets and deletes.
///
/// Broadcast state holds the texts of the rules in force, so a restored job has them before its
/// first event. A broken rule is reported, by subtask 0 alone, and the version before it stays in
/// force. An event that is no JSON object goes to the dead letters.
template <class Event>
class MatchRules final : public BroadcastProcessFunction<Event, RuleUpdate, TaggedEvent> {
 public:
  explicit MatchRules(OutputMode mode) : mode_(mode) {}

  [[nodiscard]] absl::Status Open(OpenContext& context) override {
    ASSIGN_OR_RETURN(rules_, context.GetBroadcastState(
                                 BroadcastStateDescriptor<std::string, StoredRule>{"rules"}));
    tagger_ = std::make_shared<EventTagger>(mode_);
    reports_ = context.place().subtask == 0;
    std::vector<RuleProblem> problems;
    for (const auto& [key, rule] : rules_.entries()) tagger_->SetRule(key, rule, &problems);
    for (const RuleProblem& problem : problems) LogRuleProblem(problem);
    return absl::OkStatus();
  }

  void ProcessBroadcastElement(const RuleUpdate& update, FunctionContext& context,
                               Collector<TaggedEvent>&) override {
    std::vector<RuleProblem> problems;
    switch (update.kind) {
      case RuleUpdate::Kind::kSet:
        if (tagger_->SetRule(update.key, update.rule, &problems)) {
          rules_.Put(update.key, update.rule);
        }
        break;
      case RuleUpdate::Kind::kDelete:
        rules_.Remove(update.key);
        tagger_->RemoveRule(update.key);
        break;
      case RuleUpdate::Kind::kProblem:
        problems.push_back(update.problem);
        break;
    }
    if (!reports_) return;
    for (RuleProblem& problem : problems) {
      LogRuleProblem(problem);
      context.Output(RuleProblemTag(), std::move(problem));
    }
  }

  void ProcessElement(const Event& event, FunctionContext& context,
                      Collector<TaggedEvent>& out) override {
    TaggedEvent tagged;
    const absl::StatusOr<bool> emit = tagger_->Tag(EventText(event), &tagged.json);
    if (!emit.ok()) {
      // Not the event's fault, so the task fails rather than lose it.
      if (!absl::IsInvalidArgument(emit.status())) {
        throw std::runtime_error(emit.status().ToString());
      }
      std::string reason(emit.status().message().data(), emit.status().message().size());
      tagger_->CountDeadLetter(reason);
      context.Output(DeadLetterTag(), DeadLetter{std::move(reason), EventSource(event),
                                                 std::string(EventText(event))});
    } else if (*emit) {
      CopyEventKey(event, tagged);
      out.Collect(std::move(tagged));
    }
  }

 private:
  OutputMode mode_;
  BroadcastState<std::string, StoredRule> rules_;
  std::shared_ptr<EventTagger> tagger_;  // Made in Open: each subtask has its own.
  bool reports_ = false;
};

}  // namespace weir::sigma
