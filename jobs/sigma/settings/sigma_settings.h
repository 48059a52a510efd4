#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir::sigma {

/// A setting of the job `sigma`, named as the environment variable that DetectFlow's match node
/// reads.
struct SigmaSetting {
  enum class Kind : uint8_t { kText, kList, kInteger, kBool, kChoice };

  std::string_view name;
  Kind kind = Kind::kText;
  std::string_view default_value = {};
  /// Further names of its flag. Each setting has the flag that its name makes: KAFKA_INPUT_TOPICS
  /// is --kafka-input-topics.
  std::vector<std::string_view> flags = {};
  std::vector<std::string_view> choices = {};  ///< Of kChoice.
  int64_t least = 0;                           ///< Of kInteger, both included.
  int64_t most = INT64_MAX;
  bool secret = false;
  std::string_view meaning = {};
};

/// All settings, in the order of the guide.
[[nodiscard]] std::span<const SigmaSetting> SigmaSettingTable();

/// The flag that a setting's name makes, without dashes in front.
[[nodiscard]] std::string FlagOf(std::string_view name);

/// What of an environment are settings of this job: name to value, by the table's names, whatever
/// the case of the variables'. Others are left out.
[[nodiscard]] std::map<std::string, std::string> SigmaEnvironment(
    const std::vector<std::string>& name_value_pairs);

/// The settings of one job, checked. Plain data.
///
/// Each comes from the first of these that has it: a flag, the environment, the `.env` file, the
/// default.
class SigmaSettings {
 public:
  /// Returns the text of the flag of that name, if it was given.
  using Flags = std::function<std::optional<std::string>(std::string_view name)>;

  /// `environment` and `env_file` are lines `NAME=value`; in both, names are taken whatever their
  /// case and unknown ones do not count. In a file `export` may stand in front, quotes around
  /// values, and `#` begins a comment. Errors: kInvalidArgument naming setting, value and what is
  /// allowed, or the line of the file that cannot be read.
  [[nodiscard]] static absl::StatusOr<SigmaSettings> Load(const Flags& flags,
                                                          std::string_view environment,
                                                          std::string_view env_file);

  // `name` must be one of the table.

  /// The setting's text; that of a choice as the table writes it.
  [[nodiscard]] const std::string& Text(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> List(std::string_view name) const;
  /// Nothing if it is empty.
  [[nodiscard]] std::optional<int64_t> Integer(std::string_view name) const;
  [[nodiscard]] bool Bool(std::string_view name) const;
  /// Whether it comes from anywhere but the default.
  [[nodiscard]] bool IsGiven(std::string_view name) const;

  /// The settings in force, one a line: `NAME=value  # from`, `from` being flag, environment, file
  /// or default. Secrets show as `***`.
  [[nodiscard]] std::string Describe() const;

 private:
  enum class From : uint8_t { kDefault, kFile, kEnvironment, kFlag };
  struct Value {
    std::string text;
    From from = From::kDefault;
  };
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace weir::sigma
