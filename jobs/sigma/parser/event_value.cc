#include "jobs/sigma/parser/event_value.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "runtime/base/json_writer.h"
#include "runtime/base/strings.h"
#include "simdjson.h"

namespace weir::sigma {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr size_t kFewMembers = 16;

// Returns the length of the digits at `i`, and moves behind them.
size_t SkipDigits(std::string_view token, size_t* i) {
  const size_t begin = *i;
  while (*i < token.size() && token[*i] >= '0' && token[*i] <= '9') ++*i;
  return *i - begin;
}

// The parser hands numbers over unread.
bool IsJsonNumber(std::string_view token) {
  size_t i = token.starts_with('-') ? 1 : 0;
  const bool zero = i < token.size() && token[i] == '0';
  const size_t whole = SkipDigits(token, &i);
  if (whole == 0 || (zero && whole > 1)) return false;
  if (i < token.size() && token[i] == '.') {
    ++i;
    if (SkipDigits(token, &i) == 0) return false;
  }
  if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
    ++i;
    if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
    if (SkipDigits(token, &i) == 0) return false;
  }
  return i == token.size();
}

bool HasDuplicates(const std::vector<EventMember>& members, std::vector<uint32_t>* by_name) {
  if (members.size() <= kFewMembers) {
    for (size_t i = 1; i < members.size(); ++i) {
      for (size_t k = 0; k < i; ++k) {
        if (members[i].name == members[k].name) return true;
      }
    }
    return false;
  }
  by_name->resize(members.size());
  std::iota(by_name->begin(), by_name->end(), 0);
  std::sort(by_name->begin(), by_name->end(),
            [&](uint32_t a, uint32_t b) { return members[a].name < members[b].name; });
  return std::adjacent_find(by_name->begin(), by_name->end(), [&](uint32_t a, uint32_t b) {
           return members[a].name == members[b].name;
         }) != by_name->end();
}

// Gives the first member of each name the last one's value, and drops the others.
void DropDuplicates(std::vector<EventMember>* members) {
  std::vector<uint32_t> by_name;
  if (!HasDuplicates(*members, &by_name)) return;
  by_name.resize(members->size());
  std::iota(by_name.begin(), by_name.end(), 0);
  std::stable_sort(by_name.begin(), by_name.end(),
                   [&](uint32_t a, uint32_t b) { return (*members)[a].name < (*members)[b].name; });
  std::vector<bool> dropped(members->size());
  for (size_t begin = 0; begin < by_name.size();) {
    size_t end = begin + 1;
    while (end < by_name.size() &&
           (*members)[by_name[end]].name == (*members)[by_name[begin]].name) {
      dropped[by_name[end++]] = true;
    }
    if (end > begin + 1) {
      (*members)[by_name[begin]].value = std::move((*members)[by_name[end - 1]].value);
    }
    begin = end;
  }
  size_t kept = 0;
  for (size_t i = 0; i < members->size(); ++i) {
    if (dropped[i]) continue;
    if (kept != i) (*members)[kept] = std::move((*members)[i]);
    ++kept;
  }
  members->resize(kept);
}

}  // namespace

EventValue EventValue::Bool(bool truth) {
  EventValue value;
  value.kind = Kind::kBool;
  value.truth = truth;
  return value;
}

EventValue EventValue::Number(std::string token) {
  EventValue value;
  value.kind = Kind::kNumber;
  value.text = std::move(token);
  return value;
}

EventValue EventValue::String(std::string text) {
  EventValue value;
  value.kind = Kind::kString;
  value.text = std::move(text);
  return value;
}

EventValue EventValue::Array() {
  EventValue value;
  value.kind = Kind::kArray;
  return value;
}

EventValue EventValue::Object() {
  EventValue value;
  value.kind = Kind::kObject;
  return value;
}

bool EventValue::IsEmpty() const {
  switch (kind) {
    case Kind::kNull:
      return true;
    case Kind::kString:
      return text.empty();
    case Kind::kArray:
      return items.empty();
    case Kind::kObject:
      return members.empty();
    case Kind::kBool:
    case Kind::kNumber:
      return false;
  }
  return false;
}

