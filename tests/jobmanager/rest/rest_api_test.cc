#include "jobmanager/rest/rest_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "jobmanager/rest/http_server.h"
#include "runtime/base/strings.h"
#include "tests/jobmanager/rest/fake_dispatcher.h"
#include "tests/jobmanager/rest/raw_connection.h"

namespace weir {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class RestApiTest : public testing::Test {
 protected:
  RestApiTest() {
    RestApiOptions options;
    options.clock = FakeDispatcher::Now;
    auto server = HttpServer::Start({}, MakeRestRouter(&dispatcher_, options));
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  RawAnswer Call(std::string_view method, std::string_view target, std::string_view body = "") {
    RawConnection client(server_->port());
    client.Send(StrCat(method, " ", target, " HTTP/1.1\r\nHost: example:8081\r\nContent-Length: ",
                       body.size(), "\r\n\r\n", body));
    return client.Receive();
  }

  /// Replaces `JOB`, `SOURCE` and `SINK` by the fake's ids.
  Json Get(std::string target) {
    const RawAnswer answer = Call("GET", Resolve(std::move(target)));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body);
  }

  static std::string Resolve(std::string target) {
    const auto replace = [&](const std::string& word, const std::string& id) {
      if (const size_t at = target.find(word); at != std::string::npos) {
        target.replace(at, word.size(), id);
      }
    };
    replace("JOB", ToString(FakeDispatcher::KnownJob()));
    replace("SOURCE", ToString(FakeDispatcher::Source()));
    replace("SINK", ToString(FakeDispatcher::Sink()));
    return target;
  }

