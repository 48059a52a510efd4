#include "runtime/base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <span>

#include "absl/strings/match.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

struct Unit {
  std::string_view name;
  int64_t scale;
};

// Durations in nanoseconds. Formatting takes the first spelling of each scale.
constexpr std::array kDurationUnits = {
    Unit{"d", 86'400'000'000'000},
    Unit{"day", 86'400'000'000'000},
    Unit{"days", 86'400'000'000'000},
    Unit{"h", 3'600'000'000'000},
    Unit{"hour", 3'600'000'000'000},
    Unit{"hours", 3'600'000'000'000},
    Unit{"min", 60'000'000'000},
    Unit{"m", 60'000'000'000},
    Unit{"minute", 60'000'000'000},
    Unit{"minutes", 60'000'000'000},
    Unit{"s", 1'000'000'000},
    Unit{"sec", 1'000'000'000},
    Unit{"second", 1'000'000'000},
    Unit{"seconds", 1'000'000'000},
    Unit{"ms", 1'000'000},
    Unit{"milli", 1'000'000},
    Unit{"millis", 1'000'000},
    Unit{"millisecond", 1'000'000},
    Unit{"milliseconds", 1'000'000},
    Unit{"us", 1'000},
    Unit{"micro", 1'000},
    Unit{"micros", 1'000},
    Unit{"microsecond", 1'000},
    Unit{"microseconds", 1'000},
    Unit{"ns", 1},
    Unit{"nano", 1},
    Unit{"nanos", 1},
    Unit{"nanosecond", 1},
    Unit{"nanoseconds", 1},
};

constexpr std::array kMemoryUnits = {
    Unit{"tb", int64_t{1} << 40},
    Unit{"t", int64_t{1} << 40},
    Unit{"tib", int64_t{1} << 40},
    Unit{"gb", int64_t{1} << 30},
    Unit{"g", int64_t{1} << 30},
    Unit{"gib", int64_t{1} << 30},
    Unit{"mb", int64_t{1} << 20},
    Unit{"m", int64_t{1} << 20},
    Unit{"mib", int64_t{1} << 20},
    Unit{"kb", int64_t{1} << 10},
    Unit{"k", int64_t{1} << 10},
    Unit{"kib", int64_t{1} << 10},
    Unit{"bytes", 1},
    Unit{"b", 1},
    Unit{"byte", 1},
};

// Reads a number that is not negative and a unit of `units`, in any case and with blanks between;
// without a unit, `plain_scale` counts. Nothing if it is no such text or does not fit.
std::optional<int64_t> ParseScaled(std::string_view text, std::span<const Unit> units,
                                   int64_t plain_scale) {
  text = StripWhitespace(text);
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view number = text.substr(0, digits);
  const std::string_view unit_name = StripWhitespace(text.substr(digits));
  std::optional<int64_t> scale;
  if (unit_name.empty()) scale = plain_scale;
  for (const Unit& unit : units) {
    if (absl::EqualsIgnoreCase(ToAbsl(unit_name), ToAbsl(unit.name))) scale = unit.scale;
  }
  if (!scale || number.empty()) return std::nullopt;
  const char* const end = number.data() + number.size();
  if (number.find('.') == std::string_view::npos) {
    int64_t whole = 0;
    const auto [stop, error] = std::from_chars(number.data(), end, whole);
    if (error != std::errc() || stop != end) return std::nullopt;
    if (whole > std::numeric_limits<int64_t>::max() / *scale) return std::nullopt;
    return whole * *scale;
  }
  double fraction = 0;
  const auto [stop, error] = std::from_chars(number.data(), end, fraction);
  if (error != std::errc() || stop != end) return std::nullopt;
  const double scaled = std::round(fraction * static_cast<double>(*scale));
  if (!(scaled < 9.2e18)) return std::nullopt;
  return static_cast<int64_t>(scaled);
}

std::string FormatScaled(int64_t value, std::span<const Unit> units) {
  int64_t previous_scale = 0;
  for (const Unit& unit : units) {
    if (unit.scale == previous_scale) continue;  // Another spelling.
    previous_scale = unit.scale;
    if (value % unit.scale == 0) return StrCat(value / unit.scale, " ", unit.name);
  }
  return StrCat(value);
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDurationText(std::string_view text) {
  const std::optional<int64_t> nanos = ParseScaled(text, kDurationUnits, 1'000'000);
  if (!nanos) {
    return absl::InvalidArgumentError(
        StrCat("not a duration; expected a number and a unit of ns, us, ms, s, min, h or d, like "
               "\"5 s\" (a plain number is milliseconds): \"",
               text, "\""));
  }
  return absl::Nanoseconds(*nanos);
}

std::string FormatDurationText(absl::Duration duration) {
  const int64_t nanos = absl::ToInt64Nanoseconds(duration);
  return nanos == 0 ? "0 ms" : FormatScaled(nanos, kDurationUnits);
}

absl::StatusOr<MemorySize> ParseMemorySize(std::string_view text) {
  const std::optional<int64_t> bytes = ParseScaled(text, kMemoryUnits, 1);
  if (!bytes) {
    return absl::InvalidArgumentError(
        StrCat("not a memory size; expected a number and a unit of b, kb, mb, gb or tb, like "
               "\"64 mb\" (a plain number is bytes): \"",
               text, "\""));
  }
  return MemorySize(*bytes);
}

std::string ToString(MemorySize size) {
  return size.bytes() == 0 ? "0 bytes" : FormatScaled(size.bytes(), kMemoryUnits);
}

}  // namespace weir
