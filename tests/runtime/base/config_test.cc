#include "runtime/base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr ConfigOption<std::string> kPassword{"sink.password", "", "A secret."};

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    file_ = StrCat(::testing::TempDir(), "/weir_config_test_", test->name(), ".yaml");
    auto registry = std::make_shared<OptionRegistry>();
    AddWeirOptions(registry.get());
    registry->Add(kPassword);
    registry_ = registry;
  }
  ~ConfigTest() override { std::filesystem::remove(file_); }

  absl::StatusOr<Configuration> Load(const ConfigurationSources& sources) {
    return Configuration::Load(registry_, sources);
  }

  absl::StatusOr<Configuration> LoadYaml(std::string_view yaml) {
    std::ofstream(file_) << yaml;
    return Load({.file = file_});
  }

  // Returns the message of the error that `result` must hold.
  static std::string Error(const absl::StatusOr<Configuration>& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  }

  std::string file_;
  std::shared_ptr<const OptionRegistry> registry_;
};

TEST_F(ConfigTest, ReturnsDefaultsWhenNothingIsSet) {
  const Configuration configuration = *Load({});
  EXPECT_EQ(configuration.Get(kRestPort), 8081);
  EXPECT_EQ(configuration.Get(kRestBindAddress), "127.0.0.1");
  EXPECT_EQ(configuration.Get(kCheckpointingInterval), absl::Seconds(1));
  EXPECT_EQ(configuration.Get(kTaskManagerMemorySize), MemorySize::Gibibytes(1));
  EXPECT_EQ(configuration.Get(kExponentialDelayBackoffMultiplier), 1.5);
  EXPECT_EQ(configuration.SourceOf("rest.port"), "default");
  EXPECT_EQ(Configuration().Get(kRestPort), 8081);
}

TEST_F(ConfigTest, ReadsNestedAndDottedKeys) {
  const auto configuration = LoadYaml(R"(
rest:
  port: 9000
  bind-address: 0.0.0.0
execution.checkpointing:
  interval: 5 s
taskmanager.memory.size: 64 mb
io.tmp.dirs:
)");
  ASSERT_TRUE(configuration.ok()) << configuration.status();
  EXPECT_EQ(configuration->Get(kRestPort), 9000);
  EXPECT_EQ(configuration->Get(kRestBindAddress), "0.0.0.0");
  EXPECT_EQ(configuration->Get(kCheckpointingInterval), absl::Seconds(5));
  EXPECT_EQ(configuration->Get(kTaskManagerMemorySize), MemorySize::Mebibytes(64));
  EXPECT_EQ(configuration->Get(kIoTmpDirs), "");
  EXPECT_EQ(configuration->SourceOf("rest.port"), StrCat(file_, ":3"));
}

TEST_F(ConfigTest, LaterSourcesWin) {
  std::ofstream(file_) << "rest.port: 1\nparallelism.default: 1\ntaskmanager.data.port: 1\n";
  const Configuration configuration =
      *Load({.file = file_,
             .environment = {"WEIR_PARALLELISM_DEFAULT=2", "WEIR_TASKMANAGER_DATA_PORT=2"},
             .definitions = {"taskmanager.data.port=3"}});
  EXPECT_EQ(configuration.Get(kRestPort), 1);
  EXPECT_EQ(configuration.Get(kParallelismDefault), 2);
  EXPECT_EQ(configuration.Get(kTaskManagerDataPort), 3);
  EXPECT_EQ(configuration.SourceOf("taskmanager.data.port"),
            "command line -Dtaskmanager.data.port");
}

TEST_F(ConfigTest, ReadsTheFileThatTheEnvironmentNames) {
  std::ofstream(file_) << "rest.port: 77\n";
  EXPECT_EQ(Load({.environment = {"WEIR_CONFIG=" + file_}})->Get(kRestPort), 77);
}

TEST_F(ConfigTest, EnvironmentNamesAreUpperCaseWithUnderscores) {
  const Configuration configuration =
      *Load({.environment = {"WEIR_TASKMANAGER_NUMBEROFTASKSLOTS=8", "WEIR_REST_BIND_ADDRESS=::1",
                             "HOME=/root", "WEIR_HOME=/opt", "WEIR_LOG_DIR=/tmp",
                             "WEIR_FAILPOINTS=a=error", "WEIR_TEST_SEED=1"}});
  EXPECT_EQ(configuration.Get(kTaskManagerNumberOfTaskSlots), 8);
  EXPECT_EQ(configuration.Get(kRestBindAddress), "::1");
}