const EventValue* EventValue::Find(std::string_view name) const {
  for (const EventMember& member : members) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

EventValue* EventValue::Find(std::string_view name) {
  return const_cast<EventValue*>(std::as_const(*this).Find(name));
}

void EventValue::Set(std::string_view name, EventValue value) {
  if (EventValue* const found = Find(name)) {
    *found = std::move(value);
  } else {
    members.push_back({std::string(name), std::move(value)});
  }
}

bool EventValue::Remove(std::string_view name) {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const EventMember& member) { return member.name == name; });
  if (found == members.end()) return false;
  members.erase(found);
  return true;
}

class EventReader::Impl {
 public:
  absl::StatusOr<EventValue> Read(std::string_view json) {
    const size_t padded_size = json.size() + simdjson::SIMDJSON_PADDING;
    if (padded_.size() < padded_size) padded_.resize(padded_size);
    std::copy(json.begin(), json.end(), padded_.begin());
    std::fill_n(padded_.begin() + static_cast<std::ptrdiff_t>(json.size()),
                simdjson::SIMDJSON_PADDING, '\0');
    EventValue value;
    const simdjson::error_code error = ReadDocument(json.size(), &value);
    if (error == simdjson::SUCCESS) return value;
    return absl::InvalidArgumentError(
        StrCat("the text is not valid JSON: ", std::string_view(simdjson::error_message(error))));
  }

 private:
  simdjson::error_code ReadDocument(size_t size, EventValue* value) {
    ondemand::document document;
    if (const auto error =
            parser_.iterate(simdjson::padded_string_view(padded_.data(), size, padded_.size()))
                .get(document)) {
      return error;
    }
    ondemand::json_type type;
    if (const auto error = document.type().get(type)) return error;
    // A scalar alone is read through an array, where it is a value like others.
    if (type != ondemand::json_type::object && type != ondemand::json_type::array) {
      return ReadScalarDocument(size, value);
    }
    ondemand::value root;
    if (const auto error = document.get_value().get(root)) return error;
    if (const auto error = ReadValue(root, value, 0)) return error;
    // Something may follow.
    return document.current_location().error() == simdjson::OUT_OF_BOUNDS ? simdjson::SUCCESS
                                                                          : simdjson::TAPE_ERROR;
  }

  simdjson::error_code ReadScalarDocument(size_t size, EventValue* value) {
    const std::string wrapped = StrCat("[", std::string_view(padded_.data(), size), "]");
    EventReader reader;
    absl::StatusOr<EventValue> array = reader.Read(wrapped);
    if (!array.ok() || array->items.size() != 1) return simdjson::TAPE_ERROR;
    *value = std::move(array->items.front());
    return simdjson::SUCCESS;
  }

  simdjson::error_code ReadObject(ondemand::object object, EventValue* value, int depth) {
    value->kind = EventValue::Kind::kObject;
    for (auto result : object) {
      ondemand::field field;
      if (const auto error = std::move(result).get(field)) return error;
      std::string_view name;
      if (const auto error = field.unescaped_key().get(name)) return error;
      EventMember& member = value->members.emplace_back();
      member.name = name;
      if (const auto error = ReadValue(field.value(), &member.value, depth + 1)) return error;
    }
    DropDuplicates(&value->members);
    return simdjson::SUCCESS;
  }

  simdjson::error_code ReadArray(ondemand::array array, EventValue* value, int depth) {
    value->kind = EventValue::Kind::kArray;
    for (auto result : array) {
      ondemand::value item;
      if (const auto error = std::move(result).get(item)) return error;
      if (const auto error = ReadValue(item, &value->items.emplace_back(), depth + 1)) return error;
    }
    return simdjson::SUCCESS;
  }