  FakeDispatcher dispatcher_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(RestApiTest, RefusesIdsThatAreNoIds) {
  for (const std::string_view target :
       {"/jobs/zz", "/v1/jobs/zz/status", "/jobs/JOB/vertices/zz", "/jobs/zz/exceptions",
        "/jobs/zz/checkpoints", "/jobs/JOB/checkpoints/details/x", "/jobs/JOB/checkpoints/x",
        "/jobs/JOB/checkpoints/details/1/subtasks/x", "/jobs/zz/yarn-cancel"}) {
    const RawAnswer answer = Call("GET", Resolve(std::string(target)));
    EXPECT_EQ(answer.status, 400) << target;
    EXPECT_THAT(answer.body, HasSubstr("Cannot resolve path parameter (")) << target;
  }
}

TEST_F(RestApiTest, Answers404ForWhatIsNotThere) {
  const std::string unknown = "/jobs/00000000000000000000000000000000";
  for (const std::string& target :
       {unknown, unknown + "/status", unknown + "/plan", unknown + "/config",
        unknown + "/exceptions", unknown + "/accumulators", unknown + "/execution-result",
        unknown + "/checkpoints", unknown + "/checkpoints/config", unknown + "/yarn-cancel",
        Resolve("/jobs/JOB/vertices/00000000000000000000000000000000"),
        Resolve("/jobs/JOB/checkpoints/details/77"),
        Resolve("/jobs/JOB/checkpoints/00000000000000000000000000000000"),
        std::string("/taskmanagers/nobody")}) {
    EXPECT_EQ(Call("GET", target).status, 404) << target;
  }
  EXPECT_EQ(Call("PATCH", unknown).status, 404);
  EXPECT_EQ(Call("POST", unknown + "/checkpoints").status, 404);
}

TEST_F(RestApiTest, DerivesTimesAndStatesOfAJob) {
  const Json job = Get("/jobs/JOB");
  EXPECT_EQ(job["state"], "RUNNING");
  EXPECT_EQ(job["end-time"], -1);
  EXPECT_EQ(job["duration"], 1200);
  EXPECT_EQ(job["timestamps"]["FINISHED"], 0);
  EXPECT_EQ(job["status-counts"]["RUNNING"], 2);
  const Json& vertex = job["vertices"][0];
  EXPECT_EQ(vertex["status"], "RUNNING");
  EXPECT_EQ(vertex["duration"], 950);
  EXPECT_EQ(vertex["tasks"]["RUNNING"], 2);
  EXPECT_EQ(vertex["metrics"]["read-records"], 201);
}

TEST_F(RestApiTest, DerivesDurationsAndDistributionsOfAVertex) {
  const Json vertex = Get("/jobs/JOB/vertices/SOURCE");
  const Json& durations = vertex["subtasks"][0]["status-duration"];
  EXPECT_EQ(durations["CREATED"], 10);
  EXPECT_EQ(durations["SCHEDULED"], 40);
  EXPECT_EQ(durations["DEPLOYING"], 50);
  EXPECT_EQ(durations["INITIALIZING"], 100);
  EXPECT_EQ(durations["RUNNING"], 800);
  EXPECT_EQ(vertex["aggregated"]["metrics"]["read-records"]["max"], 101);
  EXPECT_EQ(vertex["aggregated"]["metrics"]["read-records"]["sum"], 201);
}

TEST_F(RestApiTest, GradesBackpressureByTheWorstSubtask) {
  const Json json = Get("/jobs/JOB/vertices/SINK/backpressure");
  EXPECT_EQ(json["backpressureLevel"], "low");
  EXPECT_EQ(json["subtasks"][0]["backpressure-level"], "ok");
}

TEST_F(RestApiTest, ShowsWatermarksAsTexts) {
  EXPECT_EQ(Get("/jobs/JOB/vertices/SINK/watermarks")[1],
            Json({{"id", "1.currentInputWatermark"}, {"value", "145816"}}));
}

TEST_F(RestApiTest, SumsUpCheckpoints) {
  const Json details = Get("/jobs/JOB/checkpoints/details/2");
  EXPECT_EQ(details["num_acknowledged_subtasks"], 4);
  EXPECT_EQ(details["state_size"], 16000);
  EXPECT_EQ(details["end_to_end_duration"], 21);
  EXPECT_EQ(Get("/jobs/JOB/checkpoints")["summary"]["persisted_data"]["p50"], 0.0);
  const Json subtasks = Get("/jobs/JOB/checkpoints/details/2/subtasks/SINK");
  EXPECT_EQ(subtasks["summary"]["end_to_end_duration"]["max"], 21);
}

TEST_F(RestApiTest, CancelsByPatchAndByTheDashboardsGet) {
  EXPECT_EQ(Call("PATCH", Resolve("/v1/jobs/JOB?mode=cancel")).status, 202);
  EXPECT_EQ(Call("PATCH", Resolve("/jobs/JOB")).body, "{}");
  EXPECT_EQ(Call("GET", Resolve("/jobs/JOB/yarn-cancel")).status, 202);
  EXPECT_EQ(dispatcher_.cancelled().size(), 3);
  EXPECT_EQ(Call("PATCH", Resolve("/jobs/JOB?mode=stop")).status, 308);
  EXPECT_EQ(Call("PATCH", Resolve("/jobs/JOB?mode=x")).status, 400);
  EXPECT_EQ(dispatcher_.cancelled().size(), 3);
}

TEST_F(RestApiTest, TellsHowAJobEnded) {
  EXPECT_EQ(Get("/jobs/JOB/execution-result")["status"]["id"], "IN_PROGRESS");
  EXPECT_EQ(Call("PATCH", Resolve("/jobs/JOB")).status, 202);
  const Json result = Get("/jobs/JOB/execution-result");
  EXPECT_EQ(result["status"]["id"], "COMPLETED");
  EXPECT_EQ(result["job-execution-result"]["application-status"], "CANCELED");
}

TEST_F(RestApiTest, RefusesJavaGraphsWithOneClearSentence) {
  const RawAnswer answer = Call("POST", "/v1/jobs", "whatever");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("cannot run a job graph serialised by Java"));
}

TEST_F(RestApiTest, RunsABuiltInJobByItsName) {
  const RawAnswer answer = Call("POST", "/jars/ndr/run", R"({"entryClass":"ndr","parallelism":4,
      "programArgsList":["--events","a b"],"savepointPath":"/s","allowNonRestoredState":true,
      "claimMode":"NO_CLAIM","jobId":null,"flinkConfiguration":{"a":"1","b":2}})");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.body, Resolve(R"({"jobid":"JOB"})"));
  const JarRunRequest run = *dispatcher_.last_run();
  EXPECT_EQ(run.jar_id, "ndr");
  EXPECT_EQ(run.entry_class, "ndr");
  EXPECT_EQ(run.parallelism, 4);
  EXPECT_THAT(run.program_args, ElementsAre("--events", "a b"));
  EXPECT_EQ(run.savepoint_path, "/s");
  EXPECT_TRUE(run.allow_non_restored_state);
  EXPECT_FALSE(run.job_id.has_value());
  EXPECT_THAT(run.flink_configuration, ElementsAre(Pair("a", "1"), Pair("b", "2")));
}

