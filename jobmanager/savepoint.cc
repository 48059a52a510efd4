#include "jobmanager/savepoint.h"

#include <algorithm>

#include "absl/status/status.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

std::string Upper(std::string_view text) {
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return upper;
}

}  // namespace

std::string_view SavepointFormatName(SavepointFormat format) {
  return format == SavepointFormat::kCanonical ? "CANONICAL" : "NATIVE";
}

absl::StatusOr<SavepointFormat> ParseSavepointFormat(std::string_view name) {
  const std::string upper = Upper(name);
  if (upper == "CANONICAL") return SavepointFormat::kCanonical;
  if (upper == "NATIVE") return SavepointFormat::kNative;
  return absl::InvalidArgumentError(
      StrCat("expected CANONICAL or NATIVE as a savepoint's format: \"", name, "\""));
}

std::string_view ClaimModeName(ClaimMode mode) {
  return mode == ClaimMode::kClaim ? "CLAIM" : "NO_CLAIM";
}

absl::StatusOr<ClaimMode> ParseClaimMode(std::string_view name) {
  const std::string upper = Upper(name);
  if (upper == "CLAIM") return ClaimMode::kClaim;
  if (upper == "NO_CLAIM") return ClaimMode::kNoClaim;
  if (upper == "LEGACY") {
    return absl::InvalidArgumentError(
        "there is no claim mode LEGACY: the files would belong to nobody, for the job would build "
        "on them and never delete them; use NO_CLAIM or CLAIM");
  }
  return absl::InvalidArgumentError(
      StrCat("expected CLAIM or NO_CLAIM as a claim mode: \"", name, "\""));
}

}  // namespace weir
