#include "jobs/sigma/settings/sigma_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace weir::sigma {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using Flags = std::map<std::string, std::string>;

absl::StatusOr<SigmaSettings> Load(const Flags& flags, std::string_view environment = "",
                                   std::string_view file = "") {
  return SigmaSettings::Load(
      [&](std::string_view name) {
        const auto found = flags.find(std::string(name));
        return found == flags.end() ? std::nullopt : std::optional(found->second);
      },
      environment, file);
}

std::string ErrorOf(const Flags& flags, std::string_view environment = "",
                    std::string_view file = "") {
  const auto settings = Load(flags, environment, file);
  return settings.ok() ? "no error" : settings.status().ToString();
}

/// A value that the setting allows, and that is not its default.
std::string OtherValue(const SigmaSetting& setting) {
  switch (setting.kind) {
    case SigmaSetting::Kind::kInteger:
      return std::to_string(setting.least + 1);
    case SigmaSetting::Kind::kBool:
      return setting.default_value == "true" ? "false" : "true";
    case SigmaSetting::Kind::kChoice:
      return std::string(setting.choices.back() == setting.default_value ? setting.choices.front()
                                                                         : setting.choices.back());
    case SigmaSetting::Kind::kText:
    case SigmaSetting::Kind::kList:
      return "other";
  }
  return "";
}

// detection.md 1.2: "start with each flag and with its variable, compare effective config dump".
TEST(SigmaSettingsTest, EachFlagEqualsItsVariableAndItsLineOfTheFile) {
  for (const SigmaSetting& setting : SigmaSettingTable()) {
    const std::string value = OtherValue(setting);
    const std::string line = std::string(setting.name) + "=" + value + "\n";
    const auto from_variable = Load({}, line);
    const auto from_file = Load({}, "", line);
    ASSERT_TRUE(from_variable.ok()) << from_variable.status();
    ASSERT_TRUE(from_file.ok()) << from_file.status();
    EXPECT_EQ(from_variable->Text(setting.name), value);
    EXPECT_EQ(from_file->Text(setting.name), value);
    std::vector<std::string> flags = {FlagOf(setting.name)};
    flags.insert(flags.end(), setting.flags.begin(), setting.flags.end());
    for (const std::string& flag : flags) {
      const auto from_flag = Load({{flag, value}});
      ASSERT_TRUE(from_flag.ok()) << flag << ": " << from_flag.status();
      EXPECT_EQ(from_flag->Text(setting.name), value) << flag;
      std::string dump = from_flag->Describe();
      const size_t at = dump.find("# flag");
      ASSERT_NE(at, std::string::npos) << flag;
      dump.replace(at, 6, "# environment");
      EXPECT_EQ(dump, from_variable->Describe()) << flag;
    }
  }
}

