// Savepoints made without a job, and what a job sees of them.

#include "operators/state_processor/savepoint_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "jobmanager/checkpoint/snapshot_files.h"
#include "operators/api/job.h"
#include "operators/connectors/values_source.h"
#include "operators/state_processor/savepoint_reader.h"
#include "operators/testing/collect_sink.h"
#include "operators/testing/mini_cluster.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/serde.h"
#include "runtime/state/operator_subtask_state.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

struct Login {
  std::string user;
  int32_t bytes = 0;
};
struct Total {
  std::string user;
  int64_t logins = 0;
  bool operator==(const Total&) const = default;
};

const ValueStateDescriptor<int64_t> kCount{"count"};
const ListStateDescriptor<int32_t> kSizes{"sizes"};

// Counts logins, and keeps their sizes.
class CountLogins final : public KeyedProcessFunction<std::string, Login, Total> {
 public:
  absl::Status Open(KeyedOpenContext<std::string>& context) override {
    ASSIGN_OR_RETURN(count_, context.GetState(kCount));
    ASSIGN_OR_RETURN(sizes_, context.GetState(kSizes));
    return absl::OkStatus();
  }
  void ProcessElement(const Login& login, Context&, Collector<Total>& out) override {
    sizes_.Add(login.bytes);
    out.Collect({login.user, ++count_.Mutable()});
  }

 private:
  ValueState<int64_t> count_;
  ListState<int32_t> sizes_;
};

class SavepointWriterTest : public ::testing::Test {
 protected:
  using Keyed = KeyedStateBackend<std::string>;

  std::string Path(const std::string& name) { return directory_.path() + "/" + name; }

  static std::function<absl::Status(Keyed&)> AddLogins(std::vector<Login> logins) {
    return [logins](Keyed& state) -> absl::Status {
      ASSIGN_OR_RETURN(auto count, state.GetState(kCount));
      ASSIGN_OR_RETURN(auto sizes, state.GetState(kSizes));
      for (const Login& login : logins) {
        state.SetCurrentKey(login.user, KeyHash(login.user));
        ++count.Mutable();
        sizes.Add(login.bytes);
      }
      return absl::OkStatus();
    };
  }

  // Runs the job from a savepoint, at another parallelism than it was written with.
  std::vector<Total> RunJob(const std::string& path, std::vector<Login> logins) {
    LocalCheckpoint checkpoint;
    const auto metadata = ReadCheckpoint(*FileSystems::Local(), path);
    EXPECT_TRUE(metadata.ok()) << metadata.status();
    checkpoint.id = metadata->id;
    for (const CheckpointedOperator& op : metadata->operators) {
      for (uint32_t i = 0; i < op.parallelism(); ++i) {
        EXPECT_TRUE(FromBytes(op.subtasks[i], checkpoint.states[{op.id, i}]));
      }
    }
    MiniCluster cluster({.parallelism = 3});
    CollectSink<Total> totals;
    const auto job = cluster.Submit(
        [&](StreamEnvironment& environment) {
          environment
              .FromSource(ValuesSource<Login>(logins), WatermarkStrategy<Login>::NoWatermarks(),
                          "logins")
              .KeyBy([](const Login& login) { return login.user; })
              .Process(CountLogins())
              .Uid("count-logins")
              .SinkTo(totals);
          return absl::OkStatus();
        },
        &checkpoint);
    EXPECT_TRUE(job.ok()) << job.status();
    if (!job.ok()) return {};
    const absl::Status finished = (*job)->WaitUntilFinished(absl::Seconds(60));
    EXPECT_TRUE(finished.ok()) << finished;
    return totals.Values();
  }

  std::map<std::string, int64_t> CountsIn(const std::string& path) {
    std::map<std::string, int64_t> counts;
    auto reader = SavepointReader::Load(path);
    EXPECT_TRUE(reader.ok()) << reader.status();
    const absl::Status read =
        reader->ReadKeyedState<std::string>("count-logins", [&](Keyed& state) -> absl::Status {
          ASSIGN_OR_RETURN(auto count, state.GetState(kCount));
          return state.ForEachKey("count", state.options().range,
                                  [&](const std::string& user) { counts[user] = *count.Get(); });
        });
    EXPECT_TRUE(read.ok()) << read;
    return counts;
  }

  TestDirectory directory_;
};

TEST_F(SavepointWriterTest, AJobStartsWithBootstrappedState) {
  SavepointWriter writer = SavepointWriter::NewSavepoint();
  ASSERT_TRUE(writer
                  .WithKeyedState<std::string>("count-logins",
                                               AddLogins({{"alice", 1}, {"bob", 2}, {"alice", 3}}))
                  .ok());
  ASSERT_TRUE(writer.Write(Path("first")).ok());
  EXPECT_THAT(RunJob(Path("first"), {{"alice", 4}, {"bob", 5}, {"carol", 6}}),
              UnorderedElementsAre(Total{"alice", 3}, Total{"bob", 2}, Total{"carol", 1}));
}