TEST_F(ConfigTest, UnknownKeyInTheFileNamesLineAndNearestKey) {
  EXPECT_THAT(Error(LoadYaml("rest.port: 1\nrest:\n  bind-adress: x\n")),
              AllOf(HasSubstr("unknown option"), HasSubstr("did you mean \"rest.bind-address\"?"),
                    HasSubstr("key=\"rest.bind-adress\""), HasSubstr(StrCat(file_, ":3"))));
}

TEST_F(ConfigTest, UnknownVariableNamesTheNearestVariable) {
  EXPECT_THAT(Error(Load({.environment = {"WEIR_REST_PROT=1"}})),
              AllOf(HasSubstr("did you mean \"WEIR_REST_PORT\"?"),
                    HasSubstr("environment variable WEIR_REST_PROT")));
}

TEST_F(ConfigTest, UnknownDefinitionNamesTheNearestKey) {
  EXPECT_THAT(Error(Load({.definitions = {"paralelism.default=4"}})),
              AllOf(HasSubstr("did you mean \"parallelism.default\"?"),
                    HasSubstr("command line -Dparalelism.default")));
  EXPECT_THAT(Error(Load({.definitions = {"zzz=4"}})), HasSubstr("see --help"));
}

TEST_F(ConfigTest, DefinitionWithoutValueIsRefused) {
  EXPECT_THAT(Error(Load({.definitions = {"rest.port"}})), HasSubstr("-Dkey=value"));
}

TEST_F(ConfigTest, ValueThatDoesNotParseNamesKeyTextFormAndExample) {
  EXPECT_THAT(Error(LoadYaml("\nexecution.checkpointing.interval: soon\n")),
              AllOf(HasSubstr("execution.checkpointing.interval"), HasSubstr("\"soon\""),
                    HasSubstr("a unit of ns, us, ms, s"), HasSubstr("like \"1 s\""),
                    HasSubstr(file_ + ":2")));
  EXPECT_THAT(Error(Load({.definitions = {"rest.port=80x"}})),
              AllOf(HasSubstr("a whole number in 0..65535, like \"8081\""), HasSubstr("\"80x\"")));
  EXPECT_THAT(Error(Load({.definitions = {"taskmanager.memory.size=big"}})),
              HasSubstr("a number and a unit of b, kb, mb, gb or tb, like \"1 gb\""));
  EXPECT_THAT(Error(Load({.definitions = {"restart-strategy.type=sometimes"}})),
              HasSubstr("one of exponential-delay|failure-rate|fixed-delay|none"));
}

TEST_F(ConfigTest, ValueOutOfRangeIsRefused) {
  EXPECT_THAT(Error(Load({.definitions = {"rest.port=65536"}})), HasSubstr("0..65535"));
  EXPECT_THAT(Error(Load({.definitions = {"parallelism.default=0"}})), HasSubstr("1..32768"));
  EXPECT_THAT(
      Error(Load({.definitions = {"restart-strategy.exponential-delay.backoff-multiplier=0.5"}})),
      HasSubstr("1.."));
  EXPECT_THAT(
      Error(Load({.definitions = {"restart-strategy.exponential-delay.jitter-factor=nan"}})),
      HasSubstr("a number in 0..1"));
}

TEST_F(ConfigTest, FileThatIsMissingBrokenOrOfAnotherShapeIsRefused) {
  EXPECT_THAT(Error(Load({.file = "/no/such.yaml"})), HasSubstr("/no/such.yaml"));
  EXPECT_THAT(Error(Load({.file = ::testing::TempDir()})),
              AllOf(HasSubstr("it is a folder"), HasSubstr(::testing::TempDir())));
  EXPECT_THAT(Error(LoadYaml("rest:\n  port: [1\n")),
              AllOf(HasSubstr("not YAML"), HasSubstr(file_)));
  EXPECT_THAT(Error(LoadYaml("- a\n- b\n")), HasSubstr("expected lines like"));
  EXPECT_THAT(Error(LoadYaml("rest.port: [1, 2]\n")), HasSubstr("not a list"));
  EXPECT_TRUE(LoadYaml("# only a comment\n").ok());
}

TEST_F(ConfigTest, KeySetTwiceInTheFileNamesBothLines) {
  EXPECT_THAT(Error(LoadYaml("rest.port: 1\nrest:\n  port: 2\n")),
              AllOf(HasSubstr("first=" + file_ + ":1"), HasSubstr("source=" + file_ + ":3")));
}

