#include "jobs/sigma/tools/lint.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <tuple>
#include <utility>

#include "jobs/sigma/engine/rule.h"
#include "jobs/sigma/engine/source_place.h"
#include "jobs/sigma/engine/yaml_text.h"
#include "jobs/sigma/tools/lint_internal.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

std::string Text(const YAML::Node& document, const char* key) {
  if (!document.IsMap()) return "";
  const YAML::Node node = document[key];
  return node.IsDefined() && node.IsScalar() ? node.Scalar() : std::string();
}

std::vector<YAML::Node> LoadDocuments(std::string_view yaml) {
  std::vector<YAML::Node> documents;
  if (!CanBeReadAsYaml(yaml)) return documents;
  // The YAML library reports errors by exceptions: they end here; the rule parser says them.
  try {
    for (const YAML::Node& document : YAML::LoadAll(std::string(yaml))) {
      if (!document.IsNull()) documents.push_back(document);
    }
  } catch (const std::exception&) {
    documents.clear();
  }
  return documents;
}

}  // namespace

const std::vector<std::pair<std::string_view, std::string_view>>& LintChecks() {
  static const auto* const checks = new std::vector<std::pair<std::string_view, std::string_view>>{
      {"all-of-one", "`all` with a single value"},
      {"always", "a condition that holds for events that have none of its fields"},
      {"author", "no author"},
      {"contradiction", "a field that must have two values at once: only a list can"},
      {"date", "no date, or one that is not written YYYY-MM-DD; modified before date"},
      {"description", "no description, or hardly any"},
      {"duplicate-detection", "two rules that detect the same"},
      {"duplicate-id", "two rules with one id"},
      {"duplicate-title", "two rules with one title"},
      {"duplicate-value", "a value that stands twice in a list"},
      {"false-positives", "no falsepositives, or words that say nothing"},
      {"file-name", "a file name that does not follow SigmaHQ's convention"},
      {"id", "no id, or one that is no UUID of version 4"},
      {"level", "no level, or an unknown one"},
      {"log-source", "no log source, or an unknown key in it"},
      {"never", "a condition that can never hold"},
      {"no-effect", "a filter that meets no rule"},
      {"redundant-wildcard", "a wildcard where the modifier implies it"},
      {"references", "no references, or one given twice"},
      {"related", "a relation without id or of an unknown type"},
      {"rule", "text that is no rule, or a rule that cannot be used"},
      {"slow", "a test that is tried on many events, or on every one"},
      {"status", "no status, or an unknown one"},
      {"tags", "a tag outside the known namespaces, or malformed"},
      {"title", "no title, or one too long or of a form that SigmaHQ refuses"},
      {"unknown-key", "a key that rules do not have"},
      {"unsupported", "a construct that weir does not have"},
      {"unused-selection", "a selection that the condition does not use"},
  };
  return *checks;
}

std::string_view ToString(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "error";
}

absl::StatusOr<Linter> Linter::Create(const std::vector<std::string>& disabled) {
  std::vector<std::string_view> known;
  for (const auto& [name, meaning] : LintChecks()) known.push_back(name);
  for (const std::string& name : disabled) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string_view nearest = NearestMatch(name, known);
    return absl::InvalidArgumentError(StrCat("--disable: there is no check \"", name, "\"",
                                             nearest.empty()
                                                 ? std::string("; findings name theirs in brackets")
                                                 : StrCat("; did you mean \"", nearest, "\"?")));
  }
  return Linter({disabled.begin(), disabled.end()});
}

void Linter::Add(Finding finding) {
  if (!disabled_.contains(finding.check)) result_.findings.push_back(std::move(finding));
}

void Linter::AddUnreadable(const std::string& file, std::string_view reason) {
  ++result_.num_files;
  Finding finding;
  finding.severity = Severity::kError;
  finding.check = "rule";
  finding.file = file;
  finding.message = reason;
  Add(std::move(finding));
}

void Linter::AddFile(const std::string& file, std::string_view yaml) {
  ++result_.num_files;
  collector_->Add(yaml, file);
  CheckRules(file, yaml);
}

void Linter::AddErrors() {
  const LoadedRules loaded = collector_->Finish();
  const auto add = [this](Severity severity, std::string_view check, const RuleError& error) {
    Add({severity, std::string(check), error.source, PlaceOf(error.status).line, error.rule_id, "",
         StrCat(ToStd(error.status.message()))});
  };
  for (const RuleError& error : loaded.errors) {
    add(Severity::kError, absl::IsUnimplemented(error.status) ? "unsupported" : "rule", error);
  }
  for (const RuleError& warning : loaded.warnings) add(Severity::kWarning, "no-effect", warning);
}

void Linter::CheckRules(const std::string& file, std::string_view yaml) {
  const std::vector<YAML::Node> documents = LoadDocuments(yaml);
  const std::vector<absl::StatusOr<Rule>> rules = ParseRules(yaml);
  const std::string file_name = std::filesystem::path(file).filename().string();
  for (size_t i = 0; i < rules.size(); ++i) {
    ++result_.num_rules;
    const YAML::Node document =
        rules.size() == documents.size() ? documents[i] : YAML::Node(YAML::NodeType::Undefined);
    const bool is_map = document.IsDefined() && document.IsMap();
    const int first_line = is_map ? LineOf(document) : 0;
    const std::string id = is_map ? Text(document, "id") : "";
    const std::string title = is_map ? Text(document, "title") : "";
    const AddFinding add = [&](Severity severity, std::string_view check, int line,
                               std::string message) {
      Add({severity, std::string(check), file, line > 0 ? line : first_line, id, title,
           std::move(message)});
    };
    if (is_map) LintMetadata(document, documents.size() == 1 ? file_name : "", add);
    if (!rules[i].ok()) continue;  // AddErrors says why, or it is no rule by itself.
    const int line = is_map ? LineOf(document["detection"]) : 0;
    if (is_map) LintDetection(document, *rules[i], add);
    LintCondition(*rules[i], line, add);
    const LogSource& source = rules[i]->log_source;
    rules_.push_back({file, first_line, id, title,
                      StrCat(source.product, "/", source.category, "/", source.service, "\n",
                             ConditionIdentity(rules[i]->condition))});
  }
}

void Linter::FindDuplicates() {
  std::map<std::string, const KnownRule*> ids;
  std::map<std::string, const KnownRule*> titles;
  std::map<std::string, const KnownRule*> detections;
  const auto compare = [this](std::map<std::string, const KnownRule*>& known,
                              const std::string& key, const KnownRule& rule, Severity severity,
                              std::string_view check, std::string_view what) {
    if (key.empty()) return;
    const auto [found, added] = known.try_emplace(key, &rule);
    if (added) return;
    Add({severity, std::string(check), rule.file, rule.line, rule.id, rule.title,
         StrCat(what, found->second->file, ":", found->second->line)});
  };
  for (const KnownRule& rule : rules_) {
    compare(ids, rule.id, rule, Severity::kError, "duplicate-id",
            "the id belongs to another rule; only the first is used: ");
    compare(titles, rule.title, rule, Severity::kInfo, "duplicate-title",
            "the title belongs to another rule: ");
    compare(detections, rule.detection, rule, Severity::kWarning, "duplicate-detection",
            "another rule detects the same: ");
  }
}

LintResult Linter::Finish() {
  AddErrors();
  FindDuplicates();
  std::stable_sort(result_.findings.begin(), result_.findings.end(),
                   [](const Finding& a, const Finding& b) {
                     return std::tie(a.file, a.line) < std::tie(b.file, b.line);
                   });
  return std::move(result_);
}

}  // namespace weir::sigma
