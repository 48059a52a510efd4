#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace weir::sigma {

/// A compiled regular expression of a rule, searched for anywhere in a text. RE2 underneath: linear
/// time.
///
/// Threads: immutable, may be shared.
class Regex {
 public:
  /// Compiles `expression`, which may begin with flags such as `(?i)`. Errors: kInvalidArgument
  /// with RE2's reason.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Regex>> Compile(
      const std::string& expression);

  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  [[nodiscard]] bool Matches(std::string_view text) const;

  [[nodiscard]] const std::string& expression() const { return expression_; }

  /// Returns lower-case literals one of which occurs in FoldCase(text) whenever Matches(text);
  /// empty when the expression requires none.
  [[nodiscard]] const std::vector<std::string>& required_literals() const {
    return required_literals_;
  }

 private:
  Regex(std::string expression, std::unique_ptr<re2::RE2> compiled);

  std::string expression_;
  std::unique_ptr<re2::RE2> compiled_;
  std::vector<std::string> required_literals_;
};

}  // namespace weir::sigma
