#include "jobs/sigma/settings/sigma_settings.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Kind = SigmaSetting::Kind;
using Table = std::vector<SigmaSetting>;

void AddKafka(Table& table) {
  table.push_back({.name = "KAFKA_BOOTSTRAP_SERVERS",
                   .flags = {"brokers"},
                   .meaning = "brokers, host:port, with commas between"});
  table.push_back({.name = "KAFKA_CLUSTER_ID", .meaning = "taken and not used"});
  table.push_back(
      {.name = "KAFKA_AUTH_METHOD",
       .kind = Kind::kChoice,
       .choices = {"SASL", "SSL", "PLAINTEXT", "SASL_PLAINTEXT"},
       .meaning = "SASL is SASL over TLS; unset: SASL with an API key, else PLAINTEXT"});
  table.push_back({.name = "KAFKA_SASL_MECHANISM",
                   .kind = Kind::kChoice,
                   .default_value = "PLAIN",
                   .choices = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"},
                   .meaning = "how user and password are shown"});
  table.push_back({.name = "KAFKA_API_KEY", .meaning = "user; needed for SASL"});
  table.push_back(
      {.name = "KAFKA_API_SECRET", .secret = true, .meaning = "password; needed for SASL"});
  table.push_back(
      {.name = "KAFKA_SSL_CA_LOCATION", .meaning = "PEM file of the CA; needed for SSL"});
  table.push_back({.name = "KAFKA_SSL_CERTIFICATE_LOCATION",
                   .meaning = "PEM file of the client's certificate; needed for SSL"});
  table.push_back({.name = "KAFKA_SSL_KEY_LOCATION",
                   .meaning = "PEM file of the client's key; needed for SSL"});
  table.push_back({.name = "KAFKA_SSL_KEY_PASSWORD", .secret = true, .meaning = "of that key"});
  table.push_back({.name = "KAFKA_SSL_TRUSTSTORE_LOCATION",
                   .meaning = "a Java store cannot be read: give KAFKA_SSL_CA_LOCATION"});
  table.push_back(
      {.name = "KAFKA_SSL_TRUSTSTORE_PASSWORD", .secret = true, .meaning = "taken and not used"});
  table.push_back({.name = "KAFKA_SSL_CHECK_HOSTNAME",
                   .kind = Kind::kBool,
                   .default_value = "true",
                   .meaning = "whether a broker's certificate must be for its host"});
}

void AddTopics(Table& table) {
  table.push_back({.name = "KAFKA_INPUT_TOPICS",
                   .kind = Kind::kList,
                   .default_value = "windows-events",
                   .flags = {"input-topics", "events-topic"},
                   .meaning = "topics of events"});
  table.push_back({.name = "KAFKA_OUTPUT_TOPIC",
                   .default_value = "windows-detections",
                   .flags = {"output-topic"},
                   .meaning = "topic of tagged events"});
  table.push_back({.name = "KAFKA_RULES_TOPIC",
                   .default_value = "sigma-rules",
                   .flags = {"rules-topic"},
                   .meaning = "the control topic"});
  table.push_back({.name = "KAFKA_METRICS_TOPIC",
                   .default_value = "rule-statistics",
                   .flags = {"metrics-topic"},
                   .meaning = "topic of statistics; empty: none"});
  table.push_back({.name = "KAFKA_DEAD_LETTER_TOPIC",
                   .flags = {"dead-letter-topic"},
                   .meaning = "topic of events that cannot be read; empty: none"});
  table.push_back({.name = "KAFKA_CONSUMER_GROUP",
                   .default_value = "flink-sigma",
                   .flags = {"group"},
                   .meaning = "<group>-events-<topic> and <group>-rules are the groups"});
  table.push_back({.name = "KAFKA_STARTING_OFFSET",
                   .kind = Kind::kChoice,
                   .default_value = "latest",
                   .flags = {"starting-offset"},
                   .choices = {"earliest", "latest", "committed"},
                   .meaning = "where events begin at the first start"});
}

