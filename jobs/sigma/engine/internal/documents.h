#pragma once

#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/correlation_rule.h"
#include "jobs/sigma/engine/rule_document.h"
#include "jobs/sigma/engine/rule_filter.h"
#include "yaml-cpp/yaml.h"

namespace weir::sigma {

/// What one YAML document of a rule file is.
using Document = std::variant<RuleDocument, CorrelationRule, RuleFilter>;

/// Reads all documents of `yaml`, heeding `action`; one result for each, errors with their place.
/// Empty if there is none. Of `options` only id, title, level and techniques are used.
[[nodiscard]] std::vector<absl::StatusOr<Document>> ReadDocuments(std::string_view yaml,
                                                                  const RuleOptions& options);

/// Reads the parts of a rule's head that detection rules, correlations and filters share.
struct DocumentHead {
  std::string id;  ///< The title where there is no id.
  std::string title;
  std::string name;
  std::string level;
  std::string status;
  std::vector<Technique> techniques;
  RuleMetadata metadata;
  SourcePlace place;
};
[[nodiscard]] absl::StatusOr<DocumentHead> ReadHead(const YAML::Node& document,
                                                    const RuleOptions& options);

/// Errors: kInvalidArgument if it is no map of texts.
[[nodiscard]] absl::StatusOr<LogSource> ReadLogSource(const YAML::Node& node);

/// Each reads a document of its kind; `document` is a map. Errors: kInvalidArgument without the
/// rule's id, which the caller adds.
[[nodiscard]] absl::StatusOr<RuleDocument> ReadRuleDocument(const YAML::Node& document,
                                                            const RuleOptions& options);
[[nodiscard]] absl::StatusOr<RuleFilter> ReadFilter(const YAML::Node& document,
                                                    const RuleOptions& options);
[[nodiscard]] absl::StatusOr<CorrelationRule> ReadCorrelation(const YAML::Node& document,
                                                              const RuleOptions& options);

}  // namespace weir::sigma
