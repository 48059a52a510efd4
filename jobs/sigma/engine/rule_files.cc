#include "jobs/sigma/engine/rule_files.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>
#include <variant>

#include "jobs/sigma/engine/internal/documents.h"
#include "jobs/sigma/engine/pipeline.h"
#include "jobs/sigma/engine/rule_document.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> FindFiles(const fs::path& path, std::vector<RuleError>& errors) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return {path};
  std::vector<fs::path> files;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    const fs::path extension = it->path().extension();
    if (extension == ".yml" || extension == ".yaml") files.push_back(it->path());
  }
  if (error) {
    errors.push_back(
        {path.string(), "",
         absl::UnavailableError(
             StrCat("cannot list the rule folder; check that it is readable: ", error.message()))});
  }
  std::sort(files.begin(), files.end());
  return files;
}

absl::StatusOr<RuleFileDocument> FinishDocument(absl::StatusOr<Document> document,
                                                const RuleOptions& options) {
  RETURN_IF_ERROR(document.status());
  if (auto* const rule = std::get_if<RuleDocument>(&*document)) {
    ASSIGN_OR_RETURN(Rule finished, FinishRule(std::move(*rule), options));
    return RuleFileDocument(std::move(finished));
  }
  if (auto* const correlation = std::get_if<CorrelationRule>(&*document)) {
    return RuleFileDocument(std::move(*correlation));
  }
  return RuleFileDocument(std::get<RuleFilter>(*std::move(document)));
}

}  // namespace

std::vector<absl::StatusOr<RuleFileDocument>> ReadRuleText(std::string_view yaml,
                                                           const RuleOptions& options) {
  std::vector<absl::StatusOr<RuleFileDocument>> documents;
  for (absl::StatusOr<Document>& document : ReadDocuments(yaml, options)) {
    documents.push_back(FinishDocument(std::move(document), options));
  }
  if (documents.empty()) {
    documents.push_back(absl::InvalidArgumentError("the rule's text holds no document"));
  }
  return documents;
}

struct RuleCollector::Impl {
  RuleOptions options;
  std::vector<std::pair<RuleDocument, std::string>> rules;  // With sources.
  std::vector<std::pair<CorrelationRule, std::string>> correlations;
  std::vector<std::pair<std::shared_ptr<const RuleFilter>, std::string>> filters;
  LoadedRules loaded;

  void AddDocument(Document document, std::string source) {
    if (auto* const rule = std::get_if<RuleDocument>(&document)) {
      rules.emplace_back(std::move(*rule), std::move(source));
    } else if (auto* const correlation = std::get_if<CorrelationRule>(&document)) {
      correlations.emplace_back(std::move(*correlation), std::move(source));
    } else {
      filters.emplace_back(
          std::make_shared<const RuleFilter>(std::get<RuleFilter>(std::move(document))),
          std::move(source));
    }
  }

  void WarnOfIdleFilters() {
    for (const auto& [filter, source] : filters) {
      const bool meets = std::any_of(rules.begin(), rules.end(), [&](const auto& rule) {
        return filter->AppliesTo(rule.first.head);
      });
      if (meets) continue;
      loaded.warnings.push_back(
          {source, filter->id,
           ErrorAt(filter->place,
                   StrCat("the filter meets no rule; check ids, names and log source: "
                          "filter=",
                          filter->id))});
    }
  }

  void FinishRules() {
    RuleOptions all = options;
    for (const auto& [filter, source] : filters) {
      all.filters.push_back(filter);
      loaded.filters.push_back(filter);
    }
    for (auto& [document, source] : rules) {
      const std::string id = document.head.id;
      absl::StatusOr<Rule> rule = FinishRule(std::move(document), all);
      if (rule.ok()) {
        loaded.rules.push_back(std::make_shared<const Rule>(*std::move(rule)));
      } else {
        loaded.errors.push_back({source, id, rule.status()});
      }
    }
  }

  void FinishCorrelations() {
    std::vector<CorrelationRule> read;
    std::vector<std::pair<std::string, std::string>> origins;  // Source and id.
    for (auto& [correlation, source] : correlations) {
      absl::Status status = absl::OkStatus();
      if (options.pipeline != nullptr) status = options.pipeline->Apply(correlation, loaded.rules);
      if (!status.ok()) {
        loaded.errors.push_back({source, correlation.id, status});
        continue;
      }
      origins.emplace_back(source, correlation.id);
      read.push_back(std::move(correlation));
    }
    ResolvedCorrelations resolved = ResolveCorrelations(std::move(read), loaded.rules);
    loaded.correlations = std::move(resolved.correlations);
    loaded.silent_rules = std::move(resolved.silent_rules);
    for (const ResolvedCorrelations::Failure& failure : resolved.failures) {
      const auto& [source, id] = origins[failure.index];
      loaded.errors.push_back({source, id, failure.status});
    }
  }
};

RuleCollector::RuleCollector(RuleOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
}
RuleCollector::~RuleCollector() = default;

void RuleCollector::Add(std::string_view yaml, std::string_view source) {
  std::vector<absl::StatusOr<Document>> documents = ReadDocuments(yaml, impl_->options);
  if (documents.empty()) {
    documents.push_back(absl::InvalidArgumentError("the rule's text holds no document"));
  }
  for (absl::StatusOr<Document>& document : documents) {
    if (document.ok()) {
      impl_->AddDocument(*std::move(document), std::string(source));
    } else {
      impl_->loaded.errors.push_back({std::string(source), "", document.status()});
    }
  }
}

LoadedRules RuleCollector::Finish() {
  impl_->WarnOfIdleFilters();
  impl_->FinishRules();
  impl_->FinishCorrelations();
  return std::move(impl_->loaded);
}

LoadedRules LoadRuleFiles(const fs::path& path, const RuleOptions& options) {
  RuleCollector collector(options);
  std::vector<RuleError> unreadable;
  size_t count = 0;
  for (const fs::path& file : FindFiles(path, unreadable)) {
    ++count;
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream text;
    if (stream) text << stream.rdbuf();
    if (stream) {
      collector.Add(text.str(), file.string());
      continue;
    }
    unreadable.push_back({file.string(), "",
                          absl::UnavailableError(
                              "cannot read the rule file; check that it exists and is readable")});
  }
  LoadedRules loaded = collector.Finish();
  loaded.file_count = count;
  loaded.errors.insert(loaded.errors.begin(), unreadable.begin(), unreadable.end());
  return loaded;
}

}  // namespace weir::sigma
