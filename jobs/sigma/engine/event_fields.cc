#include "jobs/sigma/engine/event_fields.h"

#include <algorithm>
#include <utility>

#include "jobs/sigma/engine/internal/text_fold.h"
#include "runtime/base/strings.h"
#include "simdjson.h"

namespace weir::sigma {

namespace ondemand = simdjson::ondemand;
namespace dom = simdjson::dom;

namespace {

// Returns whether `path` has the form of `pattern`, in which `*` stands for any one key.
bool HasForm(std::string_view path, std::string_view pattern) {
  const std::vector<std::string_view> keys = StrSplit(path, '.');
  const std::vector<std::string_view> wanted = StrSplit(pattern, '.');
  if (keys.size() != wanted.size()) return false;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (wanted[i] != "*" && wanted[i] != keys[i]) return false;
  }
  return true;
}

// Calls `visit` for the objects that stand at `path`, or in lists there.
template <class Visit>
void ForEachObject(dom::element element, std::string_view path, const Visit& visit) {
  dom::array items;
  if (element.get_array().get(items) == simdjson::SUCCESS) {
    for (const dom::element item : items) ForEachObject(item, path, visit);
    return;
  }
  dom::object object;
  if (element.get_object().get(object) != simdjson::SUCCESS) return;
  if (path.empty()) return visit(object);
  const size_t dot = std::min(path.find('.'), path.size());
  dom::element child;
  if (object.at_key(path.substr(0, dot)).get(child) != simdjson::SUCCESS) return;
  ForEachObject(child, path.substr(std::min(dot + 1, path.size())), visit);
}

}  // namespace

/// Walks an event and adds its values.
class EventFields::Reader {
 public:
  explicit Reader(EventFields& target) : target_(target) {}

  simdjson::error_code ReadObject(ondemand::object object, const std::string& path, int depth) {
    if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
    for (auto result : object) {
      ondemand::field field;
      if (const auto error = std::move(result).get(field)) return error;
      std::string_view key;
      if (const auto error = field.unescaped_key().get(key)) return error;
      const std::string child = path.empty() ? std::string(key) : StrCat(path, ".", key);
      if (const auto error = ReadValue(field.value(), child, depth)) return error;
    }
    return simdjson::SUCCESS;
  }

 private:
  static constexpr int kMaxDepth = 256;

  simdjson::error_code ReadValue(ondemand::value value, const std::string& path, int depth) {
    const auto entry = target_.fields_.try_emplace(path).first;
    ondemand::json_type type;
    if (const auto error = value.type().get(type)) return error;
    switch (type) {
      case ondemand::json_type::object: {
        ondemand::object object;
        if (const auto error = value.get_object().get(object)) return error;
        return ReadObject(object, path, depth + 1);
      }
      case ondemand::json_type::array:
        return ReadArray(value, path, depth + 1);
      case ondemand::json_type::string: {
        std::string_view text;
        if (const auto error = value.get_string().get(text)) return error;
        target_.strings_.push_back({entry->first, Add(entry->second, text, true)});
        return simdjson::SUCCESS;
      }
      case ondemand::json_type::number: {
        const std::string_view token = StripWhitespace(value.raw_json_token());
        Add(entry->second, token, false);
        const std::string canonical = CanonicalNumber(token);
        if (canonical != token) Add(entry->second, canonical, false);
        return simdjson::SUCCESS;
      }
      case ondemand::json_type::boolean: {
        bool truth = false;
        if (const auto error = value.get_bool().get(truth)) return error;
        Add(entry->second, truth ? "true" : "false", false);
        return simdjson::SUCCESS;
      }
      case ondemand::json_type::null:
        entry->second.has_null = true;
        return simdjson::SUCCESS;
    }
    return simdjson::TAPE_ERROR;
  }

