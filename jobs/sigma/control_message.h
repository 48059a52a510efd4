#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/engine/rule.h"
#include "operators/connectors/kafka/kafka_record.h"

namespace weir::sigma {

/// The text of rules, as the job keeps it in its state, with what its sender knows better than the
/// text.
struct StoredRule {
  std::string source;  ///< A file's path, or the key of a message: named in reports.
  std::string text;    ///< YAML.
  /// The rule's id. With it, the text is one document; without, it may be several with ids of their
  /// own.
  std::optional<std::string> id;
  std::optional<std::string> title;
  std::optional<std::string> level;
  std::optional<std::vector<Technique>> techniques;

  [[nodiscard]] bool SameAs(const StoredRule& other) const;
};

/// A pre-filter: what its detection matches, rules do not see.
struct StoredFilter {
  std::string source;
  std::string body;  ///< YAML with a `detection`.
};

/// What is done to events before rules see them.
struct StoredParser {
  std::string source;
  /// The parser as JSON, or in the parser language; empty: none.
  std::string config;
  std::string mapping;  ///< YAML: fields of rules to fields of events. Empty: none.
};

/// Fields that every event gets on its way out.
struct StoredCustomFields {
  std::string source;
  std::string yaml;
};

/// Why a rule or filter, a parser, or a message about one, is not in force.
struct RuleProblem {
  std::string rule_id;  ///< Empty if unknown, or of something that is no rule.
  std::string source;
  std::string reason;
};

/// A change to what is in force.
struct ControlUpdate {
  enum class Kind : uint8_t {
    kSetRule,     ///< `rule` takes the place of what lies under `key`.
    kDeleteRule,  ///< Nothing lies under `key` any more.
    kSetFilter,   ///< The same for `filter`.
    kDeleteFilter,
    kSetParser,  ///< `parser` takes the place of the job's one.
    kDeleteParser,
    kSetCustomFields,
    kDeleteCustomFields,
    kProblem,  ///< Nothing changes; `problem` is to be reported.
  };
  Kind kind = Kind::kProblem;
  std::string key;  ///< Of a rule its id, or the file it came from; of a filter its id.
  StoredRule rule;
  StoredFilter filter;
  StoredParser parser;
  StoredCustomFields custom_fields;
  RuleProblem problem;
};

/// Reads a record of the control topic. Nothing if it is not for job `job_id` or changes nothing.
///
/// - A rule: `{"job_id":…, "case":{"id":…, "name":…}, "sigma":{"text":…, "level":…},
///   "tags":{"technique":[{"id":…, "name":…}]}}` with key `<job>:<rule id>`; without a text it is a
///   deletion.
/// - A filter: `{"type":"filter", "job_id":…, "filter_id":…, "filter_body":…}`, key
///   `<job>:prefilter:<id>`.
/// - The parser: `{"type":"parser", "job_id":…, "parser":{"config":…}, "mapping":…}`, key
///   `<job>:parser`. `config` may be a text in the parser language too.
/// - Custom fields: `{"type":"custom_fields", "job_id":…, "custom_fields":…}`, key
///   `<job>:custom_fields`.
///
/// With `"deleted":true` the last three are deletions, and so is a null value under any such key.
/// What cannot be read becomes a problem.
[[nodiscard]] std::optional<ControlUpdate> ReadControlMessage(const KafkaRecord& record,
                                                              std::string_view job_id);

/// Makes the update for a rule file.
[[nodiscard]] ControlUpdate RuleFileUpdate(std::string path, std::string text);

}  // namespace weir::sigma
