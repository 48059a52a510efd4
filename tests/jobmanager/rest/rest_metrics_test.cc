// The metrics' endpoints: names, values, aggregations and errors as recorded from Flink.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "jobmanager/rest/http_server.h"
#include "jobmanager/rest/rest_api.h"
#include "runtime/base/strings.h"
#include "tests/jobmanager/rest/fake_dispatcher.h"
#include "tests/jobmanager/rest/raw_connection.h"

namespace weir {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

class RestMetricsTest : public testing::Test {
 protected:
  RestMetricsTest() {
    auto server = HttpServer::Start({}, MakeRestRouter(&dispatcher_, RestApiOptions()));
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  RawAnswer Ask(std::string target) {
    const auto replace = [&](const std::string& word, const std::string& id) {
      if (const size_t at = target.find(word); at != std::string::npos) {
        target.replace(at, word.size(), id);
      }
    };
    replace("JOB", ToString(FakeDispatcher::KnownJob()));
    replace("SOURCE", ToString(FakeDispatcher::Source()));
    replace("SINK", ToString(FakeDispatcher::Sink()));
    RawConnection client(server_->port());
    client.Send(StrCat("GET ", target, " HTTP/1.1\r\nHost: x\r\n\r\n"));
    return client.Receive();
  }

  Json Get(const std::string& target) {
    const RawAnswer answer = Ask(target);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body);
  }

  FakeDispatcher dispatcher_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(RestMetricsTest, ListsNamesWithoutValuesWhenNothingIsAsked) {
  EXPECT_EQ(
      Get("/jobmanager/metrics"),
      Json::parse(R"([{"id": "taskSlotsTotal"}, {"id": "taskSlotsAvailable"}, {"id": "load"}])"));
  EXPECT_EQ(Get("/jobs/JOB/vertices/SINK/metrics").size(), 6U);
  EXPECT_EQ(Get("/jobs/JOB/vertices/SINK/metrics")[3],
            Json::parse(R"({"id": "1.numRecordsInPerSecond"})"));
  EXPECT_EQ(Get("/jobs/JOB/vertices/SINK/subtasks/metrics"),
            Json::parse(R"([{"id": "numRecordsInPerSecond"}, {"id": "busyTimeMsPerSecond"},
                            {"id": "win.numLateRecordsDropped"}])"));
  EXPECT_EQ(Get("/jobs/metrics").size(), 4U);
}

TEST_F(RestMetricsTest, GivesValuesAsTexts) {
  EXPECT_EQ(Get("/jobmanager/metrics?get=taskSlotsAvailable,taskSlotsTotal,load,nothing"),
            Json::parse(R"([{"id": "taskSlotsAvailable", "value": "2"},
                            {"id": "taskSlotsTotal", "value": "4"},
                            {"id": "load", "value": "0.25"}])"));
  EXPECT_EQ(
      Get("/jobs/JOB/metrics?get=numRestarts,uptime,lastCheckpointExternalPath"),
      Json::parse(R"([{"id": "numRestarts", "value": "0"}, {"id": "uptime", "value": "250799"},
                            {"id": "lastCheckpointExternalPath",
                             "value": "file:/checkpoints/chk-2"}])"));
  EXPECT_EQ(
      Get("/jobs/JOB/vertices/SINK/metrics?get=1.win.numLateRecordsDropped,"
          "0.win.numLateRecordsDropped,7.win.numLateRecordsDropped,win.numLateRecordsDropped"),
      Json::parse(R"([{"id": "1.win.numLateRecordsDropped", "value": "0"},
                            {"id": "0.win.numLateRecordsDropped", "value": "3"}])"));
  EXPECT_EQ(Get("/jobs/JOB/vertices/SINK/subtasks/1/metrics?get=busyTimeMsPerSecond"),
            Json::parse(R"([{"id": "busyTimeMsPerSecond", "value": "509"}])"));
  EXPECT_EQ(Get("/taskmanagers/127.0.0.1:39319-6b3827/metrics?get=Status.JVM.Memory.Heap.Used"),
            Json::parse(R"([{"id": "Status.JVM.Memory.Heap.Used", "value": "127856112"}])"));
  EXPECT_EQ(Get("/jobs/JOB/vertices/SOURCE/jm-operator-metrics?get=Source__gen.coordinator."
                "enumerator.unassignedSplits"),
            Json::parse(R"([{"id": "Source__gen.coordinator.enumerator.unassignedSplits",
                             "value": "7"}])"));
}

TEST_F(RestMetricsTest, AggregatesAsFlinkDid) {
  const Json subtasks =
      Get("/jobs/JOB/vertices/SINK/subtasks/metrics?get=numRecordsInPerSecond,busyTimeMsPerSecond");
  ASSERT_EQ(subtasks.size(), 2U);
  EXPECT_EQ(subtasks[0]["id"], "numRecordsInPerSecond");
  EXPECT_DOUBLE_EQ(subtasks[0]["min"].get<double>(), 231.98333333333332);
  EXPECT_DOUBLE_EQ(subtasks[0]["max"].get<double>(), 232.11666666666667);
  EXPECT_DOUBLE_EQ(subtasks[0]["avg"].get<double>(), 232.05);
  EXPECT_DOUBLE_EQ(subtasks[0]["sum"].get<double>(), 464.1);
  EXPECT_NEAR(subtasks[0]["skew"].get<double>(), 0.028729440494150865, 1e-9);
  EXPECT_NEAR(subtasks[1]["skew"].get<double>(), 6.946983546617916, 1e-9);
  EXPECT_EQ(Get("/jobs/metrics?get=uptime&agg=min,MAX"),
            Json::parse(R"([{"id": "uptime", "min": 250799.0, "max": 285610.0}])"));
  EXPECT_EQ(Get("/taskmanagers/metrics?get=Status.JVM.Memory.Heap.Used&agg=min,max,avg"),
            Json::parse(R"([{"id": "Status.JVM.Memory.Heap.Used", "min": 127856112.0,
                             "max": 127856112.0, "avg": 127856112.0}])"));
}

