#include "jobs/sigma/engine/internal/documents.h"

#include <map>
#include <set>
#include <string>
#include <utility>

#include "jobs/sigma/engine/internal/selection_reader.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "jobs/sigma/engine/internal/yaml_reader.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

// The keys of a rule that have a place of their own; other scalars become attributes.
bool IsKnownKey(std::string_view key) {
  static const std::set<std::string_view> kKnown = {
      "title",      "id",     "name",        "level",          "status",   "description",
      "author",     "date",   "modified",    "license",        "taxonomy", "tags",
      "references", "fields", "scope",       "falsepositives", "related",  "logsource",
      "detection",  "action", "correlation", "filter"};
  return kKnown.contains(key);
}

// Takes the scalars of a list, or a single one; what else may stand there is for a linter to tell.
std::vector<std::string> Scalars(const YAML::Node& node) {
  std::vector<std::string> texts;
  if (node.IsDefined() && node.IsScalar()) texts.push_back(node.Scalar());
  if (!node.IsDefined() || !node.IsSequence()) return texts;
  for (const YAML::Node& item : node) {
    if (item.IsScalar()) texts.push_back(item.Scalar());
  }
  return texts;
}

// Takes techniques from tags of the form attack.tNNNN or attack.tNNNN.NNN; other tags name none.
std::vector<Technique> TechniquesOf(const std::vector<std::string>& tags) {
  constexpr std::string_view kPrefix = "attack.t";
  std::vector<Technique> techniques;
  for (const std::string& tag : tags) {
    const std::string text = FoldCase(tag);
    if (!text.starts_with(kPrefix)) continue;
    const std::string_view digits = std::string_view(text).substr(kPrefix.size());
    const bool form = (digits.size() == 4 || (digits.size() == 8 && digits[4] == '.')) &&
                      digits.find_first_not_of("0123456789.") == std::string_view::npos &&
                      digits.substr(0, 4).find('.') == std::string_view::npos;
    if (form) techniques.push_back({StrCat("T", digits), std::nullopt});
  }
  return techniques;
}

std::vector<RelatedRule> ReadRelated(const YAML::Node& node) {
  std::vector<RelatedRule> related;
  if (!node.IsDefined() || !node.IsSequence()) return related;
  for (const YAML::Node& item : node) {
    if (item.IsMap()) related.push_back({TextAt(item, "id"), FoldCase(TextAt(item, "type"))});
  }
  return related;
}

// Returns `base` with what `changes` says put over it; maps are joined key by key. Keys and values
// keep their places in the text.
YAML::Node Merge(const YAML::Node& base, const YAML::Node& changes) {
  std::vector<std::pair<YAML::Node, YAML::Node>> entries;
  std::map<std::string, size_t> index;
  const auto entry_of = [&](const YAML::Node& key) -> std::pair<YAML::Node, YAML::Node>& {
    const std::string text = key.IsScalar() ? key.Scalar() : std::string();
    const auto [found, added] = index.try_emplace(text, entries.size());
    if (added) entries.emplace_back(key, YAML::Node());
    return entries[found->second];
  };
  if (base.IsMap()) {
    for (const auto& entry : base) entry_of(entry.first).second.reset(entry.second);
  }
  for (const auto& entry : changes) {
    YAML::Node& value = entry_of(entry.first).second;
    value.reset(entry.second.IsMap() ? Merge(value, entry.second) : entry.second);
  }
  YAML::Node merged(YAML::NodeType::Map);
  for (const auto& [key, value] : entries) merged.force_insert(key, value);
  return merged;
}

// Reads documents in order, and keeps what `action` makes of those before.
class DocumentReader {
 public:
  explicit DocumentReader(const RuleOptions& options) : options_(options) {}

  void Read(const YAML::Node& document) {
    if (!document.IsMap()) {
      results_.push_back(
          ErrorAt(PlaceOf(document), "a rule must be a map with title, logsource and detection"));
      return;
    }
    const YAML::Node action = document["action"];
    if (!action.IsDefined()) {
      ReadPlain(document);
    } else if (TextAt(document, "action") == "global") {
      // Never assign to a node: that would change the one it stands for.
      global_.reset(document);
      previous_.reset(document);
    } else if (TextAt(document, "action") == "reset") {
      global_.reset();
    } else if (TextAt(document, "action") == "repeat") {
      previous_.reset(Merge(previous_, document));
      AddRule(previous_, !document["id"].IsDefined(), PlaceOf(document));
    } else {
      results_.push_back(
          ErrorAt(PlaceOf(action), StrCat("unknown action; write global, reset or repeat: action=",
                                          TextAt(document, "action"))));
    }
  }

  std::vector<absl::StatusOr<Document>> Finish() { return std::move(results_); }

 private:
  void ReadPlain(const YAML::Node& document) {
    if (document["correlation"].IsDefined()) {
      Add(document, ReadCorrelation(document, options_));
    } else if (document["filter"].IsDefined()) {
      Add(document, ReadFilter(document, options_));
    } else if (global_.IsMap()) {
      previous_.reset(Merge(document, global_));
      AddRule(previous_, !document["id"].IsDefined(), PlaceOf(document));
    } else {
      previous_.reset(document);
      AddRule(document, false, PlaceOf(document));
    }
  }

