#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace weir::sigma {

/// A Sigma string value: bytes, `*` (any run of characters, line ends included), `?` (one
/// character), and placeholders that stand for values to come.
///
/// Lifecycle: made by the rule parser, changed by modifiers and pipelines, immutable once in a
/// Predicate, where no placeholder is left. Not thread-safe while it changes.
class Pattern {
 public:
  Pattern() = default;

  /// Reads the notation of rule files: `\*` and `\?` are the characters themselves, `\\` is one
  /// backslash, and a backslash before anything else is an ordinary backslash.
  [[nodiscard]] static Pattern Parse(std::string_view notation);

  /// Takes every byte as it is.
  [[nodiscard]] static Pattern Literal(std::string_view text);

  /// Returns the pattern `*`.
  [[nodiscard]] static Pattern AnyRun();

  /// Puts a `*` in front (behind), unless there is one already.
  void OpenStart();
  void OpenEnd();

  /// Folds the literal bytes to lower case, as FoldCase does.
  void FoldToLowerCase();

  /// Replaces the `count` symbols from `index` on by the bytes of `text`.
  void ReplaceBytes(size_t index, size_t count, std::string_view text);

  /// Replaces each run of literal bytes by what `change` makes of it; the rest stays.
  void ChangeLiterals(const std::function<std::string(std::string_view)>& change);
  /// As above, where the new parts may have wildcards of their own.
  void ReplaceLiterals(const std::function<Pattern(std::string_view)>& change);

  /// Turns each `%name%` between literal bytes into a placeholder; `\%` becomes a percent sign.
  void InsertPlaceholders();
  [[nodiscard]] bool HasPlaceholder() const;
  /// Returns the names of the placeholders, in order, without percent signs.
  [[nodiscard]] std::vector<std::string> PlaceholderNames() const;

  /// The values of one placeholder; nothing if it is to stay as it is.
  using PlaceholderValues =
      std::function<std::optional<std::vector<Pattern>>(const std::string& name)>;
  /// Returns the patterns that arise when each placeholder takes each of its values. Errors:
  /// kInvalidArgument if they are too many, or too large.
  [[nodiscard]] absl::StatusOr<std::vector<Pattern>> ReplacePlaceholders(
      const PlaceholderValues& values) const;

  /// Appends `other` at the end.
  void Append(const Pattern& other);

  [[nodiscard]] bool HasWildcard() const;
  [[nodiscard]] bool StartsOpen() const { return !symbols_.empty() && symbols_.front() == kAnyRun; }
  [[nodiscard]] bool EndsOpen() const { return !symbols_.empty() && symbols_.back() == kAnyRun; }

  /// Returns the value as pipelines compare it: as ToString, but backslashes are not doubled.
  [[nodiscard]] std::string PlainText() const;

  /// Returns the bytes without wildcards and placeholders.
  [[nodiscard]] std::string LiteralText() const;

  /// Returns the runs of literal bytes between wildcards, in order, without empty ones.
  [[nodiscard]] std::vector<std::string> LiteralRuns() const;

  /// Returns whether the whole of `text` matches. Bytes are compared exactly: fold both sides for
  /// caseless tests.
  [[nodiscard]] bool Matches(std::string_view text) const;

  /// Returns the notation that Parse reads back, for messages and as an identity. Placeholders are
  /// written `%name%`.
  [[nodiscard]] std::string ToString() const;

  [[nodiscard]] size_t size() const { return symbols_.size(); }
  /// Returns the byte at `index`, or -1 for a wildcard or placeholder.
  [[nodiscard]] int ByteAt(size_t index) const {
    return symbols_[index] < kAnyRun ? static_cast<int>(symbols_[index]) : -1;
  }

 private:
  void AppendPlaceholder(std::string name);

  static constexpr uint16_t kAnyRun = 256;
  static constexpr uint16_t kAnyCharacter = 257;
  static constexpr uint16_t kFirstPlaceholder = 258;  // And on: index in placeholders_.

  // Bytes, the two wildcards, and placeholders; never two kAnyRun in a row.
  std::vector<uint16_t> symbols_;
  std::vector<std::string> placeholders_;
};

}  // namespace weir::sigma
