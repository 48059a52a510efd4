#include "jobs/sigma/event_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "runtime/record/key_codec.h"
#include "runtime/state/key_groups.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using ::testing::StartsWith;

KeyingOptions By(KeyingStrategy strategy, uint32_t buckets = 8) {
  KeyingOptions options;
  options.strategy = strategy;
  options.num_buckets = buckets;
  return options;
}

TEST(EventKeysTest, EachSubtaskHasAsManyBuckets) {
  for (const uint32_t parallelism : {1U, 2U, 3U, 7U, 24U}) {
    KeyingOptions options = By(KeyingStrategy::kHash, parallelism * 3);
    options.parallelism = parallelism;
    std::map<uint32_t, int> buckets;
    const std::vector<std::string> keys = MakeBuckets(options);
    for (const std::string& key : keys) {
      ++buckets[SubtaskOfHash(KeyHash(key), options.max_parallelism, parallelism)];
    }
    EXPECT_THAT(buckets, SizeIs(parallelism));
    for (const auto& [subtask, count] : buckets) EXPECT_EQ(count, 3) << subtask;
    EXPECT_THAT(std::set<std::string>(keys.begin(), keys.end()), SizeIs(keys.size()));
  }
}

TEST(EventKeysTest, HashGivesEqualEventsOneKey) {
  EventKeys keys(By(KeyingStrategy::kHash));
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const std::string event = "{\"n\":" + std::to_string(i) + "}";
    seen.insert(keys.KeyOf(event));
    EXPECT_EQ(keys.KeyOf(event), keys.KeyOf(event));
  }
  EXPECT_THAT(seen, SizeIs(8));
  EXPECT_THAT(*seen.begin(), StartsWith("hash-"));
}

TEST(EventKeysTest, RoundRobinTakesTurns) {
  EventKeys keys(By(KeyingStrategy::kRoundRobin, 3));
  std::vector<std::string> seen;
  for (int i = 0; i < 4; ++i) seen.push_back(keys.KeyOf("{}"));
  EXPECT_THAT(seen, ElementsAre("bucket-0", "bucket-1", "bucket-2", "bucket-0"));
}

TEST(EventKeysTest, ComputerTakesFlatAndNestedNamesOfHosts) {
  EventKeys keys(By(KeyingStrategy::kComputer));
  EXPECT_EQ(keys.KeyOf(R"({"Computer":"DC1.Example.org","host":"x"})"), "dc1.example.org");
  EXPECT_EQ(keys.KeyOf(R"({"Computer":"","host":"WEB"})"), "web");
  EXPECT_EQ(keys.KeyOf(R"({"hostname":"H"})"), "h");
  EXPECT_EQ(keys.KeyOf(R"({"winlog":{"computer_name":"PC7"}})"), "pc7");
  EXPECT_EQ(keys.KeyOf(R"({"winlog.computer_name":"PC8"})"), "pc8");
  EXPECT_EQ(keys.KeyOf(R"({"host":{"name":"Srv","ip":["10.0.0.1"]}})"), "srv");
  EXPECT_EQ(keys.KeyOf(R"({"host":{"hostname":"Srv2"}})"), "srv2");
}

TEST(EventKeysTest, EventsWithoutAHostAreSpreadByTheirHash) {
  EventKeys keys(By(KeyingStrategy::kComputer));
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) seen.insert(keys.KeyOf("{\"n\":" + std::to_string(i) + "}"));
  seen.insert(keys.KeyOf("no json"));
  seen.insert(keys.KeyOf("[]"));
  EXPECT_THAT(seen, SizeIs(8));
}

TEST(EventKeysTest, FieldsMakeTheKeyTogether) {
  KeyingOptions options = By(KeyingStrategy::kFields);
  options.fields = {"user.name", "src_ip"};
  EventKeys keys(options);
  const std::string key = keys.KeyOf(R"({"user":{"name":"Bob"},"src_ip":"10.0.0.1"})");
  EXPECT_EQ(key, keys.KeyOf(R"({"src_ip":"10.0.0.1","user.name":"bob","x":1})"));
  EXPECT_NE(key, keys.KeyOf(R"({"src_ip":"10.0.0.2","user.name":"bob"})"));
  EXPECT_NE(keys.KeyOf(R"({"user.name":"a","src_ip":"bc"})"),
            keys.KeyOf(R"({"user.name":"ab","src_ip":"c"})"));
  EXPECT_THAT(keys.KeyOf(R"({"other":1})"), StartsWith("hash-"));
}

}  // namespace
}  // namespace weir::sigma
