#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace weir {

/// Converts between std::string_view and Abseil's own string_view. This header is the one place
/// that does: Debian builds Abseil with types of its own, so neither converts to the other.
inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

namespace internal {
template <class T>
decltype(auto) StrCatArgument(const T& value) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return ToAbsl(value);
  } else {
    return (value);
  }
}
}  // namespace internal

/// Concatenates strings, string views and numbers: absl::StrCat, which also takes std::string_view.
template <class... Args>
[[nodiscard]] std::string StrCat(const Args&... args) {
  return absl::StrCat(internal::StrCatArgument(args)...);
}

/// Appends to `*target` as StrCat would concatenate.
template <class... Args>
void StrAppend(std::string* target, const Args&... args) {
  absl::StrAppend(target, internal::StrCatArgument(args)...);
}

/// Joins `parts` with `separator` between them.
[[nodiscard]] std::string StrJoin(const std::vector<std::string>& parts,
                                  std::string_view separator);

/// Splits at each `separator`; keeps empty parts, so the result is never empty.
[[nodiscard]] std::vector<std::string_view> StrSplit(std::string_view text, char separator);

/// Removes white space at both ends.
[[nodiscard]] std::string_view StripWhitespace(std::string_view text);

/// Returns `bytes` as lower-case hexadecimal digits, two per byte.
[[nodiscard]] std::string HexEncode(std::string_view bytes);

/// Returns the candidate with the smallest edit distance to `word`, or an empty view if none is
/// close (a distance above a third of the word's length). For "did you mean" in error messages.
[[nodiscard]] std::string_view NearestMatch(std::string_view word,
                                            const std::vector<std::string_view>& candidates);

/// Hashes std::string, std::string_view and char* alike, so that maps of strings look up without a
/// copy. Use with std::equal_to<>: absl::flat_hash_map<std::string, T, StringHash,
/// std::equal_to<>>.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

}  // namespace weir
