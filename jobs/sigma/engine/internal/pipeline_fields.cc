// Transformations of field names, and of rules as a whole.

#include <algorithm>
#include <functional>
#include <utility>

#include "jobs/sigma/engine/internal/pipeline_model.h"
#include "jobs/sigma/engine/internal/selection_reader.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Names = std::vector<std::string>;
// Returns the names that a field takes; nothing if it stays as it is.
using FieldMap = std::function<std::optional<Names>(const std::string&)>;

// Maps field names wherever a rule has them: in items, in references to fields, in the list of
// fields to show, and in the parts of a correlation.
class FieldMapper {
 public:
  FieldMapper(const FieldMap& map, const ProcessingItem& item, PipelineState& state)
      : map_(map), item_(item), state_(state) {}

  absl::StatusOr<bool> MapItem(DetectionItem& item) {
    const bool was_keyword = item.IsKeyword();
    Names fields;
    bool changed = false;
    for (const std::string& field : item.fields) changed |= Map(field, fields);
    for (DetectionValue& value : item.values) {
      ASSIGN_OR_RETURN(const bool mapped, MapReference(value));
      changed |= mapped;
    }
    if (fields.empty()) {
      return absl::InvalidArgumentError(
          StrCat("the mapping leaves the field no name; drop it with drop_detection_item: field=",
                 item.key));
    }
    item.fields = std::move(fields);
    if (was_keyword && !item.IsKeyword()) KeepKeywordMeaning(item);
    return changed;
  }

  void MapList(Names& names) {
    Names mapped;
    for (const std::string& name : names) Map(name, mapped);
    names = std::move(mapped);
  }

  absl::Status MapCorrelation(CorrelationRule& rule) {
    MapList(rule.metadata.fields);
    for (CorrelationAlias& alias : rule.aliases) {
      for (std::string& field : alias.fields) RETURN_IF_ERROR(MapOne(field));
    }
    const auto is_alias = [&](const std::string& name) {
      return std::any_of(rule.aliases.begin(), rule.aliases.end(),
                         [&](const CorrelationAlias& alias) { return alias.name == name; });
    };
    for (Names* const names : {&rule.group_by, &rule.condition.fields}) {
      for (std::string& name : *names) {
        if (!is_alias(name)) RETURN_IF_ERROR(MapOne(name));
      }
    }
    return absl::OkStatus();
  }

 private:
  // Appends what `field` becomes; returns whether that is something else.
  bool Map(const std::string& field, Names& mapped) {
    const std::optional<Names> names =
        item_.field_conditions.Holds(field, state_) ? map_(field) : std::nullopt;
    if (!names) {
      mapped.push_back(field);
      return false;
    }
    std::set<std::string> applied = state_.field_applied[field];
    applied.insert(item_.id);
    if (*names != Names{field}) state_.field_applied.erase(field);
    state_.mapped_fields.insert(field);
    for (const std::string& name : *names) {
      state_.field_applied[name] = applied;
      state_.mapped_fields.insert(name);
      mapped.push_back(name);
    }
    return true;
  }

  absl::Status MapOne(std::string& field) {
    if (field.empty()) return absl::OkStatus();
    Names mapped;
    Map(field, mapped);
    if (mapped.size() != 1) {
      return absl::InvalidArgumentError(
          StrCat("a correlation's field cannot become several; map it to one: field=", field));
    }
    field = mapped.front();
    return absl::OkStatus();
  }

  absl::StatusOr<bool> MapReference(DetectionValue& value) {
    if (value.kind != DetectionValue::Kind::kFieldRef) return false;
    Names mapped;
    if (!Map(value.text, mapped)) return false;
    if (mapped.empty()) {
      return absl::InvalidArgumentError(
          StrCat("the mapping leaves the field no name: fieldref=", value.text));
    }
    std::vector<DetectionValue> references(mapped.size(), value);
    for (size_t i = 0; i < mapped.size(); ++i) references[i].text = mapped[i];
    if (references.size() == 1) {
      value = std::move(references.front());
    } else {
      value = DetectionValue{};
      value.kind = DetectionValue::Kind::kAnyOf;
      value.alternatives = std::move(references);
    }
    return true;
  }

