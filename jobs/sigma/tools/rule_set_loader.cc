#include "jobs/sigma/tools/rule_set_loader.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include <utility>

#include "jobs/sigma/engine/rule_files.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

std::string ToLine(const RuleError& error) {
  return StrCat(error.source.empty() ? std::string("rule") : error.source, ": ",
                error.rule_id.empty() ? std::string() : StrCat(error.rule_id, ": "),
                ToStd(error.status.message()));
}

}  // namespace

std::vector<std::string> TagsOf(const Rule& rule) {
  std::vector<std::string> tags;
  for (const Technique& technique : rule.techniques) {
    tags.push_back("attack.t" + technique.id.substr(1));
  }
  return tags;
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return absl::NotFoundError(StrCat(path, ": there is no such file"));
  }
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  if (stream) text << stream.rdbuf();
  if (!stream || std::filesystem::is_directory(path, error)) {
    return absl::UnavailableError(StrCat(path, ": the file cannot be read"));
  }
  return std::move(text).str();
}

absl::StatusOr<LoadedRuleSet> LoadRuleSet(const std::vector<std::string>& paths) {
  LoadedRuleSet result;
  std::vector<std::shared_ptr<const Rule>> rules;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::exists(path, error)) {
      return absl::NotFoundError(StrCat(path, ": there is no such rule file or folder"));
    }
    LoadedRules loaded = LoadRuleFiles(path);
    result.num_files += loaded.file_count;
    std::move(loaded.rules.begin(), loaded.rules.end(), std::back_inserter(rules));
    for (const RuleError& one : loaded.errors) result.errors.push_back(ToLine(one));
  }
  CompileResult compiled = CompileRules(std::move(rules));
  for (const RuleError& one : compiled.errors) result.errors.push_back(ToLine(one));
  result.rules = std::move(compiled.rules);
  return result;
}

}  // namespace weir::sigma