void AddMatching(Table& table) {
  table.push_back({.name = "JOB_ID",
                   .default_value = "local",
                   .meaning = "which messages of the control topic are for this job"});
  table.push_back({.name = "OUTPUT_MODE",
                   .kind = Kind::kChoice,
                   .default_value = "matched_only",
                   .choices = {"matched_only", "all_events"},
                   .meaning = "which events go out"});
  table.push_back({.name = "KEEP_FILTERED_EVENTS",
                   .kind = Kind::kBool,
                   .default_value = "false",
                   .meaning = "with all_events: pre-filtered events go out too"});
  table.push_back({.name = "APPLY_PARSER_TO_OUTPUT_EVENTS",
                   .kind = Kind::kBool,
                   .default_value = "false",
                   .meaning = "events go out as the parser made them"});
  table.push_back({.name = "SIGMA_PIPELINES",
                   .kind = Kind::kList,
                   .default_value = "windows",
                   .flags = {"pipeline", "pipelines"},
                   .meaning = "names or files, which fit rules to events; none: no pipeline"});
  table.push_back({.name = "SIGMA_LOGSOURCE",
                   .kind = Kind::kChoice,
                   .default_value = "route",
                   .flags = {"logsource"},
                   .choices = {"route", "ignore"},
                   .meaning = "route: a rule meets events of its log source; ignore: all events"});
  table.push_back({.name = "MATCH_EVIDENCE",
                   .kind = Kind::kBool,
                   .default_value = "false",
                   .flags = {"evidence"},
                   .meaning = "detections tell the selections and fields that made them"});
  table.push_back(
      {.name = "MATCH_SUPPRESSION_SECONDS",
       .kind = Kind::kInteger,
       .default_value = "0",
       .flags = {"suppress"},
       .most = 2'592'000,
       .meaning = "a rule's matches of the same values go out once in so long; 0: all"});
  table.push_back({.name = "MATCH_SUPPRESSION_FIELDS",
                   .kind = Kind::kList,
                   .flags = {"suppress-by"},
                   .meaning = "whose values those are; unset: one match of the rule"});
  table.push_back({.name = "MATCH_SUPPRESSION_SUMMARY",
                   .kind = Kind::kBool,
                   .default_value = "false",
                   .flags = {"suppress-summary"},
                   .meaning = "at the end of the time an event tells how many were held back"});
  table.push_back({.name = "CORRELATION_LEVELS",
                   .kind = Kind::kInteger,
                   .flags = {},
                   .most = 8,
                   .meaning = "correlations of correlations, how deep; unset: as rule files need, "
                              "else 2; 0: none are run"});
  table.push_back({.name = "EVENT_TIME_FIELDS",
                   .kind = Kind::kList,
                   .flags = {"event-time"},
                   .meaning = "fields of events, of which the first that is there has the time; "
                              "unset: a record's timestamp, of files the usual fields"});
  table.push_back({.name = "LATENCY_MODE",
                   .kind = Kind::kChoice,
                   .default_value = "event",
                   .choices = {"event", "window"},
                   .meaning = "event: each event at once; window: batches as DetectFlow has them"});
  table.push_back({.name = "WINDOW_TYPE",
                   .kind = Kind::kChoice,
                   .default_value = "time",
                   .choices = {"time", "count"},
                   .meaning = "taken and not used"});
  table.push_back({.name = "WINDOW_SIZE_SECONDS",
                   .kind = Kind::kInteger,
                   .default_value = "30",
                   .least = 1,
                   .most = 3600,
                   .meaning = "length of a batch, and of statistics"});
  table.push_back({.name = "WINDOW_COUNT_THRESHOLD",
                   .kind = Kind::kInteger,
                   .default_value = "20000",
                   .least = 1,
                   .meaning = "events of a key that end a batch early"});
  table.push_back({.name = "DELIVERY_GUARANTEE",
                   .kind = Kind::kChoice,
                   .default_value = "at_least_once",
                   .choices = {"at_least_once", "exactly_once", "none"},
                   .meaning = "of what is written to Kafka"});
  table.push_back({.name = "KEYING_STRATEGY",
                   .kind = Kind::kChoice,
                   .default_value = "hash",
                   .choices = {"hash", "computer", "round_robin", "fields"},
                   .meaning = "how events are spread over subtasks"});
  table.push_back({.name = "KEYING_FIELDS",
                   .kind = Kind::kList,
                   .meaning = "with fields: whose values make the key"});
  table.push_back(
      {.name = "SIGMA_RULES_FILE", .meaning = "taken and not used: --rules reads files"});
}