  simdjson::error_code ReadValue(ondemand::value json, EventValue* value, int depth) {
    ondemand::json_type type;
    if (const auto error = json.type().get(type)) return error;
    const bool is_scalar =
        type != ondemand::json_type::object && type != ondemand::json_type::array;
    if (depth > kMaxDepth && !is_scalar) return simdjson::DEPTH_ERROR;
    switch (type) {
      case ondemand::json_type::object: {
        ondemand::object object;
        if (const auto error = json.get_object().get(object)) return error;
        return ReadObject(object, value, depth);
      }
      case ondemand::json_type::array: {
        ondemand::array array;
        if (const auto error = json.get_array().get(array)) return error;
        return ReadArray(array, value, depth);
      }
      case ondemand::json_type::string: {
        std::string_view text;
        if (const auto error = json.get_string().get(text)) return error;
        *value = EventValue::String(std::string(text));
        return simdjson::SUCCESS;
      }
      case ondemand::json_type::number: {
        const std::string_view token = StripWhitespace(json.raw_json_token());
        if (!IsJsonNumber(token)) return simdjson::NUMBER_ERROR;
        *value = EventValue::Number(std::string(token));
        return simdjson::SUCCESS;
      }
      case ondemand::json_type::boolean: {
        value->kind = EventValue::Kind::kBool;
        return json.get_bool().get(value->truth);
      }
      case ondemand::json_type::null: {
        bool null = false;
        if (const auto error = simdjson::simdjson_result<bool>(json.is_null()).get(null)) {
          return error;
        }
        return null ? simdjson::SUCCESS : simdjson::N_ATOM_ERROR;
      }
    }
    return simdjson::TAPE_ERROR;
  }

  ondemand::parser parser_;
  std::string padded_;
};

EventReader::EventReader() : impl_(std::make_unique<Impl>()) {}
EventReader::~EventReader() = default;
EventReader::EventReader(EventReader&&) noexcept = default;
EventReader& EventReader::operator=(EventReader&&) noexcept = default;

absl::StatusOr<EventValue> EventReader::Read(std::string_view json) { return impl_->Read(json); }

void AppendJson(const EventValue& value, std::string* json) {
  switch (value.kind) {
    case EventValue::Kind::kNull:
      json->append("null");
      return;
    case EventValue::Kind::kBool:
      json->append(value.truth ? "true" : "false");
      return;
    case EventValue::Kind::kNumber:
      json->append(value.text);
      return;
    case EventValue::Kind::kString:
      AppendJsonString(json, value.text);
      return;
    case EventValue::Kind::kArray: {
      json->push_back('[');
      for (size_t i = 0; i < value.items.size(); ++i) {
        if (i > 0) json->push_back(',');
        AppendJson(value.items[i], json);
      }
      json->push_back(']');
      return;
    }
    case EventValue::Kind::kObject: {
      json->push_back('{');
      for (size_t i = 0; i < value.members.size(); ++i) {
        if (i > 0) json->push_back(',');
        AppendJsonString(json, value.members[i].name);
        json->push_back(':');
        AppendJson(value.members[i].value, json);
      }
      json->push_back('}');
      return;
    }
  }
}

const EventValue* FindField(const EventValue& event, std::string_view path) {
  if (const EventValue* const literal = event.Find(path)) return literal;
  const EventValue* at = &event;
  for (const std::string_view name : StrSplit(path, '.')) {
    at = at->Find(name);
    if (at == nullptr) return nullptr;
  }
  return at;
}

EventValue* FindField(EventValue* event, std::string_view path) {
  return const_cast<EventValue*>(FindField(std::as_const(*event), path));
}

void SetField(EventValue* event, std::string_view path, EventValue value) {
  if (path.find('.') == std::string_view::npos) return event->Set(path, std::move(value));
  event->Remove(path);
  const std::vector<std::string_view> names = StrSplit(path, '.');
  EventValue* at = event;
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    EventValue* next = at->Find(names[i]);
    if (next == nullptr) {
      at->members.push_back({std::string(names[i]), EventValue::Object()});
      next = &at->members.back().value;
    } else if (!next->is_object()) {
      *next = EventValue::Object();
    }
    at = next;
  }
  at->Set(names.back(), std::move(value));
}

bool RemoveField(EventValue* event, std::string_view path) {
  if (event->Remove(path)) return true;
  const std::vector<std::string_view> names = StrSplit(path, '.');
  EventValue* at = event;
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    at = at->Find(names[i]);
    if (at == nullptr) return false;
  }
  return at->Remove(names.back());
}

}  // namespace weir::sigma
