#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operators/formats/evtx/internal/xml_tree.h"

namespace weir::evtx {

/// Appends `text`, UTF-16LE, to `*out` as UTF-8, up to its end or its first NUL. What is no
/// character becomes U+FFFD; an odd byte at the end is dropped.
void AppendUtf16(std::string_view text, std::string* out);

/// As AppendUtf16, with what JSON strings must escape escaped; without quotes.
void AppendUtf16AsJson(std::string_view text, std::string* out);

/// Appends `text`, UTF-8, escaped for a JSON string; without quotes.
void AppendUtf8AsJson(std::string_view text, std::string* out);

/// Returns whether `value` has no text at all: null, or an empty string or array.
[[nodiscard]] bool IsEmpty(const Value& value);

/// Appends `value`, which is no array, as text escaped for a JSON string; without quotes.
void AppendValueText(const Value& value, std::string* out);

/// Appends an integer or boolean as JSON; returns whether `value` is one.
bool AppendNumber(const Value& value, std::string* out);

/// Appends the items of an array to `*items`.
void SplitArray(const Value& array, std::vector<Value>* items);

/// Returns the size in bytes of a value of `type`, or zero if it varies.
[[nodiscard]] size_t FixedSize(ValueType type);

[[nodiscard]] inline bool IsArray(ValueType type) {
  return (static_cast<uint8_t>(type) & kArrayFlag) != 0;
}

}  // namespace weir::evtx
