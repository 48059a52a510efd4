#include "jobs/sigma/engine/event_fields.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "jobs/sigma/engine/internal/json_cursor.h"
#include "jobs/sigma/engine/internal/json_tokens.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

// Returns whether `path` is `name` without its spaces, of which it has some: rules write names so.
bool IsWithoutSpaces(std::string_view path, std::string_view name) {
  if (name.size() <= path.size()) return false;
  size_t at = 0;
  for (const char c : name) {
    if (c == ' ') continue;
    if (at == path.size() || path[at] != c) return false;
    ++at;
  }
  return at == path.size();
}

// Returns whether `path` has the form of `pattern`, in which `*` stands for any one key.
bool HasForm(std::string_view path, std::string_view pattern) {
  const std::vector<std::string_view> keys = StrSplit(path, '.');
  const std::vector<std::string_view> wanted = StrSplit(pattern, '.');
  if (keys.size() != wanted.size()) return false;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (wanted[i] != "*" && wanted[i] != keys[i] && !IsWithoutSpaces(wanted[i], keys[i])) {
      return false;
    }
  }
  return true;
}

}  // namespace

/// Reads an event as the Matcher does, but all of it, and adds its values.
class EventFields::Reader {
 public:
  Reader(EventFields& target, const JsonTokens& tokens) : target_(target), cursor_(tokens) {}

  absl::Status Read() {
    if (ReadObject({"", true}, true, 0) && cursor_.Finish()) return absl::OkStatus();
    return cursor_.status();
  }

 private:
  // Where values belong.
  struct Place {
    std::string path;
    bool is_field = true;  // False: only keywords find what stands here.
  };

  // A text or number that came before the name it belongs to, and where it stood.
  struct HeldValue {
    std::string_view token;
    Place place;
  };

  static Place Below(const Place& parent, bool is_top, std::string_view key) {
    return {is_top ? std::string(key) : StrCat(parent.path, ".", key), parent.is_field};
  }

  static std::string Unescaped(std::string_view token) {
    const std::string_view inner = token.substr(1, token.size() - 2);
    std::string text(inner.size(), '\0');
    text.resize(UnescapeJson(inner, text.data()));
    return text;
  }

  // The lists of names with values that may stand at a place.
  std::vector<const NameValueList*> ListsAt(const Place& place) const {
    std::vector<const NameValueList*> lists;
    if (target_.mapping_ == nullptr || !place.is_field) return lists;
    for (const NameValueList& list : target_.mapping_->lists) {
      if (HasForm(place.path, list.path)) lists.push_back(&list);
    }
    return lists;
  }

  // Reads an object whose brace is read.
  bool ReadObject(const Place& place, bool is_top, int depth) {
    bool more = false;
    if (!cursor_.Enter('}', depth, &more)) return false;
    while (more) {
      std::string_view key;
      if (!cursor_.ReadKey(&key)) return false;
      if (!ReadValue(Below(place, is_top, key), depth) || !cursor_.ReadComma('}', &more)) {
        return false;
      }
    }
    return true;
  }

  // Reads an object that holds a field's name under one key and its value under another.
  bool ReadNameValue(const Place& parent, const std::vector<const NameValueList*>& lists,
                     int depth) {
    std::optional<Place> named;
    std::array<HeldValue, 2> held;  // A text and a number.
    bool more = false;
    if (!cursor_.Enter('}', depth, &more)) return false;
    while (more) {
      std::string_view key;
      if (!cursor_.ReadKey(&key)) return false;
      const auto has = [&](std::string NameValueList::* part) {
        return std::any_of(lists.begin(), lists.end(),
                           [&](const NameValueList* list) { return list->*part == key; });
      };
      const bool is_value = has(&NameValueList::value_key);
      const char first = cursor_.First();
      if (first == '"' && has(&NameValueList::name_key)) {
        const std::string_view token = cursor_.Text();
        if (!AddScalar(Below(parent, false, key), token, false)) return false;
        named = {Unescaped(token), true};
        cursor_.Skip();
      } else if (is_value && !named && BeginsTextOrNumber(first)) {
        held[first == '"' ? 0 : 1] = {cursor_.Text(), Below(parent, false, key)};
        if (!IsGood(cursor_.Text())) return cursor_.Fail(JsonCursor::kBadValue);
        cursor_.Skip();
      } else if (!ReadValue(is_value && named ? *named : Below(parent, false, key), depth, true)) {
        return false;
      }
      if (!cursor_.ReadComma('}', &more)) return false;
    }
    for (const HeldValue& one : held) {
      if (one.token.empty()) continue;
      const Place& place = named ? *named : one.place;
      target_.fields_.try_emplace(place.path);
      if (!AddScalar(place, one.token, true)) return false;
    }
    return true;
  }

