#include "jobs/sigma/engine/internal/timestamp.h"

#include <cmath>
#include <cstdint>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

// Below this, a number is an hour or a port rather than a point in time (1973).
constexpr double kLeastSeconds = 1e8;
constexpr double kMostSeconds = 1e11;

// Reads exactly `count` digits at the front of `text` and removes them.
std::optional<int> TakeDigits(std::string_view& text, size_t count) {
  if (text.size() < count) return std::nullopt;
  int number = 0;
  for (size_t i = 0; i < count; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    number = number * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return number;
}

bool TakeCharacter(std::string_view& text, std::string_view allowed) {
  if (text.empty() || allowed.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<absl::CivilSecond> ReadDate(std::string_view& text) {
  const std::optional<int> year = TakeDigits(text, 4);
  if (!year || !TakeCharacter(text, "-/")) return std::nullopt;
  const std::optional<int> month = TakeDigits(text, 2);
  if (!month || !TakeCharacter(text, "-/")) return std::nullopt;
  const std::optional<int> day = TakeDigits(text, 2);
  if (!day) return std::nullopt;
  const absl::CivilSecond date(*year, *month, *day);
  // Civil times are normalized, so the 31st of June would become the 1st of July.
  if (date.month() != *month || date.day() != *day) return std::nullopt;
  return date;
}

std::optional<absl::CivilSecond> ReadClock(std::string_view text, absl::CivilSecond date) {
  const std::optional<int> hour = TakeDigits(text, 2);
  if (!hour || *hour > 23 || !TakeCharacter(text, ":")) return std::nullopt;
  const std::optional<int> minute = TakeDigits(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  int second = 0;
  if (TakeCharacter(text, ":")) {
    const std::optional<int> read = TakeDigits(text, 2);
    if (!read || *read > 60) return std::nullopt;
    second = *read == 60 ? 59 : *read;
  }
  // What follows is a fraction and a zone, which have no say.
  if (!text.empty() && std::string_view(".,Zz+- ").find(text.front()) == std::string_view::npos) {
    return std::nullopt;
  }
  return absl::CivilSecond(date.year(), date.month(), date.day(), *hour, *minute, second);
}

std::optional<absl::CivilSecond> ReadNumber(double number) {
  if (!(number >= kLeastSeconds)) return std::nullopt;
  while (number >= kMostSeconds) number /= 1000;
  return absl::ToCivilSecond(absl::FromUnixSeconds(static_cast<int64_t>(std::floor(number))),
                             absl::UTCTimeZone());
}

std::optional<absl::CivilSecond> ReadTimestamp(std::string_view text) {
  text = StripWhitespace(text);
  if (const std::optional<double> number = ParseNumber(text)) return ReadNumber(*number);
  const std::optional<absl::CivilSecond> date = ReadDate(text);
  if (!date || text.empty()) return date;
  if (!TakeCharacter(text, "Tt ")) return std::nullopt;
  return ReadClock(text, *date);
}

int WeekOf(absl::CivilDay day) {
  // The week of a day is that of its Thursday, counted in the Thursday's year.
  const absl::CivilDay thursday = absl::NextWeekday(day - 4, absl::Weekday::thursday);
  return static_cast<int>((thursday - absl::CivilDay(thursday.year(), 1, 1)) / 7) + 1;
}

}  // namespace

std::optional<int> PartOfTimestamp(std::string_view text, TimePart part) {
  const std::optional<absl::CivilSecond> time = ReadTimestamp(text);
  if (!time) return std::nullopt;
  switch (part) {
    case TimePart::kNone:
      return std::nullopt;
    case TimePart::kMinute:
      return time->minute();
    case TimePart::kHour:
      return time->hour();
    case TimePart::kDay:
      return time->day();
    case TimePart::kWeek:
      return WeekOf(absl::CivilDay(*time));
    case TimePart::kMonth:
      return time->month();
    case TimePart::kYear:
      return static_cast<int>(time->year());
  }
  return std::nullopt;
}

}  // namespace weir::sigma
