#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {

/// How much a message matters. kFatal is written by a failed CHECK, just before the process ends.
enum class LogLevel { kDebug, kInfo, kWarning, kError, kFatal };

/// kConsole: one readable line a message. kJson: one JSON object a line, for collectors.
enum class LogFormat { kConsole, kJson };

/// What InitLogging sets up. Messages always go to stderr, and to `file` as well if one is given.
struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kConsole;
  std::string process =
      "weir";          // Named in every line, so that the logs of a cluster can be merged.
  std::string file{};  // Appended to; its folder is created. Empty: no file.
};

/// Sets the process's log level, format and destinations. May be called again; messages logged
/// meanwhile by other threads go to the old or the new destination. Errors: kInvalidArgument if the
/// file cannot be opened, in which case the logging in force stays.
[[nodiscard]] absl::Status InitLogging(const LogOptions& options);

/// Writes one message. Safe from any thread and before InitLogging (then: console form, kInfo and
/// above, stderr). `component` names the part that speaks, in lower case ("checkpoint",
/// "kafka-source"). Control characters in `message` are escaped and further lines indented, so that
/// data in a message cannot pass for a log line.
void Log(LogLevel level, std::string_view component, std::string_view message);

/// Returns whether Log writes messages of `level`, for callers whose message is dear to build.
[[nodiscard]] bool LogEnabled(LogLevel level);

inline void LogDebug(std::string_view component, std::string_view message) {
  Log(LogLevel::kDebug, component, message);
}
inline void LogInfo(std::string_view component, std::string_view message) {
  Log(LogLevel::kInfo, component, message);
}
inline void LogWarning(std::string_view component, std::string_view message) {
  Log(LogLevel::kWarning, component, message);
}
inline void LogError(std::string_view component, std::string_view message) {
  Log(LogLevel::kError, component, message);
}

/// Returns the level's upper-case name: DEBUG, INFO, WARN, ERROR, FATAL.
[[nodiscard]] std::string_view ToString(LogLevel level);

/// Parses a level's name in any case; WARNING is WARN. Errors: kInvalidArgument.
[[nodiscard]] absl::StatusOr<LogLevel> ParseLogLevel(std::string_view text);

/// Parses "console" or "json". Errors: kInvalidArgument.
[[nodiscard]] absl::StatusOr<LogFormat> ParseLogFormat(std::string_view text);

}  // namespace weir
