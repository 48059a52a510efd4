#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::sigma {

/// A Sigma string value: bytes, `*` (any run of characters, line ends included) and `?` (one
/// character).
///
/// Lifecycle: made by the rule parser, changed by modifiers, immutable once in a Predicate. Not
/// thread-safe while it changes.
class Pattern {
 public:
  Pattern() = default;

  /// Reads the notation of rule files: `\*` and `\?` are the characters themselves, `\\` is one
  /// backslash, and a backslash before anything else is an ordinary backslash.
  [[nodiscard]] static Pattern Parse(std::string_view notation);

  /// Takes every byte as it is.
  [[nodiscard]] static Pattern Literal(std::string_view text);

  /// Puts a `*` in front (behind), unless there is one already.
  void OpenStart();
  void OpenEnd();

  /// Folds the literal bytes to lower case, as FoldCase does.
  void FoldToLowerCase();

  /// Replaces the symbols [begin, begin + 1) by the bytes of `text`.
  void ReplaceByte(size_t index, std::string_view text);

  [[nodiscard]] bool HasWildcard() const;
  [[nodiscard]] bool StartsOpen() const { return !symbols_.empty() && symbols_.front() == kAnyRun; }
  [[nodiscard]] bool EndsOpen() const { return !symbols_.empty() && symbols_.back() == kAnyRun; }

  /// Returns the bytes without wildcards.
  [[nodiscard]] std::string LiteralText() const;

  /// Returns the runs of literal bytes between wildcards, in order, without empty ones.
  [[nodiscard]] std::vector<std::string> LiteralRuns() const;

  /// Returns whether the whole of `text` matches. Bytes are compared exactly: fold both sides for
  /// caseless tests.
  [[nodiscard]] bool Matches(std::string_view text) const;

  /// Returns the notation that Parse reads back, for messages and as an identity.
  [[nodiscard]] std::string ToString() const;

  [[nodiscard]] size_t size() const { return symbols_.size(); }
  /// Returns the byte at `index`, or -1 for a wildcard.
  [[nodiscard]] int ByteAt(size_t index) const {
    return symbols_[index] < kAnyRun ? static_cast<int>(symbols_[index]) : -1;
  }

 private:
  static constexpr uint16_t kAnyRun = 256;
  static constexpr uint16_t kAnyCharacter = 257;

  std::vector<uint16_t>
      symbols_;  // A byte, or one of the two wildcards; never two kAnyRun in a row.
};

}  // namespace weir::sigma
