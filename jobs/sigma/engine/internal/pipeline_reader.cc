#include <algorithm>
#include <utility>

#include "jobs/sigma/engine/internal/pipeline_model.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

// The constructs of pySigma that have no meaning without a query language, or reach outside.
absl::Status RefuseByName(const std::string& type) {
  if (type == "query_expression_placeholders") {
    return absl::UnimplementedError(
        "query expressions are parts of a query language, and there is none here; give the values "
        "by value_placeholders");
  }
  if (type == "file_placeholders" || type == "http_placeholders" ||
      type == "command_placeholders") {
    return absl::UnimplementedError(
        "pipelines fetch nothing from outside; write the values under `vars`");
  }
  if (type == "field_name_transform" || type == "extract_fields") {
    return absl::UnimplementedError("this transformation is not supported; map the fields by name");
  }
  return absl::OkStatus();
}

const std::vector<std::string_view>& KnownTransformations() {
  static const std::vector<std::string_view> kKnown = {"field_name_mapping",
                                                       "field_name_prefix_mapping",
                                                       "field_name_suffix",
                                                       "field_name_prefix",
                                                       "drop_detection_item",
                                                       "add_condition",
                                                       "change_logsource",
                                                       "replace_string",
                                                       "map_string",
                                                       "value_placeholders",
                                                       "wildcard_placeholders",
                                                       "convert_type",
                                                       "set_value",
                                                       "case",
                                                       "regex",
                                                       "hashes_fields",
                                                       "set_state",
                                                       "set_custom_attribute",
                                                       "add_field",
                                                       "remove_field",
                                                       "set_field",
                                                       "rule_failure",
                                                       "detection_item_failure",
                                                       "strict_field_mapping_failure",
                                                       "nest"};
  return kKnown;
}

absl::StatusOr<Transformation> ReadNest(KeyReader& keys) {
  const YAML::Node items = keys.Take("items");
  if (!items.IsDefined()) return keys.Missing("items");
  ASSIGN_OR_RETURN(std::vector<ProcessingItem> read, ReadProcessingItems(items));
  auto nested = std::make_shared<const std::vector<ProcessingItem>>(std::move(read));
  return Transformation([nested](const ProcessingItem&, const PipelineSubject& subject,
                                 PipelineState& state) -> absl::Status {
    for (const ProcessingItem& item : *nested) RETURN_IF_ERROR(item.Apply(subject, state));
    return absl::OkStatus();
  });
}

absl::StatusOr<ProcessingItem> ReadItem(const YAML::Node& node, size_t number) {
  if (!node.IsMap()) return ErrorAt(PlaceOf(node), "an item must be a map with a `type`");
  KeyReader keys(node);
  ProcessingItem item;
  item.place = PlaceOf(node);
  item.id = TextAt(node, "id");
  keys.Take("id");
  if (item.id.empty()) item.id = StrCat("#", number);
  ASSIGN_OR_RETURN(item.type, keys.TakeText("type"));
  RETURN_IF_ERROR(ReadConditionGroups(keys, item));
  ASSIGN_OR_RETURN(item.transformation, ReadTransformation(item.type, keys));
  RETURN_IF_ERROR(keys.RefuseOthers());
  return item;
}

}  // namespace

absl::Status ProcessingItem::Apply(const PipelineSubject& subject, PipelineState& state) const {
  if (!rule_conditions.Holds(subject, state)) return absl::OkStatus();
  const absl::Status status = transformation(*this, subject, state);
  if (!status.ok()) return AddContext(status, StrCat(" item=", id, " type=", type));
  state.applied.insert(id);
  if (subject.rule != nullptr) subject.rule->applied.insert(id);
  return absl::OkStatus();
}

bool ProcessingItem::Matches(const DetectionItem& item, const PipelineState& state) const {
  if (!item_conditions.Holds(item, state)) return false;
  const auto holds = [&](const std::string& field) { return field_conditions.Holds(field, state); };
  if (std::any_of(item.fields.begin(), item.fields.end(), holds)) return true;
  return std::any_of(item.values.begin(), item.values.end(), [&](const DetectionValue& value) {
    return value.kind == DetectionValue::Kind::kFieldRef && holds(value.text);
  });
}

