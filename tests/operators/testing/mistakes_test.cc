// What job authors often get wrong, and what weir says to it: each message names what is wrong,
// where, and how to mend it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "operators/connectors/data_gen_source.h"
#include "operators/connectors/deserializing_source.h"
#include "operators/connectors/file/file_source.h"
#include "operators/connectors/kafka/kafka_source.h"
#include "operators/connectors/socket/socket_source.h"
#include "operators/connectors/values_source.h"
#include "operators/testing/collect_sink.h"
#include "operators/testing/mini_cluster.h"
#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "runtime/graph/job_args.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

using Numbers = DataStream<int64_t>;
using NumberHarness = OperatorTestHarness<int64_t, int64_t>;

const auto kSelf = [](int64_t n) { return n; };

// A keyed function whose Open is `open`.
template <class OpenFn>
struct Opens final : KeyedProcessFunction<int64_t, int64_t, int64_t> {
  explicit Opens(OpenFn fn) : open(std::move(fn)) {}
  absl::Status Open(KeyedOpenContext<int64_t>& context) override { return open(context); }
  void ProcessElement(const int64_t& n, Context&, Collector<int64_t>& out) override {
    out.Collect(n);
  }
  OpenFn open;
};

template <class... Descriptors>
auto WithStates(Descriptors... descriptors) {
  return [=](Numbers numbers) {
    return numbers.KeyBy(kSelf)
        .Process(Opens([=](KeyedOpenContext<int64_t>& context) {
          absl::Status status;
          ((status.Update(context.GetState(descriptors).status())), ...);
          return status;
        }))
        .Uid("counts");
  };
}

// Takes out where the operator is declared: the line is another with each change of this file, and
// compilers do not agree on that of a call of several lines.
std::string WithoutPlace(std::string message) {
  constexpr std::string_view kPlace = ", declared at mistakes_test.cc:";
  const size_t begin = message.find(kPlace);
  if (begin == std::string::npos) return message;
  message.erase(begin, message.find_first_not_of("0123456789", begin + kPlace.size()) - begin);
  return message;
}

// What stops a harness of `build` that processes one number, restored from `snapshot`.
template <class Build>
std::string FailureOf(Build build, OperatorTestOptions options = {},
                      std::optional<OperatorTestSnapshot> snapshot = std::nullopt) {
  NumberHarness harness(build, options);
  if (snapshot.has_value()) harness.Restore(*snapshot);
  harness.ProcessElement(1);
  return WithoutPlace(std::string(harness.status().message()));
}

template <class Build>
OperatorTestSnapshot SnapshotOf(Build build, OperatorTestOptions options = {}) {
  NumberHarness harness(build, options);
  harness.ProcessElement(1);
  return harness.Snapshot();
}

std::string JobFailure(const MiniCluster::Build& build,
                       absl::Duration timeout = absl::Seconds(60)) {
  MiniCluster cluster({.parallelism = 1});
  return WithoutPlace(std::string(cluster.Execute(build, timeout).message()));
}

// A job of one source and one sink.
template <class SourceType>
std::string SourceFailure(SourceType source) {
  using T = typename SourceType::Record;
  return JobFailure([&](StreamEnvironment& environment) {
    environment.FromSource(source, WatermarkStrategy<T>::NoWatermarks(), "in")
        .SinkTo(CollectSink<T>());
    return absl::OkStatus();
  });
}

Numbers From(StreamEnvironment& environment, std::vector<int64_t> numbers) {
  return environment.FromSource(ValuesSource<int64_t>(std::move(numbers)),
                                WatermarkStrategy<int64_t>::NoWatermarks(), "numbers");
}

std::string ArgumentFailure(const std::vector<std::string>& arguments) {
  const auto args = JobArgs::Parse(arguments);
  if (!args.ok()) return std::string(args.status().message());
  if (const auto got = args->GetRequired("topic", "where alerts go"); !got.ok()) {
    return std::string(got.status().message());
  }
  if (const auto got = args->GetInt("limit", 5); !got.ok()) {
    return std::string(got.status().message());
  }
  if (const auto got = args->GetDuration("window", absl::Seconds(5)); !got.ok()) {
    return std::string(got.status().message());
  }
  if (const auto got = args->GetBool("strict", false); !got.ok()) {
    return std::string(got.status().message());
  }
  return std::string(args->CheckAllUsed().message());
}

