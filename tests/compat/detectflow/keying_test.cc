// How events are spread over subtasks.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/jobs/sigma/match_harness.h"

namespace weir::sigma {
namespace {

using ::testing::SizeIs;

/// The subtasks that the events of each host, or other value of `field`, came out of.
std::map<std::string, std::set<uint32_t>> SubtasksBy(const KeyingOptions& keying,
                                                     const std::vector<Json>& events,
                                                     const std::string& field) {
  OperatorTestOptions options;
  options.parallelism = 4;
  MatchHarness job(AllEvents(), options, keying);
  job.ControlCaughtUp();
  for (const Json& event : events) job.Event(event.dump());
  std::map<std::string, std::set<uint32_t>> subtasks;
  for (const auto& record : job.harness().TakeRecords()) {
    subtasks[Json::parse(record.value.json)[field].dump()].insert(record.subtask);
  }
  return subtasks;
}

TEST(KeyingTest, HashSpreadsDifferentEventsAndKeepsEqualOnesTogether) {
  KeyingOptions keying;
  keying.num_buckets = keying.parallelism = 4;
  std::vector<Json> events;
  for (int i = 0; i < 200; ++i) events.push_back({{"n", i % 20}, {"all", 1}});
  for (const auto& [n, subtasks] : SubtasksBy(keying, events, "n"))
    EXPECT_THAT(subtasks, SizeIs(1));
  EXPECT_THAT(SubtasksBy(keying, events, "all").at("1"), SizeIs(4));
}

TEST(KeyingTest, ComputerKeepsTheEventsOfAHostTogetherFlatOrNested) {
  KeyingOptions keying;
  keying.strategy = KeyingStrategy::kComputer;
  std::vector<Json> events;
  for (int i = 0; i < 60; ++i) {
    events.push_back({{"Computer", "PC-1"}, {"n", i}, {"who", 1}});
    events.push_back({{"host", {{"name", "pc-1"}}}, {"n", i}, {"who", 1}});
  }
  EXPECT_THAT(SubtasksBy(keying, events, "who").at("1"), SizeIs(1));
}

TEST(KeyingTest, ComputerSpreadsEventsWithoutAHost) {
  KeyingOptions keying;
  keying.strategy = KeyingStrategy::kComputer;
  keying.num_buckets = keying.parallelism = 4;
  std::vector<Json> events;
  for (int i = 0; i < 200; ++i) events.push_back({{"n", i}, {"all", 1}});
  EXPECT_THAT(SubtasksBy(keying, events, "all").at("1"), SizeIs(4));
}

TEST(KeyingTest, RoundRobinReallyTakesTurns) {
  KeyingOptions keying;
  keying.strategy = KeyingStrategy::kRoundRobin;
  keying.num_buckets = keying.parallelism = 4;
  const std::vector<Json> events(8, Json{{"same", 1}});
  EXPECT_THAT(SubtasksBy(keying, events, "same").at("1"), SizeIs(4));
}

TEST(KeyingTest, FieldsOfOnesOwnKeepAnEntityTogether) {
  KeyingOptions keying;
  keying.strategy = KeyingStrategy::kFields;
  keying.fields = {"user.name"};
  std::vector<Json> events;
  for (int i = 0; i < 60; ++i)
    events.push_back({{"user", {{"name", "bob"}}}, {"n", i}, {"all", 1}});
  EXPECT_THAT(SubtasksBy(keying, events, "all").at("1"), SizeIs(1));
}

}  // namespace
}  // namespace weir::sigma
