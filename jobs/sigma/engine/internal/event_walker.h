#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

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
      : tokens_(tokens), keys_(keys), program_(program), sink_(sink) {}

  /// Reads the whole text. Returns what is wrong with it, or nothing.
  [[nodiscard]] std::string_view Walk() {
    at_ = 1;  // Behind the brace.
    if (WalkObject(KeyResolver::kTop, 0) && at_ != tokens_.size()) {
      Fail("something follows the object");
    }
    return error_;
  }

  /// Returns where in the text it is wrong.
  [[nodiscard]] size_t Offset() const { return tokens_.Offset(at_); }

 private:
  static constexpr int kMaxDepth = 256;

  bool Fail(std::string_view error) {
    error_ = error;
    return false;
  }

  // Reads a key and the colon behind it.
  bool ReadKey(std::string_view& key) {
    if (tokens_.First(at_) != '"') return Fail("a key is missing");
    const std::string_view token = tokens_.Text(at_);
    key = token.substr(1, token.size() - 2);
    if (key.find('\\') != std::string_view::npos) {
      if (!HasGoodEscapes(key)) return Fail("a key has a backslash that escapes nothing");
      key_.resize(key.size());
      key_.resize(UnescapeJson(key, key_.data()));
      key = key_;
    }
    if (tokens_.First(++at_) != ':') return Fail("a colon is missing");
    ++at_;
    return true;
  }

  // Reads what follows a member or element: true if another one does.
  bool ReadComma(char close, bool& more) {
    const char next = tokens_.First(at_);
    if (next != ',' && next != close) return Fail("a comma or closing bracket is missing");
    more = next == ',';
    ++at_;
    return true;
  }

  // Reads an object whose brace is read. `path` is kNoId where no field lies below it: it is read
  // only to check it and for keywords.
  bool WalkObject(uint32_t path, int depth) {
    if (depth > kMaxDepth) return Fail("it nests too deeply");
    bool more = tokens_.First(at_) != '}';
    if (!more) ++at_;
    while (more) {
      std::string_view key;
      if (!ReadKey(key)) return false;
      const ResolvedKey resolved = path == kNoId ? ResolvedKey{} : keys_.Resolve(path, key);
      if (!WalkValue(resolved, depth) || !ReadComma('}', more)) return false;
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
    if (depth > kMaxDepth) return Fail("it nests too deeply");
    const NameValueKeys& names = program_.lists[parent.entry.list];
    ResolvedKey named;
    bool has_name = false;
    std::array<HeldValue, 2> held;  // A text and a number.
    bool more = tokens_.First(at_) != '}';
    if (!more) ++at_;
    while (more) {
      std::string_view key;
      if (!ReadKey(key)) return false;
      const char first = tokens_.First(at_);
      const bool is_value = names.IsValue(key);
      if (first == '"' && names.IsName(key)) {
        if (!ReadName(named)) return false;
        has_name = true;
      } else if (is_value && !has_name && IsTextOrNumber(first)) {
        if (!Hold(held[first == '"' ? 0 : 1], Below(parent, key))) return false;
      } else {
        const ResolvedKey resolved = is_value && has_name ? named : Below(parent, key);
        if (!WalkValue(resolved, depth)) return false;
      }
      if (!ReadComma('}', more)) return false;
    }
    for (const HeldValue& one : held) {
      if (!one.token.empty() && !AddHeld(one.token, has_name ? named : one.key)) return false;
    }
    return true;
  }

  // Holds the text or number at hand back.
  bool Hold(HeldValue& held, const ResolvedKey& key) {
    held = {tokens_.Text(at_++), key};
    const bool good = held.token.front() == '"'
                          ? HasGoodEscapes(held.token.substr(1, held.token.size() - 2))
                          : IsJsonNumber(held.token);
    return good || Fail("a value is malformed");
  }

  // Reads a field's name; strings of events are found by keywords, names too.
  bool ReadName(ResolvedKey& named) {
    const std::string_view token = tokens_.Text(at_);
    if (!sink_.AddString({}, token)) return Fail("a text has a backslash that escapes nothing");
    ++at_;
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

  static bool IsTextOrNumber(char first) {
    return first == '"' || first == '-' || (first >= '0' && first <= '9');
  }

  bool AddHeld(std::string_view token, const ResolvedKey& key) {
    sink_.Touch(key.entry);
    if (token.front() == '"') return AddString(key, token);
    return sink_.AddNumber(key.entry, token) || Fail("a number is malformed");
  }

  bool AddString(const ResolvedKey& key, std::string_view token) {
    return sink_.AddString(key.entry, token) || Fail("a text has a backslash that escapes nothing");
  }

  bool WalkArray(const ResolvedKey& key, int depth) {
    if (depth > kMaxDepth) return Fail("it nests too deeply");
    bool more = tokens_.First(at_) != ']';
    if (!more) ++at_;
    while (more) {
      if (!WalkValue(key, depth + 1) || !ReadComma(']', more)) return false;
    }
    return true;
  }

  bool WalkValue(const ResolvedKey& key, int depth) {
    sink_.Touch(key.entry);
    switch (tokens_.First(at_)) {
      case '{':
        ++at_;
        if (key.entry.list != kNoId) return WalkNameValue(key, depth + 1);
        return WalkObject(key.below, depth + 1);
      case '[':
        ++at_;
        return WalkArray(key, depth);
      case '"':
        if (!AddString(key, tokens_.Text(at_))) return false;
        break;
      case 't':
      case 'f':
      case 'n':
        if (!WalkWord(key.entry, tokens_.Text(at_))) return false;
        break;
      case '\0':
        return Fail("a value is missing");
      default:
        if (!sink_.AddNumber(key.entry, tokens_.Text(at_))) return Fail("a value is malformed");
    }
    ++at_;
    return true;
  }

  bool WalkWord(const PathEntry& entry, std::string_view token) {
    if (token == "null") {
      sink_.AddNull(entry);
    } else if (token == "true" || token == "false") {
      sink_.AddWord(entry, token);
    } else {
      return Fail("a value is malformed");
    }
    return true;
  }

  const JsonTokens& tokens_;
  KeyResolver& keys_;
  const Program& program_;
  Sink& sink_;
  size_t at_ = 0;  // The token to read next.
  std::string_view error_;
  std::string key_;  // The last key that had escapes.
};

}  // namespace weir::sigma
