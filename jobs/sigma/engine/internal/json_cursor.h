#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "jobs/sigma/engine/internal/json_tokens.h"

namespace weir::sigma {

/// Finds the tokens of an event. Errors: kInvalidArgument if it has none or is no object.
[[nodiscard]] absl::Status ReadEventTokens(std::string_view event, JsonTokens& tokens);

/// Goes through the tokens of an event and holds them to JSON's grammar: the one place that says
/// which events can be read, whoever reads them and whatever for.
///
/// Values are checked by their readers: words by IsJsonWord, numbers by IsJsonNumber, strings by
/// HasGoodEscapes. Inline: part of the hot loop of matching.
///
/// Lifecycle: one per event. Threads: one at a time.
class JsonCursor {
 public:
  /// Objects and lists nest so deep, the event itself not counted.
  static constexpr int kMaxDepth = 256;

  static constexpr std::string_view kBadString = "a text has a backslash that escapes nothing";
  static constexpr std::string_view kBadValue = "a value is malformed";

  explicit JsonCursor(const JsonTokens& tokens) : tokens_(tokens) {}

  /// Returns the first byte of the token at hand; behind the last one 0.
  [[nodiscard]] char First() const { return tokens_.First(at_); }
  /// Returns the token at hand, a string, number or word.
  [[nodiscard]] std::string_view Text() const { return tokens_.Text(at_); }
  /// Goes to the next token.
  void Skip() { ++at_; }

  /// Notes what is wrong with the token at hand; returns false.
  bool Fail(std::string_view error) {
    error_ = error;
    return false;
  }
  /// Returns OK, or kInvalidArgument with what was noted and where.
  [[nodiscard]] absl::Status status() const;

  /// Behind the event's object nothing may follow.
  bool Finish() { return at_ == tokens_.size() || Fail("something follows the object"); }

  /// Enters an object or a list, whose bracket is read. `*more` tells whether something is in it;
  /// if not, it is left again.
  bool Enter(char close, int depth, bool* more) {
    if (depth > kMaxDepth) return Fail("it nests too deeply");
    *more = First() != close;
    if (!*more) Skip();
    return true;
  }

  /// Reads what follows a member or element; `*more` tells whether another one does.
  bool ReadComma(char close, bool* more) {
    const char next = First();
    if (next != ',' && next != close) return Fail("a comma or closing bracket is missing");
    *more = next == ',';
    Skip();
    return true;
  }

  /// Reads a key and the colon behind it. `*key` lives until the next key.
  bool ReadKey(std::string_view* key) {
    if (First() != '"') return Fail("a key is missing");
    const std::string_view token = Text();
    *key = token.substr(1, token.size() - 2);
    if (key->find('\\') != std::string_view::npos) {
      if (!HasGoodEscapes(*key)) return Fail("a key has a backslash that escapes nothing");
      key_.resize(key->size());
      key_.resize(UnescapeJson(*key, key_.data()));
      *key = key_;
    }
    Skip();
    if (First() != ':') return Fail("a colon is missing");
    Skip();
    return true;
  }

 private:
  const JsonTokens& tokens_;
  size_t at_ = 1;  // The token to read next; the first is the event's brace.
  std::string_view error_;
  std::string key_;  // The last key that had escapes.
};

/// Returns whether `token` is one of the words of JSON.
[[nodiscard]] inline bool IsJsonWord(std::string_view token) {
  return token == "null" || token == "true" || token == "false";
}

/// Returns whether a value that begins so is a text or a number.
[[nodiscard]] inline bool BeginsTextOrNumber(char first) {
  return first == '"' || first == '-' || (first >= '0' && first <= '9');
}

}  // namespace weir::sigma
