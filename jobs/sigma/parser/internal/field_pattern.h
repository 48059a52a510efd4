#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace weir::sigma {

/// A regular expression with named groups, in the dialect of Python's `re`. RE2 runs it, in linear
/// time; what RE2 does not have (look-around, back references, possessive repetition) PCRE2 runs,
/// with a limit on its work. Immutable; may be shared by threads.
class FieldPattern {
 public:
  using Group = std::pair<std::string, std::optional<std::string>>;

  /// Errors: kInvalidArgument with the reason; kUnimplemented for what only PCRE2 has, where weir
  /// was built without it.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const FieldPattern>> Compile(
      std::string_view pattern);

  virtual ~FieldPattern() = default;

  /// Searches `text`. Returns the named groups in their order, nothing for one that took no part;
  /// std::nullopt if the pattern is not found. Errors: kResourceExhausted if the search takes too
  /// long.
  [[nodiscard]] virtual absl::StatusOr<std::optional<std::vector<Group>>> Search(
      std::string_view text) const = 0;
};

}  // namespace weir::sigma
