#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/rule_files.h"
#include "jobs/sigma/tools/commands.h"

namespace weir::sigma {

/// Something about a rule that should be mended, or that its author should know.
struct Finding {
  Severity severity = Severity::kInfo;
  std::string check;  ///< Name of the check, for --disable.
  std::string file;
  int line = 0;  ///< From one; 0 if the whole file is meant.
  std::string rule_id;
  std::string title;
  std::string message;
};

/// What a linter found.
struct LintResult {
  std::vector<Finding> findings;  ///< By file and line.
  size_t num_files = 0;
  size_t num_rules = 0;  ///< Documents, broken ones too.
};

/// Checks rule files: one by one, and against each other.
///
/// Threads: one at a time.
class Linter {
 public:
  /// Checks named in `disabled` are left out. Errors: kInvalidArgument for a name there is none of.
  [[nodiscard]] static absl::StatusOr<Linter> Create(const std::vector<std::string>& disabled);

  /// Checks the rules of a file's text.
  void AddFile(const std::string& file, std::string_view yaml);

  /// Adds a finding about a file that cannot be read.
  void AddUnreadable(const std::string& file, std::string_view reason);

  /// Compares the files added with each other and returns all that was found.
  [[nodiscard]] LintResult Finish();

 private:
  struct KnownRule {
    std::string file;
    int line = 0;
    std::string id;
    std::string title;
    std::string detection;  ///< A text that is the same for rules that detect the same.
  };

  explicit Linter(std::set<std::string, std::less<>> disabled)
      : disabled_(std::move(disabled)), collector_(std::make_unique<RuleCollector>()) {}

  void CheckRules(const std::string& file, std::string_view yaml);
  void AddErrors();
  void FindDuplicates();
  void Add(Finding finding);

  std::set<std::string, std::less<>> disabled_;
  std::vector<KnownRule> rules_;
  // Says what is wrong with rules, also where they name each other.
  std::unique_ptr<RuleCollector> collector_;
  LintResult result_;
};

/// The names of all checks, sorted, with what each finds.
[[nodiscard]] const std::vector<std::pair<std::string_view, std::string_view>>& LintChecks();

/// Returns "info", "warning" or "error".
[[nodiscard]] std::string_view ToString(Severity severity);

}  // namespace weir::sigma
