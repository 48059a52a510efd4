#include "jobs/sigma/engine/event_fields.h"

#include <utility>

#include "jobs/sigma/engine/internal/text_fold.h"
#include "runtime/base/strings.h"
#include "simdjson.h"

namespace weir::sigma {

namespace ondemand = simdjson::ondemand;

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

  EventFields& target_;
};

absl::StatusOr<EventFields> EventFields::Parse(std::string_view json_event) {
  EventFields fields;
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
  return fields;
}

const EventFields::Field* EventFields::Find(std::string_view name) const {
  const auto found = fields_.find(name);
  return found == fields_.end() ? nullptr : &found->second;
}

std::vector<std::string_view> EventFields::Names() const {
  std::vector<std::string_view> names;
  names.reserve(fields_.size());
  for (const auto& [name, field] : fields_) names.push_back(name);
  return names;
}

}  // namespace weir::sigma
