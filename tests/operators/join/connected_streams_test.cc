#include "operators/api/connected_streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "operators/api/stream_environment.h"
#include "runtime/base/ids.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"

namespace weir {
namespace {

using ::testing::Each;
using ::testing::SizeIs;
using ::testing::StartsWith;

struct Click {
  int64_t user = 0;
  int64_t time_ms = 0;
  std::string page;
};

struct Profile {
  std::string name;
  int64_t user = 0;
};

/// Gives clicks the name of their user; they wait for it, and those that no profile has come for
/// when event time ends go to a side output.
class EnrichClicks final : public KeyedCoProcessFunction<int64_t, Click, Profile, std::string> {
 public:
  static OutputTag<Click> Unknown() { return OutputTag<Click>("unknown"); }

  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    auto name = context.GetState(ValueStateDescriptor<std::string>{"name"});
    if (!name.ok()) return name.status();
    name_ = *name;
    auto waiting = context.GetState(ListStateDescriptor<Click>{"waiting"});
    if (!waiting.ok()) return waiting.status();
    waiting_ = *waiting;
    return absl::OkStatus();
  }
  void ProcessElement1(const Click& click, Context& context, Collector<std::string>& out) override {
    if (const std::string* name = name_.Get()) {
      out.Collect(StrCat(*name, " ", click.page));
      return;
    }
    waiting_.Add(click);
    context.timer_service().RegisterEventTimeTimer(EventTime::Max());
  }
  void ProcessElement2(const Profile& profile, Context& context,
                       Collector<std::string>& out) override {
    name_.Set(profile.name);
    waiting_.ForEach(
        [&](const Click& click) { out.Collect(StrCat(profile.name, " ", click.page)); });
    waiting_.Clear();
    context.timer_service().DeleteEventTimeTimer(EventTime::Max());
  }
  void OnTimer(TimerKind, Context& context, Collector<std::string>&) override {
    waiting_.ForEach([&](const Click& click) { context.Output(Unknown(), click); });
    waiting_.Clear();
  }

 private:
  ValueState<std::string> name_;
  ListState<Click> waiting_;
};

class ConnectedStreamsTest : public ::testing::Test {
 protected:
  ConnectedStreamsTest()
      : directory_(StrCat(::testing::TempDir(), "/connected-", ToString(RandomId<JobId>()))) {
    std::filesystem::create_directories(directory_);
  }
  ~ConnectedStreamsTest() override { std::filesystem::remove_all(directory_); }

  LocalJobOptions Options(uint32_t parallelism) const {
    LocalJobOptions options;
    options.parallelism = parallelism;
    options.directory = directory_;
    return options;
  }
  absl::Status Run(StreamGraph graph, uint32_t parallelism) {
    LocalJob job(std::move(graph), Options(parallelism));
    if (absl::Status started = job.Start(); !started.ok()) return started;
    return job.WaitUntilFinished();
  }
  template <class T>
  static DataStream<T> From(StreamEnvironment& environment, std::vector<T> records,
                            const std::string& name, bool slow = false) {
    auto stream = environment.FromSource(MemorySource<T>(std::move(records), 16, slow),
                                         WatermarkStrategy<T>::NoWatermarks(), name);
    stream.Uid(name);
    return stream;
  }

  const std::string directory_;
};

TEST_F(ConnectedStreamsTest, EnrichesByKeyExactlyOnceThroughAKillBetweenTheInputs) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    std::mt19937 random(seed);
    std::vector<Click> clicks;
    std::vector<Profile> profiles;
    std::multiset<std::string> expected;
    std::multiset<std::string> expected_unknown;
    // Users 0 to 49 have a profile.
    for (int64_t i = 0; i < 1500; ++i) {
      const auto user = static_cast<int64_t>(random() % 60);
      clicks.push_back({user, i, StrCat("page", i)});
      if (user < 50) {
        expected.insert(StrCat("user", user, " page", i));
      } else {
        expected_unknown.insert(StrCat("page", i));
      }
    }
    for (int64_t user = 0; user < 50; ++user) profiles.push_back({StrCat("user", user), user});
    std::shuffle(profiles.begin(), profiles.end(), random);

    auto named = std::make_shared<MemorySinkContents<std::string>>();
    auto unknown = std::make_shared<MemorySinkContents<std::string>>();
    // One of the streams is slow, in turns, so that the kill comes while the other is through.
    const auto build = [&] {
      StreamGraph graph;
      StreamEnvironment environment(&graph);
      auto enriched = From(environment, clicks, "clicks", seed % 2 == 0)
                          .KeyBy([](const Click& click) { return click.user; })
                          .Connect(From(environment, profiles, "profiles", seed % 2 == 1)
                                       .KeyBy([](const Profile& profile) { return profile.user; }))
                          .Process(EnrichClicks());
      enriched.Uid("enrich");
      enriched.GetSideOutput(EnrichClicks::Unknown())
          .Map([](const Click& click) { return click.page; })
          .Uid("pages")
          .SinkTo(MemorySink<std::string>(unknown))
          .Uid("unknown");
      enriched.SinkTo(MemorySink<std::string>(named)).Uid("named");
      return graph;
    };
    LocalCheckpoint checkpoint;
    {
      LocalJob job(build(), Options(static_cast<uint32_t>(1 + random() % 3)));
      ASSERT_TRUE(job.Start().ok());
      auto taken = job.TriggerCheckpoint();
      ASSERT_TRUE(taken.ok()) << taken.status();
      checkpoint = *std::move(taken);
    }
    LocalJob job(build(), Options(static_cast<uint32_t>(1 + random() % 3)));
    ASSERT_TRUE(job.Start(&checkpoint).ok());
    const absl::Status finished = job.WaitUntilFinished();
    ASSERT_TRUE(finished.ok()) << finished;
    EXPECT_EQ(named->Committed(), expected);
    EXPECT_EQ(unknown->Committed(), expected_unknown);
  }
}