std::string OptionFailure(std::string_view key, std::string_view value) {
  Configuration configuration(WeirOptions());
  return std::string(configuration.SetText(key, value, "job").message());
}

TEST(MistakesTest, OfTheGraph) {
  EXPECT_EQ(JobFailure([](StreamEnvironment&) { return absl::OkStatus(); }),
            "the job has no operators; add a source and a sink");
  EXPECT_EQ(JobFailure([](StreamEnvironment& environment) {
              From(environment, {1}).Map(kSelf).Uid("a").Map(kSelf).Name("Second").Uid("a");
              return absl::OkStatus();
            }),
            "two operators have the same uid; give each its own: uid=a operator=Second");
  EXPECT_EQ(JobFailure([](StreamEnvironment& environment) {
              From(environment, {1}).Map(kSelf).SetParallelism(200);
              return absl::OkStatus();
            }),
            "parallelism must be between 1 and the max parallelism, and that at most 32768: "
            "operator=Map parallelism=200 max_parallelism=128");
  EXPECT_EQ(JobFailure([](StreamEnvironment& environment) {
              From(environment, {1}).Map(kSelf).SetParallelism(0);
              return absl::OkStatus();
            }),
            "parallelism must be between 1 and the max parallelism, and that at most 32768: "
            "operator=Map parallelism=0 max_parallelism=128");
  EXPECT_EQ(JobFailure([](StreamEnvironment&) {
              return absl::InvalidArgumentError("no rules in the folder");
            }),
            "no rules in the folder");
}

TEST(MistakesTest, NameTheLineOfTheJob) {
  int line = 0;
  MiniCluster cluster({.parallelism = 1});
  const auto fails = [](int64_t) -> int64_t { throw std::out_of_range("row 7"); };
  const absl::Status failure = cluster.Execute([&](StreamEnvironment& environment) {
    const Numbers numbers = From(environment, {1});
    line = __LINE__ + 1;
    numbers.Map(fails).SinkTo(CollectSink<int64_t>());
    return absl::OkStatus();
  });
  EXPECT_THAT(std::string(failure.message()),
              HasSubstr(StrCat(", declared at mistakes_test.cc:", line, ")")));
  const auto counts = [](Numbers in) {
    return in.KeyBy(kSelf)
        .Window(TumblingEventTimeWindows::Of(absl::Seconds(1)))
        .Reduce([](int64_t, int64_t) -> int64_t { throw std::out_of_range("row 8"); });
  };
  NumberHarness harness(counts);
  harness.ProcessElement(1, EventTime::FromMillis(1));
  harness.ProcessElement(1, EventTime::FromMillis(2));
  EXPECT_THAT(std::string(harness.status().message()),
              HasSubstr(", declared at mistakes_test.cc:"));
}

TEST(MistakesTest, OfUserCode) {
  EXPECT_THAT(FailureOf([](Numbers in) {
                return in.Map([](int64_t) -> int64_t { throw std::out_of_range("row 7"); });
              }),
              StartsWith("user code threw an exception: row 7 (operator=Map uid="));
  EXPECT_THAT(
      FailureOf([](Numbers in) { return in.Map([](int64_t) -> int64_t { throw 7; }).Uid("m"); }),
      "user code threw an exception: of unknown type (operator=Map uid=m subtask=0/1 "
      "record=0/1 of its batch)");
  EXPECT_EQ(FailureOf([](Numbers in) {
              return in.KeyBy(kSelf)
                  .Process(Opens([](KeyedOpenContext<int64_t>&) {
                    return absl::NotFoundError("no model file");
                  }))
                  .Uid("score");
            }),
            "no model file (operator=KeyedProcess uid=score subtask=0/1 while opening)");
  EXPECT_THAT(FailureOf([](Numbers in) {
                return in.KeyBy([](int64_t) -> int64_t { throw std::runtime_error("no key"); })
                    .Process(Opens([](KeyedOpenContext<int64_t>&) { return absl::OkStatus(); }));
              }),
              HasSubstr("no key"));
}

