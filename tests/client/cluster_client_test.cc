#include "client/cluster_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "jobmanager/rest/http_server.h"
#include "jobmanager/rest/rest_api.h"
#include "runtime/base/strings.h"
#include "tests/jobmanager/rest/fake_dispatcher.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

class ClusterClientTest : public testing::Test {
 protected:
  ClusterClientTest() {
    HttpServerOptions options;
    options.drain_timeout = absl::Milliseconds(50);
    server_ = *HttpServer::Start(options, MakeRestRouter(&dispatcher_, {}));
  }

  [[nodiscard]] ClusterClient Client() const {
    return ClusterClient(*RestClient::Create(StrCat("127.0.0.1:", server_->port())));
  }

  FakeDispatcher dispatcher_;
  std::unique_ptr<HttpServer> server_;
  const std::string known_job_ = ToString(FakeDispatcher::KnownJob());
};

TEST_F(ClusterClientTest, ReadsTheCluster) {
  const auto cluster = Client().Overview();
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(cluster->task_managers, 1);
  EXPECT_FALSE(cluster->version.empty());
  const auto task_managers = Client().TaskManagers();
  ASSERT_TRUE(task_managers.ok()) << task_managers.status();
  ASSERT_THAT(*task_managers, SizeIs(1));
  EXPECT_FALSE(task_managers->front().id.empty());
  EXPECT_GT(task_managers->front().slots, 0);
  EXPECT_EQ(task_managers->front().cpu_load, 0.25);
  EXPECT_EQ(task_managers->front().used_memory_bytes, 1048576);
}

TEST_F(ClusterClientTest, ReadsJobs) {
  const auto jobs = Client().Jobs();
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  ASSERT_THAT(*jobs, SizeIs(1));
  EXPECT_EQ(jobs->front().id, known_job_);
  EXPECT_EQ(jobs->front().state, "RUNNING");
  EXPECT_EQ(jobs->front().running_tasks, 4);
  const auto progress = Client().Progress(known_job_);
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_EQ(progress->state, "RUNNING");
  EXPECT_EQ(progress->name, "golden");
  EXPECT_GT(progress->tasks, 0);
  EXPECT_GT(progress->records, 0);
}

TEST_F(ClusterClientTest, TellsWhetherAJobHasEnded) {
  EXPECT_EQ(Client().Outcome(known_job_)->state, "");
  EXPECT_TRUE(Client().Cancel(known_job_).ok());
  EXPECT_EQ(Client().Outcome(known_job_)->state, "CANCELED");
}

TEST_F(ClusterClientTest, ReadsFailuresAndCheckpoints) {
  const auto failures = Client().Failures(known_job_, 1);
  ASSERT_TRUE(failures.ok()) << failures.status();
  ASSERT_THAT(*failures, SizeIs(1));
  EXPECT_THAT(failures->front().message, HasSubstr("no longer reachable"));
  const auto checkpoints = Client().Checkpoints(known_job_);
  ASSERT_TRUE(checkpoints.ok()) << checkpoints.status();
  EXPECT_GT(checkpoints->total, 0);
  EXPECT_FALSE(checkpoints->history.empty());
}

TEST_F(ClusterClientTest, SubmitsWhatWasAskedFor) {
  const auto job_id = Client().Submit({.library_id = "ndr",
                                       .entry = "ndr",
                                       .arguments = {"--events", "a \"b\" c"},
                                       .parallelism = 3,
                                       .settings = {{"pipeline.name", "mine"}}});
  ASSERT_TRUE(job_id.ok()) << job_id.status();
  EXPECT_EQ(*job_id, known_job_);
  const auto run = dispatcher_.last_run();
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->jar_id, "ndr");
  EXPECT_EQ(run->entry_class, "ndr");
  EXPECT_THAT(run->program_args, ElementsAre("--events", "a \"b\" c"));
  EXPECT_EQ(run->parallelism, 3);
  EXPECT_THAT(run->flink_configuration, ElementsAre(Pair("pipeline.name", "mine")));
}