void AddParallelism(Table& table) {
  table.push_back({.name = "FLINK_PARALLELISM",
                   .kind = Kind::kInteger,
                   .least = 1,
                   .most = 100,
                   .meaning = "of matching and sinks; unset: the job's"});
  table.push_back({.name = "KAFKA_SOURCE_PARALLELISM",
                   .kind = Kind::kInteger,
                   .least = 1,
                   .most = 100,
                   .meaning = "of reading events; unset: FLINK_PARALLELISM"});
  table.push_back({.name = "KEY_GROUPS_PER_TASK",
                   .kind = Kind::kInteger,
                   .default_value = "1",
                   .least = 1,
                   .most = 100,
                   .meaning = "keys of hash and round_robin per subtask"});
  table.push_back({.name = "AUTOSCALER_ENABLED",
                   .kind = Kind::kBool,
                   .default_value = "false",
                   .meaning = "keys are for AUTOSCALER_MAX_PARALLELISM subtasks"});
  table.push_back({.name = "AUTOSCALER_MAX_PARALLELISM",
                   .kind = Kind::kInteger,
                   .default_value = "24",
                   .least = 1,
                   .most = 720,
                   .meaning = "the most subtasks to be scaled to"});
  table.push_back({.name = "MAX_PARALLELISM",
                   .kind = Kind::kInteger,
                   .default_value = "128",
                   .least = 1,
                   .most = 32768,
                   .meaning = "key groups; state keeps the number for life"});
}

void AddCluster(Table& table) {
  table.push_back({.name = "FLINK_CHECKPOINT_INTERVAL_MS",
                   .kind = Kind::kInteger,
                   .least = 1000,
                   .meaning = "unset: execution.checkpointing.interval"});
  table.push_back({.name = "FLINK_CHECKPOINT_TIMEOUT_MS",
                   .kind = Kind::kInteger,
                   .least = 10000,
                   .meaning = "unset: execution.checkpointing.timeout"});
  table.push_back({.name = "FLINK_MIN_PAUSE_BETWEEN_CHECKPOINTS_MS",
                   .kind = Kind::kInteger,
                   .meaning = "unset: execution.checkpointing.min-pause"});
  table.push_back({.name = "STATE_BACKEND",
                   .kind = Kind::kChoice,
                   .default_value = "rocksdb",
                   .choices = {"memory", "rocksdb"},
                   .meaning = "taken: state is in memory and leaves for RocksDB as needed"});
  table.push_back({.name = "CHECKPOINT_PATH",
                   .meaning = "taken: the cluster's execution.checkpointing.dir counts"});
  const auto rocksdb = [&](std::string_view name, std::string_view value, int64_t least,
                           int64_t most, std::string_view meaning) {
    table.push_back({.name = name,
                     .kind = Kind::kInteger,
                     .default_value = value,
                     .least = least,
                     .most = most,
                     .meaning = meaning});
  };
  rocksdb("ROCKSDB_WRITEBUFFER_SIZE_MB", "64", 8, 512,
          "taken: the cluster's state.backend.rocksdb.writebuffer.size counts");
  rocksdb("ROCKSDB_WRITEBUFFER_COUNT", "3", 2, 10,
          "taken: the cluster's state.backend.rocksdb.writebuffer.count counts");
  rocksdb("ROCKSDB_BLOCK_CACHE_SIZE_MB", "256", 8, 2048,
          "taken: the cluster's state.backend.rocksdb.block.cache-size counts");
  rocksdb("ROCKSDB_BLOCK_SIZE_KB", "4", 1, 64,
          "taken: the cluster's state.backend.rocksdb.block.blocksize counts");
  table.push_back(
      {.name = "ROCKSDB_COMPACTION_STYLE",
       .kind = Kind::kChoice,
       .default_value = "LEVEL",
       .choices = {"LEVEL", "UNIVERSAL", "FIFO"},
       .meaning = "taken: the cluster's state.backend.rocksdb.compaction.style counts"});
  rocksdb("ROCKSDB_THREAD_NUM", "4", 1, 32,
          "taken: the cluster's state.backend.rocksdb.thread.num counts");
  table.push_back({.name = "ENABLE_WATERMARKS",
                   .kind = Kind::kBool,
                   .default_value = "false",
                   .meaning = "whether event time follows the records' timestamps"});
  table.push_back({.name = "WATERMARK_OUT_OF_ORDERNESS_SECONDS",
                   .kind = Kind::kInteger,
                   .default_value = "10",
                   .most = 300,
                   .meaning = "how late records may be"});
  table.push_back({.name = "WATERMARK_IDLE_TIMEOUT_SECONDS",
                   .kind = Kind::kInteger,
                   .default_value = "60",
                   .most = 600,
                   .meaning = "silence after which a partition holds nobody back; 0: never"});
  table.push_back({.name = "LOG_LEVEL",
                   .kind = Kind::kChoice,
                   .default_value = "INFO",
                   .choices = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"},
                   .meaning = "taken: the cluster's env.log.level counts"});
  table.push_back({.name = "LOG_FORMAT",
                   .kind = Kind::kChoice,
                   .default_value = "json",
                   .choices = {"json", "console"},
                   .meaning = "taken: the cluster's env.log.format counts"});
}

