#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/sigma/control_message.h"
#include "jobs/sigma/correlation/correlation_input.h"
#include "jobs/sigma/engine/rule.h"
#include "jobs/sigma/rule_set.h"

namespace weir::sigma {

/// Which events are emitted.
enum class OutputMode : uint8_t { kMatchedOnly, kAllEvents };

struct TaggerOptions {
  OutputMode mode = OutputMode::kMatchedOnly;
  /// With kAllEvents: whether events that a filter excludes are emitted too.
  bool keep_filtered_events = false;
  /// Whether events are emitted as the parser made them, rather than as they came.
  bool parsed_events_out = false;
  /// Whether each detection tells which selections and fields made it.
  bool evidence = false;
  RuleSetOptions rules = {};
};

/// What became of one event.
struct TagResult {
  bool emit = false;
  bool filtered = false;     ///< A filter excludes it; it matches nothing then.
  std::string parser_error;  ///< Why the parser failed on it; empty if it did not.
  /// The rules that it matches, in order of their ids, without those that only feed correlations.
  /// Valid until the next call of Tag.
  std::vector<const Rule*> matches;
};

/// The field that an event gets on which the parser failed.
inline constexpr std::string_view kParserFailedField = "_detect_flow_parser_failed";

/// The work of matching, apart from the streams: rules, filters, parser and custom fields in,
/// events in, tagged events out. An event goes through the parser, then the filters, then the
/// rules, and gets the custom fields when it is emitted.
///
/// Threads: one at a time.
class EventTagger {
 public:
  explicit EventTagger(TaggerOptions options);
  ~EventTagger();

  // Each appends to `*problems` what is wrong with what it was given.

  /// As RuleSet::Set and Remove, SetFilter and RemoveFilter.
  bool SetRule(const std::string& key, const StoredRule& rule, std::vector<RuleProblem>* problems);
  void RemoveRule(const std::string& key);
  bool SetFilter(const std::string& id, const StoredFilter& filter,
                 std::vector<RuleProblem>* problems);
  void RemoveFilter(const std::string& id);
  /// Replaces parser and mapping. Returns false, and changes nothing, if the parser cannot be used;
  /// a mapping that cannot be used counts as none.
  bool SetParser(const StoredParser& parser, std::vector<RuleProblem>* problems);
  void RemoveParser();
  /// Replaces custom fields. Returns false if they cannot be used: then there are none.
  bool SetCustomFields(const StoredCustomFields& fields, std::vector<RuleProblem>* problems);
  void RemoveCustomFields();

  /// Matches `event`, after compiling the rules if they changed, and replaces `*tagged` by the JSON
  /// to emit if it is to be emitted. Errors: kInvalidArgument if it is no JSON object; others are
  /// no fault of the event.
  [[nodiscard]] absl::Status Tag(std::string_view event, std::string* tagged, TagResult* result);

  /// Whether correlations read a match of the event that Tag was called for last.
  [[nodiscard]] bool feeds_correlations() const;
  /// Appends what they are given of it; `event` is what Tag was given, `time_ms` its event time,
  /// `source` where it is found.
  void AppendCorrelationInputs(std::string_view event, int64_t time_ms, const std::string& source,
                               std::vector<CorrelationInput>* inputs);

  /// Returns what was found wrong with correlations since the last call.
  [[nodiscard]] std::vector<RuleProblem> TakeProblems();

  [[nodiscard]] size_t num_rules() const;
  [[nodiscard]] uint64_t num_compilations() const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

/// Logs a problem with a rule, a filter, or a message.
void LogRuleProblem(const RuleProblem& problem);

}  // namespace weir::sigma