  // Keywords are found anywhere in a text, and so they are in the field that they are mapped to.
  static void KeepKeywordMeaning(DetectionItem& item) {
    const std::function<void(DetectionValue&)> open = [&](DetectionValue& value) {
      for (DetectionValue& one : value.alternatives) open(one);
      using Kind = DetectionValue::Kind;
      if (value.kind == Kind::kNumber || value.kind == Kind::kBool) {
        value.kind = Kind::kString;
        value.pattern = Pattern::Literal(value.text);
      }
      if (value.kind != Kind::kString) return;
      value.pattern.OpenStart();
      value.pattern.OpenEnd();
    };
    for (DetectionValue& value : item.values) open(value);
  }

  const FieldMap& map_;
  const ProcessingItem& item_;
  PipelineState& state_;
};

Transformation MapFields(FieldMap map) {
  return [map = std::move(map)](const ProcessingItem& item, const PipelineSubject& subject,
                                PipelineState& state) -> absl::Status {
    FieldMapper mapper(map, item, state);
    if (subject.correlation != nullptr) return mapper.MapCorrelation(*subject.correlation);
    mapper.MapList(subject.rule->head.metadata.fields);
    return ChangeItems(item, subject, state,
                       [&](Selection& node) { return mapper.MapItem(node.item); });
  };
}

absl::StatusOr<Transformation> ReadNameMapping(KeyReader& keys) {
  ASSIGN_OR_RETURN(auto read, keys.TakeMapping("mapping"));
  std::map<std::string, Names> mapping(read.begin(), read.end());
  return MapFields(
      [mapping = std::move(mapping)](const std::string& field) -> std::optional<Names> {
        const auto found = mapping.find(field);
        if (found == mapping.end()) return std::nullopt;
        return found->second;
      });
}

absl::StatusOr<Transformation> ReadPrefixMapping(KeyReader& keys) {
  ASSIGN_OR_RETURN(auto mapping, keys.TakeMapping("mapping"));
  return MapFields(
      [mapping = std::move(mapping)](const std::string& field) -> std::optional<Names> {
        for (const auto& [prefix, replacements] : mapping) {
          if (prefix.empty() || !field.starts_with(prefix)) continue;
          Names names;
          for (const std::string& replacement : replacements) {
            names.push_back(replacement + field.substr(prefix.size()));
          }
          return names;
        }
        return std::nullopt;
      });
}

absl::StatusOr<Transformation> ReadAffix(KeyReader& keys, bool prefix) {
  ASSIGN_OR_RETURN(const std::string affix, keys.TakeText(prefix ? "prefix" : "suffix"));
  return MapFields([affix, prefix](const std::string& field) -> std::optional<Names> {
    if (field.empty()) return std::nullopt;
    return Names{prefix ? affix + field : field + affix};
  });
}

Transformation DropItems() {
  return [](const ProcessingItem& item, const PipelineSubject& subject,
            PipelineState& state) -> absl::Status {
    return ChangeItems(item, subject, state, [](Selection& node) -> absl::StatusOr<bool> {
      node = Selection{};  // A selection without items is left out of the condition.
      return true;
    });
  };
}

// Puts the parts of a rule's log source in the place of $category, $product and $service.
std::string FillTemplate(std::string_view text, const LogSource& source) {
  std::string filled(text);
  const std::pair<std::string_view, const std::string*> parts[] = {
      {"category", &source.category}, {"product", &source.product}, {"service", &source.service}};
  for (const auto& [name, value] : parts) {
    for (const std::string& written : {StrCat("${", name, "}"), StrCat("$", name)}) {
      for (size_t at = filled.find(written); at != std::string::npos;
           at = filled.find(written, at + value->size())) {
        filled.replace(at, written.size(), *value);
      }
    }
  }
  return filled;
}