  // Reads a list whose bracket is read.
  bool ReadArray(const Place& place, int depth, bool is_leaf) {
    bool more = false;
    if (!cursor_.Enter(']', depth, &more)) return false;
    while (more) {
      if (!ReadValue(place, depth, is_leaf) || !cursor_.ReadComma(']', &more)) return false;
    }
    return true;
  }

  // Reads a value. Below a leaf there are no fields.
  bool ReadValue(const Place& place, int depth, bool is_leaf = false) {
    if (place.is_field) target_.fields_.try_emplace(place.path);
    const char first = cursor_.First();
    if (first == '\0') return cursor_.Fail("a value is missing");
    if (first == '[') {
      cursor_.Skip();
      return ReadArray(place, depth + 1, is_leaf);
    }
    if (first == '{') {
      cursor_.Skip();
      const std::vector<const NameValueList*> lists = ListsAt(place);
      if (!lists.empty()) return ReadNameValue(place, lists, depth + 1);
      return ReadObject({place.path, place.is_field && !is_leaf}, false, depth + 1);
    }
    if (!AddScalar(place, cursor_.Text(), place.is_field)) return false;
    cursor_.Skip();
    return true;
  }

  static bool IsGood(std::string_view token) {
    if (token.front() == '"') return HasGoodEscapes(token.substr(1, token.size() - 2));
    return IsJsonWord(token) || IsJsonNumber(token);
  }

  bool AddScalar(const Place& place, std::string_view token, bool is_field) {
    const bool is_text = token.front() == '"';
    if (!IsGood(token)) {
      return cursor_.Fail(is_text ? JsonCursor::kBadString : JsonCursor::kBadValue);
    }
    const auto entry = is_field ? target_.fields_.find(place.path) : target_.fields_.end();
    Field* const field = entry == target_.fields_.end() ? nullptr : &entry->second;
    if (is_text) {
      const ScalarValue value = Kept(Unescaped(token), true);
      if (field != nullptr) field->values.push_back(value);
      const std::string& name = target_.texts_.emplace_back(place.path);
      target_.strings_.push_back({name, value});
    } else if (field != nullptr && token == "null") {
      field->has_null = true;
    } else if (field != nullptr) {
      field->values.push_back(Kept(token, false));
      const std::string canonical = IsJsonWord(token) ? std::string(token) : CanonicalNumber(token);
      if (canonical != token) field->values.push_back(Kept(canonical, false));
    }
    return true;
  }

  ScalarValue Kept(std::string_view text, bool is_string) {
    const std::string& kept = target_.texts_.emplace_back(text);
    const std::string& folded = target_.texts_.emplace_back(FoldCase(text));
    return {kept, folded, is_string};
  }

  EventFields& target_;
  JsonCursor cursor_;
};

absl::StatusOr<EventFields> EventFields::Parse(std::string_view json_event,
                                               const EventMapping* mapping) {
  EventFields fields;
  fields.mapping_ = mapping;
  JsonTokens tokens;
  RETURN_IF_ERROR(ReadEventTokens(json_event, tokens));
  RETURN_IF_ERROR(Reader(fields, tokens).Read());
  fields.has_spaced_names_ =
      std::any_of(fields.fields_.begin(), fields.fields_.end(),
                  [](const auto& field) { return field.first.find(' ') != std::string::npos; });
  return fields;
}

// Adds what stands at `path`, which may hold `*`.
void EventFields::AddPath(std::string_view path, std::optional<Field>* field) const {
  const auto add = [field](const Field& found) {
    if (!field->has_value()) field->emplace();
    (*field)->has_null = (*field)->has_null || found.has_null;
    (*field)->values.insert((*field)->values.end(), found.values.begin(), found.values.end());
  };
  const bool has_any = path.find('*') != path.npos;
  if (!has_any) {
    const auto found = fields_.find(path);
    if (found != fields_.end()) add(found->second);
    if (!has_spaced_names_) return;
  }
  for (const auto& [name, found] : fields_) {
    if (has_any ? HasForm(name, path) : IsWithoutSpaces(path, name)) add(found);
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