TEST(SigmaSettingsTest, HasEverySettingOfTheMatchNodeWithItsDefault) {
  const std::map<std::string, std::string> defaults = {
      {"KAFKA_INPUT_TOPICS", "windows-events"},
      {"KAFKA_OUTPUT_TOPIC", "windows-detections"},
      {"KAFKA_RULES_TOPIC", "sigma-rules"},
      {"KAFKA_METRICS_TOPIC", "rule-statistics"},
      {"KAFKA_CONSUMER_GROUP", "flink-sigma"},
      {"KAFKA_STARTING_OFFSET", "latest"},
      {"JOB_ID", "local"},
      {"OUTPUT_MODE", "matched_only"},
      {"KEEP_FILTERED_EVENTS", "false"},
      {"APPLY_PARSER_TO_OUTPUT_EVENTS", "false"},
      {"KEYING_STRATEGY", "hash"},
      {"KEY_GROUPS_PER_TASK", "1"},
      {"AUTOSCALER_ENABLED", "false"},
      {"AUTOSCALER_MAX_PARALLELISM", "24"},
      {"WINDOW_TYPE", "time"},
      {"WINDOW_SIZE_SECONDS", "30"},
      {"WINDOW_COUNT_THRESHOLD", "20000"},
      {"ENABLE_WATERMARKS", "false"},
      {"WATERMARK_OUT_OF_ORDERNESS_SECONDS", "10"},
      {"WATERMARK_IDLE_TIMEOUT_SECONDS", "60"},
      {"KAFKA_SSL_CHECK_HOSTNAME", "true"},
      {"STATE_BACKEND", "rocksdb"},
      {"ROCKSDB_WRITEBUFFER_SIZE_MB", "64"},
      {"ROCKSDB_WRITEBUFFER_COUNT", "3"},
      {"ROCKSDB_BLOCK_CACHE_SIZE_MB", "256"},
      {"ROCKSDB_BLOCK_SIZE_KB", "4"},
      {"ROCKSDB_COMPACTION_STYLE", "LEVEL"},
      {"ROCKSDB_THREAD_NUM", "4"},
      {"LOG_LEVEL", "INFO"},
      {"LOG_FORMAT", "json"},
      {"KAFKA_BOOTSTRAP_SERVERS", ""},
      {"KAFKA_CLUSTER_ID", ""},
      {"KAFKA_AUTH_METHOD", ""},
      {"KAFKA_API_KEY", ""},
      {"KAFKA_API_SECRET", ""},
      {"KAFKA_SSL_CA_LOCATION", ""},
      {"KAFKA_SSL_CERTIFICATE_LOCATION", ""},
      {"KAFKA_SSL_KEY_LOCATION", ""},
      {"KAFKA_SSL_KEY_PASSWORD", ""},
      {"KAFKA_SSL_TRUSTSTORE_LOCATION", ""},
      {"KAFKA_SSL_TRUSTSTORE_PASSWORD", ""},
      {"FLINK_PARALLELISM", ""},
      {"KAFKA_SOURCE_PARALLELISM", ""},
      {"FLINK_CHECKPOINT_INTERVAL_MS", ""},
      {"FLINK_CHECKPOINT_TIMEOUT_MS", ""},
      {"FLINK_MIN_PAUSE_BETWEEN_CHECKPOINTS_MS", ""},
      {"MAX_PARALLELISM", "128"},
      {"CHECKPOINT_PATH", ""},
      {"SIGMA_RULES_FILE", ""}};
  const auto settings = Load({});
  ASSERT_TRUE(settings.ok()) << settings.status();
  for (const auto& [name, value] : defaults) EXPECT_EQ(settings->Text(name), value) << name;
}

TEST(SigmaSettingsTest, FlagsWinOverTheEnvironmentAndThatOverTheFile) {
  const std::string file = "job_id=file\nOUTPUT_MODE=all_events\nKAFKA_CONSUMER_GROUP=file\n";
  const auto settings =
      Load({{"job-id", "flag"}}, "JOB_ID=environment\nkafka_consumer_group=environment", file);
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->Text("JOB_ID"), "flag");
  EXPECT_EQ(settings->Text("KAFKA_CONSUMER_GROUP"), "environment");
  EXPECT_EQ(settings->Text("OUTPUT_MODE"), "all_events");
  EXPECT_THAT(settings->Describe(),
              AllOf(HasSubstr("JOB_ID=flag  # flag\n"),
                    HasSubstr("KAFKA_CONSUMER_GROUP=environment  # environment\n"),
                    HasSubstr("OUTPUT_MODE=all_events  # file\n"),
                    HasSubstr("WINDOW_SIZE_SECONDS=30  # default\n")));
}

TEST(SigmaSettingsTest, ReadsFilesAsDotenvDoes) {
  const auto settings = Load({}, "",
                             "# a comment\n\nexport JOB_ID = 'soc 1' # why\n"
                             "KAFKA_INPUT_TOPICS=\"a, b,,c # no comment\"\n"
                             "KAFKA_OUTPUT_TOPIC=out # comment\nUNKNOWN=x\nKAFKA_API_KEY=a#b\r\n"
                             "FLINK_PARALLELISM=\nKAFKA_METRICS_TOPIC=\n");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->Text("JOB_ID"), "soc 1");
  EXPECT_THAT(settings->List("KAFKA_INPUT_TOPICS"), ElementsAre("a", "b", "c # no comment"));
  EXPECT_EQ(settings->Text("KAFKA_OUTPUT_TOPIC"), "out");
  EXPECT_EQ(settings->Text("KAFKA_API_KEY"), "a#b");
  EXPECT_EQ(settings->Integer("FLINK_PARALLELISM"), std::nullopt);
  EXPECT_EQ(settings->Text("KAFKA_METRICS_TOPIC"), "");
  EXPECT_THAT(ErrorOf({}, "", "JOB_ID=a\nnonsense\n"), HasSubstr("line=2"));
}

