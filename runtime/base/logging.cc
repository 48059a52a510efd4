#include "runtime/base/logging.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

// One destination with its form. Never changed once published, and never freed: a thread may still
// be writing to it when the next InitLogging replaces it.
struct Destination {
  LogOptions options;
  std::shared_ptr<spdlog::logger> logger;
};

struct Logging {
  std::atomic<LogLevel> level{
      LogLevel::kInfo};  // Relaxed: a change may take effect a message later.
  std::atomic<const Destination*> current{nullptr};  // Release when published, acquire in Log.
  Mutex mutex;
  std::vector<std::unique_ptr<const Destination>> all ABSL_GUARDED_BY(mutex);
};

std::unique_ptr<const Destination> MakeDestination(const LogOptions& options) {
  std::vector<spdlog::sink_ptr> sinks;
  sinks.push_back(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (!options.file.empty()) {
    sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file));
  }
  auto logger = std::make_shared<spdlog::logger>("weir", sinks.begin(), sinks.end());
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);  // A process that is killed leaves its last words.
  logger->set_pattern("%v");
  auto destination = std::make_unique<Destination>();
  destination->options = options;
  destination->logger = std::move(logger);
  return destination;
}

void Publish(Logging* logging, std::unique_ptr<const Destination> destination) {
  logging->level.store(destination->options.level, std::memory_order_relaxed);
  const MutexLock lock(&logging->mutex);
  logging->current.store(destination.get(), std::memory_order_release);
  logging->all.push_back(std::move(destination));
}

Logging& GetLogging() {
  static Logging* const logging = [] {  // Leaked: threads may log while statics are destroyed.
    auto* made = new Logging;
    Publish(made, MakeDestination(LogOptions{}));
    return made;
  }();
  return *logging;
}

void AppendConsoleText(std::string* line, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      *line += "\n    ";
    } else if ((byte < 0x20 && c != '\t') || byte == 0x7F) {
      *line += "\\x";
      *line += HexEncode(std::string_view(&c, 1));
    } else {
      *line += c;
    }
  }
}

std::string ConsoleLine(const LogOptions& options, const std::string& time, LogLevel level,
                        std::string_view component, std::string_view message) {
  std::string line;
  line.reserve(time.size() + options.process.size() + component.size() + message.size() + 16);
  line += time;
  line += ' ';
  const std::string_view name = ToString(level);
  line += name;
  line.append(6 - name.size(), ' ');
  line += '[';
  line += options.process;
  line += "] ";
  AppendConsoleText(&line, component);
  line += ": ";
  AppendConsoleText(&line, message);
  return line;
}

std::string JsonLine(const LogOptions& options, const std::string& time, LogLevel level,
                     std::string_view component, std::string_view message) {
  std::string line;
  JsonWriter json(&line);
  json.BeginObject();
  json.Key("time").String(time);
  json.Key("level").String(ToString(level));
  json.Key("process").String(options.process);
  json.Key("component").String(component);
  json.Key("message").String(message);
  json.EndObject();
  return line;
}

}  // namespace

absl::Status InitLogging(const LogOptions& options) {
  try {
    Publish(&GetLogging(), MakeDestination(options));
  } catch (const spdlog::spdlog_ex& error) {
    return absl::InvalidArgumentError(StrCat(
        "cannot open the log file; give a path that this user can write: file=", options.file,
        " reason=", error.what()));
  }
  return absl::OkStatus();
}

bool LogEnabled(LogLevel level) {
  return level >= GetLogging().level.load(std::memory_order_relaxed);
}

void Log(LogLevel level, std::string_view component, std::string_view message) {
  if (!LogEnabled(level)) return;
  const Destination* const destination = GetLogging().current.load(std::memory_order_acquire);
  const LogOptions& options = destination->options;
  const std::string time =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  const std::string line = options.format == LogFormat::kJson
                               ? JsonLine(options, time, level, component, message)
                               : ConsoleLine(options, time, level, component, message);
  destination->logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

std::string_view ToString(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "DEBUG";
    case LogLevel::kInfo:
      return "INFO";
    case LogLevel::kWarning:
      return "WARN";
    case LogLevel::kError:
      return "ERROR";
    case LogLevel::kFatal:
      return "FATAL";
  }
  return "INFO";
}

absl::StatusOr<LogLevel> ParseLogLevel(std::string_view text) {
  for (const LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning,
                               LogLevel::kError, LogLevel::kFatal}) {
    if (absl::EqualsIgnoreCase(ToAbsl(text), ToAbsl(ToString(level)))) return level;
  }
  if (absl::EqualsIgnoreCase(ToAbsl(text), "warning")) return LogLevel::kWarning;
  return absl::InvalidArgumentError(
      StrCat("not a log level; use DEBUG, INFO, WARN, ERROR or FATAL: \"", text, "\""));
}

absl::StatusOr<LogFormat> ParseLogFormat(std::string_view text) {
  if (absl::EqualsIgnoreCase(ToAbsl(text), "console")) return LogFormat::kConsole;
  if (absl::EqualsIgnoreCase(ToAbsl(text), "json")) return LogFormat::kJson;
  return absl::InvalidArgumentError(
      StrCat("not a log format; use console or json: \"", text, "\""));
}

}  // namespace weir