TEST_F(RestApiTest, TakesRunParametersFromTheQueryToo) {
  EXPECT_EQ(Call("POST",
                 "/jars/ndr/run?entry-class=e&parallelism=2&savepointPath=%2Fs&"
                 "allowNonRestoredState=true&program-args=--a+'b+c'")
                .status,
            200);
  const JarRunRequest run = *dispatcher_.last_run();
  EXPECT_EQ(run.entry_class, "e");
  EXPECT_EQ(run.parallelism, 2);
  EXPECT_EQ(run.savepoint_path, "/s");
  EXPECT_TRUE(run.allow_non_restored_state);
  EXPECT_THAT(run.program_args, ElementsAre("--a", "b c"));
  EXPECT_EQ(Call("POST", "/jars/ndr/run?programArg=x,y", R"({"parallelism":7})").status, 200);
  EXPECT_THAT(dispatcher_.last_run()->program_args, ElementsAre("x", "y"));
  EXPECT_EQ(Call("POST", "/jars/ndr/run", R"({"programArgs":"--k \"v w\" ''"})").status, 200);
  EXPECT_THAT(dispatcher_.last_run()->program_args, ElementsAre("--k", "v w", ""));
}

TEST_F(RestApiTest, NamesTheFieldThatIsWrong) {
  const auto error = [&](std::string_view body) {
    const RawAnswer answer = Call("POST", "/jars/ndr/run", body);
    EXPECT_EQ(answer.status, 400) << body;
    return answer.body;
  };
  EXPECT_THAT(error("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(error("{"), HasSubstr("not a JSON object"));
  EXPECT_THAT(error(R"({"paralelism":1})"), HasSubstr("did you mean \\\"parallelism\\\""));
  EXPECT_THAT(error(R"({"parallelism":0})"), HasSubstr("parallelism"));
  EXPECT_THAT(error(R"({"parallelism":"4"})"), HasSubstr("parallelism"));
  EXPECT_THAT(error(R"({"programArgsList":[1]})"), HasSubstr("programArgsList"));
  EXPECT_THAT(error(R"({"jobId":"zz"})"), HasSubstr("jobId"));
  EXPECT_EQ(Call("POST", "/jars/ndr/run?parallelism=-1").status, 400);
}

TEST_F(RestApiTest, Answers400ForUnknownLibrariesAsFlinkDoes) {
  EXPECT_EQ(Call("POST", "/jars/nope/run").status, 400);
  EXPECT_EQ(Call("DELETE", "/jars/nope").status, 400);
  EXPECT_EQ(Call("DELETE", "/jars/ndr").status, 409);
}

TEST_F(RestApiTest, ListsLibrariesUnderTheClientsAddress) {
  const Json jars = Get("/jars");
  EXPECT_EQ(jars["address"], "http://example:8081");
  EXPECT_EQ(jars["files"][0]["id"], "ndr");
  EXPECT_EQ(jars["files"][0]["entry"][0]["description"], "lateral movement");
}

TEST_F(RestApiTest, TriggersACheckpointOncePerTriggerId) {
  const std::string body =
      R"({"checkpointType":"FULL","triggerId":"000000000000000000000000000000aa"})";
  const RawAnswer answer = Call("POST", Resolve("/jobs/JOB/checkpoints"), body);
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.body, R"({"request-id":"000000000000000000000000000000aa"})");
  EXPECT_EQ(Call("POST", Resolve("/jobs/JOB/checkpoints"), body).status, 202);
  const Json status = Get("/jobs/JOB/checkpoints/000000000000000000000000000000aa");
  EXPECT_EQ(status, Json::parse(R"({"status":{"id":"COMPLETED"},"operation":{"checkpointId":3}})"));
}

TEST_F(RestApiTest, ShowsASubtaskAndItsCurrentAttempt) {
  const Json subtask = Get("/jobs/JOB/vertices/SINK/subtasks/1");
  EXPECT_EQ(subtask["subtask"], 1);
  EXPECT_EQ(subtask["metrics"]["read-records"], 101);
  EXPECT_EQ(Get("/jobs/JOB/vertices/SINK/subtasks/1/attempts/0"), subtask);
  EXPECT_EQ(Get("/jobs/JOB/vertices/SINK/subtasks/accumulators")["subtasks"].size(), 2U);
  EXPECT_EQ(Get("/jobs/JOB/vertices/SINK/accumulators")["user-accumulators"], Json::array());
  const std::string subtasks = Resolve("/jobs/JOB/vertices/SINK/subtasks");
  EXPECT_EQ(Call("GET", subtasks + "/2").status, 404);
  EXPECT_EQ(Call("GET", subtasks + "/1/attempts/7").status, 404);
  EXPECT_EQ(Call("GET", subtasks + "/x").status, 400);
  EXPECT_EQ(Call("GET", subtasks + "/1/attempts/-1").status, 400);
}

TEST_F(RestApiTest, RefusesACheckpointOfATypeThatThereIsNot) {
  for (const std::string_view type : {R"("NATIVE")", R"("full")", "7"}) {
    const std::string body = StrCat(R"({"checkpointType":)", type, "}");
    const RawAnswer answer = Call("POST", Resolve("/jobs/JOB/checkpoints"), body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_THAT(answer.body, HasSubstr("CONFIGURED, FULL or INCREMENTAL"));
  }
}

TEST_F(RestApiTest, TakesASavepointAndTellsWhereItIs) {
  const std::string savepoints = Resolve("/jobs/JOB/savepoints");
  const RawAnswer answer = Call("POST", savepoints,
                                R"({"target-directory":"/s","cancel-job":false,
      "formatType":"NATIVE","triggerId":"000000000000000000000000000000ab"})");
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.body, R"({"request-id":"000000000000000000000000000000ab"})");
  EXPECT_EQ(dispatcher_.last_savepoint()->format, SavepointFormat::kNative);
  EXPECT_EQ(dispatcher_.last_savepoint()->then, AfterSavepoint::kGoOn);
  EXPECT_EQ(Get("/jobs/JOB/savepoints/000000000000000000000000000000ab"), Json::parse(R"({
      "status":{"id":"COMPLETED"},"operation":{"location":"/s/savepoint-40b817-0123456789ab"}})"));
  EXPECT_EQ(Call("GET", Resolve("/jobs/JOB/checkpoints/000000000000000000000000000000ab")).status,
            404)
      << "a savepoint's trigger is no checkpoint's";
  ASSERT_EQ(Call("POST", savepoints, R"({"target-directory":"/s","cancel-job":true})").status, 202);
  EXPECT_EQ(dispatcher_.last_savepoint()->then, AfterSavepoint::kCancel);
  EXPECT_EQ(dispatcher_.last_savepoint()->format, SavepointFormat::kCanonical);
}

TEST_F(RestApiTest, RefusesSavepointsWithoutPlaceOrSense) {
  const std::string savepoints = Resolve("/jobs/JOB/savepoints");
  EXPECT_EQ(Call("POST", savepoints, "{}").status, 400);
  EXPECT_EQ(Call("POST", savepoints, R"({"target-directory":"/s","formatType":"ZIP"})").status,
            400);
  EXPECT_EQ(Call("POST", savepoints, R"({"targetDirectory":"/s"})").status, 400);
  EXPECT_EQ(Call("POST", "/jobs/ffffffffffffffffffffffffffffffff/savepoints",
                 R"({"target-directory":"/s"})")
                .status,
            404);
  EXPECT_FALSE(dispatcher_.last_savepoint().has_value());
}

TEST_F(RestApiTest, TellsWhyASavepointFailed) {
  ASSERT_EQ(Call("POST", Resolve("/jobs/JOB/savepoints"),
                 R"({"target-directory":"/full","triggerId":"000000000000000000000000000000ac"})")
                .status,
            202);
  const Json status = Get("/jobs/JOB/savepoints/000000000000000000000000000000ac");
  EXPECT_EQ(status["status"]["id"], "COMPLETED");
  EXPECT_EQ(status["operation"]["failure-cause"]["stack-trace"], "disk full");
}

TEST_F(RestApiTest, TellsOfASavepointThatAnEarlierLeaderTook) {
  EXPECT_EQ(Get(StrCat("/jobs/JOB/savepoints/", FakeDispatcher::kFormerSavepoint)),
            Json::parse(
                R"({"status":{"id":"COMPLETED"},"operation":{"location":"/s/savepoint-former"}})"));
  const Json lost = Get(StrCat("/jobs/JOB/savepoints/", FakeDispatcher::kLostSavepoint));
  EXPECT_EQ(lost["status"]["id"], "COMPLETED");
  EXPECT_EQ(lost["operation"]["failure-cause"]["stack-trace"], "the JobManager was lost");
  EXPECT_EQ(Call("GET", Resolve("/jobs/JOB/savepoints/000000000000000000000000000000fc")).status,
            404);
}

TEST_F(RestApiTest, StopsAJobWithASavepoint) {
  const std::string stop = Resolve("/jobs/JOB/stop");
  const Json answer = Json::parse(Call("POST", stop, R"({"targetDirectory":"/s"})").body);
  EXPECT_EQ(dispatcher_.last_savepoint()->then, AfterSavepoint::kStop);
  const Json status = Get(StrCat("/jobs/JOB/savepoints/", answer["request-id"].get<std::string>()));
  EXPECT_EQ(status["operation"]["location"], "/s/savepoint-40b817-0123456789ab");
  ASSERT_EQ(Call("POST", stop, R"({"targetDirectory":"/s","drain":true})").status, 202);
  EXPECT_EQ(dispatcher_.last_savepoint()->then, AfterSavepoint::kDrain);
  EXPECT_EQ(Call("POST", stop, R"({"targetDirectory":"/s","drain":"yes"})").status, 400);
}

TEST_F(RestApiTest, DisposesOfSavepoints) {
  const auto dispose = [&](const std::string& path) {
    const RawAnswer answer =
        Call("POST", "/savepoint-disposal", StrCat(R"({"savepoint-path":")", path, R"("})"));
    EXPECT_EQ(answer.status, 200);
    return Get(
        StrCat("/savepoint-disposal/", Json::parse(answer.body)["request-id"].get<std::string>()));
  };
  EXPECT_EQ(dispose("/s/savepoint-1"),
            Json::parse(R"({"status":{"id":"COMPLETED"},"operation":{"failure-cause":null}})"));
  EXPECT_EQ(dispose("/missing")["operation"]["failure-cause"]["stack-trace"],
            "there is no savepoint at /missing");
  EXPECT_EQ(Call("POST", "/savepoint-disposal", "{}").status, 400);
}

TEST_F(RestApiTest, KnowsWhomARestoredSnapshotBelongsTo) {
  ASSERT_EQ(Call("POST", "/jars/ndr/run", R"({"savepointPath":"/s"})").status, 200);
  EXPECT_EQ(dispatcher_.last_run()->claim_mode, ClaimMode::kNoClaim);
  ASSERT_EQ(Call("POST", "/jars/ndr/run", R"({"savepointPath":"/s","claimMode":"CLAIM"})").status,
            200);
  EXPECT_EQ(dispatcher_.last_run()->claim_mode, ClaimMode::kClaim);
  const RawAnswer legacy =
      Call("POST", "/jars/ndr/run", R"({"savepointPath":"/s","restoreMode":"LEGACY"})");
  EXPECT_EQ(legacy.status, 400);
  EXPECT_THAT(legacy.body, HasSubstr("there is no claim mode LEGACY"));
}

TEST_F(RestApiTest, MasksSecretsInTheConfiguration) {
  const Json config = Get("/jobmanager/config");
  EXPECT_EQ(config[0], Json({{"key", "rest.port"}, {"value", "8081"}}));
  EXPECT_EQ(config[1]["value"], "******");
}

TEST_F(RestApiTest, ChecksTheNumberOfExceptions) {
  EXPECT_EQ(Get("/jobs/JOB/exceptions?maxExceptions=10")["exceptionHistory"]["entries"].size(), 1);
  EXPECT_EQ(Call("GET", Resolve("/jobs/JOB/exceptions?maxExceptions=x")).status, 400);
}

TEST_F(RestApiTest, FindsTaskManagersByTheirEncodedId) {
  EXPECT_EQ(Get("/taskmanagers/127.0.0.1%3A39319-6b3827")["slotsNumber"], 4);
}

}  // namespace
}  // namespace weir
