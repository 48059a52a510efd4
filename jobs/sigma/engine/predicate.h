#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/engine/cidr.h"
#include "jobs/sigma/engine/pattern.h"

namespace weir::sigma {

class Regex;

/// What a predicate asks of a value.
enum class Test : uint8_t {
  kEquals,
  kContains,
  kStartsWith,
  kEndsWith,
  kGlob,
  kRegex,
  kCidr,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kExists,    ///< The event has the key, whatever its value.
  kNull,      ///< The key is missing, or its value is null, or holds no scalar (an object, an empty
              ///< array).
  kFieldRef,  ///< Compares with another field of the event.
  kTimePart,  ///< Compares a part of a point in time.
};

/// A number that a point in time has.
enum class TimePart : uint8_t { kNone, kMinute, kHour, kDay, kWeek, kMonth, kYear };

/// One test of one field: the leaf of a rule. True when any value of the field passes (arrays have
/// many values).
///
/// Lifecycle: made by the rule parser, immutable, shared between rules by the compiled set (equal
/// Key = same predicate).
struct Predicate {
  std::string field;  ///< Empty: a keyword, tested against every string value of the event.
  Test test = Test::kEquals;
  bool cased = false;
  std::string literal;  ///< Operand of kEquals to kEndsWith, lower-case unless cased.
  Pattern pattern;      ///< Operand of kGlob, lower-case unless cased.
  std::shared_ptr<const Regex> regex;
  CidrBlock cidr;
  double number = 0;                ///< Operand of the four orderings and of kTimePart.
  TimePart part = TimePart::kNone;  ///< Of kTimePart.
  std::string other_field;          ///< Operand of kFieldRef.
  /// How to compare: for kFieldRef kEquals, kContains, kStartsWith or kEndsWith; for kTimePart
  /// kEquals or one of the four orderings.
  Test relation = Test::kEquals;
  std::string notation;  ///< The operand as text: for messages, and the identity of regex and cidr.

  [[nodiscard]] bool IsKeyword() const { return field.empty(); }

  /// Returns an identity: predicates with equal keys ask the same.
  [[nodiscard]] std::string Key() const;
};

/// A scalar of an event in the two forms that predicates read. A float has two texts, hence two
/// values: `4624.0` is tested as `4624.0` and as `4624`.
struct ScalarValue {
  std::string_view text;
  std::string_view folded;  ///< FoldCase(text).
  bool is_string = true;
};

/// Returns the predicate that a string pattern asks for: the cheapest test that means the same.
[[nodiscard]] Predicate MakeStringPredicate(std::string_view field, Pattern pattern, bool cased);

/// Returns whether one value passes `predicate`; not for kExists, kNull and kFieldRef.
[[nodiscard]] bool PassesTest(const Predicate& predicate, const ScalarValue& value);

/// Returns whether `value` stands in `relation` to `operand`, as kFieldRef asks.
[[nodiscard]] bool PassesRelation(Test relation, std::string_view value, std::string_view operand);

/// Returns the number that `text` spells in decimal notation, if all of it does.
[[nodiscard]] std::optional<double> ParseNumber(std::string_view text);

/// Returns how a number is written for comparison as text: integers without point or exponent,
/// others in the shortest form that reads back the same. Returns `text` itself if it is no number.
[[nodiscard]] std::string CanonicalNumber(std::string_view text);

}  // namespace weir::sigma
