#pragma once

#include <array>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "jobs/sigma/engine/internal/json_cursor.h"
#include "jobs/sigma/engine/internal/json_tokens.h"
#include "jobs/sigma/engine/internal/key_resolver.h"
#include "jobs/sigma/engine/internal/program.h"

namespace weir::sigma {

/// Reads an event, token by token, checks that it is JSON, and tells a sink what fields hold.
///
/// `Sink` has: `Touch(entry)` for every value of a key that leads somewhere; `AddNull(entry)`;
/// `AddWord(entry, token)` for true and false; `AddString(entry, token)` with quotes and escapes,
/// and `AddNumber(entry, token)`, which return whether the token is well-formed. Entries may lead
/// nowhere. A template so that the calls are inlined: the hot loop of matching.
///
/// Lifecycle: one per event. Threads: one at a time.
template <class Sink>
class EventWalker {
 public:
  EventWalker(const JsonTokens& tokens, KeyResolver& keys, const Program& program, Sink& sink)
      : cursor_(tokens), keys_(keys), program_(program), sink_(sink) {}

  /// Reads the whole text, an object. Errors: kInvalidArgument.
  [[nodiscard]] absl::Status Walk() {
    if (WalkObject(KeyResolver::kTop, 0) && cursor_.Finish()) return absl::OkStatus();
    return cursor_.status();
  }

 private:
  // Reads an object whose brace is read. `path` is kNoId where no field lies below it: it is read
  // only to check it and for keywords.
  bool WalkObject(uint32_t path, int depth) {
    bool more = false;
    if (!cursor_.Enter('}', depth, &more)) return false;
    while (more) {
      std::string_view key;
      if (!cursor_.ReadKey(&key)) return false;
      const ResolvedKey resolved = path == kNoId ? ResolvedKey{} : keys_.Resolve(path, key);
      if (!WalkValue(resolved, depth) || !cursor_.ReadComma('}', &more)) return false;
    }
    return true;
  }

  // A scalar that came before the name it belongs to, and the key it stood under.
  struct HeldValue {
    std::string_view token;
    ResolvedKey key;
  };

  // Reads an object that holds a field's name under one key and its value under another, in either
  // order. A value that is no scalar is found only behind the name. Without a name, it is an object
  // like others.
  bool WalkNameValue(const ResolvedKey& parent, int depth) {
    const NameValueKeys& names = program_.lists[parent.entry.list];
    ResolvedKey named;
    bool has_name = false;
    std::array<HeldValue, 2> held;  // A text and a number.
    bool more = false;
    if (!cursor_.Enter('}', depth, &more)) return false;
    while (more) {
      std::string_view key;
      if (!cursor_.ReadKey(&key)) return false;
      const char first = cursor_.First();
      const bool is_value = names.IsValue(key);
      if (first == '"' && names.IsName(key)) {
        if (!ReadName(named)) return false;
        has_name = true;
      } else if (is_value && !has_name && BeginsTextOrNumber(first)) {
        if (!Hold(held[first == '"' ? 0 : 1], Below(parent, key))) return false;
      } else {
        const ResolvedKey resolved = is_value && has_name ? named : Below(parent, key);
        if (!WalkValue(resolved, depth)) return false;
      }
      if (!cursor_.ReadComma('}', &more)) return false;
    }
    for (const HeldValue& one : held) {
      if (!one.token.empty() && !AddHeld(one.token, has_name ? named : one.key)) return false;
    }
    return true;
  }

  // Holds the text or number at hand back.
  bool Hold(HeldValue& held, const ResolvedKey& key) {
    const std::string_view token = cursor_.Text();
    const bool good = token.front() == '"' ? HasGoodEscapes(token.substr(1, token.size() - 2))
                                           : IsJsonNumber(token);
    if (!good) return cursor_.Fail(JsonCursor::kBadValue);
    held = {token, key};
    cursor_.Skip();
    return true;
  }

  // Reads a field's name; strings of events are found by keywords, names too.
  bool ReadName(ResolvedKey& named) {
    const std::string_view token = cursor_.Text();
    if (!sink_.AddString({}, token)) return cursor_.Fail(JsonCursor::kBadString);
    cursor_.Skip();
    std::string name(token.size(), '\0');
    name.resize(UnescapeJson(token.substr(1, token.size() - 2), name.data()));
    named = keys_.Resolve(KeyResolver::kTop, name);
    named.below = kNoId;
    return true;
  }

  ResolvedKey Below(const ResolvedKey& parent, std::string_view key) {
    if (parent.below == kNoId) return {};
    ResolvedKey resolved = keys_.Resolve(parent.below, key);
    resolved.below = kNoId;
    return resolved;
  }

  bool AddHeld(std::string_view token, const ResolvedKey& key) {
    sink_.Touch(key.entry);
    return token.front() == '"' ? AddString(key, token) : AddNumber(key, token);
  }

  bool AddString(const ResolvedKey& key, std::string_view token) {
    return sink_.AddString(key.entry, token) || cursor_.Fail(JsonCursor::kBadString);
  }

  bool AddNumber(const ResolvedKey& key, std::string_view token) {
    return sink_.AddNumber(key.entry, token) || cursor_.Fail(JsonCursor::kBadValue);
  }

  // Reads a list whose bracket is read: its elements are values of the key.
  bool WalkArray(const ResolvedKey& key, int depth) {
    bool more = false;
    if (!cursor_.Enter(']', depth, &more)) return false;
    while (more) {
      if (!WalkValue(key, depth) || !cursor_.ReadComma(']', &more)) return false;
    }
    return true;
  }

  bool WalkValue(const ResolvedKey& key, int depth) {
    sink_.Touch(key.entry);
    switch (cursor_.First()) {
      case '{':
        cursor_.Skip();
        if (key.entry.list != kNoId) return WalkNameValue(key, depth + 1);
        return WalkObject(key.below, depth + 1);
      case '[':
        cursor_.Skip();
        return WalkArray(key, depth + 1);
      case '"':
        if (!AddString(key, cursor_.Text())) return false;
        break;
      case 't':
      case 'f':
      case 'n':
        if (!WalkWord(key.entry, cursor_.Text())) return false;
        break;
      case '\0':
        return cursor_.Fail("a value is missing");
      default:
        if (!AddNumber(key, cursor_.Text())) return false;
    }
    cursor_.Skip();
    return true;
  }

  bool WalkWord(const KeyTarget& entry, std::string_view token) {
    if (!IsJsonWord(token)) return cursor_.Fail(JsonCursor::kBadValue);
    if (token == "null") {
      sink_.AddNull(entry);
    } else {
      sink_.AddWord(entry, token);
    }
    return true;
  }

  JsonCursor cursor_;
  KeyResolver& keys_;
  const Program& program_;
  Sink& sink_;
};

}  // namespace weir::sigma
