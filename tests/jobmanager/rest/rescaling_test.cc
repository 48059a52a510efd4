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

class RestRescalingTest : public testing::Test {
 protected:
  RestRescalingTest() {
    RestApiOptions options;
    options.clock = FakeDispatcher::Now;
    auto server = HttpServer::Start({}, MakeRestRouter(&dispatcher_, options));
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  RawAnswer Call(std::string_view method, std::string_view path, std::string_view body = "") {
    RawConnection client(server_->port());
    client.Send(StrCat(method, " /jobs/", ToString(FakeDispatcher::KnownJob()), path,
                       " HTTP/1.1\r\nHost: example:8081\r\nContent-Length: ", body.size(),
                       "\r\n\r\n", body));
    return client.Receive();
  }
  RawAnswer Put(std::string_view body) { return Call("PUT", "/resource-requirements", body); }
  Json Get(std::string_view path) {
    const RawAnswer answer = Call("GET", path);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body);
  }

  const std::string source_ = ToString(FakeDispatcher::Source());
  const std::string sink_ = ToString(FakeDispatcher::Sink());
  FakeDispatcher dispatcher_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(RestRescalingTest, ShowsRequirementsInFlinksShape) {
  Json expected;
  expected[source_]["parallelism"] = {{"lowerBound", 1}, {"upperBound", 4}};
  expected[sink_]["parallelism"] = {{"lowerBound", 2}, {"upperBound", 4}};
  EXPECT_EQ(Get("/resource-requirements"), expected);
}

TEST_F(RestRescalingTest, TakesBackWhatItShows) {
  Json body = Get("/resource-requirements");
  body[source_]["parallelism"]["upperBound"] = 5;
  const RawAnswer answer = Put(body.dump());
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "{}");
  const ResourceRequirements expected = {
      {FakeDispatcher::Source(), {.lower = 1, .upper = 5}},
      {FakeDispatcher::Sink(), {.lower = 2, .upper = 4}},
  };
  EXPECT_EQ(dispatcher_.last_requirements(), expected);
}

TEST_F(RestRescalingTest, RefusesBodiesThatAreNoRequirements) {
  const auto of_source = [this](std::string_view value) {
    return StrCat("{\"", source_, "\": ", value, "}");
  };
  const std::pair<std::string, std::string> cases[] = {
      {"[]", "not a JSON object"},
      {"{\"x\": {}}", "not 32 hexadecimal digits"},
      {of_source("3"), "no parallelism"},
      {of_source("{\"parallelism\": 3}"), "no parallelism"},
      {of_source("{\"parallelism\": {\"upperBound\": 3}}"), "lowerBound is no positive integer"},
      {of_source("{\"parallelism\": {\"lowerBound\": 1, \"upperBound\": -3}}"),
       "upperBound is no positive integer"},
      {of_source("{\"parallelism\": {\"lowerBound\": 1, \"upperBound\": \"x\"}}"),
       "upperBound is no positive integer"},
      {of_source("{\"parallelism\": {\"lowerBound\": 1, \"upperBound\": 3}}"),
       "a vertex is missing"},
  };
  for (const auto& [body, message] : cases) {
    const RawAnswer answer = Put(body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_THAT(answer.body, HasSubstr(message)) << body;
  }
  EXPECT_FALSE(dispatcher_.last_requirements().has_value());
}

TEST_F(RestRescalingTest, SaysWhyAJobRunsWithLess) {
  const Json scaling = Get("/scaling");
  EXPECT_EQ(scaling["scheduler"], "adaptive");
  EXPECT_EQ(scaling["state"], "RUNNING");
  EXPECT_THAT(scaling["reason"].get<std::string>(), HasSubstr("another parallelism"));
  EXPECT_EQ(scaling["slots"], Json({{"wanted", 4}, {"available", 2}}));
  EXPECT_EQ(scaling["numRescales"], 1);
  EXPECT_EQ(scaling["vertices"][0], Json({{"id", source_},
                                          {"name", "Source: gen -> map"},
                                          {"parallelism", 2},
                                          {"lowerBound", 1},
                                          {"upperBound", 4},
                                          {"maxParallelism", 128},
                                          {"parallelismConfigured", true}}));
}

TEST_F(RestRescalingTest, ShowsRescalesWithReasonsAndTheirParts) {
  const Json history = Get("/rescales/history");
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history[0]["terminalState"], "IN_PROGRESS");
  EXPECT_EQ(history[0]["endTimestampInMillis"], nullptr);
  EXPECT_EQ(history[0]["durationInMillis"], 300);
  EXPECT_EQ(history[0]["downtimeInMillis"], 0) << "its tasks still run";
  EXPECT_EQ(history[1]["triggerCause"], "UPDATE_REQUIREMENT");
  EXPECT_EQ(history[1]["terminalState"], "COMPLETED");
  EXPECT_EQ(history[1]["restoredCheckpointId"], 7);
  EXPECT_EQ(history[1]["durationInMillis"], 500);
  EXPECT_EQ(history[1]["downtimeInMillis"], 300);
  EXPECT_EQ(history[1]["schedulerStates"][1]["state"], "Restarting");
  EXPECT_EQ(history[1]["schedulerStates"][1]["durationInMillis"], 100);
  EXPECT_EQ(history[1]["vertices"][source_]["preRescaleParallelism"], 1);
  EXPECT_EQ(history[1]["vertices"][source_]["postRescaleParallelism"], 2);
}

}  // namespace
}  // namespace weir
