#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/correlation/correlation_set.h"
#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/pipeline.h"
#include "jobs/sigma/tools/commands.h"

namespace weir::sigma {

/// Rules of files, compiled, and what could not be used.
struct LoadedRuleSet {
  std::shared_ptr<const CompiledRules> rules;  ///< Never null.
  std::shared_ptr<const Pipeline> pipeline;    ///< May be null.
  std::vector<std::string> errors;             ///< A line each: file and line, reason.
  std::vector<std::string> warnings;           ///< Likewise: what is right but of no effect.
  CorrelationSet correlations;
  size_t num_correlations = 0;
  size_t num_files = 0;
};

/// Reads and compiles the rules of files and folders, as one set: filters meet the rules of all
/// files. Errors: kNotFound if a path or pipeline does not exist; kInvalidArgument if a pipeline
/// cannot be used.
[[nodiscard]] absl::StatusOr<LoadedRuleSet> LoadRuleSet(const std::vector<std::string>& paths,
                                                        const EventOptions& options);

/// Returns the rule files that `paths` name, those of folders sorted. Errors: kNotFound,
/// kUnavailable.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> FindRuleFiles(
    const std::vector<std::string>& paths);

/// Returns what `error` says, behind the file and line that it points to.
[[nodiscard]] std::string ToLine(const RuleError& error);

/// Returns the whole text of a file. Errors: kNotFound, kUnavailable, naming it.
[[nodiscard]] absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace weir::sigma
