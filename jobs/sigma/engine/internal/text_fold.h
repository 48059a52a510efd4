#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weir::sigma {

/// Writes the lower-case form of `text`, UTF-8, to `target` and returns its length in bytes.
///
/// `target` must hold text.size() bytes: folding never lengthens. All letters of Unicode fold, one
/// character to one (so `ß` and `ss` differ); bytes that are no UTF-8 are copied. Folding is
/// idempotent and works character by character, so a substring of a text stays a substring once
/// both are folded.
size_t FoldCase(std::string_view text, char* target);

/// Returns the lower-case form of `text`; see above.
[[nodiscard]] std::string FoldCase(std::string_view text);

}  // namespace weir::sigma
