#include "client/state/inspect_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_metadata.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"
#include "runtime/state/operator_subtask_state.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

struct Login {
  std::string host;
  int32_t port = 0;
  std::optional<double> score;
};

// A checkpoint of two operators: "logins" with all kinds of keyed state, half of it in files, and
// "rules" with operator state.
class InspectStateTest : public ::testing::Test, protected BackendStorage {
 protected:
  void SetUp() override {
    CheckpointMetadata metadata;
    metadata.id = CheckpointId(7);
    metadata.job_id = JobId(1, 2);
    metadata.job_name = "detect";
    metadata.operators = {{.id = OperatorId(1, 1),
                           .uid = "logins",
                           .name = "Count logins",
                           .max_parallelism = 128,
                           .subtasks = {ToBytes(Keyed(0, size_t{1} << 20)), ToBytes(Keyed(1, 0))},
                           .coordinator_state = std::nullopt},
                          {.id = OperatorId(1, 2),
                           .uid = "rules",
                           .name = "Rules",
                           .max_parallelism = 128,
                           .subtasks = {ToBytes(Rules())},
                           .coordinator_state = "splits"}};
    WriteMetadata(metadata);
  }

  void WriteMetadata(const CheckpointMetadata& metadata) {
    metadata_ = metadata;
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/_metadata", std::ios::binary)
        << SerializeCheckpointMetadata(metadata);
  }

