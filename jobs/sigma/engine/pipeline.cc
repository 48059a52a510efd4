#include "jobs/sigma/engine/pipeline.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <utility>

#include "jobs/sigma/engine/internal/event_mapping_reader.h"
#include "jobs/sigma/engine/internal/pipeline_model.h"
#include "jobs/sigma/engine/internal/rule_limits.h"
#include "jobs/sigma/engine/ready_pipelines.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {

struct Pipeline::Impl {
  std::string name;
  int priority = 0;
  PipelineVariables variables;
  // Items with the source that errors name.
  std::vector<std::pair<std::shared_ptr<const ProcessingItem>, std::string>> items;
  EventMapping mapping;

  absl::Status Apply(const PipelineSubject& subject) const {
    PipelineState state;
    state.variables = &variables;
    for (const auto& [item, source] : items) {
      absl::Status status = item->Apply(subject, state);
      if (status.ok() && subject.rule != nullptr) {
        status = CheckSize(*subject.rule, StrCat("transformation=", item->id));
      }
      if (!status.ok()) return AddContext(status, StrCat(" pipeline=", source));
    }
    return absl::OkStatus();
  }

  absl::Status ReadVariables(const YAML::Node& node) {
    if (!node.IsDefined() || node.IsNull()) return absl::OkStatus();
    if (!node.IsMap()) return ErrorAt(PlaceOf(node), "write a map of names and values: key=vars");
    for (const auto& entry : node) {
      ASSIGN_OR_RETURN(const std::vector<RuleValue> values, ReadScalars(entry.second));
      std::vector<std::string>& texts = variables[entry.first.Scalar()];
      for (const RuleValue& value : values) texts.push_back(value.text);
    }
    return absl::OkStatus();
  }

  absl::Status ReadPriority(const YAML::Node& node) {
    if (!node.IsDefined()) return absl::OkStatus();
    const std::string text = node.IsScalar() ? node.Scalar() : "";
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), priority);
    if (error == std::errc() && end == text.data() + text.size()) return absl::OkStatus();
    return ErrorAt(PlaceOf(node), StrCat("write a whole number: priority=", text));
  }

  absl::Status Read(const YAML::Node& document, const std::string& source) {
    if (!document.IsMap()) return ErrorAt(PlaceOf(document), "a pipeline must be a map");
    KeyReader keys(document);
    name = TextAt(document, "name");
    keys.Take("name");
    keys.Take("allowed_backends");
    RETURN_IF_ERROR(ReadPriority(keys.Take("priority")));
    RETURN_IF_ERROR(ReadVariables(keys.Take("vars")));
    for (const char* key : {"postprocessing", "finalizers"}) {
      const YAML::Node node = keys.Take(key);
      if (node.IsDefined() && node.size() > 0) {
        return AddContext(
            absl::UnimplementedError(
                StrCat("this works on queries, and there are none here; take it out: key=", key)),
            "", PlaceOf(node));
      }
    }
    const YAML::Node list = keys.Take("transformations");
    if (list.IsDefined() && !list.IsNull()) {
      ASSIGN_OR_RETURN(std::vector<ProcessingItem> read, ReadProcessingItems(list));
      for (ProcessingItem& item : read) {
        items.emplace_back(std::make_shared<const ProcessingItem>(std::move(item)), source);
      }
    }
    keys.Take("event_fields");
    keys.Take("event_log_sources");
    ASSIGN_OR_RETURN(mapping, ReadEventMapping(document));
    return keys.RefuseOthers();
  }
};

Pipeline::Pipeline(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Pipeline::~Pipeline() = default;

absl::StatusOr<std::shared_ptr<const Pipeline>> Pipeline::Parse(std::string_view yaml,
                                                                std::string_view source) {
  const std::string context = StrCat(" pipeline=", source);
  const absl::StatusOr<std::vector<YAML::Node>> documents = ReadYaml(yaml);
  if (!documents.ok()) return AddContext(documents.status(), context);
  if (documents->size() != 1) {
    return absl::InvalidArgumentError(
        StrCat("a pipeline file holds one document: documents=", documents->size(), context));
  }
  auto impl = std::make_unique<Impl>();
  const absl::Status status = impl->Read(documents->front(), std::string(source));
  if (!status.ok()) return AddContext(status, context);
  if (impl->name.empty()) impl->name = source;
  return std::shared_ptr<const Pipeline>(new Pipeline(std::move(impl)));
}

std::shared_ptr<const Pipeline> Pipeline::Merge(
    std::vector<std::shared_ptr<const Pipeline>> pipelines) {
  std::stable_sort(pipelines.begin(), pipelines.end(),
                   [](const auto& a, const auto& b) { return a->priority() < b->priority(); });
  auto merged = std::make_unique<Impl>();
  for (const auto& pipeline : pipelines) {
    const Impl& one = *pipeline->impl_;
    StrAppend(&merged->name, merged->name.empty() ? "" : " + ", one.name);
    merged->priority = std::max(merged->priority, one.priority);
    for (const auto& [name, values] : one.variables) merged->variables[name] = values;
    merged->items.insert(merged->items.end(), one.items.begin(), one.items.end());
    merged->mapping.Append(one.mapping);
  }
  return std::shared_ptr<const Pipeline>(new Pipeline(std::move(merged)));
}

absl::StatusOr<std::shared_ptr<const Pipeline>> Pipeline::Load(
    const std::vector<std::string>& names_or_paths) {
  std::vector<std::shared_ptr<const Pipeline>> pipelines;
  for (const std::string& name : names_or_paths) {
    std::string text;
    if (const auto ready = FindReadyPipeline(name)) {
      text = *ready;
    } else {
      std::ifstream stream(name, std::ios::binary);
      std::ostringstream read;
      if (stream) read << stream.rdbuf();
      if (!stream) {
        std::vector<std::string> known;
        for (const ReadyPipeline& one : ReadyPipelines()) known.emplace_back(one.name);
        return absl::NotFoundError(
            StrCat("no such pipeline: it is neither a readable file nor a ready one; ready are ",
                   StrJoin(known, ", "), ": pipeline=", name));
      }
      text = read.str();
    }
    ASSIGN_OR_RETURN(std::shared_ptr<const Pipeline> pipeline, Parse(text, name));
    pipelines.push_back(std::move(pipeline));
  }
  return Merge(std::move(pipelines));
}

absl::Status Pipeline::Apply(RuleDocument& document) const {
  PipelineSubject subject;
  subject.rule = &document;
  return impl_->Apply(subject);
}

absl::Status Pipeline::Apply(CorrelationRule& correlation,
                             const std::vector<std::shared_ptr<const Rule>>& rules) const {
  PipelineSubject subject;
  subject.correlation = &correlation;
  subject.rules = &rules;
  return impl_->Apply(subject);
}

const std::string& Pipeline::name() const { return impl_->name; }
int Pipeline::priority() const { return impl_->priority; }
const EventMapping& Pipeline::event_mapping() const { return impl_->mapping; }

}  // namespace weir::sigma
