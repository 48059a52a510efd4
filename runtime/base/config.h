#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/units.h"

namespace weir {

/// A typed setting, declared once as a constant (runtime/base/weir_options.h has the engine's):
///
///     inline constexpr ConfigOption<int64_t> kRestPort{
///         "rest.port", 8081, "Port of the REST API.", "0..65535"};
///
/// T is std::string, int64_t, double, bool, absl::Duration or MemorySize.
template <class T>
struct ConfigOption {
  using Default = std::conditional_t<std::is_same_v<T, std::string>, std::string_view, T>;

  std::string_view key;
  Default default_value;
  std::string_view description;
  /// What values may be: "a|b|c" for strings, "low..high" for numbers, either end open. Empty: any.
  /// Durations and memory sizes are never negative.
  std::string_view allowed = {};
};

/// One option as documentation, --help and error messages need it.
struct OptionDescription {
  std::string key;
  std::string type;  // "string", "integer", "number", "boolean", "duration" or "memory size".
  std::string default_text;
  std::string description;
  std::string allowed;
  std::string environment;  // The variable that sets it: WEIR_REST_PORT.
};

/// The options that one program knows; any other key is refused.
/// Threads: filled by one thread at the program's start, read-only afterwards.
class OptionRegistry {
 public:
  /// Adds an option; a key is added once. Its default must keep to `allowed`.
  template <class T>
  void Add(const ConfigOption<T>& option);

  /// Lets `old_key`, an earlier name of Flink's, set the option `key` as well. It is not described.
  void AddOldKey(std::string_view old_key, std::string_view key);

  /// Returns the option with `key`, or null. Valid until the next Add.
  [[nodiscard]] const OptionDescription* Find(std::string_view key) const;
  /// Returns the option that the environment variable `name` sets, or null.
  [[nodiscard]] const OptionDescription* FindByEnvironment(std::string_view name) const;
  /// Returns the known key nearest to `key`, or an empty view if none is near.
  [[nodiscard]] std::string_view NearestKey(std::string_view key) const;

  /// Checks that `text` is a value of `option`, and returns its canonical form ("60s" is "1 min").
  /// Errors: kInvalidArgument with key, text, expected form and example.
  [[nodiscard]] static absl::StatusOr<std::string> Canonical(const OptionDescription& option,
                                                             std::string_view text);

  /// Returns all options in the order of their keys.
  [[nodiscard]] std::vector<OptionDescription> Describe() const;
  /// Returns the options as text for --help.
  [[nodiscard]] std::string DescribeAsText() const;
  /// Returns the options as a Markdown table for the reference.
  [[nodiscard]] std::string DescribeAsMarkdown() const;

 private:
  void AddDescription(OptionDescription description);

  std::map<std::string, OptionDescription, std::less<>> options_;
  std::map<std::string, std::string, std::less<>> old_keys_;  // What each is called now.
  std::map<std::string, std::string, std::less<>> keys_by_environment_;
};

/// Where a program's settings come from, in rising order of strength; above the options' defaults.
struct ConfigurationSources {
  std::string file{};  // YAML, keys nested or dotted. Empty: the environment's WEIR_CONFIG, if set.
  std::vector<std::string> environment{};  // "NAME=value"; only names that begin with WEIR_ matter.
  std::vector<std::string> definitions{};  // "key=value", as after -D on the command line.
};

/// Takes `--config FILE`, `--config=FILE`, `-Dkey=value` and `-D key=value` out of `*arguments`, up
/// to a `--`, and adds this process's environment. Errors: kInvalidArgument for a flag without its
/// value.
[[nodiscard]] absl::StatusOr<ConfigurationSources> TakeConfigurationSources(
    std::vector<std::string>* arguments);

/// The effective settings of a program or a job.
///
/// A value type: copied where it is needed. Threads: concurrent reads are safe, writes are not.
/// Invariant: every value held was checked against its option, so Get does not fail.
class Configuration {
 public:
  /// Makes one of defaults only, that knows no option: Get and Set work, SetText refuses every key.
  Configuration() = default;
  /// Makes one of defaults only, that knows the options of `registry`.
  explicit Configuration(std::shared_ptr<const OptionRegistry> registry)
      : registry_(std::move(registry)) {}

  /// Reads all sources. Errors: kInvalidArgument for a file that cannot be read, a key that no
  /// option has or a value that does not parse, naming the source (file and line where there is
  /// one), the key and what would do.
  [[nodiscard]] static absl::StatusOr<Configuration> Load(
      std::shared_ptr<const OptionRegistry> registry, const ConfigurationSources& sources);

  /// Returns the option's value, or its default if none was set.
  template <class T>
  [[nodiscard]] T Get(const ConfigOption<T>& option) const;

  /// Sets the option's value, which must keep to what the option allows.
  template <class T>
  void Set(const ConfigOption<T>& option, const std::type_identity_t<T>& value);

  /// Sets a value given as text; `source` names its origin in errors. Errors: as Load.
  [[nodiscard]] absl::Status SetText(std::string_view key, std::string_view text,
                                     std::string_view source);

  /// Returns every key's effective value, defaults too, for people to read: values of keys that
  /// name a password, secret or token are hidden.
  [[nodiscard]] std::map<std::string, std::string> ToMap() const;

  /// Returns where the key's value was set ("weir.yaml:12", "environment variable WEIR_REST_PORT"),
  /// or "default".
  [[nodiscard]] std::string SourceOf(std::string_view key) const;

 private:
  struct Value {
    std::string text;  // Canonical.
    std::string source;
  };

  [[nodiscard]] const std::string* FindText(std::string_view key) const;
  void SetCanonical(const OptionDescription& option, std::string_view text);

  std::shared_ptr<const OptionRegistry> registry_;
  std::map<std::string, Value, std::less<>> values_;
};

namespace internal {

/// What Configuration knows of each type that an option may have; instantiated in config.cc alone.
template <class T>
struct ConfigType {
  static OptionDescription Describe(const ConfigOption<T>& option);
  static std::string Format(const typename ConfigOption<T>::Default& value);
  /// Parses canonical text; CHECKs that it is.
  static T FromCanonical(std::string_view text);
};

extern template struct ConfigType<std::string>;
extern template struct ConfigType<int64_t>;
extern template struct ConfigType<double>;
extern template struct ConfigType<bool>;
extern template struct ConfigType<absl::Duration>;
extern template struct ConfigType<MemorySize>;

}  // namespace internal

template <class T>
void OptionRegistry::Add(const ConfigOption<T>& option) {
  AddDescription(internal::ConfigType<T>::Describe(option));
}

template <class T>
T Configuration::Get(const ConfigOption<T>& option) const {
  const std::string* const text = FindText(option.key);
  return text == nullptr ? T(option.default_value) : internal::ConfigType<T>::FromCanonical(*text);
}

template <class T>
void Configuration::Set(const ConfigOption<T>& option, const std::type_identity_t<T>& value) {
  SetCanonical(internal::ConfigType<T>::Describe(option), internal::ConfigType<T>::Format(value));
}

}  // namespace weir
