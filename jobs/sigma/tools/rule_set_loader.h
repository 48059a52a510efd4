#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/compiled_rules.h"

namespace weir::sigma {

/// Rules of files, compiled, and what could not be used.
struct LoadedRuleSet {
  std::shared_ptr<const CompiledRules> rules;  ///< Never null.
  std::vector<std::string> errors;             ///< A line each: file, rule, reason.
  size_t num_files = 0;
};

/// Reads and compiles the rules of files and folders. Errors: kNotFound if a path does not exist.
[[nodiscard]] absl::StatusOr<LoadedRuleSet> LoadRuleSet(const std::vector<std::string>& paths);

/// Returns the tags of a rule that name techniques, such as attack.t1059.001.
[[nodiscard]] std::vector<std::string> TagsOf(const Rule& rule);

/// Returns the whole text of a file. Errors: kNotFound, kUnavailable, naming it.
[[nodiscard]] absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace weir::sigma