absl::StatusOr<Transformation> ReadAddCondition(KeyReader& keys) {
  const YAML::Node conditions = keys.Take("conditions");
  if (!conditions.IsDefined()) return keys.Missing("conditions");
  if (!conditions.IsMap()) {
    return ErrorAt(PlaceOf(conditions), "write a map of fields and values: key=conditions");
  }
  ASSIGN_OR_RETURN(const Selection selection, ReadSelection(conditions));
  ASSIGN_OR_RETURN(const bool fill, keys.TakeBool("template", false));
  ASSIGN_OR_RETURN(const bool negated, keys.TakeBool("negated", false));
  const YAML::Node name_node = keys.Take("name");
  const std::string name = name_node.IsDefined() && name_node.IsScalar() ? name_node.Scalar() : "";
  return Transformation([=](const ProcessingItem& item, const PipelineSubject& subject,
                            PipelineState&) -> absl::Status {
    if (subject.rule == nullptr) return absl::OkStatus();
    Guard guard;
    guard.kind = negated ? Guard::Kind::kExclude : Guard::Kind::kRequire;
    guard.origin = item.id;
    const std::string own_name =
        name.empty() ? StrCat("_cond_", subject.rule->guards.size()) : name;
    guard.selections.push_back({own_name, selection, item.place});
    guard.condition = {own_name, item.place};
    ForEachItem(guard.selections.front().selection, [&](DetectionItem& one) {
      one.applied.insert(item.id);
      for (DetectionValue& value : one.values) {
        if (!fill) continue;
        value.pattern.ChangeLiterals(
            [&](std::string_view run) { return FillTemplate(run, subject.rule->head.log_source); });
      }
    });
    subject.rule->guards.push_back(std::move(guard));
    return absl::OkStatus();
  });
}

absl::StatusOr<Transformation> ReadChangeLogSource(KeyReader& keys) {
  LogSource source;
  const auto read = [&](const char* key, std::string& part) {
    const YAML::Node node = keys.Take(key);
    if (node.IsDefined() && node.IsScalar()) part = node.Scalar();
  };
  read("category", source.category);
  read("product", source.product);
  read("service", source.service);
  if (source == LogSource{}) {
    return ErrorAt(PlaceOf(keys.map()), "write at least one of category, product and service");
  }
  return Transformation(
      [source](const ProcessingItem&, const PipelineSubject& subject, PipelineState&) {
        if (subject.rule != nullptr) subject.rule->head.log_source = source;
        return absl::OkStatus();
      });
}

