#include "jobs/sigma/engine/internal/yaml_reader.h"

#include <algorithm>
#include <exception>
#include <sstream>
#include <utility>

#include "jobs/sigma/engine/internal/text_fold.h"
#include "jobs/sigma/engine/predicate.h"
#include "jobs/sigma/engine/yaml_text.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/parser.h"

namespace weir::sigma {
namespace {

// Whether the document that begins with `text` is a map whose first key stands at the begin of a
// line, as those of rules are.
bool BeginsWithKey(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view content = StripWhitespace(line);
    if (content.empty() || content.front() == '#') continue;
    const bool letter = (line.front() >= 'a' && line.front() <= 'z') ||
                        (line.front() >= 'A' && line.front() <= 'Z');
    const size_t colon = line.ends_with(':') ? line.size() - 1 : line.find(": ");
    return letter && colon != std::string_view::npos && line.find('#') > colon;
  }
  return true;  // Nothing at all.
}

bool AllBeginWithKeys(std::string_view yaml) {
  // Other ends of documents and lines, and other encodings, are left to who knows them.
  if (yaml.find('\0') != std::string_view::npos || yaml.find('\r') != std::string_view::npos ||
      yaml.find("\n...") != std::string_view::npos || yaml.find("\n%") != std::string_view::npos) {
    return false;
  }
  while (true) {
    const bool at_marker = yaml.starts_with("---");
    if (at_marker) yaml.remove_prefix(3);
    if (at_marker && !yaml.empty() && yaml.front() != '\n') return false;
    const size_t next = yaml.find("\n---");
    if (!BeginsWithKey(yaml.substr(0, next))) return false;
    if (next == std::string_view::npos) return true;
    yaml.remove_prefix(next + 1);
  }
}

// Reads a text and keeps nothing of it.
class NoHandler : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Behind a document that is no such map, the YAML library does not get past what belongs to none
// (a closing bracket, a comma): it finds empty documents there without end. Throws as it does.
bool HasEnd(std::string_view yaml) {
  if (AllBeginWithKeys(yaml)) return true;
  std::istringstream stream{std::string(yaml)};
  YAML::Parser parser(stream);
  NoHandler handler;
  for (size_t documents = 0; documents <= yaml.size() + 1; ++documents) {
    if (!parser.HandleNextDocument(handler)) return true;
  }
  return false;
}

}  // namespace

bool CanBeReadAsYaml(std::string_view yaml) {
  try {
    return HasEnd(yaml);
  } catch (const std::exception&) {
    return false;
  }
}

namespace {

constexpr int kMostLevels = 1000;  // More than the YAML library reads without aliases.
// How many nodes aliases may make of a text, for each of its bytes.
constexpr size_t kMostNodesPerByte = 8;
constexpr size_t kFewNodes = 10'000;

// Takes the nodes below `node` off `*nodes_left`; false if there are not so many.
bool TakeNodes(const YAML::Node& node, int level, size_t* nodes_left) {
  if (*nodes_left == 0 || level > kMostLevels) return false;
  --*nodes_left;
  if (node.IsSequence()) {
    for (const YAML::Node& item : node) {
      if (!TakeNodes(item, level + 1, nodes_left)) return false;
    }
  } else if (node.IsMap()) {
    for (const auto& entry : node) {
      if (!TakeNodes(entry.first, level + 1, nodes_left) ||
          !TakeNodes(entry.second, level + 1, nodes_left)) {
        return false;
      }
    }
  }
  return true;
}

// An alias (`*a`) stands for all that its anchor (`&a`) names; a few of them, one in the other,
// make more than any memory holds, and one in itself has no end.
absl::Status CheckAliases(std::string_view yaml, const std::vector<YAML::Node>& documents) {
  if (yaml.find('&') == yaml.npos || yaml.find('*') == yaml.npos) return absl::OkStatus();
  size_t nodes_left = kFewNodes + kMostNodesPerByte * yaml.size();
  for (const YAML::Node& document : documents) {
    if (TakeNodes(document, 0, &nodes_left)) continue;
    return ErrorAt(
        PlaceOf(document),
        StrCat("the text's aliases (`*name`) repeat too much of it, or themselves; write "
               "out what they stand for: limit_nodes=",
               kFewNodes + kMostNodesPerByte * yaml.size()));
  }
  return absl::OkStatus();
}

}  // namespace