  OperatorSubtaskState Keyed(uint32_t index, size_t inline_limit_bytes) {
    KeyedStateBackendOptions options;
    options.range = RangeOfSubtask(index, 128, 2);
    options.local_dir = NextLocalDir();
    options.inline_limit_bytes = inline_limit_bytes;
    KeyedStateBackend<std::string> backend(std::move(options));
    auto value = *backend.GetState(ValueStateDescriptor<Login>{"last"});
    auto list = *backend.GetState(ListStateDescriptor<int64_t>{"list"});
    auto map = *backend.GetState(MapStateDescriptor<std::string, int64_t>{"hosts"});
    auto sum = *backend.GetState(ReducingStateDescriptor<int64_t>{
        "sum", [](int64_t& total, const int64_t& element) { total += element; }});
    auto window = *backend.Table(TableDescriptor<int64_t, bool>{"window"});
    auto timers = *backend.Timers<int32_t>("timers", TimeDomain::kEventTime);
    for (const std::string key : {"alice", "bob", "carol", "dave", "o\"neil\n"}) {
      const uint64_t hash = KeyHash(key);
      if (!backend.options().range.Contains(KeyGroupOf(hash, 128))) continue;
      backend.SetCurrentKey(key, hash);
      value.Set({"h-" + key, 22, key == "bob" ? std::optional(0.5) : std::nullopt});
      list.AddAll({10, 20});
      map.Put("x", 1);
      map.Put("y", -1);
      sum.Add(3);
      sum.Add(4);
      window->Mutable(hash, key, 60'000) = true;
      timers->Register(key, hash, 5, 1'700'000'000'000);
    }
    OperatorSubtaskState state;
    state.keyed = Checkpoint(backend);
    return state;
  }

  static OperatorSubtaskState Rules() {
    OperatorStateBackend backend;
    auto list = *backend.GetListState(OperatorListStateDescriptor<std::string>{"offsets"});
    list.Add("a");
    list.Add("b");
    backend.GetUnionListState(OperatorListStateDescriptor<int64_t>{"all"})->Add(1);
    auto rules = *backend.GetBroadcastState(BroadcastStateDescriptor<int64_t, Login>{"rules"});
    rules.Put(42, {"host", 1, std::nullopt});
    OperatorSubtaskState state;
    state.operator_state = backend.Snapshot();
    return state;
  }

  // Runs the command; what it printed is in lines_.
  absl::StatusOr<int> Inspect(StateCommand command, bool json = false) {
    command.path = folder_;
    lines_.clear();
    std::string text;
    const auto code =
        InspectState(command, json, Configuration(), [&](std::string_view part) { text += part; });
    for (const std::string_view line : StrSplit(text, '\n')) lines_.emplace_back(line);
    if (lines_.back().empty()) lines_.pop_back();
    text_ = text;
    return code;
  }
  void Show(const std::string& op, const std::string& state, const std::string& key = "") {
    const auto code =
        Inspect({.action = StateCommand::Action::kShow, .op = op, .state = state, .key = key});
    EXPECT_TRUE(code.ok()) << code.status();
  }
  std::string FileOfState() {
    OperatorSubtaskState state;
    EXPECT_TRUE(FromBytes(metadata_.operators[0].subtasks[1], state));
    return state.keyed->files.at(0).path;
  }

  const std::string folder_ = directory_.path() + "/chk-7";
  CheckpointMetadata metadata_;
  std::vector<std::string> lines_;
  std::string text_;
};

TEST_F(InspectStateTest, ListsOperatorsAndTheirStates) {
  ASSERT_EQ(*Inspect({}), 0);
  EXPECT_THAT(text_, AllOf(HasSubstr("checkpoint 7 of detect"), HasSubstr("logins  (Count logins)"),
                           HasSubstr("2 subtasks, max parallelism 128"),
                           HasSubstr("key groups 0-63 64-127"), HasSubstr("10 entries"),
                           HasSubstr("map(key: string, namespace: string, value: int64)"),
                           HasSubstr("value: struct{host: string, port: int32, score: "
                                     "optional<double>}"),
                           HasSubstr("broadcast(key: int64, value: struct{"),
                           HasSubstr("union(value: int64)"), HasSubstr("state of a coordinator")));
  ASSERT_EQ(*Inspect({}, /*json=*/true), 0);
  EXPECT_THAT(lines_, SizeIs(1));
  EXPECT_THAT(text_, AllOf(HasSubstr(R"("checkpoint":7)"), HasSubstr(R"("uid":"logins")"),
                           HasSubstr(R"("key-groups":[[0,63],[64,127]])"),
                           HasSubstr(R"({"name":"sum","kind":"reducing","entries":5,)")));
}

TEST_F(InspectStateTest, ShowsEntriesOfEveryKindByTheirSchemas) {
  Show("logins", "last");
  EXPECT_THAT(lines_, SizeIs(5));
  EXPECT_THAT(
      text_, AllOf(HasSubstr(R"("key":"bob","value":{"host":"h-bob","port":22,"score":0.5}})"),
                   HasSubstr(R"("key":"alice","value":{"host":"h-alice","port":22,"score":null}})"),
                   HasSubstr(R"("key":"o\"neil\n")")));
  Show("logins", "list", "\"bob\"");
  EXPECT_THAT(lines_, ElementsAre(HasSubstr(R"("key":"bob","index":0,"value":10})"),
                                  HasSubstr(R"("key":"bob","index":1,"value":20})")));
  Show("logins", "hosts", " \"o\\\"neil\\n\" ");
  EXPECT_THAT(lines_, ElementsAre(HasSubstr(R"("map_key":"x","value":1})"),
                                  HasSubstr(R"("map_key":"y","value":-1})")));
  Show("logins", "sum", "\"bob\"");
  EXPECT_THAT(lines_,
              ElementsAre(AllOf(HasSubstr(R"("kind":"reducing")"), HasSubstr(R"("value":7)"))));
  Show("logins", "window", "\"bob\"");
  EXPECT_THAT(lines_, ElementsAre(HasSubstr(R"("namespace":60000,"value":true})")));
  Show("logins", "timers/event-time", "\"bob\"");
  EXPECT_THAT(lines_, ElementsAre(HasSubstr(R"("namespace":5,"time_ms":1700000000000})")));
  Show("rules", "offsets");
  EXPECT_THAT(lines_, ElementsAre(HasSubstr(R"("kind":"split","subtask":0,"value":"a"})"),
                                  HasSubstr(R"("value":"b"})")));
  Show("rules", "all");
  EXPECT_THAT(lines_, ElementsAre(HasSubstr(R"("kind":"union","subtask":0,"value":1})")));
  Show("rules", "rules", "42");
  EXPECT_THAT(lines_,
              ElementsAre(HasSubstr(R"("key":42,"value":{"host":"host","port":1,"score":null}})")));
}

TEST_F(InspectStateTest, ShowsAllStatesOfAKeyAndStopsAtTheLimit) {
  Show("logins", "", "\"bob\"");
  EXPECT_THAT(lines_, SizeIs(1 + 2 + 2 + 1 + 1 + 1));
  ASSERT_EQ(*Inspect({.action = StateCommand::Action::kShow, .op = "logins", .limit = 3}), 0);
  EXPECT_THAT(lines_, SizeIs(3));
}

TEST_F(InspectStateTest, NamesWhatThereIsWhenSomethingIsNot) {
  StateCommand command{.action = StateCommand::Action::kShow};
  EXPECT_THAT(Inspect(command).status().ToString(), HasSubstr("--operator"));
  command.op = "login";
  EXPECT_THAT(Inspect(command).status().ToString(), HasSubstr("it has logins, rules"));
  command.op = "rules";
  command.state = "rule";
  EXPECT_THAT(Inspect(command).status().ToString(), HasSubstr("all, offsets, rules"));
  command.state = "rules";
  command.key = "bob";
  EXPECT_THAT(Inspect(command).status().ToString(), HasSubstr("a text needs quotes"));
}

TEST_F(InspectStateTest, VerifiesWhatIsWell) {
  ASSERT_EQ(*Inspect({.action = StateCommand::Action::kVerify}), 0);
  EXPECT_THAT(text_, HasSubstr("all are well"));
}

// One byte that is another, a file that is shorter, and one that is not there.
std::vector<std::pair<const char*, std::function<void(const std::string&)>>> Damages() {
  return {{"flipped",
           [](const std::string& path) {
             const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(path) / 2);
             std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
             file.seekg(middle);
             const int byte = file.get();
             file.seekp(middle);
             file.put(static_cast<char>(byte ^ 1));
           }},
          {"truncated",
           [](const std::string& path) {
             std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
           }},
          {"missing", [](const std::string& path) { std::filesystem::remove(path); }}};
}

TEST_F(InspectStateTest, FindsDamagedStateFilesAndSaysWhoseTheyAre) {
  const std::string path = FileOfState();
  for (const auto& [name, damage] : Damages()) {
    std::filesystem::copy_file(path, path + ".kept");
    damage(path);
    const auto code = Inspect({.action = StateCommand::Action::kVerify});
    ASSERT_TRUE(code.ok()) << code.status();
    EXPECT_EQ(*code, 1) << name;
    EXPECT_THAT(text_, AllOf(HasSubstr("damaged: operator logins subtask 1"), HasSubstr(path)))
        << name;
    EXPECT_THAT(
        Inspect({.action = StateCommand::Action::kShow, .op = "logins"}).status().ToString(),
        AllOf(HasSubstr("DATA_LOSS"), HasSubstr(path)))
        << name;
    std::filesystem::remove(path);
    std::filesystem::rename(path + ".kept", path);
    ASSERT_EQ(*Inspect({.action = StateCommand::Action::kVerify}), 0);
  }
}

TEST_F(InspectStateTest, FindsDamagedMetadata) {
  for (const auto& [name, damage] : Damages()) {
    damage(folder_ + "/_metadata");
    const absl::Status status = Inspect({.action = StateCommand::Action::kVerify}).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << name << ": " << status;
    EXPECT_THAT(status.ToString(), HasSubstr(folder_)) << name;
    WriteMetadata(metadata_);
  }
}

TEST_F(InspectStateTest, FindsDamagedStateWithinTheMetadata) {
  CheckpointMetadata metadata = metadata_;
  OperatorSubtaskState state;
  ASSERT_TRUE(FromBytes(metadata.operators[0].subtasks[0], state));
  state.keyed->files.at(0).inline_bytes[10] ^= 1;
  metadata.operators[0].subtasks[0] = ToBytes(state);
  ASSERT_TRUE(FromBytes(metadata.operators[1].subtasks[0], state));
  state.operator_state->states.at(0).entries.at(0)[0] ^= 1;
  metadata.operators[1].subtasks[0] = ToBytes(state);
  WriteMetadata(metadata);
  EXPECT_EQ(*Inspect({.action = StateCommand::Action::kVerify}), 1);
  EXPECT_THAT(text_, AllOf(HasSubstr("operator logins subtask 0: the inline file"),
                           HasSubstr("operator rules subtask 0: operator state")));
  ASSERT_EQ(*Inspect({.action = StateCommand::Action::kVerify}, /*json=*/true), 1);
  EXPECT_THAT(text_, HasSubstr(R"("damages":["operator logins)"));
}

}  // namespace
}  // namespace weir
