#include "jobs/sigma/engine/rule_files.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> FindFiles(const fs::path& path, LoadedRules& loaded) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return {path};
  std::vector<fs::path> files;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    const fs::path extension = it->path().extension();
    if (extension == ".yml" || extension == ".yaml") files.push_back(it->path());
  }
  if (error) {
    loaded.errors.push_back(
        {path.string(), "",
         absl::UnavailableError(
             StrCat("cannot list the rule folder; check that it is readable: ", error.message()))});
  }
  std::sort(files.begin(), files.end());
  return files;
}

void LoadFile(const fs::path& file, const RuleOptions& options, LoadedRules& loaded) {
  ++loaded.file_count;
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (stream) text << stream.rdbuf();
  if (!stream) {
    loaded.errors.push_back(
        {file.string(), "",
         absl::UnavailableError(
             "cannot read the rule file; check that it exists and is readable")});
    return;
  }
  for (absl::StatusOr<Rule>& rule : ParseRules(text.str(), options)) {
    if (rule.ok()) {
      loaded.rules.push_back(std::make_shared<const Rule>(*std::move(rule)));
    } else {
      loaded.errors.push_back({file.string(), "", rule.status()});
    }
  }
}

}  // namespace

LoadedRules LoadRuleFiles(const fs::path& path, const RuleOptions& options) {
  LoadedRules loaded;
  for (const fs::path& file : FindFiles(path, loaded)) LoadFile(file, options, loaded);
  return loaded;
}

}  // namespace weir::sigma