SourcePlace PlaceOf(const YAML::Node& node) {
  if (!node.IsDefined() || node.Mark().is_null()) return {};
  return {node.Mark().line + 1, node.Mark().column + 1};
}

std::string TextAt(const YAML::Node& map, const char* key) {
  const YAML::Node node = map[key];
  return node.IsDefined() && node.IsScalar() ? node.Scalar() : std::string();
}

absl::StatusOr<RuleValue> ReadScalar(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return RuleValue{RuleValue::Type::kNull, ""};
  if (!node.IsScalar()) {
    return ErrorAt(PlaceOf(node),
                   "a value must be a string, number, boolean or null, not a list or a map");
  }
  const std::string& text = node.Scalar();
  const bool quoted = node.Tag() != "?" && !node.Tag().empty();
  if (quoted) return RuleValue{RuleValue::Type::kString, text};
  const std::string lower = FoldCase(text);
  if (lower == "true" || lower == "false") return RuleValue{RuleValue::Type::kBool, lower};
  const bool leading_zero = text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9';
  if (!leading_zero && ParseNumber(text)) return RuleValue{RuleValue::Type::kNumber, text};
  return RuleValue{RuleValue::Type::kString, text};
}

absl::StatusOr<std::vector<RuleValue>> ReadScalars(const YAML::Node& node) {
  std::vector<RuleValue> values;
  if (!node.IsSequence()) {
    ASSIGN_OR_RETURN(RuleValue value, ReadScalar(node));
    values.push_back(std::move(value));
    return values;
  }
  for (const YAML::Node& item : node) {
    ASSIGN_OR_RETURN(RuleValue value, ReadScalar(item));
    values.push_back(std::move(value));
  }
  return values;
}

absl::StatusOr<std::vector<std::string>> ReadTexts(const YAML::Node& map, const char* key) {
  std::vector<std::string> texts;
  const YAML::Node node = map[key];
  if (!node.IsDefined() || node.IsNull()) return texts;
  if (node.IsScalar()) {
    texts.push_back(node.Scalar());
    return texts;
  }
  if (!node.IsSequence()) {
    return ErrorAt(PlaceOf(node), StrCat("`", key, "` must be a text or a list of texts"));
  }
  for (const YAML::Node& item : node) {
    if (!item.IsScalar()) {
      return ErrorAt(PlaceOf(item), StrCat("`", key, "` must be a text or a list of texts"));
    }
    texts.push_back(item.Scalar());
  }
  return texts;
}

absl::StatusOr<std::vector<YAML::Node>> ReadYaml(std::string_view yaml) {
  // The YAML library reports errors, deep nesting too, by exceptions: they end here.
  std::vector<YAML::Node> documents;
  try {
    if (!HasEnd(yaml)) {
      return absl::InvalidArgumentError(
          "the text is not valid YAML; check brackets and commas: one stands outside of what it "
          "belongs to");
    }
    for (YAML::Node& document : YAML::LoadAll(std::string(yaml))) {
      if (!document.IsNull()) documents.push_back(std::move(document));
    }
  } catch (const YAML::Exception& error) {
    const SourcePlace place = error.mark.is_null()
                                  ? SourcePlace{}
                                  : SourcePlace{error.mark.line + 1, error.mark.column + 1};
    return ErrorAt(place, StrCat("the text is not valid YAML; check indentation and quotes: ",
                                 std::string_view(error.what())));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(
        StrCat("the text is not valid YAML; check indentation and quotes: ",
               std::string_view(error.what())));
  }
  RETURN_IF_ERROR(CheckAliases(yaml, documents));
  return documents;
}

}  // namespace weir::sigma
