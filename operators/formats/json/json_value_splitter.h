#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

/// A JSON value as it stands in a text.
struct JsonValueText {
  std::string_view text;  ///< Valid until the splitter is used again.
  uint64_t line = 0;      ///< Where it begins, counted from 1.
};

/// Splits a text into its JSON values: one a line, pretty-printed ones behind each other, or the
/// elements of one array around all. Says where values end; whether they are valid is for their
/// reader to find out.
///
/// If the text begins with a value that ends on its line, every value is taken to end on its line,
/// so that a broken line harms no other.
///
///     splitter.Append(block);
///     while (const auto value = splitter.Next()) …
///     …
///     splitter.Finish();
///     while (const auto value = splitter.Next()) …
///
/// Threads: one at a time. Memory: the longest value, and what was appended.
class JsonValueSplitter {
 public:
  /// Adds to the end of the text.
  void Append(std::string_view bytes);

  /// Says that the text ends here: what is left is the last value, complete or not.
  void Finish() { finished_ = true; }

  /// Returns the next value that is complete, or nothing until more is appended.
  [[nodiscard]] std::optional<JsonValueText> Next();

 private:
  enum class Mode : uint8_t { kUnknown, kLines, kFree };

  [[nodiscard]] bool SkipToValue();
  [[nodiscard]] std::optional<size_t> FindEnd();
  [[nodiscard]] size_t SkipString(size_t position) const;
  void DecideMode(size_t end);

  std::string buffer_;
  size_t begin_ = 0;    // Of the value at hand.
  size_t scanned_ = 0;  // Up to here the value at hand is known not to end.
  int depth_ = 0;       // Of objects and arrays at scanned_.
  uint64_t line_ = 1;   // At begin_.
  bool at_start_ = true;
  bool finished_ = false;
  Mode mode_ = Mode::kUnknown;
};

}  // namespace weir
