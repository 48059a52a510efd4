#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace weir::sigma {

/// The tokens of a JSON text, found but not read: brackets, colons, commas, strings with their
/// quotes, numbers and words. What is between the tokens is known to be whitespace, strings to be
/// closed UTF-8 without control characters; what tokens say and in what order they come is for the
/// caller to check.
///
/// Lifecycle: one per reader, used for one text after the other; it owns a copy of the text, and
/// all working memory. Threads: one at a time.
class JsonTokens {
 public:
  JsonTokens();
  ~JsonTokens();
  JsonTokens(const JsonTokens&) = delete;
  JsonTokens& operator=(const JsonTokens&) = delete;

  /// Finds the tokens of `json`. Returns what is wrong with the text, or nothing. Tokens live until
  /// the next call.
  [[nodiscard]] std::string_view Read(std::string_view json);

  [[nodiscard]] size_t size() const { return size_; }
  /// Returns the first byte of a token; behind the last one 0.
  [[nodiscard]] char First(size_t i) const { return i < size_ ? text_[starts_[i]] : '\0'; }
  /// Returns where a token begins in the text, for messages.
  [[nodiscard]] size_t Offset(size_t i) const { return i < size_ ? starts_[i] : text_size_; }

  /// Returns a token that is a string, number or word, as written. At least eight bytes behind it
  /// may be read.
  [[nodiscard]] std::string_view Text(size_t i) const {
    size_t end = i + 1 < size_ ? starts_[i + 1] : text_size_;
    while (IsSpace(text_[end - 1])) --end;
    return {text_ + starts_[i], end - starts_[i]};
  }

 private:
  struct Scanner;

  static bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

  std::string padded_;
  const char* text_ = nullptr;        // padded_.
  const uint32_t* starts_ = nullptr;  // By token; of scanner_.
  size_t size_ = 0;
  size_t text_size_ = 0;
  std::unique_ptr<Scanner> scanner_;
};

/// Returns whether `token` is a number as JSON writes it.
[[nodiscard]] bool IsJsonNumber(std::string_view token);

/// Returns whether every escape between the quotes of a JSON string is one: surrogates come in
/// pairs.
[[nodiscard]] bool HasGoodEscapes(std::string_view inner);

/// Writes what the text between the quotes of a JSON string means to `target`, and returns its
/// length, never more than inner.size(). The escapes are good.
size_t UnescapeJson(std::string_view inner, char* target);

}  // namespace weir::sigma