TEST(MistakesTest, OfState) {
  EXPECT_EQ(FailureOf(WithStates(ValueStateDescriptor<int64_t>("n"),
                                 ValueStateDescriptor<std::string>("n"))),
            "a state name is used for two states; give one of them another name: state=n "
            "registered=value(key: int64, namespace: struct{}, value: int64) requested=value(key: "
            "int64, namespace: struct{}, value: string) (operator=KeyedProcess uid=counts "
            "subtask=0/1 while opening)");
  EXPECT_THAT(
      FailureOf(WithStates(ValueStateDescriptor<int64_t>("n"), ListStateDescriptor<int64_t>("n"))),
      StartsWith("a state name is used for two states; give one of them another name"));
}

// A function that keeps one number.
struct KeepsNumber final : KeyedProcessFunction<int64_t, int64_t, int64_t> {
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(state, context.GetState(ValueStateDescriptor<int64_t>("n")));
    return absl::OkStatus();
  }
  void ProcessElement(const int64_t& n, Context&, Collector<int64_t>&) override { state.Set(n); }
  ValueState<int64_t> state;
};

TEST(MistakesTest, OfUpgrades) {
  const auto keeps = [](Numbers in) {
    return in.KeyBy(kSelf).Process(KeepsNumber{}).Uid("counts");
  };
  const OperatorTestSnapshot snapshot = SnapshotOf(keeps);
  EXPECT_EQ(FailureOf(WithStates(ValueStateDescriptor<std::string>("n")), {}, snapshot),
            "cannot restore a state: a type has changed to one that cannot hold all of its values; "
            "keep the type, or give the field another name and the old value is dropped: "
            "field=value snapshot_type=int64 declared_type=string state=n "
            "snapshot=value(key: int64, namespace: struct{}, value: int64) "
            "declared=value(key: int64, namespace: struct{}, value: string) "
            "(operator=KeyedProcess uid=counts subtask=0/1 while opening)");
  EXPECT_THAT(FailureOf(keeps, {.max_parallelism = 64}, snapshot),
              StartsWith("cannot restore keyed state: max parallelism differs from the snapshot; "
                         "set max parallelism back to the snapshot's value, or start without the "
                         "snapshot: snapshot_max_parallelism=128 job_max_parallelism=64"));
  EXPECT_THAT(FailureOf([&](Numbers in) { return keeps(in).Uid("count"); }, {}, snapshot),
              StartsWith("the snapshot has state of an operator that is not here; give operators "
                         "uids that stay the same: operator_id="));
}

TEST(MistakesTest, OfArguments) {
  EXPECT_EQ(ArgumentFailure({}), "job argument is missing: --topic (where alerts go)");
  EXPECT_EQ(ArgumentFailure({"topic=a"}),
            "job argument is not of the form --name value: \"topic=a\"");
  EXPECT_EQ(ArgumentFailure({"--topic", "a", "--topic", "b"}),
            "job argument is given twice: --topic");
  EXPECT_EQ(ArgumentFailure({"--topic", "a", "--limit", "many"}),
            "job argument has a value that cannot be read; give a whole number: --limit=many");
  EXPECT_THAT(ArgumentFailure({"--topic", "a", "--window", "5 parsecs"}),
              StartsWith("job argument has a value that cannot be read; give a duration"));
  EXPECT_THAT(ArgumentFailure({"--topic", "a", "--strict", "perhaps"}),
              StartsWith("job argument has a value that cannot be read; give true or false"));
  EXPECT_EQ(ArgumentFailure({"--topic", "a", "--windw", "5s"}),
            "the job has no argument --windw; did you mean --window?");
}

TEST(MistakesTest, OfOptions) {
  EXPECT_EQ(OptionFailure("execution.checkpointing.intervall", "5 s"),
            "unknown option; did you mean \"execution.checkpointing.interval\"?: "
            "key=\"execution.checkpointing.intervall\" source=job");
  EXPECT_EQ(
      OptionFailure("execution.checkpointing.interval", "5 parsecs"),
      "not a value of option execution.checkpointing.interval; expected a number and a unit of "
      "ns, us, ms, s, min, h or d, like \"1 s\": \"5 parsecs\" source=job");
  EXPECT_THAT(OptionFailure("no.such.thing.at.all", "1"),
              StartsWith("unknown option; see --help for those there are"));
}