TEST_F(ConfigTest, SetAndGetKeepEveryType) {
  Configuration configuration(registry_);
  configuration.Set(kRestPort, 0);
  configuration.Set(kRestBindAddress, "::");
  configuration.Set(kBufferTimeout, absl::Microseconds(1500));
  configuration.Set(kNetworkChannelBytes, MemorySize(12345));
  configuration.Set(kExponentialDelayJitterFactor, 1.0 / 3);
  EXPECT_EQ(configuration.Get(kRestPort), 0);
  EXPECT_EQ(configuration.Get(kRestBindAddress), "::");
  EXPECT_EQ(configuration.Get(kBufferTimeout), absl::Microseconds(1500));
  EXPECT_EQ(configuration.Get(kNetworkChannelBytes), MemorySize(12345));
  EXPECT_EQ(configuration.Get(kExponentialDelayJitterFactor), 1.0 / 3);
}

TEST_F(ConfigTest, BooleansHaveSeveralSpellings) {
  constexpr ConfigOption<bool> kFlag{"some.flag", false, "A flag."};
  auto registry = std::make_shared<OptionRegistry>();
  registry->Add(kFlag);
  for (const std::string text : {"true", "YES", "on", "1"}) {
    EXPECT_TRUE(Configuration::Load(registry, {.definitions = {"some.flag=" + text}})->Get(kFlag));
  }
  for (const std::string text : {"false", "No", "off", "0"}) {
    EXPECT_FALSE(Configuration::Load(registry, {.definitions = {"some.flag=" + text}})->Get(kFlag));
  }
  EXPECT_FALSE(Configuration::Load(registry, {.definitions = {"some.flag=maybe"}}).ok());
}

TEST_F(ConfigTest, MapHoldsEffectiveValuesAndHidesSecrets) {
  const Configuration configuration =
      *Load({.definitions = {"execution.checkpointing.interval=60000", "sink.password=hunter2"}});
  const auto map = configuration.ToMap();
  EXPECT_THAT(map, Contains(Pair("execution.checkpointing.interval", "1 min")));
  EXPECT_THAT(map, Contains(Pair("rest.port", "8081")));
  EXPECT_THAT(map, Contains(Pair("sink.password", "******")));
  EXPECT_EQ(configuration.Get(kPassword), "hunter2");
}

TEST_F(ConfigTest, DescriptionsNameKeyTypeDefaultAndVariable) {
  const OptionDescription* const port = registry_->Find("rest.port");
  ASSERT_NE(port, nullptr);
  EXPECT_EQ(port->type, "integer");
  EXPECT_EQ(port->default_text, "8081");
  EXPECT_EQ(port->environment, "WEIR_REST_PORT");
  EXPECT_EQ(registry_->Describe().size(), WeirOptions()->Describe().size() + 1);
  EXPECT_THAT(registry_->DescribeAsText(),
              HasSubstr("rest.port (integer 0..65535, default \"8081\")"));
  EXPECT_THAT(registry_->DescribeAsMarkdown(),
              HasSubstr("| `restart-strategy.type` | string: exponential-delay or failure-rate or "
                        "fixed-delay or none or "));
}

TEST_F(ConfigTest, TakesItsFlagsOutOfTheArgumentsUpToTheDoubleDash) {
  std::vector<std::string> arguments = {"run", "-Da=1", "--config", "f.yaml", "-D",
                                        "b=2", "job",   "--",       "-Dc=3",  "--config"};
  const ConfigurationSources sources = *TakeConfigurationSources(&arguments);
  EXPECT_EQ(sources.file, "f.yaml");
  EXPECT_THAT(sources.definitions, ElementsAre("a=1", "b=2"));
  EXPECT_THAT(arguments, ElementsAre("run", "job", "--", "-Dc=3", "--config"));
  std::vector<std::string> cut_off = {"--config"};
  EXPECT_FALSE(TakeConfigurationSources(&cut_off).ok());
}

TEST_F(ConfigTest, TakesTheEnvironmentOfThisProcess) {
  setenv("WEIR_REST_PORT", "1234", 1);
  std::vector<std::string> arguments;
  const ConfigurationSources sources = *TakeConfigurationSources(&arguments);
  unsetenv("WEIR_REST_PORT");
  EXPECT_THAT(sources.environment, Contains("WEIR_REST_PORT=1234"));
}

TEST(ConfigDeathTest, SettingWhatAnOptionDoesNotAllowIsABug) {
  Configuration configuration;
  EXPECT_DEATH(configuration.Set(kRestPort, 70'000), "not a value of rest.port");
}

}  // namespace
}  // namespace weir