  // A rule that took its id from a document before may share it with others of the text: the second
  // gets `#2` behind it, and so on, since ids must tell rules apart.
  void AddRule(const YAML::Node& document, bool borrowed_id, SourcePlace place) {
    absl::StatusOr<RuleDocument> rule = ReadRuleDocument(document, options_);
    if (rule.ok()) {
      rule->head.place = place;
      const size_t count = ++num_of_id_[rule->head.id];
      if (borrowed_id && count > 1) StrAppend(&rule->head.id, "#", count);
    }
    Add(document, std::move(rule));
  }

  template <class T>
  void Add(const YAML::Node& document, absl::StatusOr<T> read) {
    if (read.ok()) {
      results_.push_back(Document(*std::move(read)));
      return;
    }
    std::string id = options_.id.value_or(TextAt(document, "id"));
    if (id.empty()) id = options_.title.value_or(TextAt(document, "title"));
    results_.push_back(
        AddContext(read.status(), id.empty() ? "" : StrCat(" rule=", id), PlaceOf(document)));
  }

  const RuleOptions& options_;
  YAML::Node global_;
  YAML::Node previous_;
  std::map<std::string, size_t> num_of_id_;
  std::vector<absl::StatusOr<Document>> results_;
};

}  // namespace

absl::StatusOr<LogSource> ReadLogSource(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return LogSource{};
  if (!node.IsMap()) {
    return ErrorAt(PlaceOf(node), "`logsource` must be a map of product, category and service");
  }
  for (const char* key : {"product", "category", "service"}) {
    const YAML::Node part = node[key];
    if (part.IsDefined() && !part.IsScalar() && !part.IsNull()) {
      return ErrorAt(PlaceOf(part), StrCat("a log source's part must be a text: logsource=", key));
    }
  }
  return LogSource{TextAt(node, "product"), TextAt(node, "category"), TextAt(node, "service")};
}

absl::StatusOr<DocumentHead> ReadHead(const YAML::Node& document, const RuleOptions& options) {
  DocumentHead head;
  head.place = PlaceOf(document);
  head.title = options.title.value_or(TextAt(document, "title"));
  head.id = options.id.value_or(TextAt(document, "id"));
  if (head.id.empty()) head.id = head.title;
  if (head.id.empty()) {
    return ErrorAt(head.place, "the rule has no `id`; give it one, a UUID for example");
  }
  head.name = TextAt(document, "name");
  head.level = FoldCase(options.level.value_or(TextAt(document, "level")));
  if (head.level.empty()) head.level = "medium";
  head.status = TextAt(document, "status");
  RuleMetadata& metadata = head.metadata;
  metadata.description = TextAt(document, "description");
  metadata.author = TextAt(document, "author");
  metadata.date = TextAt(document, "date");
  metadata.modified = TextAt(document, "modified");
  metadata.license = TextAt(document, "license");
  metadata.taxonomy = TextAt(document, "taxonomy");
  metadata.tags = Scalars(document["tags"]);
  metadata.references = Scalars(document["references"]);
  metadata.false_positives = Scalars(document["falsepositives"]);
  metadata.fields = Scalars(document["fields"]);
  metadata.scope = Scalars(document["scope"]);
  metadata.related = ReadRelated(document["related"]);
  head.techniques = options.techniques ? *options.techniques : TechniquesOf(metadata.tags);
  return head;
}

absl::StatusOr<RuleDocument> ReadRuleDocument(const YAML::Node& document,
                                              const RuleOptions& options) {
  ASSIGN_OR_RETURN(DocumentHead head, ReadHead(document, options));
  RuleDocument rule;
  rule.head.id = std::move(head.id);
  rule.head.title = std::move(head.title);
  rule.head.name = std::move(head.name);
  rule.head.level = std::move(head.level);
  rule.head.status = std::move(head.status);
  rule.head.techniques = std::move(head.techniques);
  rule.head.metadata = std::move(head.metadata);
  rule.head.place = head.place;
  ASSIGN_OR_RETURN(rule.head.log_source, ReadLogSource(document["logsource"]));
  const YAML::Node detection = document["detection"];
  if (!detection.IsDefined()) {
    return ErrorAt(head.place,
                   "the rule has no `detection`; add one with selections and a condition");
  }
  ASSIGN_OR_RETURN(DetectionSection section,
                   ReadDetectionSection(detection, "detection", {"timeframe"}));
  rule.selections = std::move(section.selections);
  rule.conditions = std::move(section.conditions);
  for (const auto& entry : document) {
    if (!entry.first.IsScalar() || !entry.second.IsScalar()) continue;
    const std::string& key = entry.first.Scalar();
    if (!IsKnownKey(key)) rule.attributes[key] = entry.second.Scalar();
  }
  return rule;
}

std::vector<absl::StatusOr<Document>> ReadDocuments(std::string_view yaml,
                                                    const RuleOptions& options) {
  const absl::StatusOr<std::vector<YAML::Node>> nodes = ReadYaml(yaml);
  if (!nodes.ok()) return {nodes.status()};
  DocumentReader reader(options);
  for (const YAML::Node& node : *nodes) reader.Read(node);
  return reader.Finish();
}

}  // namespace weir::sigma