TEST(MistakesTest, OfConnectors) {
  TemporaryFolder folder;
  folder.Write("cut.json", "[{\"a\":1}, {\"a\"");
  folder.Write("long.log", std::string(1000, 'x') + "\n");
  folder.Write("bad.log", "{\"user\": 1}\n");
  const std::string where = " (operator=in uid=";
  EXPECT_THAT(SourceFailure(FileSource({.path = folder.PathOf("missing.log")})),
              HasSubstr("missing.log"));
  EXPECT_THAT(SourceFailure(FileSource({.path = folder.PathOf("cut.json")})),
              StartsWith(StrCat("the JSON array is cut off at the end of the file: file=",
                                folder.PathOf("cut.json"), " offset=")));
  EXPECT_THAT(
      SourceFailure(FileSource({.path = folder.PathOf("long.log"), .max_record_bytes = 99})),
      StartsWith(StrCat("a record is longer than max_record_bytes allows: file=",
                        folder.PathOf("long.log"), " offset=0 max_record_bytes=99")));
  const auto parse = [](const std::string&) -> absl::StatusOr<int64_t> {
    return absl::InvalidArgumentError("no field \"time\"");
  };
  EXPECT_THAT(
      SourceFailure(DeserializingSource(FileSource({.path = folder.PathOf("bad.log")}), parse,
                                        OnMalformed::kFail)),
      StartsWith(StrCat("malformed record; mend the input, or have the source skip such "
                        "records or put them out as dead letters (OnMalformed): split=",
                        folder.PathOf("bad.log"),
                        "#0 position=0 error=no field \"time\" record={\"user\": 1}", where)));
  const auto one = [](const DataGenRecord&, DataGenRandom&) { return int64_t{1}; };
  EXPECT_THAT(SourceFailure(DataGenSource({.late_share = 2}, one)),
              StartsWith("shares of a data generator are between 0 and 1: late_share=2"));
  EXPECT_THAT(SourceFailure(DataGenSource({.malformed_share = 0.1}, one)),
              StartsWith("malformed_share needs a data generator that makes std::string"));
  EXPECT_THAT(std::string(KafkaSource({.brokers = "b:9092",
                                       .topics = {"t"},
                                       .properties = {{"fetch.wait.max", "5"}}})
                              .Validate()
                              .message()),
              HasSubstr("fetch.wait.max.ms"));
  EXPECT_THAT(std::string(KafkaSource({.brokers = "b:9092"}).Validate().message()),
              HasSubstr("topic"));
  EXPECT_THAT(SourceFailure(SocketSource({.port = 1})),
              StartsWith("socket source has no connection; start the server first, or set "
                         "reconnect: host=127.0.0.1 port=1 error="));
}

TEST(MistakesTest, OfTests) {
  EXPECT_EQ(FailureOf([](Numbers in) { return in; }), "the stream under test has no operator");
  NumberHarness harness([](Numbers in) { return in.Map(kSelf); });
  harness.ProcessElement(1);
  EXPECT_TRUE(harness.TakeSideOutput(OutputTag<int64_t>("late")).empty());
  EXPECT_EQ(harness.status().message(),
            "no operator under test has this side output; call CollectSideOutput before the first "
            "element: tag=late");
  const auto endless = [](StreamEnvironment& environment) {
    environment
        .FromSource(DataGenSource({.records_per_second = 10},
                                  [](const DataGenRecord& r, DataGenRandom&) { return r.index; }),
                    WatermarkStrategy<uint64_t>::NoWatermarks(), "numbers")
        .SinkTo(CollectSink<uint64_t>());
    return absl::OkStatus();
  };
  EXPECT_THAT(JobFailure(endless, absl::Milliseconds(20)), HasSubstr("did not finish"));
}

}  // namespace
}  // namespace weir
