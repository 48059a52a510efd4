#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// The rules found in files, and why some could not be used.
struct LoadedRules {
  std::vector<std::shared_ptr<const Rule>> rules;
  std::vector<RuleError> errors;
  size_t file_count = 0;
};

/// Reads `path`: one rule file, or a folder with all `.yml` and `.yaml` files below it, in order of
/// their names. A file that cannot be read is an error like a rule that cannot be used. Blocks on
/// file reads.
[[nodiscard]] LoadedRules LoadRuleFiles(const std::filesystem::path& path,
                                        const RuleOptions& options = {});

}  // namespace weir::sigma
