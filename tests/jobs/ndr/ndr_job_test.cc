#include "jobs/ndr/ndr_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/jobs/job_runs.h"

namespace weir::ndr {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr const char* kBundledEvents = "jobs/ndr/events/lateral-movement.ndjson";
constexpr const char* kSharedCase = WEIR_NDR_DATA "/01-lateral-movement";

std::vector<json> Parsed(const std::vector<std::string>& lines) {
  std::vector<json> objects;
  for (const std::string& line : lines) objects.push_back(json::parse(line));
  return objects;
}

/// Returns the rows of the detections table, each as its columns' texts.
std::vector<std::vector<std::string>> Rows(const std::string& path) {
  sqlite3* database = nullptr;
  EXPECT_EQ(sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
  std::vector<std::vector<std::string>> rows;
  const auto add = [](void* context, int count, char** values, char**) {
    std::vector<std::string> row;
    for (int i = 0; i < count; ++i) row.emplace_back(values[i] == nullptr ? "NULL" : values[i]);
    static_cast<std::vector<std::vector<std::string>>*>(context)->push_back(std::move(row));
    return 0;
  };
  EXPECT_EQ(sqlite3_exec(database,
                         "SELECT detection_id, detection_type, src_ip, severity, confidence, "
                         "signal_count, technique, signals FROM detections",
                         add, &rows, nullptr),
            SQLITE_OK);
  sqlite3_close(database);
  return rows;
}

/// Of all signals of a type: when its window ended, and the value of `column`.
std::vector<std::pair<std::string, int>> RowsOfSignal(const std::vector<json>& signals,
                                                      const std::string& type,
                                                      const std::string& column) {
  std::vector<std::pair<std::string, int>> rows;
  for (const json& signal : signals) {
    if (signal["signal_type"] == type) rows.emplace_back(signal["window_end"], signal[column]);
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

class NdrJobTest : public ::testing::TestWithParam<uint32_t> {
 protected:
  absl::Status Run(std::vector<std::string> arguments) {
    return RunJob(BuildNdr, arguments, GetParam());
  }
  TemporaryFolder folder_;
};

TEST_P(NdrJobTest, FindsTheAttackInTheSharedUseCase) {
  if (!std::filesystem::exists(kSharedCase)) {
    GTEST_SKIP() << "SKIPPED: the shared NDR data is not there: " << kSharedCase;
  }
  const std::string database = folder_.PathOf("out.db");
  const absl::Status run =
      Run({"--events", std::string(kSharedCase) + "/sample-data.json", "--detections", database,
           "--out", folder_.PathOf("out"), "--signals", folder_.PathOf("signals")});
  ASSERT_TRUE(run.ok()) << run;

  const auto signals = Parsed(CommittedLines(folder_.PathOf("signals"), "signals"));
  EXPECT_THAT(
      RowsOfSignal(signals, "PORT_SCAN", "unique_ports"),
      ElementsAre(std::pair("2025-01-29T10:15:30Z", 24), std::pair("2025-01-29T10:15:40Z", 24),
                  std::pair("2025-01-29T10:15:50Z", 24), std::pair("2025-01-29T10:16:00Z", 24)));
  EXPECT_THAT(RowsOfSignal(signals, "CONNECTION_SPIKE", "connection_count"),
              ElementsAre(std::pair("2025-01-29T10:16:00Z", 40)));
  EXPECT_THAT(
      RowsOfSignal(signals, "PRIVILEGED_ACCESS", "unique_destinations"),
      ElementsAre(std::pair("2025-01-29T10:15:10Z", 4), std::pair("2025-01-29T10:15:20Z", 5),
                  std::pair("2025-01-29T10:15:30Z", 9), std::pair("2025-01-29T10:15:40Z", 19),
                  std::pair("2025-01-29T10:15:50Z", 20), std::pair("2025-01-29T10:16:00Z", 20),
                  std::pair("2025-01-29T10:16:10Z", 16), std::pair("2025-01-29T10:16:20Z", 15),
                  std::pair("2025-01-29T10:16:30Z", 11)));
  for (const json& signal : signals) {
    EXPECT_EQ(signal["src_ip"], "10.0.0.5");
    const std::string type = signal["signal_type"];
    if (type == "PORT_SCAN") {
      EXPECT_EQ(signal["severity"], "MEDIUM");
    } else if (type == "CONNECTION_SPIKE") {
      EXPECT_EQ(signal["severity"], "CRITICAL");
      EXPECT_EQ(signal["deviation_score"], 10.0);
    }
  }

  const auto rows = Rows(database);
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0][1], "LATERAL_MOVEMENT");
  EXPECT_EQ(rows[0][2], "10.0.0.5");
  EXPECT_EQ(rows[0][3], "CRITICAL");
  EXPECT_EQ(rows[0][4], "HIGH");
  EXPECT_EQ(rows[0][5], "3");
  EXPECT_EQ(rows[0][6], "T1021");
  std::vector<std::string> types;
  for (const json& signal : json::parse(rows[0][7])) types.push_back(signal["signal_type"]);
  EXPECT_THAT(types, UnorderedElementsAre("PORT_SCAN", "CONNECTION_SPIKE", "PRIVILEGED_ACCESS"));
  const auto lines = Parsed(CommittedLines(folder_.PathOf("out"), "detections"));
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["detection_id"], rows[0][0]);
}

TEST_P(NdrJobTest, ReadsTheSharedUseCasesRules) {
  if (!std::filesystem::exists(kSharedCase)) {
    GTEST_SKIP() << "SKIPPED: the shared NDR data is not there: " << kSharedCase;
  }
  const absl::Status run =
      Run({"--events", std::string(kSharedCase) + "/sample-data.json", "--out",
           folder_.PathOf("out"), "--rules", std::string(kSharedCase) + "/rules.json"});
  ASSERT_TRUE(run.ok()) << run;
  const auto lines = Parsed(CommittedLines(folder_.PathOf("out"), "detections"));
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["detection_type"], "LATERAL_MOVEMENT");
  EXPECT_EQ(lines[0]["technique"], "T1021");
}