  simdjson::error_code ReadArray(ondemand::value value, const std::string& path, int depth) {
    if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
    ondemand::array array;
    if (const auto error = value.get_array().get(array)) return error;
    for (auto result : array) {
      ondemand::value element;
      if (const auto error = std::move(result).get(element)) return error;
      if (const auto error = ReadValue(element, path, depth)) return error;
    }
    return simdjson::SUCCESS;
  }

  ScalarValue Add(Field& field, std::string_view text, bool is_string) {
    const std::string& kept = target_.texts_.emplace_back(text);
    const std::string& folded = target_.texts_.emplace_back(FoldCase(text));
    return field.values.emplace_back(ScalarValue{kept, folded, is_string});
  }

 public:
  // Adds the value of an entry of a name-value list; other than scalars there are none.
  void AddListValue(std::string_view name, dom::element value) {
    Field& field = target_.fields_.try_emplace(std::string(name)).first->second;
    std::string_view text;
    if (value.is_null()) {
      field.has_null = true;
    } else if (value.get_string().get(text) == simdjson::SUCCESS) {
      Add(field, text, true);
    } else if (!value.is_object() && !value.is_array()) {
      Add(field, simdjson::minify(value), false);
    }
  }

 private:
  EventFields& target_;
};

void EventFields::AddLists(std::string_view json_event) {
  dom::parser parser;
  dom::element event;
  if (parser.parse(simdjson::padded_string(json_event)).get(event) != simdjson::SUCCESS) return;
  Reader reader(*this);
  for (const NameValueList& list : mapping_->lists) {
    ForEachObject(event, list.path, [&](dom::object entry) {
      std::string_view name;
      dom::element value;
      if (entry.at_key(list.name_key).get_string().get(name) != simdjson::SUCCESS) return;
      if (entry.at_key(list.value_key).get(value) != simdjson::SUCCESS) return;
      reader.AddListValue(name, value);
    });
  }
}

absl::StatusOr<EventFields> EventFields::Parse(std::string_view json_event,
                                               const EventMapping* mapping) {
  EventFields fields;
  fields.mapping_ = mapping;
  ondemand::parser parser;
  const simdjson::padded_string padded(json_event);
  ondemand::document document;
  ondemand::object object;
  simdjson::error_code error = parser.iterate(padded).get(document);
  if (error == simdjson::SUCCESS) error = document.get_object().get(object);
  if (error == simdjson::INCORRECT_TYPE) {
    return absl::InvalidArgumentError("the event is no JSON object; send one object per record");
  }
  if (error == simdjson::SUCCESS) error = Reader(fields).ReadObject(object, "", 0);
  if (error != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(
        StrCat("the event is not valid JSON: ", std::string_view(simdjson::error_message(error))));
  }
  if (mapping != nullptr && !mapping->lists.empty()) fields.AddLists(json_event);
  return fields;
}

// Adds what stands at `path`, which may hold `*`.
void EventFields::AddPath(std::string_view path, std::optional<Field>* field) const {
  const auto add = [field](const Field& found) {
    if (!field->has_value()) field->emplace();
    (*field)->has_null = (*field)->has_null || found.has_null;
    (*field)->values.insert((*field)->values.end(), found.values.begin(), found.values.end());
  };
  if (path.find('*') == path.npos) {
    const auto found = fields_.find(path);
    if (found != fields_.end()) add(found->second);
    return;
  }
  for (const auto& [name, found] : fields_) {
    if (HasForm(name, path)) add(found);
  }
}

std::optional<EventFields::Field> EventFields::Find(std::string_view name) const {
  std::optional<Field> field;
  if (mapping_ == nullptr) {
    AddPath(name, &field);
    return field;
  }
  for (const std::string& path : mapping_->PathsOf(name)) AddPath(path, &field);
  return field;
}

std::vector<std::string_view> EventFields::Names() const {
  std::vector<std::string_view> names;
  names.reserve(fields_.size());
  for (const auto& [name, field] : fields_) names.push_back(name);
  return names;
}

}  // namespace weir::sigma