TEST_F(ClusterClientTest, SubmitsWhatToRestoreFrom) {
  ASSERT_TRUE(Client()
                  .Submit({.library_id = "ndr",
                           .savepoint_path = "/s/savepoint-1",
                           .allow_non_restored_state = true,
                           .claim_mode = "CLAIM"})
                  .ok());
  const auto run = dispatcher_.last_run();
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->savepoint_path, "/s/savepoint-1");
  EXPECT_TRUE(run->allow_non_restored_state);
  EXPECT_EQ(run->claim_mode, ClaimMode::kClaim);
}

TEST_F(ClusterClientTest, TriggersSavepointsStopsAndDisposals) {
  const auto ask = [&](const absl::StatusOr<std::string>& operation) {
    EXPECT_TRUE(operation.ok()) << operation.status();
    return operation.ok() ? *Client().Operation(*operation) : OperationStatus();
  };
  const OperationStatus taken =
      ask(Client().TriggerSavepoint(known_job_, {.directory = "/s", .format = "NATIVE"}));
  EXPECT_TRUE(taken.completed);
  EXPECT_EQ(taken.location, "/s/savepoint-40b817-0123456789ab");
  EXPECT_EQ(dispatcher_.last_savepoint()->format, SavepointFormat::kNative);
  EXPECT_EQ(ask(Client().TriggerSavepoint(known_job_, {.directory = "/full"})).failure,
            "disk full");
  EXPECT_EQ(
      ask(Client().TriggerSavepoint(known_job_, {.directory = "/s", .stop = true, .drain = true}))
          .location,
      "/s/savepoint-40b817-0123456789ab");
  EXPECT_EQ(dispatcher_.last_savepoint()->then, AfterSavepoint::kDrain);
  EXPECT_EQ(ask(Client().TriggerCheckpoint(known_job_)).checkpoint_id, 3);
  EXPECT_TRUE(ask(Client().TriggerDisposal("/s/savepoint-1")).completed);
  EXPECT_THAT(ask(Client().TriggerDisposal("/missing")).failure, HasSubstr("no savepoint"));
  EXPECT_EQ(Client().TriggerSavepoint(known_job_, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ClusterClientTest, FindsJobsByIdItsBeginningAndName) {
  EXPECT_EQ(*Client().ResolveJob(known_job_), known_job_);
  EXPECT_EQ(*Client().ResolveJob(known_job_.substr(0, 6)), known_job_);
  EXPECT_EQ(*Client().ResolveJob("golden"), known_job_);
  const absl::Status unknown = Client().ResolveJob("goldem").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(unknown.ToString(), HasSubstr("did you mean \"golden\"?"));
  EXPECT_EQ(Client().ResolveJob("").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClusterClientTest, SaysSoWhenTheServerIsNoJobManager) {
  Router router;
  router.Add(HttpMethod::kGet, "/overview", BodyPolicy::kIgnore,
             [](const HttpRequest&, HttpResponder responder) {
               HttpResponse page;
               page.body = "<html>hello</html>";
               responder.Send(std::move(page));
             });
  const auto other = HttpServer::Start({}, std::move(router));
  const ClusterClient client(*RestClient::Create(StrCat("127.0.0.1:", (*other)->port())));
  EXPECT_THAT(client.Overview().status().ToString(), HasSubstr("not JSON"));
}

const std::vector<JobLibraryStatus>& Libraries() {
  static const std::vector<JobLibraryStatus> libraries = {
      {.id = "1_libmine.so", .name = "libmine.so", .entries = {"mine", "ndr"}},
      {.id = "2_libmine.so", .name = "libmine.so", .entries = {"mine"}},
      {.id = "3_libother.so", .name = "libother.so", .entries = {"other"}},
      {.id = "examples", .name = "libexamples.so", .entries = {"word_count", "keyed_count"}},
      {.id = "ndr", .name = "libndr.so", .entries = {"ndr"}},
      {.id = "sigma", .name = "libsigma.so", .entries = {}},
  };
  return libraries;
}

TEST(FindJobTest, PrefersShippedJobs) {
  EXPECT_EQ(FindJob(Libraries(), "ndr")->library_id, "ndr");
  EXPECT_EQ(FindJob(Libraries(), "word_count")->library_id, "examples");
  EXPECT_EQ(FindJob(Libraries(), "word_count")->entry, "word_count");
}

TEST(FindJobTest, FindsUploadedJobsAndLibraries) {
  EXPECT_EQ(FindJob(Libraries(), "other")->library_id, "3_libother.so");
  EXPECT_EQ(FindJob(Libraries(), "2_libmine.so")->library_id, "2_libmine.so");
  // Its jobs could not be read: running it tells why.
  EXPECT_EQ(FindJob(Libraries(), "sigma")->library_id, "sigma");
  EXPECT_THAT(FindJob(Libraries(), "sigma")->entry, IsEmpty());
}

TEST(FindJobTest, RefusesUnknownAndAmbiguousNames) {
  const absl::Status ambiguous = FindJob(Libraries(), "mine").status();
  EXPECT_EQ(ambiguous.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(ambiguous.ToString(), HasSubstr("1_libmine.so, 2_libmine.so"));
  const absl::Status near = FindJob(Libraries(), "wordcount").status();
  EXPECT_EQ(near.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(near.ToString(), HasSubstr("did you mean \"word_count\"?"));
  EXPECT_THAT(FindJob(Libraries(), "zzzzzzzz").status().ToString(),
              HasSubstr("there are: keyed_count, mine"));
}

TEST_F(ClusterClientTest, ScalesAJob) {
  const auto scaling = Client().Scaling(known_job_);
  ASSERT_TRUE(scaling.ok()) << scaling.status();
  EXPECT_EQ(scaling->wanted_slots, 4);
  EXPECT_EQ(scaling->available_slots, 2);
  EXPECT_THAT(scaling->reason, HasSubstr("another parallelism"));
  const auto plan = PlanScaling(*scaling, 1, {{"gen", 3}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_TRUE(Client().Scale(known_job_, *plan).ok());
  const ResourceRequirements expected = {
      {FakeDispatcher::Source(), {.lower = 1, .upper = 3}},
      {FakeDispatcher::Sink(), {.lower = 1, .upper = 1}},
  };
  EXPECT_EQ(dispatcher_.last_requirements(), expected) << "lower bounds go down with upper ones";
}

TEST(PlanScalingTest, LeavesVerticesAloneWhoseParallelismTheCodeSets) {
  JobScaling job;
  job.vertices = {
      {.id = "a1", .name = "Source: rules", .max_parallelism = 128, .parallelism_configured = true},
      {.id = "b2", .name = "match -> sink", .upper_bound = 2, .max_parallelism = 8},
      {.id = "c3", .name = "count -> sink", .upper_bound = 2, .max_parallelism = 128}};
  const auto upper_bounds = [](const std::vector<JobScaling::Vertex>& vertices) {
    std::vector<int64_t> bounds;
    for (const JobScaling::Vertex& vertex : vertices) bounds.push_back(vertex.upper_bound);
    return bounds;
  };
  EXPECT_THAT(upper_bounds(*PlanScaling(job, 4, {})), ElementsAre(1, 4, 4));
  EXPECT_THAT(upper_bounds(*PlanScaling(job, 4, {{"rules", 2}, {"c3", 5}})), ElementsAre(2, 4, 5));
  EXPECT_THAT(upper_bounds(*PlanScaling(job, {}, {{"match -> sink", 3}})), ElementsAre(1, 3, 2));
  const auto problem = [&](std::optional<uint32_t> parallelism,
                           const std::map<std::string, uint32_t>& of_vertices) {
    return PlanScaling(job, parallelism, of_vertices).status().ToString();
  };
  EXPECT_THAT(problem({}, {{"window", 3}}), HasSubstr("no vertex of this name: \"window\""));
  EXPECT_THAT(problem({}, {{"sink", 3}}), HasSubstr("several vertices"));
  EXPECT_THAT(problem(9, {}), HasSubstr("max_parallelism=8"));
  for (JobScaling::Vertex& vertex : job.vertices) vertex.parallelism_configured = true;
  EXPECT_THAT(upper_bounds(*PlanScaling(job, 4, {})), ElementsAre(4, 4, 4)) << "all or none";
}

}  // namespace
}  // namespace weir