// Changes the list of fields to show.
absl::StatusOr<Transformation> ReadFieldList(const std::string& type, KeyReader& keys) {
  ASSIGN_OR_RETURN(const Names names, keys.TakeTexts(type == "set_field" ? "fields" : "field"));
  return Transformation([=](const ProcessingItem&, const PipelineSubject& subject, PipelineState&) {
    Names& fields = subject.rule != nullptr ? subject.rule->head.metadata.fields
                                            : subject.correlation->metadata.fields;
    if (type == "set_field") fields = names;
    if (type == "add_field") fields.insert(fields.end(), names.begin(), names.end());
    if (type == "remove_field") {
      std::erase_if(fields, [&](const std::string& field) {
        return std::find(names.begin(), names.end(), field) != names.end();
      });
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<Transformation> ReadSetState(KeyReader& keys) {
  ASSIGN_OR_RETURN(const std::string key, keys.TakeText("key"));
  ASSIGN_OR_RETURN(const std::string value, keys.TakeText("val"));
  return Transformation([=](const ProcessingItem&, const PipelineSubject&, PipelineState& state) {
    state.values[key] = value;
    return absl::OkStatus();
  });
}

absl::StatusOr<Transformation> ReadSetAttribute(KeyReader& keys) {
  ASSIGN_OR_RETURN(const std::string attribute, keys.TakeText("attribute"));
  ASSIGN_OR_RETURN(const std::string value, keys.TakeText("value"));
  return Transformation([=](const ProcessingItem&, const PipelineSubject& subject, PipelineState&) {
    if (subject.rule != nullptr) subject.rule->attributes[attribute] = value;
    return absl::OkStatus();
  });
}

absl::StatusOr<Transformation> ReadFailure(KeyReader& keys, bool of_rule) {
  ASSIGN_OR_RETURN(const std::string message, keys.TakeText("message"));
  const absl::Status failure =
      absl::InvalidArgumentError(StrCat("the pipeline refuses the rule: ", message));
  if (of_rule) {
    return Transformation([failure](const ProcessingItem&, const PipelineSubject&, PipelineState&) {
      return failure;
    });
  }
  return Transformation([failure](const ProcessingItem& item, const PipelineSubject& subject,
                                  PipelineState& state) -> absl::Status {
    return ChangeItems(item, subject, state, [&](Selection& node) -> absl::StatusOr<bool> {
      return AddContext(failure, StrCat(" field=", node.item.key), node.item.place);
    });
  });
}

Transformation FailOnUnmappedFields() {
  return [](const ProcessingItem&, const PipelineSubject& subject,
            PipelineState& state) -> absl::Status {
    if (subject.rule == nullptr) return absl::OkStatus();
    std::set<std::string> unmapped;
    ForEachSelection(std::as_const(*subject.rule), [&](const Selection& selection) {
      ForEachItem(selection, [&](const DetectionItem& item) {
        for (const std::string& field : item.fields) {
          if (!field.empty() && !state.mapped_fields.contains(field)) unmapped.insert(field);
        }
      });
    });
    if (unmapped.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        StrCat("the pipeline refuses the rule: fields without a mapping: fields=",
               StrJoin({unmapped.begin(), unmapped.end()}, ",")));
  };
}

absl::Status ChangeBelow(Selection& node, const ProcessingItem& item, const PipelineState& state,
                         const ItemChange& change) {
  if (node.kind != Selection::Kind::kItem) {
    for (Selection& child : node.children) {
      RETURN_IF_ERROR(ChangeBelow(child, item, state, change));
    }
    return absl::OkStatus();
  }
  if (!item.Matches(node.item, state)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool changed, change(node));
  if (changed) {
    ForEachItem(node, [&](DetectionItem& one) { one.applied.insert(item.id); });
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ChangeItems(const ProcessingItem& item, const PipelineSubject& subject,
                         PipelineState& state, const ItemChange& change) {
  absl::Status status = absl::OkStatus();
  if (subject.rule == nullptr) return status;
  ForEachSelection(*subject.rule, [&](Selection& selection) {
    if (status.ok()) status = ChangeBelow(selection, item, state, change);
  });
  return status;
}

absl::StatusOr<std::optional<Transformation>> ReadFieldTransformation(const std::string& type,
                                                                      KeyReader& keys) {
  using Read = absl::StatusOr<Transformation>;
  const auto read = [&]() -> std::optional<Read> {
    if (type == "field_name_mapping") return ReadNameMapping(keys);
    if (type == "field_name_prefix_mapping") return ReadPrefixMapping(keys);
    if (type == "field_name_prefix") return ReadAffix(keys, true);
    if (type == "field_name_suffix") return ReadAffix(keys, false);
    if (type == "drop_detection_item") return Read(DropItems());
    if (type == "add_condition") return ReadAddCondition(keys);
    if (type == "change_logsource") return ReadChangeLogSource(keys);
    if (type == "add_field" || type == "remove_field" || type == "set_field") {
      return ReadFieldList(type, keys);
    }
    if (type == "set_state") return ReadSetState(keys);
    if (type == "set_custom_attribute") return ReadSetAttribute(keys);
    if (type == "rule_failure") return ReadFailure(keys, true);
    if (type == "detection_item_failure") return ReadFailure(keys, false);
    if (type == "strict_field_mapping_failure") return Read(FailOnUnmappedFields());
    return std::nullopt;
  }();
  if (!read) return std::optional<Transformation>();
  if (!read->ok()) return read->status();
  return std::optional<Transformation>(**read);
}

}  // namespace weir::sigma
