#include "jobs/sigma/tools/rule_set_loader.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "jobs/sigma/engine/rule_files.h"
#include "jobs/sigma/engine/source_place.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

namespace fs = std::filesystem;

absl::Status AddFolder(const std::string& folder, std::vector<std::string>* files) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const fs::path extension = it->path().extension();
    if (extension == ".yml" || extension == ".yaml") found.push_back(it->path().string());
  }
  if (error) {
    return absl::UnavailableError(
        StrCat(folder, ": the folder cannot be listed: ", error.message()));
  }
  std::sort(found.begin(), found.end());
  files->insert(files->end(), found.begin(), found.end());
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Pipeline>> LoadPipeline(const EventOptions& options) {
  if (options.pipelines == std::vector<std::string>{"none"}) return nullptr;
  return Pipeline::Load(options.pipelines.empty() ? std::vector<std::string>{"windows"}
                                                  : options.pipelines);
}

}  // namespace

std::string ToLine(const RuleError& error) {
  const SourcePlace place = PlaceOf(error.status);
  return StrCat(error.source.empty() ? std::string("rule") : error.source,
                place.known() ? StrCat(":", place.line) : std::string(), ": ",
                ToStd(error.status.message()));
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    return absl::NotFoundError(StrCat(path, ": there is no such file"));
  }
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  if (stream) text << stream.rdbuf();
  if (!stream || fs::is_directory(path, error)) {
    return absl::UnavailableError(StrCat(path, ": the file cannot be read"));
  }
  return std::move(text).str();
}

absl::StatusOr<std::vector<std::string>> FindRuleFiles(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::exists(path, error)) {
      return absl::NotFoundError(StrCat(path, ": there is no such rule file or folder"));
    }
    if (fs::is_directory(path, error)) {
      RETURN_IF_ERROR(AddFolder(path, &files));
    } else {
      files.push_back(path);
    }
  }
  return files;
}

absl::StatusOr<LoadedRuleSet> LoadRuleSet(const std::vector<std::string>& paths,
                                          const EventOptions& options) {
  LoadedRuleSet result;
  ASSIGN_OR_RETURN(result.pipeline, LoadPipeline(options));
  ASSIGN_OR_RETURN(const std::vector<std::string> files, FindRuleFiles(paths));
  RuleOptions rule_options;
  rule_options.pipeline = result.pipeline;
  RuleCollector collector(std::move(rule_options));
  for (const std::string& file : files) {
    const absl::StatusOr<std::string> text = ReadTextFile(file);
    if (text.ok()) {
      collector.Add(*text, file);
    } else {
      result.errors.push_back(StrCat(ToStd(text.status().message())));
    }
  }
  LoadedRules loaded = collector.Finish();
  result.num_correlations = loaded.correlations.size();
  std::vector<CorrelationDefinition> definitions;
  for (const auto& correlation : loaded.correlations) definitions.push_back({*correlation, 0});
  std::vector<CorrelationSet::Problem> problems;
  result.correlations = CorrelationSet(std::move(definitions), loaded.rules, UINT32_MAX, &problems);
  for (CorrelationSet::Problem& problem : problems) {
    loaded.errors.push_back({"", problem.id, std::move(problem.status)});
  }
  CompileOptions compile_options;
  if (result.pipeline != nullptr) compile_options.mapping = &result.pipeline->event_mapping();
  compile_options.route_by_log_source = !options.ignore_log_source;
  CompileResult compiled = CompileRules(std::move(loaded.rules), nullptr, compile_options);
  for (const RuleError& error : loaded.errors) result.errors.push_back(ToLine(error));
  for (const RuleError& error : compiled.errors) result.errors.push_back(ToLine(error));
  for (const RuleError& warning : loaded.warnings) result.warnings.push_back(ToLine(warning));
  result.num_files = files.size();
  result.rules = std::move(compiled.rules);
  return result;
}

}  // namespace weir::sigma
