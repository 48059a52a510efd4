#include "jobs/sigma/engine/internal/yaml_reader.h"

#include <exception>
#include <utility>

#include "jobs/sigma/engine/internal/text_fold.h"
#include "jobs/sigma/engine/predicate.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {

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
  return documents;
}

}  // namespace weir::sigma