TEST_P(NdrJobTest, FindsOneDetectionInTheBundledEvents) {
  const absl::Status run =
      Run({"--events", kBundledEvents, "--detections", folder_.PathOf("out.db"), "--rejected",
           folder_.PathOf("rejected")});
  ASSERT_TRUE(run.ok()) << run;
  const auto rows = Rows(folder_.PathOf("out.db"));
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0][1], "LATERAL_MOVEMENT");
  EXPECT_EQ(rows[0][2], "172.20.4.23");
  EXPECT_THAT(CommittedLines(folder_.PathOf("rejected"), "rejected"), IsEmpty());
}

TEST_P(NdrJobTest, FindsTheSameInShuffledEventsWithinTheAllowedDisorder) {
  std::vector<std::string> lines;
  std::ifstream file(kBundledEvents);
  for (std::string line; std::getline(file, line);) lines.push_back(std::move(line));
  ASSERT_THAT(lines, SizeIs(::testing::Gt(100)));
  std::string shuffled;
  std::shuffle(lines.begin(), lines.end(), std::mt19937(42));
  for (const std::string& line : lines) shuffled += line + "\n";
  folder_.Write("shuffled.ndjson", shuffled);
  ASSERT_TRUE(Run({"--events", kBundledEvents, "--signals", folder_.PathOf("a"), "--out",
                   folder_.PathOf("a")})
                  .ok());
  ASSERT_TRUE(Run({"--events", folder_.PathOf("shuffled.ndjson"), "--signals", folder_.PathOf("b"),
                   "--out", folder_.PathOf("b"), "--out-of-orderness", "10min"})
                  .ok());
  EXPECT_THAT(CommittedLines(folder_.PathOf("a"), "signals"), SizeIs(::testing::Gt(5)));
  EXPECT_EQ(CommittedLines(folder_.PathOf("a"), "signals"),
            CommittedLines(folder_.PathOf("b"), "signals"));
  EXPECT_EQ(CommittedLines(folder_.PathOf("a"), "detections"),
            CommittedLines(folder_.PathOf("b"), "detections"));
}

TEST_P(NdrJobTest, PutsMalformedRecordsAsideAndGoesOn) {
  std::string events;
  std::ifstream file(kBundledEvents);
  int count = 0;
  for (std::string line; std::getline(file, line); ++count) {
    events += line + "\n";
    if (count % 50 == 0) events += "{\"event_time\":\"broken\n[1,2]\n";
  }
  folder_.Write("events.ndjson", events);
  const absl::Status run = Run({"--events", folder_.PathOf("events.ndjson"), "--out",
                                folder_.PathOf("out"), "--rejected", folder_.PathOf("rejected")});
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_THAT(CommittedLines(folder_.PathOf("out"), "detections"), SizeIs(1));
  const auto rejected = Parsed(CommittedLines(folder_.PathOf("rejected"), "rejected"));
  EXPECT_EQ(rejected.size(), static_cast<size_t>((count + 49) / 50 * 2));
  EXPECT_EQ(rejected.front()["record"], "[1,2]");
  EXPECT_THAT(rejected.front()["reason"].get<std::string>(), HasSubstr("not a JSON object"));
}

INSTANTIATE_TEST_SUITE_P(Parallelism, NdrJobTest, ::testing::Values(1, 3));

std::string BuildErrorOf(const std::vector<std::string>& arguments) {
  const auto graph = BuildTestGraph(
      [](StreamGraph& stream_graph, const JobArgs& args) {
        StreamEnvironment environment(&stream_graph);
        return BuildNdr(environment, args);
      },
      arguments);
  return graph.ok() ? "" : graph.status().ToString();
}

TEST(NdrJobArgumentsTest, NeedsOnePlaceOfEvents) {
  EXPECT_THAT(BuildErrorOf({}), AllOf(HasSubstr("--events"), HasSubstr("--brokers")));
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--brokers", "b:1", "--topic", "t"}),
              HasSubstr("one place"));
  EXPECT_THAT(BuildErrorOf({"--brokers", "b:1"}), HasSubstr("--topic"));
  EXPECT_THAT(BuildErrorOf({"--brokers", "b:1", "--topic", "t", "--starting-offset", "end"}),
              HasSubstr("earliest"));
}

TEST(NdrJobArgumentsTest, RefusesRulesThatCanNeverDetect) {
  const TemporaryFolder folder;
  folder.Write(
      "rule.json",
      R"({"rule_id":"X","rule_name":"x","required_signals":["PORTSCAN"],)"
      R"("time_window_minutes":5,"detection_type":"X","severity":"LOW","confidence":"LOW"})");
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--rules", folder.PathOf("rule.json")}),
              AllOf(HasSubstr("signal=PORTSCAN"), HasSubstr("PORT_SCAN"), HasSubstr("rule.json")));
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--rules", folder.PathOf("missing.json")}),
              HasSubstr("missing.json"));
}

TEST(NdrJobArgumentsTest, NamesTheNearestArgumentForAnUnknownOne) {
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--detection", "y"}), HasSubstr("--detections"));
}

TEST(NdrJobArgumentsTest, BuildsAGraphForKafka) {
  EXPECT_EQ(BuildErrorOf({"--brokers", "b:1", "--topic", "one, two", "--starting-offset",
                          "earliest", "--idleness", "10s"}),
            "");
}

}  // namespace
}  // namespace weir::ndr
