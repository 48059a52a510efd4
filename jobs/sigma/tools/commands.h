#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace weir::sigma {

/// How bad a finding is, in rising order.
enum class Severity : uint8_t { kInfo, kWarning, kError };

/// How events lie in files.
enum class EventFormat : uint8_t { kAuto, kJson, kEvtx, kZeek };

/// `weir sigma check`.
struct CheckCommand {
  std::vector<std::string> rules;       ///< Files and folders.
  Severity level = Severity::kInfo;     ///< What is shown,
  Severity fail_on = Severity::kError;  ///< and from what on the exit code is 1.
  std::vector<std::string> disabled;    ///< Names of checks.
  bool json = false;
};

/// How `match`, `explain` and `bench` read rules and events.
struct EventOptions {
  EventFormat format = EventFormat::kAuto;
  /// Files, or names of pipelines that weir ships. Empty: `windows`. "none" alone: none.
  std::vector<std::string> pipelines;
  bool ignore_log_source = false;
};

/// `weir sigma match`.
struct MatchCommand {
  std::vector<std::string> rules;
  std::vector<std::string> events;
  EventOptions options;
};

/// `weir sigma explain`.
struct ExplainCommand {
  std::string rule;
  std::string event;
  std::optional<uint64_t> index;  ///< Which event of the file, from zero; else the first ten.
  EventOptions options;
  bool json = false;
};

/// `weir sigma bench`.
struct BenchCommand {
  std::vector<std::string> rules;
  std::vector<std::string> events;
  EventOptions options;
  int rounds = 3;
};

/// `weir sigma settings`.
struct SettingsCommand {
  std::string env_file;            ///< Empty: none.
  std::vector<std::string> flags;  ///< As the job `sigma` takes them.
};

/// `--help` and the like.
struct PrintCommand {
  std::string text;
};

using Command = std::variant<PrintCommand, CheckCommand, MatchCommand, ExplainCommand, BenchCommand,
                             SettingsCommand>;

/// Where a command writes: results and remarks. Each call gets whole lines.
struct CommandOutput {
  std::function<void(std::string_view)> out;
  std::function<void(std::string_view)> err;
};

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;  ///< `check`: findings at or above --fail-on.
inline constexpr int kExitUsage = 2;

/// Each runs one command and returns the process's exit code. They block. Errors: what kept the
/// command from its work, with file and line where there is one.
[[nodiscard]] absl::StatusOr<int> Check(const CheckCommand& command, const CommandOutput& output);
[[nodiscard]] absl::StatusOr<int> Match(const MatchCommand& command, const CommandOutput& output);
[[nodiscard]] absl::StatusOr<int> Explain(const ExplainCommand& command,
                                          const CommandOutput& output);
[[nodiscard]] absl::StatusOr<int> Bench(const BenchCommand& command, const CommandOutput& output);
/// `environment` is a list of `NAME=value`, as a process has it.
[[nodiscard]] absl::StatusOr<int> ShowSettings(const SettingsCommand& command,
                                               const std::vector<std::string>& environment,
                                               const CommandOutput& output);

}  // namespace weir::sigma