/// Numbers as decimal text, and text as it is.
class ToText final : public CoMapFunction<int64_t, std::string, std::string> {
 public:
  std::string Map1(const int64_t& number) override { return StrCat("n", number); }
  std::string Map2(const std::string& text) override { return text; }
};

/// As many copies as the number says, or as the text has letters.
class Copies final : public CoFlatMapFunction<int64_t, std::string, std::string> {
 public:
  void FlatMap1(const int64_t& number, Collector<std::string>& out) override {
    for (int64_t i = 0; i < number; ++i) out.Collect(StrCat("n", number));
  }
  void FlatMap2(const std::string& text, Collector<std::string>& out) override {
    for (size_t i = 0; i < text.size(); ++i) out.Collect(text);
  }
};

TEST_F(ConnectedStreamsTest, MapAndFlatMapCallTheFunctionOfEachInput) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  const auto numbers = From<int64_t>(environment, {1, 2, 3}, "numbers");
  const auto texts = From<std::string>(environment, {"a", "bc"}, "texts");
  auto mapped = std::make_shared<MemorySinkContents<std::string>>();
  auto by_lambdas = std::make_shared<MemorySinkContents<int64_t>>();
  auto copies = std::make_shared<MemorySinkContents<std::string>>();
  numbers.Connect(texts).Map(ToText()).SinkTo(MemorySink<std::string>(mapped));
  numbers.Connect(texts)
      .Map([](const int64_t& number) { return number; },
           [](const std::string& text) { return -static_cast<int64_t>(text.size()); })
      .SinkTo(MemorySink<int64_t>(by_lambdas));
  numbers.Connect(texts).FlatMap(Copies()).SinkTo(MemorySink<std::string>(copies));
  const absl::Status finished = Run(std::move(graph), 2);
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_EQ(mapped->Committed(), (std::multiset<std::string>{"a", "bc", "n1", "n2", "n3"}));
  EXPECT_EQ(by_lambdas->Committed(), (std::multiset<int64_t>{1, 2, 3, -1, -2}));
  EXPECT_EQ(copies->Committed(),
            (std::multiset<std::string>{"a", "bc", "bc", "n1", "n2", "n2", "n3", "n3", "n3"}));
}

/// Sends even numbers aside, and makes many records of each text.
class SplitNumbers final : public CoProcessFunction<int64_t, std::string, std::string> {
 public:
  static OutputTag<int64_t> Even() { return OutputTag<int64_t>("even"); }
  void ProcessElement1(const int64_t& number, Context& context,
                       Collector<std::string>& out) override {
    if (number % 2 == 0) {
      context.Output(Even(), number);
    } else {
      out.Collect(StrCat("odd ", number));
    }
  }
  void ProcessElement2(const std::string& text, Context&, Collector<std::string>& out) override {
    // More than a batch from one record.
    for (int i = 0; i < 3000; ++i) out.Collect(StrCat("odd ", text));
  }
};

TEST_F(ConnectedStreamsTest, ProcessHasSideOutputsAndKeyByTakesKeysOfBothStreams) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  std::vector<int64_t> all;
  for (int64_t i = 0; i < 1000; ++i) all.push_back(i);
  auto texts = From<std::string>(environment, {"a", "bc"}, "texts");
  texts.SetParallelism(1);
  auto even = std::make_shared<MemorySinkContents<int64_t>>();
  auto rest = std::make_shared<MemorySinkContents<std::string>>();
  const auto processed = From(environment, all, "numbers")
                             .Rebalance()
                             .Connect(texts.Rebalance())
                             .Process(SplitNumbers());
  processed.GetSideOutput(SplitNumbers::Even()).SinkTo(MemorySink<int64_t>(even));
  processed.SinkTo(MemorySink<std::string>(rest));

  auto enriched = std::make_shared<MemorySinkContents<std::string>>();
  const auto clicks = From<Click>(environment, {{7, 1, "start"}, {8, 2, "end"}}, "clicks");
  const auto profiles = From<Profile>(environment, {{"eve", 7}, {"bob", 8}}, "profiles");
  clicks.Connect(profiles)
      .KeyBy([](const Click& click) { return click.user; },
             [](const Profile& profile) { return profile.user; })
      .Process(EnrichClicks())
      .SinkTo(MemorySink<std::string>(enriched));

  const absl::Status finished = Run(std::move(graph), 2);
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(even->Committed(), SizeIs(500));
  EXPECT_THAT(rest->Committed(), SizeIs(500 + 2 * 3000));
  EXPECT_THAT(rest->Committed(), Each(StartsWith("odd ")));
  EXPECT_EQ(enriched->Committed(), (std::multiset<std::string>{"bob end", "eve start"}));
}

TEST_F(ConnectedStreamsTest, AStreamMayBeConnectedWithItself) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  const auto numbers = From<int64_t>(environment, {1, 2, 3}, "numbers");
  auto results = std::make_shared<MemorySinkContents<int64_t>>();
  numbers.Connect(numbers)
      .Map([](const int64_t& number) { return number; },
           [](const int64_t& number) { return 10 * number; })
      .SinkTo(MemorySink<int64_t>(results));
  const absl::Status finished = Run(std::move(graph), 2);
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_EQ(results->Committed(), (std::multiset<int64_t>{1, 2, 3, 10, 20, 30}));
}

}  // namespace
}  // namespace weir
