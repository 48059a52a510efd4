#include "jobs/sigma/engine/internal/selection_reader.h"

#include <algorithm>
#include <set>
#include <utility>

#include "jobs/sigma/engine/internal/rule_limits.h"
#include "jobs/sigma/engine/internal/yaml_reader.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

Selection Combine(Selection::Kind kind, std::vector<Selection> children) {
  if (children.size() == 1) return std::move(children.front());
  Selection selection;
  selection.kind = kind;
  selection.children = std::move(children);
  return selection;
}

// Reads selections, and adds up what their values take.
class SelectionReader {
 public:
  absl::StatusOr<Selection> Read(const YAML::Node& node) {
    if (node.IsMap()) return ReadMap(node);
    if (node.IsScalar()) return ReadItem("", node, node);
    if (!node.IsSequence() || node.size() == 0) {
      return ErrorAt(PlaceOf(node),
                     "a selection must be a map of fields, a keyword, or a list of these");
    }
    if (std::all_of(node.begin(), node.end(),
                    [](const YAML::Node& item) { return item.IsScalar() || item.IsNull(); })) {
      return ReadItem("", node, node);
    }
    std::vector<Selection> alternatives;
    for (const YAML::Node& item : node) {
      if (!item.IsMap() && !item.IsScalar()) {
        return ErrorAt(PlaceOf(item), "a list of a selection must hold keywords or maps of fields");
      }
      ASSIGN_OR_RETURN(Selection alternative,
                       item.IsMap() ? ReadMap(item) : ReadItem("", item, item));
      alternatives.push_back(std::move(alternative));
    }
    return Combine(Selection::Kind::kAny, std::move(alternatives));
  }

 private:
  // Reads the values of a field; keywords if `key` is empty.
  absl::StatusOr<Selection> ReadItem(const std::string& key, const YAML::Node& key_node,
                                     const YAML::Node& values_node) {
    const SourcePlace place = PlaceOf(key_node);
    const std::string context = key.empty() ? "" : StrCat(" field=", key);
    const absl::StatusOr<std::vector<RuleValue>> values = ReadScalars(values_node);
    if (!values.ok()) return AddContext(values.status(), context, place);
    absl::StatusOr<DetectionItem> item = MakeDetectionItem(key, *values);
    if (!item.ok()) return AddContext(item.status(), context, place);
    size_bytes_ += SizeOf(*item);
    const absl::Status status = CheckValueBytes(size_bytes_, "selection");
    if (!status.ok()) return AddContext(status, context, place);
    item->place = place;
    return ItemSelection(*std::move(item));
  }

  absl::StatusOr<Selection> ReadMap(const YAML::Node& map) {
    if (map.size() == 0) {
      return ErrorAt(PlaceOf(map), "a selection must name at least one field");
    }
    std::vector<Selection> lines;
    std::set<std::string> seen;
    for (const auto& entry : map) {
      if (!entry.first.IsScalar()) {
        return ErrorAt(PlaceOf(entry.first), "a field name must be a string");
      }
      const std::string& key = entry.first.Scalar();
      if (!seen.insert(key).second) {
        return ErrorAt(
            PlaceOf(entry.first),
            StrCat("the field stands twice in one selection; join the values into one list: field=",
                   key));
      }
      ASSIGN_OR_RETURN(Selection line, ReadItem(key, entry.first, entry.second));
      lines.push_back(std::move(line));
    }
    return Combine(Selection::Kind::kAll, std::move(lines));
  }

  size_t size_bytes_ = 0;
};

absl::Status ReadConditions(const YAML::Node& section, const YAML::Node& node,
                            const std::string& name, std::vector<ConditionText>& conditions) {
  if (!node.IsDefined() || node.IsNull()) {
    return ErrorAt(PlaceOf(section), StrCat("`", name,
                                            "` has no `condition`; add one that names the "
                                            "selections"));
  }
  const auto add = [&](const YAML::Node& item) -> absl::Status {
    if (!item.IsScalar()) {
      return ErrorAt(PlaceOf(item), "`condition` must be a string or a list of strings");
    }
    conditions.push_back({item.Scalar(), PlaceOf(item)});
    return absl::OkStatus();
  };
  if (!node.IsSequence()) return add(node);
  for (const YAML::Node& item : node) RETURN_IF_ERROR(add(item));
  if (!conditions.empty()) return absl::OkStatus();
  return ErrorAt(PlaceOf(node), "`condition` must be a string or a list of strings");
}

}  // namespace

Selection ItemSelection(DetectionItem item) {
  Selection selection;
  selection.kind = Selection::Kind::kItem;
  selection.item = std::move(item);
  return selection;
}

absl::StatusOr<Selection> ReadSelection(const YAML::Node& node) {
  return SelectionReader().Read(node);
}

absl::StatusOr<DetectionSection> ReadDetectionSection(
    const YAML::Node& section, const std::string& name,
    const std::vector<std::string_view>& other_keys) {
  if (!section.IsMap()) {
    return ErrorAt(PlaceOf(section), StrCat("`", name, "` must be a map"));
  }
  DetectionSection read;
  SelectionReader reader;
  std::set<std::string> names;
  for (const auto& entry : section) {
    if (!entry.first.IsScalar()) {
      return ErrorAt(PlaceOf(entry.first), "a selection's name must be a string");
    }
    const std::string& key = entry.first.Scalar();
    if (key == "condition" ||
        std::find(other_keys.begin(), other_keys.end(), key) != other_keys.end()) {
      continue;
    }
    if (!names.insert(key).second) {
      return ErrorAt(PlaceOf(entry.first),
                     StrCat("two selections have one name; rename one: selection=", key));
    }
    absl::StatusOr<Selection> selection = reader.Read(entry.second);
    if (!selection.ok()) {
      return AddContext(selection.status(), StrCat(" selection=", key), PlaceOf(entry.first));
    }
    read.selections.push_back({key, *std::move(selection), PlaceOf(entry.first)});
  }
  RETURN_IF_ERROR(ReadConditions(section, section["condition"], name, read.conditions));
  return read;
}

}  // namespace weir::sigma
