#include "jobs/sigma/engine/internal/event_mapping_reader.h"

#include <utility>

#include "jobs/sigma/engine/internal/documents.h"
#include "jobs/sigma/engine/internal/lowering.h"
#include "jobs/sigma/engine/internal/pipeline_model.h"
#include "jobs/sigma/engine/internal/selection_reader.h"
#include "jobs/sigma/engine/internal/yaml_reader.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

absl::Status ReadLists(const YAML::Node& node, EventMapping& mapping) {
  if (!node.IsSequence()) return ErrorAt(PlaceOf(node), "write a list of maps: key=lists");
  for (const YAML::Node& one : node) {
    if (!one.IsMap()) return ErrorAt(PlaceOf(one), "write path, name and value: key=lists");
    KeyReader keys(one);
    NameValueList list;
    ASSIGN_OR_RETURN(list.path, keys.TakeText("path"));
    ASSIGN_OR_RETURN(list.name_key, keys.TakeText("name"));
    ASSIGN_OR_RETURN(list.value_key, keys.TakeText("value"));
    RETURN_IF_ERROR(keys.RefuseOthers());
    mapping.lists.push_back(std::move(list));
  }
  return absl::OkStatus();
}

absl::Status ReadFields(const YAML::Node& node, EventMapping& mapping) {
  if (!node.IsMap()) return ErrorAt(PlaceOf(node), "write a map: key=event_fields");
  KeyReader keys(node);
  if (node["below"].IsDefined()) {
    ASSIGN_OR_RETURN(mapping.prefixes, keys.TakeTexts("below"));
  }
  if (node["names"].IsDefined()) {
    ASSIGN_OR_RETURN(auto names, keys.TakeMapping("names"));
    for (auto& [field, paths] : names) mapping.fields.push_back({field, std::move(paths)});
  }
  if (node["lists"].IsDefined()) RETURN_IF_ERROR(ReadLists(keys.Take("lists"), mapping));
  return keys.RefuseOthers();
}

absl::StatusOr<LogSourceTest> ReadTest(const YAML::Node& node) {
  if (!node.IsMap()) return ErrorAt(PlaceOf(node), "write a map of logsource and when");
  KeyReader keys(node);
  LogSourceTest test;
  ASSIGN_OR_RETURN(test.log_source, ReadLogSource(keys.Take("logsource")));
  if (test.log_source == LogSource{}) {
    return ErrorAt(PlaceOf(node),
                   "write at least one of category, product and service: "
                   "key=logsource");
  }
  const YAML::Node when = keys.Take("when");
  if (!when.IsDefined()) return keys.Missing("when");
  RETURN_IF_ERROR(keys.RefuseOthers());
  ASSIGN_OR_RETURN(const Selection selection, ReadSelection(when));
  ASSIGN_OR_RETURN(std::optional<Expression> condition, LowerSelection(selection));
  if (!condition) return ErrorAt(PlaceOf(when), "the test is empty: key=when");
  test.condition = *std::move(condition);
  return test;
}

}  // namespace

absl::StatusOr<EventMapping> ReadEventMapping(const YAML::Node& pipeline) {
  EventMapping mapping;
  const YAML::Node fields = pipeline["event_fields"];
  if (fields.IsDefined() && !fields.IsNull()) {
    RETURN_IF_ERROR(AddContext(ReadFields(fields, mapping), " in=event_fields", PlaceOf(fields)));
  }
  const YAML::Node sources = pipeline["event_log_sources"];
  if (!sources.IsDefined() || sources.IsNull()) return mapping;
  if (!sources.IsSequence()) {
    return ErrorAt(PlaceOf(sources), "write a list: key=event_log_sources");
  }
  for (const YAML::Node& node : sources) {
    absl::StatusOr<LogSourceTest> test = ReadTest(node);
    if (!test.ok()) {
      return AddContext(test.status(),
                        StrCat(" in=event_log_sources item=#", mapping.log_sources.size() + 1),
                        PlaceOf(node));
    }
    mapping.log_sources.push_back(*std::move(test));
  }
  return mapping;
}

}  // namespace weir::sigma
