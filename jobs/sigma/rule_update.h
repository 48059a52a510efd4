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
};

/// Why a rule, or a message about one, is not in force.
struct RuleProblem {
  std::string rule_id;  ///< Empty if unknown.
  std::string source;
  std::string reason;
};

/// A change to the set of rules.
struct RuleUpdate {
  enum class Kind : uint8_t {
    kSet,      ///< `rule` takes the place of what lies under `key`.
    kDelete,   ///< Nothing lies under `key` any more.
    kProblem,  ///< Nothing changes; `problem` is to be reported.
  };
  Kind kind = Kind::kProblem;
  std::string key;  ///< What the rule is stored under: its id, or the file it came from.
  StoredRule rule;
  RuleProblem problem;
};

/// Reads a record of the control topic. Nothing if it is not for job `job_id` or changes no rule.
///
/// A rule is `{"job_id":…, "case":{"id":…, "name":…}, "sigma":{"text":…, "level":…},
/// "tags":{"technique":[{"id":…, "name":…}]}}` with key `<job>:<rule id>`; without a text it is a
/// deletion, and so is a tombstone under such a key. Messages of type filter, parser and
/// custom_fields, and what cannot be read, become problems.
[[nodiscard]] std::optional<RuleUpdate> ReadControlMessage(const KafkaRecord& record,
                                                           std::string_view job_id);

/// Makes the update for a rule file.
[[nodiscard]] RuleUpdate RuleFileUpdate(std::string path, std::string text);

}  // namespace weir::sigma
