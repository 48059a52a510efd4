#include "jobs/sigma/yaml_value.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>

#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr int kMaxDepth = 64;
constexpr int kMaxValues = 100'000;

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (text == word) return true;
  }
  return false;
}

/// Returns the integer that `text` writes in `base`, whose prefix is taken off.
std::optional<std::string> IntegerToken(std::string_view digits, int base, bool negative) {
  uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return StrCat(negative && value != 0 ? "-" : "", value);
}

/// Returns how JSON writes the number that a plain scalar is, if it is one.
std::optional<std::string> NumberToken(const std::string& scalar) {
  std::string text;  // Without the underscores that may stand between digits.
  for (const char c : scalar) {
    if (c != '_') text.push_back(c);
  }
  std::string_view digits = text;
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  if (digits.empty() || (digits[0] != '.' && (digits[0] < '0' || digits[0] > '9'))) {
    return std::nullopt;
  }
  if (digits.starts_with("0x")) return IntegerToken(digits.substr(2), 16, negative);
  if (digits.starts_with("0b")) return IntegerToken(digits.substr(2), 2, negative);
  if (digits.size() > 1 && digits[0] == '0' &&
      digits.find_first_not_of("01234567") == std::string_view::npos) {
    return IntegerToken(digits, 8, negative);
  }
  if (digits.find_first_not_of("0123456789") == std::string_view::npos) {
    if (digits.size() > 1 && digits[0] == '0') return std::nullopt;  // 08 is a text.
    return StrCat(negative ? "-" : "", digits);
  }
  // As YAML 1.1 has it, a float has a point.
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.find('.') == std::string_view::npos || error != std::errc() ||
      end != digits.data() + digits.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  std::string token;
  JsonWriter(&token).Double(negative ? -value : value);
  return token;
}

EventValue ScalarValue(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() != "?") return EventValue::String(text);  // Quoted, or tagged by its author.
  if (IsOneOf(text, {"", "~", "null", "Null", "NULL"})) return {};
  if (IsOneOf(text, {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})) {
    return EventValue::Bool(true);
  }
  if (IsOneOf(text, {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})) {
    return EventValue::Bool(false);
  }
  if (std::optional<std::string> number = NumberToken(text)) {
    return EventValue::Number(*std::move(number));
  }
  return EventValue::String(text);
}

/// `budget` is how many values there may be yet: anchors can make a small text as deep and large as
/// they like.
absl::StatusOr<EventValue> Convert(const YAML::Node& node, int depth, int* budget) {
  if (depth > kMaxDepth) return absl::InvalidArgumentError("the YAML nests too deep");
  if (--*budget < 0) return absl::InvalidArgumentError("the YAML holds too many values");
  EventValue value;
  switch (node.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      return value;
    case YAML::NodeType::Scalar:
      return ScalarValue(node);
    case YAML::NodeType::Sequence:
      value = EventValue::Array();
      for (const YAML::Node& item : node) {
        ASSIGN_OR_RETURN(EventValue converted, Convert(item, depth + 1, budget));
        value.items.push_back(std::move(converted));
      }
      return value;
    case YAML::NodeType::Map:
      value = EventValue::Object();
      for (const auto& entry : node) {
        if (!entry.first.IsScalar()) {
          return absl::InvalidArgumentError(
              StrCat("a key of the YAML is no scalar: line=", entry.first.Mark().line + 1));
        }
        ASSIGN_OR_RETURN(EventValue converted, Convert(entry.second, depth + 1, budget));
        value.Set(entry.first.Scalar(), std::move(converted));
      }
      return value;
  }
  return value;
}

}  // namespace

absl::StatusOr<EventValue> ReadYamlValue(std::string_view yaml) {
  // The library reports errors by exceptions: they end here.
  try {
    int budget = kMaxValues;
    return Convert(YAML::Load(std::string(yaml)), 0, &budget);
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(
        StrCat("the text is not valid YAML: ", std::string_view(error.what())));
  }
}

}  // namespace weir::sigma
