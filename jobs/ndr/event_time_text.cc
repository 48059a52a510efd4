#include "jobs/ndr/event_time_text.h"

#include <cstdint>

namespace weir::ndr {
namespace {

/// Reads fixed parts of a text from its beginning; after a failure it stays failed.
class TextReader {
 public:
  explicit TextReader(std::string_view text) : rest_(text) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool AtEnd() const { return rest_.empty(); }

  /// Exactly `count` digits.
  int Digits(size_t count) {
    if (rest_.size() < count) return Fail();
    int value = 0;
    for (size_t i = 0; i < count; ++i) {
      if (!IsDigit(rest_[i])) return Fail();
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }
  /// One of the characters of `accepted`; returns it.
  char OneOf(std::string_view accepted) {
    const char found = TakeIf(accepted);
    if (found == '\0') Fail();
    return found;
  }
  /// The same, or '\0' and no failure.
  char TakeIf(std::string_view accepted) {
    if (rest_.empty() || accepted.find(rest_.front()) == std::string_view::npos) return '\0';
    const char found = rest_.front();
    rest_.remove_prefix(1);
    return found;
  }
  /// At least one digit of a fraction; returns milliseconds.
  int FractionMillis() {
    int millis = 0;
    int weight = 100;
    size_t count = 0;
    for (; count < rest_.size() && IsDigit(rest_[count]); ++count, weight /= 10) {
      millis += (rest_[count] - '0') * weight;
    }
    if (count == 0) return Fail();
    rest_.remove_prefix(count);
    return millis;
  }

 private:
  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }
  int Fail() {
    ok_ = false;
    return 0;
  }

  std::string_view rest_;
  bool ok_ = true;
};

bool IsLeapYear(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

int DaysInMonth(int year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return kDays[month - 1] + (month == 2 && IsLeapYear(year) ? 1 : 0);
}

/// Days from 1970-01-01 to the date in the Gregorian calendar, counting years from March, so that
/// the leap day is a year's last.
int64_t DaysFromEpoch(int year, int month, int day) {
  const int64_t y = month <= 2 ? year - 1 : year;
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const int64_t year_of_era = y - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

}  // namespace

std::optional<EventTime> ParseEventTime(std::string_view text) {
  TextReader reader(text);
  const int year = reader.Digits(4);
  reader.OneOf("-");
  const int month = reader.Digits(2);
  reader.OneOf("-");
  const int day = reader.Digits(2);
  reader.OneOf("Tt ");
  const int hour = reader.Digits(2);
  reader.OneOf(":");
  const int minute = reader.Digits(2);
  reader.OneOf(":");
  const int second = reader.Digits(2);
  const int millis = reader.TakeIf(".,") != '\0' ? reader.FractionMillis() : 0;
  int zone_minutes = 0;
  if (const char sign = reader.TakeIf("Zz+-"); sign == '+' || sign == '-') {
    const int zone_hour = reader.Digits(2);
    if (reader.TakeIf(":") != '\0' || !reader.AtEnd()) zone_minutes = reader.Digits(2);
    if (zone_hour > 18 || zone_minutes > 59) return std::nullopt;
    zone_minutes = (sign == '+' ? 1 : -1) * (zone_hour * 60 + zone_minutes);
  }
  if (!reader.ok() || !reader.AtEnd()) return std::nullopt;
  // Second 60 is a leap second, and counts as the next one's first.
  if (month < 1 || month > 12 || day < 1 || day > DaysInMonth(year, month) || hour > 23 ||
      minute > 59 || second > 60) {
    return std::nullopt;
  }
  const int64_t minutes =
      (DaysFromEpoch(year, month, day) * 24 + hour) * 60 + minute - zone_minutes;
  return EventTime::FromMillis((minutes * 60 + second) * 1000 + millis);
}

}  // namespace weir::ndr
