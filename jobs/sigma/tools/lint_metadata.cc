#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "jobs/sigma/tools/lint_internal.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Words = std::vector<std::string_view>;

const Words kKeys = {
    "title",       "id",           "name",        "related",    "taxonomy", "status",
    "description", "license",      "author",      "references", "date",     "modified",
    "logsource",   "detection",    "correlation", "filter",     "fields",   "falsepositives",
    "level",       "tags",         "scope",       "generate",   "action",   "regression_tests_path",
    "simulation",  "sigma-version"};
const Words kStatuses = {"stable", "test", "experimental", "deprecated", "unsupported"};
const Words kLevels = {"informational", "low", "medium", "high", "critical"};
const Words kRelations = {"derived", "obsolete", "merged", "renamed", "similar"};
const Words kTactics = {"reconnaissance",  "resource-development",
                        "initial-access",  "execution",
                        "persistence",     "privilege-escalation",
                        "defense-evasion", "credential-access",
                        "discovery",       "lateral-movement",
                        "collection",      "command-and-control",
                        "exfiltration",    "impact",
                        "stealth",         "defense-impairment"};
const Words kDetectionTags = {"dfir", "emerging-threats", "threat-hunting"};
const Words kTlpTags = {"red", "amber", "amber-strict", "green", "clear", "white"};
const Words kEmptyWords = {"none", "pentest", "penetration test", "penetration testing",
                           "n/a",  "-"};

