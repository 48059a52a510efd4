#pragma once

namespace weir::sigma {

/// Returns the character that stands for `character` and all that differ from it in case only:
/// Unicode's simple case folding, save for two letters whose folded form is longer in UTF-8 (Ⱥ and
/// Ⱦ), which stand for it instead. Idempotent.
[[nodiscard]] char32_t FoldCharacter(char32_t character);

}  // namespace weir::sigma
