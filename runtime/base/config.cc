#include "runtime/base/config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "runtime/base/check.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kString = "string";
constexpr std::string_view kInteger = "integer";
constexpr std::string_view kNumber = "number";
constexpr std::string_view kBoolean = "boolean";
constexpr std::string_view kDuration = "duration";
constexpr std::string_view kMemorySize = "memory size";

template <class T>
std::optional<T> ParseNumber(std::string_view text) {
  T value{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> ParseBool(std::string_view text) {
  for (const std::string_view yes : {"true", "yes", "on", "1"}) {
    if (absl::EqualsIgnoreCase(ToAbsl(text), ToAbsl(yes))) return true;
  }
  for (const std::string_view no : {"false", "no", "off", "0"}) {
    if (absl::EqualsIgnoreCase(ToAbsl(text), ToAbsl(no))) return false;
  }
  return std::nullopt;
}

// Shortest text that reads back as `value`.
std::string FormatDouble(double value) {
  std::array<char, 32> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return std::string(buffer.data(), result.ptr);
}

// Whether `value` lies in `allowed`, "low..high" with either end open. An empty `allowed` allows
// all.
template <class T>
bool InRange(T value, std::string_view allowed) {
  if (allowed.empty()) return true;
  const size_t dots = allowed.find("..");
  CHECK(dots != std::string_view::npos) << "a range is low..high: " << allowed;
  const std::optional<T> low = ParseNumber<T>(allowed.substr(0, dots));
  const std::optional<T> high = ParseNumber<T>(allowed.substr(dots + 2));
  return (!low || value >= *low) && (!high || value <= *high);
}

bool IsChoice(std::string_view text, std::string_view allowed) {
  const std::vector<std::string_view> choices = StrSplit(allowed, '|');
  return allowed.empty() || std::find(choices.begin(), choices.end(), text) != choices.end();
}

// What a value of `option` looks like, with an example.
std::string ExpectedForm(const OptionDescription& option) {
  const std::string example =
      option.default_text.empty() ? "" : StrCat(", like \"", option.default_text, "\"");
  if (option.type == kString) {
    return option.allowed.empty() ? "text" : StrCat("one of ", option.allowed, example);
  }
  const std::string range = option.allowed.empty() ? "" : StrCat(" in ", option.allowed);
  if (option.type == kInteger) return StrCat("a whole number", range, example);
  if (option.type == kNumber) return StrCat("a number", range, example);
  if (option.type == kBoolean) return "true or false, like \"true\"";
  if (option.type == kDuration) {
    return StrCat("a number and a unit of ns, us, ms, s, min, h or d", example);
  }
  return StrCat("a number and a unit of b, kb, mb, gb or tb", example);
}

// Returns the canonical form of `text`, or nothing if it is no value of `option`.
std::optional<std::string> Canonicalize(const OptionDescription& option, std::string_view text) {
  if (option.type == kString) {
    if (!IsChoice(text, option.allowed)) return std::nullopt;
    return std::string(text);
  }
  text = StripWhitespace(text);
  if (option.type == kInteger) {
    const auto value = ParseNumber<int64_t>(text);
    if (!value || !InRange(*value, option.allowed)) return std::nullopt;
    return StrCat(*value);
  }
  if (option.type == kNumber) {
    const auto value = ParseNumber<double>(text);
    if (!value || !std::isfinite(*value) || !InRange(*value, option.allowed)) return std::nullopt;
    return FormatDouble(*value);
  }
  if (option.type == kBoolean) {
    const auto value = ParseBool(text);
    if (!value) return std::nullopt;
    return *value ? "true" : "false";
  }
  if (option.type == kDuration) {
    const auto value = ParseDurationText(text);
    if (!value.ok()) return std::nullopt;
    return FormatDurationText(*value);
  }
  const auto value = ParseMemorySize(text);
  if (!value.ok()) return std::nullopt;
  return ToString(*value);
}

std::string EnvironmentName(std::string_view key) {
  std::string name = "WEIR_";
  for (const char c : key) {
    name += c == '.' || c == '-' ? '_' : absl::ascii_toupper(static_cast<unsigned char>(c));
  }
  return name;
}

bool IsSecret(std::string_view key) {
  const std::string lower = absl::AsciiStrToLower(ToAbsl(key));
  for (const std::string_view word : {"password", "secret", "token", "credential"}) {
    if (lower.find(word) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

namespace internal {
namespace {

template <class T>
constexpr std::string_view TypeName() {
  if constexpr (std::is_same_v<T, std::string>) return kString;
  if constexpr (std::is_same_v<T, int64_t>) return kInteger;
  if constexpr (std::is_same_v<T, double>) return kNumber;
  if constexpr (std::is_same_v<T, bool>) return kBoolean;
  if constexpr (std::is_same_v<T, absl::Duration>) return kDuration;
  if constexpr (std::is_same_v<T, MemorySize>) return kMemorySize;
}

}  // namespace

template <class T>
OptionDescription ConfigType<T>::Describe(const ConfigOption<T>& option) {
  return OptionDescription{.key = std::string(option.key),
                           .type = std::string(TypeName<T>()),
                           .default_text = Format(option.default_value),
                           .description = std::string(option.description),
                           .allowed = std::string(option.allowed),
                           .environment = EnvironmentName(option.key)};
}

template <class T>
std::string ConfigType<T>::Format(const typename ConfigOption<T>::Default& value) {
  if constexpr (std::is_same_v<T, std::string>) return std::string(value);
  if constexpr (std::is_same_v<T, int64_t>) return StrCat(value);
  if constexpr (std::is_same_v<T, double>) return FormatDouble(value);
  if constexpr (std::is_same_v<T, bool>) return value ? "true" : "false";
  if constexpr (std::is_same_v<T, absl::Duration>) return FormatDurationText(value);
  if constexpr (std::is_same_v<T, MemorySize>) return ToString(value);
}

template <class T>
T ConfigType<T>::FromCanonical(std::string_view text) {
  if constexpr (std::is_same_v<T, std::string>) {
    return std::string(text);
  } else if constexpr (std::is_same_v<T, bool>) {
    return text == "true";
  } else if constexpr (std::is_same_v<T, absl::Duration>) {
    const auto duration = ParseDurationText(text);
    CHECK(duration.ok()) << "not canonical: " << text;
    return *duration;
  } else if constexpr (std::is_same_v<T, MemorySize>) {
    const auto size = ParseMemorySize(text);
    CHECK(size.ok()) << "not canonical: " << text;
    return *size;
  } else {
    const std::optional<T> number = ParseNumber<T>(text);
    CHECK(number.has_value()) << "not canonical: " << text;
    return *number;
  }
}

template struct ConfigType<std::string>;
template struct ConfigType<int64_t>;
template struct ConfigType<double>;
template struct ConfigType<bool>;
template struct ConfigType<absl::Duration>;
template struct ConfigType<MemorySize>;

}  // namespace internal

void OptionRegistry::AddDescription(OptionDescription description) {
  CHECK(Canonicalize(description, description.default_text).has_value())
      << "the default is not allowed: " << description.key << "=" << description.default_text;
  const bool first_of_name =
      keys_by_environment_.emplace(description.environment, description.key).second;
  CHECK(first_of_name) << "two options with one environment variable: " << description.key;
  options_.emplace(description.key, std::move(description));
}

const OptionDescription* OptionRegistry::Find(std::string_view key) const {
  const auto old_key = old_keys_.find(key);
  const auto found =
      options_.find(old_key == old_keys_.end() ? key : std::string_view(old_key->second));
  return found == options_.end() ? nullptr : &found->second;
}

void OptionRegistry::AddOldKey(std::string_view old_key, std::string_view key) {
  CHECK(options_.contains(key)) << "no such option: " << key;
  old_keys_.emplace(old_key, key);
}

const OptionDescription* OptionRegistry::FindByEnvironment(std::string_view name) const {
  const auto found = keys_by_environment_.find(name);
  return found == keys_by_environment_.end() ? nullptr : Find(found->second);
}

std::string_view OptionRegistry::NearestKey(std::string_view key) const {
  std::vector<std::string_view> keys;
  keys.reserve(options_.size());
  for (const auto& [known, description] : options_) keys.push_back(known);
  return NearestMatch(key, keys);
}

absl::StatusOr<std::string> OptionRegistry::Canonical(const OptionDescription& option,
                                                      std::string_view text) {
  std::optional<std::string> canonical = Canonicalize(option, text);
  if (canonical) return *std::move(canonical);
  return absl::InvalidArgumentError(StrCat("not a value of option ", option.key, "; expected ",
                                           ExpectedForm(option), ": \"",
                                           IsSecret(option.key) ? "******" : text, "\""));
}

std::vector<OptionDescription> OptionRegistry::Describe() const {
  std::vector<OptionDescription> descriptions;
  descriptions.reserve(options_.size());
  for (const auto& [key, description] : options_) descriptions.push_back(description);
  return descriptions;
}

std::string OptionRegistry::DescribeAsText() const {
  std::string text;
  for (const auto& [key, option] : options_) {
    StrAppend(&text, "  ", key, " (", option.type, option.allowed.empty() ? "" : " ",
              option.allowed, ", default \"", option.default_text, "\")\n      ",
              option.description, "\n");
  }
  return text;
}

std::string OptionRegistry::DescribeAsMarkdown() const {
  std::string text =
      "| key | type | default | meaning | environment |\n| --- | --- | --- | --- | --- |\n";
  for (const auto& [key, option] : options_) {
    std::string allowed;
    for (const char c : option.allowed)
      allowed += c == '|' ? std::string(" or ") : std::string(1, c);
    StrAppend(&text, "| `", key, "` | ", option.type, allowed.empty() ? "" : ": ", allowed, " | ",
              option.default_text, " | ", option.description, " | `", option.environment, "` |\n");
  }
  return text;
}

const std::string* Configuration::FindText(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second.text;
}

void Configuration::SetCanonical(const OptionDescription& option, std::string_view text) {
  std::optional<std::string> canonical = Canonicalize(option, text);
  CHECK(canonical.has_value()) << "not a value of " << option.key << ": " << text;
  values_.insert_or_assign(option.key, Value{*std::move(canonical), "program"});
}

absl::Status Configuration::SetText(std::string_view key, std::string_view text,
                                    std::string_view source) {
  const OptionDescription* const option = registry_ == nullptr ? nullptr : registry_->Find(key);
  if (option == nullptr) {
    const std::string_view nearest = registry_ == nullptr ? "" : registry_->NearestKey(key);
    return absl::InvalidArgumentError(StrCat("unknown option; ",
                                             nearest.empty()
                                                 ? std::string("see --help for those there are")
                                                 : StrCat("did you mean \"", nearest, "\"?"),
                                             ": key=\"", key, "\" source=", source));
  }
  absl::StatusOr<std::string> canonical = OptionRegistry::Canonical(*option, text);
  if (!canonical.ok()) {
    return absl::InvalidArgumentError(
        StrCat(ToStd(canonical.status().message()), " source=", source));
  }
  values_.insert_or_assign(option->key, Value{*std::move(canonical), std::string(source)});
  return absl::OkStatus();
}

std::map<std::string, std::string> Configuration::ToMap() const {
  std::map<std::string, std::string> effective;
  if (registry_ != nullptr) {
    for (const OptionDescription& option : registry_->Describe()) {
      effective[option.key] = option.default_text;
    }
  }
  for (const auto& [key, value] : values_) effective[key] = value.text;
  for (auto& [key, text] : effective) {
    if (IsSecret(key) && !text.empty()) text = "******";
  }
  return effective;
}

std::string Configuration::SourceOf(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? "default" : found->second.source;
}

}  // namespace weir
