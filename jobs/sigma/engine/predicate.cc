#include "jobs/sigma/engine/predicate.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "jobs/sigma/engine/internal/regex.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "jobs/sigma/engine/internal/timestamp.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

// 2^53: doubles hold every integer below it.
constexpr double kFirstRoundedInteger = 9007199254740992.0;

bool IsInteger(std::string_view text) {
  if (!text.empty() && text.front() == '-') text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool PassesOrdering(Test ordering, double number, double operand) {
  switch (ordering) {
    case Test::kEquals:
      return number == operand;
    case Test::kLess:
      return number < operand;
    case Test::kLessOrEqual:
      return number <= operand;
    case Test::kGreater:
      return number > operand;
    default:
      return number >= operand;
  }
}

// Returns the digits of an integer from the first that counts on.
std::string_view DigitsOf(std::string_view integer) {
  return integer.substr(std::min(integer.find_first_not_of("-0"), integer.size()));
}

// Orders two integers of one sign as written: below, equal to or above 0 as `a` is less than, equal
// to or greater than `b`.
int CompareIntegers(std::string_view a, std::string_view b) {
  const int sign = a.front() == '-' ? -1 : 1;
  a = DigitsOf(a);
  b = DigitsOf(b);
  if (a.size() != b.size()) return a.size() < b.size() ? -sign : sign;
  return sign * a.compare(b);
}

bool PassesNumber(const Predicate& predicate, std::string_view text) {
  const std::optional<double> number = ParseNumber(text);
  if (!number) return false;
  // Rounding keeps the order, but from here on it makes different integers equal: file times of
  // Windows, ids of 64 bits.
  const bool maybe_rounded =
      *number == predicate.number && std::fabs(*number) >= kFirstRoundedInteger;
  if (!maybe_rounded || !IsInteger(predicate.notation)) {
    return PassesOrdering(predicate.test, *number, predicate.number);
  }
  if (text.front() == '+') text.remove_prefix(1);
  const int order = IsInteger(text) ? CompareIntegers(text, predicate.notation) : 0;
  return PassesOrdering(predicate.test, order, 0);
}

bool PassesTimePart(const Predicate& predicate, std::string_view text) {
  const std::optional<int> number = PartOfTimestamp(text, predicate.part);
  return number && PassesOrdering(predicate.relation, *number, predicate.number);
}

}  // namespace

std::string Predicate::Key() const {
  std::string key = field;
  key.push_back('\0');
  key.push_back(static_cast<char>('a' + static_cast<int>(test)));
  key.push_back(cased ? 'C' : 'i');
  switch (test) {
    case Test::kEquals:
    case Test::kContains:
    case Test::kStartsWith:
    case Test::kEndsWith:
      key += literal;
      break;
    case Test::kGlob:
      key += pattern.ToString();
      break;
    case Test::kFieldRef:
      key.push_back(static_cast<char>('a' + static_cast<int>(relation)));
      key += other_field;
      break;
    case Test::kExists:
    case Test::kNull:
      break;
    case Test::kTimePart:
      key.push_back(static_cast<char>('a' + static_cast<int>(relation)));
      key.push_back(static_cast<char>('a' + static_cast<int>(part)));
      key += notation;
      break;
    default:
      key += notation;
  }
  return key;
}

Predicate MakeStringPredicate(std::string_view field, Pattern pattern, bool cased) {
  Predicate predicate;
  predicate.field = field;
  predicate.cased = cased;
  predicate.notation = pattern.ToString();
  if (!cased) pattern.FoldToLowerCase();
  std::string text = pattern.LiteralText();
  const bool start = pattern.StartsOpen();
  const bool end = pattern.EndsOpen();
  const size_t wildcards = pattern.size() - text.size();
  if (wildcards == 0) {
    predicate.test = Test::kEquals;
  } else if (!text.empty() && wildcards == 2 && start && end) {
    predicate.test = Test::kContains;
  } else if (!text.empty() && wildcards == 1 && end) {
    predicate.test = Test::kStartsWith;
  } else if (!text.empty() && wildcards == 1 && start) {
    predicate.test = Test::kEndsWith;
  } else {
    predicate.test = Test::kGlob;
    predicate.pattern = std::move(pattern);
    return predicate;
  }
  predicate.literal = std::move(text);
  return predicate;
}

bool PassesRelation(Test relation, std::string_view value, std::string_view operand) {
  switch (relation) {
    case Test::kEquals:
      return value == operand;
    case Test::kContains:
      return value.find(operand) != std::string_view::npos;
    case Test::kStartsWith:
      return value.starts_with(operand);
    case Test::kEndsWith:
      return value.ends_with(operand);
    default:
      return false;
  }
}

bool PassesTest(const Predicate& predicate, const ScalarValue& value) {
  switch (predicate.test) {
    case Test::kEquals:
    case Test::kContains:
    case Test::kStartsWith:
    case Test::kEndsWith:
      return PassesRelation(predicate.test, predicate.cased ? value.text : value.folded,
                            predicate.literal);
    case Test::kGlob:
      return predicate.pattern.Matches(predicate.cased ? value.text : value.folded);
    case Test::kRegex:
      return predicate.regex->Matches(value.text);
    case Test::kCidr: {
      const std::optional<IpAddress> address = ParseIpAddress(value.text);
      return address && predicate.cidr.Contains(*address);
    }
    case Test::kLess:
    case Test::kLessOrEqual:
    case Test::kGreater:
    case Test::kGreaterOrEqual:
      return PassesNumber(predicate, value.text);
    case Test::kTimePart:
      return PassesTimePart(predicate, value.text);
    case Test::kExists:
    case Test::kNull:
    case Test::kFieldRef:
      return false;
  }
  return false;
}

std::optional<double> ParseNumber(std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  const char first = text[text.front() == '-' && text.size() > 1 ? 1 : 0];
  if ((first < '0' || first > '9') && first != '.') return std::nullopt;  // No "inf", no "nan".
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string CanonicalNumber(std::string_view text) {
  if (IsInteger(text)) return text == "-0" ? "0" : std::string(text);
  const std::optional<double> number = ParseNumber(text);
  if (!number) return std::string(text);
  std::array<char, 64> buffer{};
  const bool integral =
      std::floor(*number) == *number && std::fabs(*number) <= kFirstRoundedInteger;
  const auto result = integral
                          ? std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                          static_cast<long long>(*number))
                          : std::to_chars(buffer.data(), buffer.data() + buffer.size(), *number);
  return {buffer.data(), result.ptr};
}

}  // namespace weir::sigma