Table MakeTable() {
  Table table;
  AddKafka(table);
  AddTopics(table);
  AddMatching(table);
  AddParallelism(table);
  AddCluster(table);
  return table;
}

std::string Upper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return upper;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

const SigmaSetting* FindSetting(std::string_view name) {
  for (const SigmaSetting& setting : SigmaSettingTable()) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> ParseBool(std::string_view text) {
  const std::string lower = Lower(text);
  for (const std::string_view word : {"true", "1", "yes", "on", "t", "y"}) {
    if (lower == word) return true;
  }
  for (const std::string_view word : {"false", "0", "no", "off", "f", "n"}) {
    if (lower == word) return false;
  }
  return std::nullopt;
}

std::string Allowed(const SigmaSetting& setting) {
  switch (setting.kind) {
    case Kind::kInteger:
      return setting.most == INT64_MAX
                 ? StrCat("a whole number from ", setting.least)
                 : StrCat("a whole number from ", setting.least, " to ", setting.most);
    case Kind::kBool:
      return "true or false";
    case Kind::kChoice: {
      std::vector<std::string> choices(setting.choices.begin(), setting.choices.end());
      return StrCat("one of ", StrJoin(choices, ", "));
    }
    case Kind::kText:
    case Kind::kList:
      return "any text";
  }
  return "";
}

/// Returns the value as the table writes it; nothing if it is not allowed.
std::optional<std::string> Normalise(const SigmaSetting& setting, std::string_view text) {
  switch (setting.kind) {
    case Kind::kInteger: {
      const std::optional<int64_t> value = ParseInteger(text);
      if (!value || *value < setting.least || *value > setting.most) return std::nullopt;
      return StrCat(*value);
    }
    case Kind::kBool: {
      const std::optional<bool> value = ParseBool(text);
      if (!value) return std::nullopt;
      return *value ? "true" : "false";
    }
    case Kind::kChoice:
      for (const std::string_view choice : setting.choices) {
        if (Lower(choice) == Lower(text)) return std::string(choice);
      }
      return std::nullopt;
    case Kind::kText:
    case Kind::kList:
      return std::string(text);
  }
  return std::nullopt;
}

/// Takes quotes, or a comment, off the value of a line of a `.env` file.
std::string_view ValueOfLine(std::string_view text) {
  text = StripWhitespace(text);
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'')) {
    const size_t end = text.find(text.front(), 1);
    if (end != std::string_view::npos) return text.substr(1, end - 1);
  }
  if (text.starts_with('#')) return {};
  size_t comment = text.find(" #");
  comment = std::min(comment, text.find("\t#"));
  return StripWhitespace(text.substr(0, comment));
}

using Pairs = std::map<std::string, std::string>;

void AddKnown(std::string_view name, std::string_view value, Pairs* pairs) {
  const std::string upper = Upper(name);
  if (FindSetting(upper) != nullptr) (*pairs)[upper] = std::string(value);
}

absl::StatusOr<Pairs> ReadEnvFile(std::string_view text) {
  Pairs pairs;
  int number = 0;
  for (const std::string_view raw : StrSplit(text, '\n')) {
    ++number;
    std::string_view line = StripWhitespace(raw);
    if (line.empty() || line.starts_with('#')) continue;
    if (line.starts_with("export ")) line = StripWhitespace(line.substr(7));
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return absl::InvalidArgumentError(
          StrCat("a line of the file of settings is not of the form NAME=value: line=", number));
    }
    AddKnown(StripWhitespace(line.substr(0, equals)), ValueOfLine(line.substr(equals + 1)), &pairs);
  }
  return pairs;
}

}  // namespace