TEST_F(RestMetricsTest, AggregatesOverThoseAskedForAlone) {
  EXPECT_EQ(
      Get("/jobs/JOB/vertices/SINK/subtasks/metrics?get=busyTimeMsPerSecond&subtasks=1-5&agg=sum"),
      Json::parse(R"([{"id": "busyTimeMsPerSecond", "sum": 509.0}])"));
  EXPECT_EQ(Get("/jobs/metrics?get=uptime&agg=max&jobs=JOB"),
            Json::parse(R"([{"id": "uptime", "max": 250799.0}])"));
  EXPECT_EQ(Get("/taskmanagers/metrics?get=Status.JVM.Memory.Heap.Used&taskmanagers=other"),
            Json::array());
}

TEST_F(RestMetricsTest, AnswersAnEmptyListForWhatIsNotThere) {
  // Of an aggregated query, as soon as one name is missing or is no number.
  EXPECT_EQ(Get("/jobs/JOB/vertices/SINK/subtasks/metrics?get=busyTimeMsPerSecond,nothing"),
            Json::array());
  EXPECT_EQ(Get("/jobs/metrics?get=lastCheckpointExternalPath"), Json::array());
  EXPECT_EQ(Get("/jobs/00000000000000000000000000000001/metrics"), Json::array());
  EXPECT_EQ(Get("/jobs/JOB/vertices/00000000000000000000000000000001/metrics"), Json::array());
  EXPECT_EQ(Get("/taskmanagers/nobody/metrics"), Json::array());
  EXPECT_EQ(Get("/jobs/JOB/vertices/SINK/subtasks/9/metrics"), Json::array());
}

TEST_F(RestMetricsTest, RefusesParametersThatAreNone) {
  for (const char* target : {"/jobs/xyz/metrics", "/jobs/JOB/vertices/xyz/metrics",
                             "/jobs/JOB/vertices/SINK/subtasks/x/metrics",
                             "/jobs/JOB/vertices/SINK/subtasks/metrics?subtasks=5-1",
                             "/jobs/JOB/vertices/SINK/subtasks/metrics?subtasks=a",
                             "/jobs/metrics?agg=median", "/jobs/metrics?jobs=xyz"}) {
    const RawAnswer answer = Ask(target);
    EXPECT_EQ(answer.status, 400) << target;
    EXPECT_THAT(answer.body, HasSubstr("could not parse parameters")) << target;
  }
}

TEST_F(RestMetricsTest, ServesPrometheusText) {
  const RawAnswer answer = Ask("/metrics");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body,
            "# TYPE flink_jobmanager_taskSlotsTotal gauge\n"
            "flink_jobmanager_taskSlotsTotal{host=\"127_0_0_1\"} 4\n");
}

}  // namespace
}  // namespace weir