TEST_F(SavepointWriterTest, OneKeyIsEditedAndTheOthersStay) {
  SavepointWriter writer = SavepointWriter::NewSavepoint();
  std::vector<Login> logins;
  for (int i = 0; i < 20'000; ++i) logins.push_back({"user-" + std::to_string(i % 5'000), i});
  ASSERT_TRUE(writer.WithKeyedState<std::string>("count-logins", AddLogins(logins)).ok());
  ASSERT_TRUE(writer.Write(Path("first")).ok());

  auto edit = SavepointWriter::FromExistingSavepoint(Path("first"));
  ASSERT_TRUE(edit.ok()) << edit.status();
  ASSERT_TRUE(edit->WithKeyedState<std::string>(
                      "count-logins",
                      [](Keyed& state) -> absl::Status {
                        ASSIGN_OR_RETURN(auto count, state.GetState(kCount));
                        state.SetCurrentKey("user-7", KeyHash(std::string("user-7")));
                        count.Set(100);
                        state.SetCurrentKey("user-8", KeyHash(std::string("user-8")));
                        count.Clear();
                        return absl::OkStatus();
                      })
                  .ok());
  ASSERT_TRUE(edit->Write(Path("second")).ok());
  EXPECT_EQ(CountsIn(Path("first"))["user-7"], 4) << "the old one is as it was";
  std::filesystem::remove_all(Path("first"));  // The new one has files of its own.

  std::map<std::string, int64_t> counts = CountsIn(Path("second"));
  EXPECT_EQ(counts.size(), 4'999u);
  EXPECT_EQ(counts["user-7"], 100);
  EXPECT_EQ(counts["user-9"], 4);
  EXPECT_THAT(RunJob(Path("second"), {{"user-7", 1}, {"user-8", 1}, {"user-9", 1}}),
              UnorderedElementsAre(Total{"user-7", 101}, Total{"user-8", 1}, Total{"user-9", 5}));
}

TEST_F(SavepointWriterTest, OperatorStateIsReadAndWritten) {
  SavepointWriter writer = SavepointWriter::NewSavepoint();
  ASSERT_TRUE(writer.WithKeyedState<std::string>("rules", AddLogins({{"alice", 1}})).ok());
  ASSERT_TRUE(
      writer
          .WithOperatorState("rules",
                             [](OperatorStateBackend& state) -> absl::Status {
                               ASSIGN_OR_RETURN(
                                   auto rules,
                                   (state.GetBroadcastState(
                                       BroadcastStateDescriptor<std::string, int64_t>{"rules"})));
                               rules.Put("rule", 42);
                               return absl::OkStatus();
                             })
          .ok());
  ASSERT_TRUE(writer.Write(Path("first")).ok());
  auto reader = *SavepointReader::Load(Path("first"));
  EXPECT_THAT(reader.Uids(), UnorderedElementsAre("rules"));
  std::map<std::string, int64_t> seen;
  ASSERT_TRUE(
      reader
          .ReadOperatorState("rules",
                             [&](OperatorStateBackend& state) -> absl::Status {
                               ASSIGN_OR_RETURN(
                                   auto rules,
                                   (state.GetBroadcastState(
                                       BroadcastStateDescriptor<std::string, int64_t>{"rules"})));
                               for (const auto& [key, value] : rules.entries()) {
                                 seen[key] = value;
                               }
                               return absl::OkStatus();
                             })
          .ok());
  EXPECT_THAT(seen, UnorderedElementsAre(Pair("rule", 42)));
}

TEST_F(SavepointWriterTest, SaysWhatIsWrong) {
  SavepointWriter writer = SavepointWriter::NewSavepoint();
  ASSERT_TRUE(writer.WithKeyedState<std::string>("logins", AddLogins({{"alice", 1}})).ok());
  const absl::Status thrown = writer.WithKeyedState<std::string>(
      "logins", [](Keyed&) -> absl::Status { throw std::runtime_error("no such user"); });
  EXPECT_THAT(thrown.ToString(), HasSubstr("no such user operator=logins"));
  ASSERT_TRUE(writer.Write(Path("first")).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(writer.Write(Path("first")).status()));
  EXPECT_TRUE(absl::IsDataLoss(SavepointReader::Load(Path("nowhere")).status()));
  auto reader = *SavepointReader::Load(Path("first"));
  const absl::Status missing = reader.ReadKeyedState<std::string>(
      "login", [](Keyed&) -> absl::Status { return absl::OkStatus(); });
  EXPECT_THAT(missing.ToString(), HasSubstr("it has logins"));
  const absl::Status other_key = reader.ReadKeyedState<int64_t>(
      "logins", [](KeyedStateBackend<int64_t>& state) -> absl::Status {
        return state.GetState(kCount).status();
      });
  EXPECT_THAT(other_key.ToString(), HasSubstr("keys never change"));
}

}  // namespace
}  // namespace weir