TEST(SigmaSettingsTest, ErrorsNameSettingValueAndWhatIsAllowed) {
  EXPECT_THAT(ErrorOf({}, "WINDOW_SIZE_SECONDS=0"),
              AllOf(HasSubstr("WINDOW_SIZE_SECONDS=0"), HasSubstr("from 1 to 3600")));
  EXPECT_THAT(ErrorOf({}, "WINDOW_SIZE_SECONDS=3601"), HasSubstr("WINDOW_SIZE_SECONDS=3601"));
  EXPECT_THAT(ErrorOf({{"window-size-seconds", "ten"}}), HasSubstr("--window-size-seconds=ten"));
  EXPECT_THAT(ErrorOf({}, "FLINK_CHECKPOINT_INTERVAL_MS=999"), HasSubstr("from 1000"));
  EXPECT_THAT(ErrorOf({}, "KEYING_STRATEGY=random"),
              HasSubstr("one of hash, computer, round_robin, fields: KEYING_STRATEGY=random"));
  EXPECT_THAT(ErrorOf({{"keep-filtered-events", "maybe"}}),
              HasSubstr("true or false: --keep-filtered-events=maybe"));
  EXPECT_THAT(ErrorOf({{"brokers", "a:1"}, {"kafka-bootstrap-servers", "b:1"}}),
              HasSubstr("two flags"));
}

TEST(SigmaSettingsTest, RangesAreChecked) {
  for (const SigmaSetting& setting : SigmaSettingTable()) {
    if (setting.kind != SigmaSetting::Kind::kInteger) continue;
    const std::string name(setting.name);
    EXPECT_EQ(ErrorOf({}, name + "=" + std::to_string(setting.least)), "no error") << name;
    EXPECT_THAT(ErrorOf({}, name + "=" + std::to_string(setting.least - 1)), HasSubstr(name));
    EXPECT_THAT(ErrorOf({}, name + "=1.5"), HasSubstr(name));
    if (setting.most == INT64_MAX) continue;
    EXPECT_EQ(ErrorOf({}, name + "=" + std::to_string(setting.most)), "no error") << name;
    EXPECT_THAT(ErrorOf({}, name + "=" + std::to_string(setting.most + 1)), HasSubstr(name));
  }
}

TEST(SigmaSettingsTest, SecretsAreNeverShown) {
  const auto settings = Load({}, "KAFKA_API_SECRET=hush\nKAFKA_SSL_KEY_PASSWORD=hush");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->Text("KAFKA_API_SECRET"), "hush");
  EXPECT_THAT(settings->Describe(),
              AllOf(HasSubstr("KAFKA_API_SECRET=***  # environment"), Not(HasSubstr("hush"))));
}

TEST(SigmaSettingsTest, TheEnvironmentGivesOnlyWhatIsOurs) {
  const auto pairs = SigmaEnvironment({"PATH=/bin", "job_id=x", "KAFKA_API_KEY=a=b", "broken"});
  EXPECT_EQ(pairs, (std::map<std::string, std::string>{{"JOB_ID", "x"}, {"KAFKA_API_KEY", "a=b"}}));
}

TEST(SigmaSettingsTest, NamesAndFlagsAreUnique) {
  std::set<std::string> seen;
  for (const SigmaSetting& setting : SigmaSettingTable()) {
    EXPECT_TRUE(seen.insert(FlagOf(setting.name)).second) << setting.name;
    for (const std::string_view flag : setting.flags) {
      EXPECT_TRUE(seen.insert(std::string(flag)).second) << flag;
    }
    EXPECT_FALSE(setting.meaning.empty()) << setting.name;
  }
}

}  // namespace
}  // namespace weir::sigma