YAML::Node KeyReader::Take(const char* key) {
  taken_.emplace_back(key);
  return map_[key];
}

absl::Status KeyReader::Missing(const char* key) const {
  return ErrorAt(PlaceOf(map_), StrCat("a key is missing: key=", key));
}

absl::StatusOr<std::string> KeyReader::TakeText(const char* key) {
  const YAML::Node node = Take(key);
  if (!node.IsDefined()) return Missing(key);
  if (!node.IsScalar()) return ErrorAt(PlaceOf(node), StrCat("write a text: key=", key));
  return node.Scalar();
}

absl::StatusOr<bool> KeyReader::TakeBool(const char* key, bool otherwise) {
  const YAML::Node node = Take(key);
  if (!node.IsDefined()) return otherwise;
  const std::string text = node.IsScalar() ? FoldCase(node.Scalar()) : "";
  if (text == "true" || text == "false") return text == "true";
  return ErrorAt(PlaceOf(node), StrCat("write true or false: key=", key));
}

absl::StatusOr<std::vector<std::string>> KeyReader::TakeTexts(const char* key) {
  const YAML::Node node = Take(key);
  if (!node.IsDefined()) return Missing(key);
  return ReadTexts(map_, key);
}

absl::StatusOr<std::vector<std::pair<std::string, std::vector<std::string>>>>
KeyReader::TakeMapping(const char* key) {
  const YAML::Node node = Take(key);
  if (!node.IsDefined()) return Missing(key);
  if (!node.IsMap()) return ErrorAt(PlaceOf(node), StrCat("write a map of names: key=", key));
  std::vector<std::pair<std::string, std::vector<std::string>>> mapping;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar() && !entry.first.IsNull()) {
      return ErrorAt(PlaceOf(entry.first), StrCat("write a map of names: key=", key));
    }
    // A null key means keywords, which have no field.
    const std::string from = entry.first.IsNull() ? "" : entry.first.Scalar();
    ASSIGN_OR_RETURN(const std::vector<RuleValue> values, ReadScalars(entry.second));
    std::vector<std::string> to;
    for (const RuleValue& value : values) to.push_back(value.text);
    mapping.emplace_back(from, std::move(to));
  }
  return mapping;
}

absl::Status KeyReader::RefuseOthers() const {
  for (const auto& entry : map_) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (std::find(taken_.begin(), taken_.end(), key) != taken_.end()) continue;
    const std::vector<std::string_view> known(taken_.begin(), taken_.end());
    const std::string_view nearest = NearestMatch(key, known);
    return ErrorAt(
        PlaceOf(entry.first),
        StrCat("unknown key", nearest.empty() ? "" : StrCat("; did you mean `", nearest, "`?"),
               ": key=", key));
  }
  return absl::OkStatus();
}

absl::StatusOr<Transformation> ReadTransformation(const std::string& type, KeyReader& keys) {
  RETURN_IF_ERROR(RefuseByName(type));
  if (type == "nest") return ReadNest(keys);
  ASSIGN_OR_RETURN(std::optional<Transformation> read, ReadFieldTransformation(type, keys));
  if (!read) {
    ASSIGN_OR_RETURN(read, ReadValueTransformation(type, keys));
  }
  if (read) return *std::move(read);
  const std::string_view nearest = NearestMatch(type, KnownTransformations());
  return absl::InvalidArgumentError(
      StrCat("unknown transformation",
             nearest.empty() ? "" : StrCat("; did you mean `", nearest, "`?"), ": type=", type));
}

absl::StatusOr<std::vector<ProcessingItem>> ReadProcessingItems(const YAML::Node& list) {
  if (!list.IsSequence()) {
    return ErrorAt(PlaceOf(list), "`transformations` must be a list of items");
  }
  std::vector<ProcessingItem> items;
  for (const YAML::Node& node : list) {
    absl::StatusOr<ProcessingItem> item = ReadItem(node, items.size() + 1);
    if (!item.ok()) {
      const std::string id = node.IsMap() ? TextAt(node, "id") : "";
      return AddContext(item.status(),
                        StrCat(" item=", id.empty() ? StrCat("#", items.size() + 1) : id),
                        PlaceOf(node));
    }
    items.push_back(*std::move(item));
  }
  return items;
}

}  // namespace weir::sigma