bool Contains(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string Joined(const Words& words) {
  return StrJoin(std::vector<std::string>(words.begin(), words.end()), ", ");
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

bool AllOf(std::string_view text, std::string_view characters) {
  return !text.empty() && text.find_first_not_of(characters) == text.npos;
}

constexpr std::string_view kDigits = "0123456789";

// Returns whether `text` has the form of `pattern`, in which `0` is a digit and `h` a lower-case
// hexadecimal digit.
bool HasForm(std::string_view text, std::string_view pattern) {
  if (text.size() != pattern.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    const bool fits = pattern[i] == '0'   ? digit
                      : pattern[i] == 'h' ? digit || (c >= 'a' && c <= 'f')
                                          : c == pattern[i];
    if (!fits) return false;
  }
  return true;
}

bool IsDate(std::string_view text) {
  if (!HasForm(text, "0000-00-00")) return false;
  const std::string_view month = text.substr(5, 2);
  const std::string_view day = text.substr(8, 2);
  return month >= "01" && month <= "12" && day >= "01" && day <= "31";
}

/// Checks the parts of one document.
class MetadataLinter {
 public:
  MetadataLinter(const YAML::Node& document, std::string_view file_name, const AddFinding& add)
      : document_(document), file_name_(file_name), add_(add) {}

  void Run() {
    CheckKeys();
    CheckTitle();
    CheckId();
    CheckWord("status", kStatuses, Severity::kInfo);
    if (!IsDefined("filter")) CheckWord("level", kLevels, Severity::kInfo);
    CheckDescription();
    if (!IsDefined("author")) Missing("author");
    CheckDates();
    CheckReferences();
    CheckTags();
    if (!IsDefined("correlation")) CheckLogSource();
    if (!IsDefined("filter")) CheckFalsePositives();
    CheckRelated();
    if (!file_name_.empty()) CheckFileName();
  }

 private:
  [[nodiscard]] bool IsDefined(const char* key) const { return document_[key].IsDefined(); }

  [[nodiscard]] std::string Text(const char* key) const {
    const YAML::Node node = document_[key];
    return node.IsDefined() && node.IsScalar() ? node.Scalar() : std::string();
  }

  [[nodiscard]] int Line(const char* key) const { return LineOf(document_[key]); }

  void Missing(const char* key, std::string_view check = "") const {
    add_(Severity::kInfo, check.empty() ? std::string_view(key) : check, 0,
         StrCat("the rule has no `", key, "`"));
  }

  // Items of a list of texts; others are reported.
  std::vector<YAML::Node> Items(const char* key, std::string_view check) const {
    std::vector<YAML::Node> items;
    const YAML::Node list = document_[key];
    if (!list.IsDefined() || list.IsNull()) return items;
    if (!list.IsSequence()) {
      add_(Severity::kWarning, check, Line(key), StrCat("`", key, "` must be a list"));
      return items;
    }
    for (const YAML::Node& item : list) {
      if (item.IsScalar()) {
        items.push_back(item);
      } else {
        add_(Severity::kWarning, check, LineOf(item), StrCat("`", key, "` must hold texts"));
      }
    }
    return items;
  }

  void CheckKeys() const {
    for (const auto& entry : document_) {
      if (!entry.first.IsScalar() || Contains(kKeys, entry.first.Scalar())) continue;
      const std::string_view nearest = NearestMatch(entry.first.Scalar(), kKeys);
      add_(nearest.empty() ? Severity::kInfo : Severity::kWarning, "unknown-key",
           LineOf(entry.first),
           StrCat("rules have no `", entry.first.Scalar(), "`",
                  nearest.empty() ? "" : StrCat("; did you mean `", nearest, "`?")));
    }
  }

  void CheckTitle() const {
    const std::string title = Text("title");
    const auto note = [&](Severity severity, std::string message) {
      add_(severity, "title", Line("title"), std::move(message));
    };
    if (title.empty()) return note(Severity::kWarning, "the rule has no `title`");
    if (title.size() > 256) {
      note(Severity::kWarning, StrCat("the title is longer than 256 characters: ", title.size()));
    } else if (title.size() > 120) {
      note(Severity::kInfo,
           StrCat("the title is longer than SigmaHQ's 120 characters: ", title.size()));
    }
    if (title.starts_with("Detects ")) {
      note(Severity::kInfo, "the title begins with `Detects`; name what is detected");
    }
    if (title.ends_with('.')) note(Severity::kInfo, "the title ends with a full stop");
  }

  void CheckId() const {
    const std::string id = Text("id");
    if (id.empty()) {
      return add_(Severity::kWarning, "id", 0,
                  "the rule has no `id`; give it a UUID of version 4 of its own");
    }
    const std::string lower = Lower(id);
    if (!HasForm(lower, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh")) {
      add_(Severity::kWarning, "id", Line("id"), StrCat("the id is no UUID: ", id));
    } else if (lower[14] != '4') {
      add_(Severity::kInfo, "id", Line("id"),
           StrCat("the id is a UUID, but not of version 4: ", id));
    }
  }

  void CheckWord(const char* key, const Words& known, Severity missing) const {
    const std::string word = Text(key);
    if (word.empty()) return add_(missing, key, 0, StrCat("the rule has no `", key, "`"));
    if (Contains(known, word)) return;
    add_(Severity::kWarning, key, Line(key),
         StrCat("`", key, "` must be one of ", Joined(known), ": ", word));
  }

  void CheckDescription() const {
    const std::string description = Text("description");
    if (description.empty()) return Missing("description");
    if (description.size() < 16) {
      add_(Severity::kInfo, "description", Line("description"),
           "the description is too short to say what is detected and why");
    }
  }

  void CheckDates() const {
    const std::string date = Text("date");
    const std::string modified = Text("modified");
    if (date.empty()) Missing("date");
    for (const char* const key : {"date", "modified"}) {
      const std::string text = Text(key);
      if (text.empty() || IsDate(text)) continue;
      add_(Severity::kWarning, "date", Line(key),
           StrCat("`", key, "` must be written YYYY-MM-DD: ", text));
    }
    if (IsDate(date) && IsDate(modified) && modified < date) {
      add_(Severity::kInfo, "date", Line("modified"), "`modified` lies before `date`");
    }
  }

  void CheckReferences() const {
    if (!IsDefined("references")) return Missing("references");
    std::set<std::string> seen;
    for (const YAML::Node& item : Items("references", "references")) {
      if (seen.insert(item.Scalar()).second) continue;
      add_(Severity::kInfo, "references", LineOf(item),
           StrCat("the reference stands twice: ", item.Scalar()));
    }
  }

  void CheckTags() const {
    if (!IsDefined("tags")) return Missing("tags");
    std::set<std::string> seen;
    for (const YAML::Node& item : Items("tags", "tags")) {
      const std::string& tag = item.Scalar();
      if (!seen.insert(tag).second) {
        add_(Severity::kInfo, "tags", LineOf(item), StrCat("the tag stands twice: ", tag));
      }
      const std::string problem = TagProblem(tag);
      if (!problem.empty()) {
        add_(Severity::kWarning, "tags", LineOf(item), StrCat(problem, ": ", tag));
      }
    }
  }

  static std::string TagProblem(const std::string& tag) {
    const size_t dot = tag.find('.');
    const std::string_view space = std::string_view(tag).substr(0, dot);
    const std::string_view rest =
        dot == tag.npos ? std::string_view() : std::string_view(tag).substr(dot + 1);
    if (Lower(tag) != tag) return "tags are written in lower case";
    if (dot == tag.npos) return "a tag needs a namespace, such as attack.t1059";
    if (space == "attack") return AttackProblem(rest);
    if (space == "cve") {
      const bool form = rest.size() >= 9 && (rest[4] == '-' || rest[4] == '.') &&
                        AllOf(rest.substr(0, 4), kDigits) && AllOf(rest.substr(5), kDigits);
      return form ? "" : "a CVE is written cve.2024-12345";
    }
    if (space == "car")
      return HasForm(rest, "0000-00-000") ? "" : "a CAR is written car.2016-04-005";
    if (space == "detection") {
      return Contains(kDetectionTags, rest) ? "" : "detection tags are " + Joined(kDetectionTags);
    }
    if (space == "tlp") return Contains(kTlpTags, rest) ? "" : "tlp tags are " + Joined(kTlpTags);
    if (space == "stp") return "";
    if (space == "d3fend") return rest.empty() ? "a d3fend tag needs a name" : "";
    return "the tag's namespace is none of attack, car, cve, d3fend, detection, stp, tlp";
  }

  static std::string AttackProblem(std::string_view rest) {
    if (Contains(kTactics, rest)) return "";
    if (HasForm(rest, "t0000") || HasForm(rest, "t0000.000")) return "";
    if (HasForm(rest, "s0000") || HasForm(rest, "g0000") || HasForm(rest, "c0000")) return "";
    if (HasForm(rest, "ta0000") || HasForm(rest, "ds0000")) return "";
    const std::string_view nearest = NearestMatch(rest, kTactics);
    if (!nearest.empty()) return StrCat("no ATT&CK tactic; did you mean attack.", nearest, "?");
    return "neither a tactic of ATT&CK nor a technique such as attack.t1059.001";
  }

  void CheckLogSource() const {
    const YAML::Node source = document_["logsource"];
    if (!source.IsDefined() || !source.IsMap()) {
      return add_(Severity::kWarning, "log-source", Line("logsource"),
                  "the rule has no `logsource`; it would be tried on events of every kind");
    }
    const Words known = {"product", "category", "service", "definition"};
    bool named = false;
    for (const auto& entry : source) {
      if (!entry.first.IsScalar()) continue;
      const std::string& key = entry.first.Scalar();
      named = named || (key != "definition" && Contains(known, key));
      if (Contains(known, key)) continue;
      add_(Severity::kWarning, "log-source", LineOf(entry.first),
           StrCat("`logsource` has no such key: ", key));
    }
    if (!named) {
      add_(Severity::kWarning, "log-source", Line("logsource"),
           "`logsource` names no product, category or service");
    }
  }

  void CheckFalsePositives() const {
    if (!IsDefined("falsepositives")) return Missing("falsepositives", "false-positives");
    for (const YAML::Node& item : Items("falsepositives", "false-positives")) {
      if (!Contains(kEmptyWords, Lower(item.Scalar()))) continue;
      add_(Severity::kInfo, "false-positives", LineOf(item),
           StrCat("the entry says nothing; write Unlikely or Unknown if that is so: ",
                  item.Scalar()));
    }
  }

  void CheckRelated() const {
    const YAML::Node related = document_["related"];
    if (!related.IsDefined()) return;
    if (!related.IsSequence()) {
      return add_(Severity::kWarning, "related", Line("related"), "`related` must be a list");
    }
    for (const YAML::Node& item : related) {
      const bool is_map = item.IsMap() && item["id"].IsDefined() && item["type"].IsDefined() &&
                          item["type"].IsScalar();
      if (!is_map) {
        add_(Severity::kWarning, "related", LineOf(item), "a relation needs `id` and `type`");
      } else if (!Contains(kRelations, item["type"].Scalar())) {
        add_(Severity::kWarning, "related", LineOf(item["type"]),
             StrCat("the type of a relation must be one of ", Joined(kRelations), ": ",
                    item["type"].Scalar()));
      }
    }
  }

  void CheckFileName() const {
    const size_t dot = file_name_.rfind('.');
    const std::string_view stem = file_name_.substr(0, dot);
    const bool form = file_name_.substr(dot) == ".yml" && stem.size() >= 10 && stem.size() <= 90 &&
                      AllOf(stem, "abcdefghijklmnopqrstuvwxyz0123456789_") &&
                      stem.find('_') != stem.npos;
    if (form) return;
    add_(Severity::kInfo, "file-name", 0,
         "SigmaHQ's file names are 10 to 90 characters of a-z, 0-9 and _, with at least one _, and "
         "end with .yml");
  }

  const YAML::Node& document_;
  const std::string_view file_name_;
  const AddFinding& add_;
};

}  // namespace

void LintMetadata(const YAML::Node& document, std::string_view file_name, const AddFinding& add) {
  MetadataLinter(document, file_name, add).Run();
}

}  // namespace weir::sigma
