#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/correlation_rule.h"
#include "jobs/sigma/engine/rule.h"
#include "jobs/sigma/engine/rule_filter.h"

namespace weir::sigma {

/// What files hold, with references between them resolved, and why some of it could not be used.
struct LoadedRules {
  std::vector<std::shared_ptr<const Rule>> rules;                    ///< With the filters applied.
  std::vector<std::shared_ptr<const CorrelationRule>> correlations;  ///< Behind those they name.
  std::vector<std::string> silent_rules;                             ///< See ResolvedCorrelations.
  std::vector<std::shared_ptr<const RuleFilter>> filters;
  std::vector<RuleError> errors;
  /// What is right but has no effect: filters that meet no rule.
  std::vector<RuleError> warnings;
  size_t file_count = 0;
};

/// What one document of a rule text is.
using RuleFileDocument = std::variant<Rule, CorrelationRule, RuleFilter>;

/// Reads every document of `yaml` by itself: one result for each, in their order, so a broken one
/// harms no other; never empty. What correlations name is not looked up, and the pipeline of
/// `options` is applied to rules alone.
[[nodiscard]] std::vector<absl::StatusOr<RuleFileDocument>> ReadRuleText(
    std::string_view yaml, const RuleOptions& options = {});

/// Gathers documents of several texts into one set: filters meet rules, and correlations what they
/// name, wherever these stand.
///
/// Lifecycle: Add any number of times, Finish once. Threads: one at a time.
class RuleCollector {
 public:
  /// `options` hold for every rule; those that name one rule (id, title, …) are of no use here.
  explicit RuleCollector(RuleOptions options = {});
  ~RuleCollector();

  /// Reads the documents of `yaml`; `source` tells errors where they come from.
  void Add(std::string_view yaml, std::string_view source);

  /// Returns all of it, rules in the order in which they were added.
  [[nodiscard]] LoadedRules Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Reads `path`: one rule file, or a folder with all `.yml` and `.yaml` files below it, in order of
/// their names. A file that cannot be read is an error like a rule that cannot be used. Blocks on
/// file reads.
[[nodiscard]] LoadedRules LoadRuleFiles(const std::filesystem::path& path,
                                        const RuleOptions& options = {});

}  // namespace weir::sigma