std::span<const SigmaSetting> SigmaSettingTable() {
  static const Table table = MakeTable();
  return table;
}

std::string FlagOf(std::string_view name) {
  std::string flag = Lower(name);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::map<std::string, std::string> SigmaEnvironment(
    const std::vector<std::string>& name_value_pairs) {
  Pairs pairs;
  for (const std::string& pair : name_value_pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos) continue;
    AddKnown(std::string_view(pair).substr(0, equals), std::string_view(pair).substr(equals + 1),
             &pairs);
  }
  return pairs;
}

absl::StatusOr<SigmaSettings> SigmaSettings::Load(const Flags& flags, std::string_view environment,
                                                  std::string_view env_file) {
  std::vector<std::string> lines;
  for (const std::string_view line : StrSplit(environment, '\n')) lines.emplace_back(line);
  const Pairs variables = SigmaEnvironment(lines);
  ASSIGN_OR_RETURN(const Pairs file, ReadEnvFile(env_file));
  SigmaSettings settings;
  for (const SigmaSetting& setting : SigmaSettingTable()) {
    const std::string name(setting.name);
    Value value{std::string(setting.default_value), From::kDefault};
    std::string given_as = name;
    if (const auto found = file.find(name); found != file.end()) {
      value = {found->second, From::kFile};
    }
    if (const auto found = variables.find(name); found != variables.end()) {
      value = {found->second, From::kEnvironment};
    }
    std::vector<std::string> names = {FlagOf(name)};
    names.insert(names.end(), setting.flags.begin(), setting.flags.end());
    // All are asked for, so that none counts as unknown; the last one that was given wins.
    for (const std::string& flag : names) {
      const std::optional<std::string> text = flags(flag);
      if (!text.has_value()) continue;
      if (value.from == From::kFlag && *text != value.text) {
        return absl::InvalidArgumentError(StrCat(
            "a setting is given by two flags with different values; leave one out: ", given_as,
            " --", flag));
      }
      value = {*text, From::kFlag};
      given_as = StrCat("--", flag);
    }
    // An empty variable says "as if not set", save of texts, where empty is a value.
    const bool is_text = setting.kind == Kind::kText || setting.kind == Kind::kList;
    if (value.text.empty() && !is_text) {
      value = {std::string(setting.default_value), From::kDefault};
    }
    if (!value.text.empty()) {
      std::optional<std::string> normal = Normalise(setting, value.text);
      if (!normal.has_value()) {
        return absl::InvalidArgumentError(StrCat("a setting has a value that is not allowed; give ",
                                                 Allowed(setting), ": ", given_as, "=",
                                                 setting.secret ? "***" : value.text));
      }
      value.text = *std::move(normal);
    }
    settings.values_.emplace(name, std::move(value));
  }
  return settings;
}

const std::string& SigmaSettings::Text(std::string_view name) const {
  const auto found = values_.find(name);
  CHECK(found != values_.end()) << "no such setting of the job: " << name;
  return found->second.text;
}

std::vector<std::string> SigmaSettings::List(std::string_view name) const {
  std::vector<std::string> list;
  for (const std::string_view part : StrSplit(Text(name), ',')) {
    const std::string_view stripped = StripWhitespace(part);
    if (!stripped.empty()) list.emplace_back(stripped);
  }
  return list;
}

std::optional<int64_t> SigmaSettings::Integer(std::string_view name) const {
  return ParseInteger(Text(name));
}

bool SigmaSettings::Bool(std::string_view name) const { return Text(name) == "true"; }

bool SigmaSettings::IsGiven(std::string_view name) const {
  const auto found = values_.find(name);
  return found != values_.end() && found->second.from != From::kDefault;
}

std::string SigmaSettings::Describe() const {
  constexpr std::string_view kFrom[] = {"default", "file", "environment", "flag"};
  std::string text;
  for (const SigmaSetting& setting : SigmaSettingTable()) {
    const Value& value = values_.find(setting.name)->second;
    const bool hidden = setting.secret && !value.text.empty();
    StrAppend(&text, setting.name, "=", hidden ? "***" : value.text, "  # ",
              kFrom[static_cast<size_t>(value.from)], "\n");
  }
  return text;
}

}  // namespace weir::sigma
