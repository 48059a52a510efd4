#include "jobmanager/rest/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "jobmanager/rest/rest_api.h"
#include "runtime/base/strings.h"
#include "tests/jobmanager/rest/fake_dispatcher.h"
#include "tests/jobmanager/rest/raw_connection.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::StartsWith;

/// Waits for what another thread does; fails loudly after ten seconds.
template <class Condition>
void WaitUntil(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "the condition never held";
    std::this_thread::yield();
  }
}

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    std::string directory = testing::TempDir() + "/rest-XXXXXX";
    upload_directory_ = mkdtemp(directory.data());
    options_.upload_directory = upload_directory_;
    options_.max_upload_bytes = 4 << 20;
    options_.max_body_bytes = 64 << 10;
  }
  ~HttpServerTest() override {
    server_ = nullptr;
    std::filesystem::remove_all(upload_directory_);
  }

  void Start() {
    auto server = HttpServer::Start(options_, MakeRestRouter(&dispatcher_, {}));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  [[nodiscard]] size_t NumFiles() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(upload_directory_),
                                             std::filesystem::directory_iterator()));
  }

  static std::string Form(const std::string& name, const std::string& data) {
    return StrCat("--b\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"", name,
                  "\"\r\n\r\n", data, "\r\n--b--\r\n");
  }

  static std::string UploadHead(const std::string& more) {
    return StrCat("POST /v1/jars/upload HTTP/1.1\r\nHost: x\r\n",
                  "Content-Type: multipart/form-data; boundary=b\r\n", more, "\r\n\r\n");
  }

  FakeDispatcher dispatcher_;
  std::string upload_directory_;
  HttpServerOptions options_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, KeepsConnectionsAndSetsHeaders) {
  Start();
  RawConnection client(server_->port());
  for (int i = 0; i < 3; ++i) {
    client.Send("GET /v1/config HTTP/1.1\r\nHost: x\r\n\r\n");
    const RawAnswer answer = client.Receive();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers.at("content-type"), "application/json; charset=UTF-8");
    EXPECT_EQ(answer.headers.at("access-control-allow-origin"), "*");
  }
}

TEST_F(HttpServerTest, SendsToTheLeaderWhileItIsAStandby) {
  std::atomic<bool> leads = false;
  options_.intercept = [&leads](std::string_view target) -> std::optional<HttpResponse> {
    if (leads) return std::nullopt;
    HttpResponse response = ErrorResponse(307, "a standby");
    response.headers.emplace_back("Location", StrCat("http://leader:8081", target));
    return response;
  };
  Start();
  RawConnection client(server_->port());
  client.Send("GET /v1/jobs?get=a,b HTTP/1.1\r\nHost: x\r\n\r\n");
  const RawAnswer answer = client.Receive();
  EXPECT_EQ(answer.status, 307);
  EXPECT_EQ(answer.headers.at("location"), "http://leader:8081/v1/jobs?get=a,b");
  EXPECT_EQ(answer.body, "{\"errors\":[\"a standby\"]}");
  client.Send("POST /jars/x/run HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(client.Receive().status, 307);
  leads = true;
  RawConnection later(server_->port());
  later.Send("GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(later.Receive().status, 200);
}

TEST_F(HttpServerTest, ReadsAndIgnoresTheBodyOfAGet) {
  Start();
  RawConnection client(server_->port());
  client.Send(
      "GET /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
      "Content-Length: 2\r\n\r\n{}GET /config HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.Receive().body, StartsWith("{\"jobs\""));
  EXPECT_THAT(client.Receive().body, StartsWith("{\"refresh-interval\""));
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  Start();
  RawConnection client(server_->port());
  std::string requests;
  for (int i = 0; i < 50; ++i) {
    requests += "GET /overview HTTP/1.1\r\nHost: x\r\n\r\nGET /nope HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  client.Send(requests);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(client.Receive().status, 200);
    EXPECT_EQ(client.Receive().status, 404);
  }
}

TEST_F(HttpServerTest, TakesRequestsByteByByte) {
  Start();
  RawConnection client(server_->port());
  const std::string request =
      "POST /jars/ndr/run HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{\"parallelism\":3}";
  for (const char c : request) ASSERT_TRUE(client.Send(std::string_view(&c, 1)));
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(dispatcher_.last_run()->parallelism, 3);
}

TEST_F(HttpServerTest, TakesChunkedUploadOfJavaClients) {
  Start();
  RawConnection client(server_->port());
  client.Send(UploadHead("Transfer-Encoding: chunked"));
  const std::string data(300'000, 'j');
  const std::string form = Form("../../evil/job.so", data);
  for (size_t at = 0; at < form.size(); at += 7777) {
    const std::string chunk = form.substr(at, 7777);
    client.Send(StrCat(absl::Hex(chunk.size()), "\r\n", chunk, "\r\n"));
  }
  client.Send("0\r\n\r\n");
  const RawAnswer answer = client.Receive();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"filename":"/jars/0123_job.so","status":"success"})");
  EXPECT_THAT(dispatcher_.uploads(), ElementsAre(Pair("job.so", data)));
  WaitUntil([&] { return NumFiles() == 0; });
}

TEST_F(HttpServerTest, SendsContinueToClientsThatAskFirst) {
  Start();
  RawConnection client(server_->port());
  const std::string form = Form("a.so", "data");
  client.Send(UploadHead(StrCat("Expect: 100-continue\r\nContent-Length: ", form.size())));
  EXPECT_EQ(client.Receive().status, 100);
  client.Send(form);
  EXPECT_EQ(client.Receive().status, 200);
}

TEST_F(HttpServerTest, LeavesNoFileWhenTheClientVanishesInMidUpload) {
  Start();
  RawConnection client(server_->port());
  client.Send(UploadHead("Content-Length: 1000000"));
  client.Send(Form("a.so", std::string(200'000, 'x')).substr(0, 150'000));
  WaitUntil([&] { return NumFiles() == 1; });
  client.Reset();
  WaitUntil([&] { return NumFiles() == 0; });
  EXPECT_THAT(dispatcher_.uploads(), IsEmpty());
}

TEST_F(HttpServerTest, RefusesOversizedUploads) {
  Start();
  RawConnection announced(server_->port());
  announced.Send(UploadHead("Content-Length: 99999999"));
  EXPECT_EQ(announced.Receive().status, 413);

  RawConnection chunked(server_->port());
  chunked.Send(UploadHead("Transfer-Encoding: chunked"));
  chunked.Send(StrCat(absl::Hex(5 << 20), "\r\n", Form("a", std::string(5 << 20, 'x'))));
  EXPECT_EQ(chunked.Receive().status, 413);
  EXPECT_EQ(NumFiles(), 0);
}

TEST_F(HttpServerTest, RefusesOversizedJson) {
  Start();
  RawConnection client(server_->port());
  client.Send("POST /jars/ndr/run HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n{");
  const RawAnswer answer = client.Receive();
  EXPECT_EQ(answer.status, 413);
  EXPECT_THAT(answer.body, StartsWith("{\"errors\":[\"the body is too large"));
}

TEST_F(HttpServerTest, AnswersMalformedRequestsWith400) {
  Start();
  for (const std::string_view request :
       {"garbage\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "GET /jobs HTTP/1.1\r\nbad header\r\n\r\n", "GET /jobs?a=%zz HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02\r\n\r\n",
        "POST /jars/x/run HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnothex\r\n"}) {
    RawConnection client(server_->port());
    client.Send(request);
    const RawAnswer answer = client.Receive();
    EXPECT_EQ(answer.status, 400) << request;
    EXPECT_THAT(answer.body, StartsWith("{\"errors\":[")) << request;
  }
  RawConnection client(server_->port());
  client.Send(StrCat("GET /jobs HTTP/1.1\r\nX: ", std::string(40'000, 'x'), "\r\n\r\n"));
  EXPECT_EQ(client.Receive().status, 431);
}

TEST_F(HttpServerTest, RefusesWhatIsNoForm) {
  Start();
  RawConnection json(server_->port());
  json.Send("POST /jars/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(json.Receive().status, 400);
  RawConnection torn(server_->port());
  const std::string form = Form("a.so", "data").substr(0, 80);
  torn.Send(StrCat(UploadHead(StrCat("Content-Length: ", form.size())), form));
  EXPECT_EQ(torn.Receive().status, 400);
  WaitUntil([&] { return NumFiles() == 0; });
}

TEST_F(HttpServerTest, TellsUnknownPathsFromWrongMethods) {
  Start();
  RawConnection client(server_->port());
  client.Send("GET /nope HTTP/1.1\r\nHost: x\r\n\r\n");
  const RawAnswer unknown = client.Receive();
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.body, R"({"errors":["Unable to load requested file /nope."]})");
  client.Send("DELETE /overview HTTP/1.1\r\nHost: x\r\n\r\n");
  const RawAnswer wrong = client.Receive();
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "OPTIONS, GET, HEAD");
  client.Send("BREW /overview HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 405);
}

TEST_F(HttpServerTest, AnswersHeadAndOptions) {
  Start();
  RawConnection client(server_->port());
  client.Send("HEAD /overview HTTP/1.1\r\nHost: x\r\n\r\n");
  const RawAnswer head = client.Receive(/*head_only=*/true);
  EXPECT_EQ(head.status, 200);
  EXPECT_NE(head.headers.at("content-length"), "0");
  client.Send("OPTIONS /jobs HTTP/1.1\r\nHost: x\r\n\r\n");
  const RawAnswer options = client.Receive();
  EXPECT_EQ(options.status, 200);
  EXPECT_EQ(options.headers.at("access-control-allow-methods"), "OPTIONS, GET, HEAD, POST");
  client.Send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 200);
}

TEST_F(HttpServerTest, TurnsExceptionsOfHandlersInto500) {
  dispatcher_.ThrowOnTaskManagers();
  Start();
  RawConnection client(server_->port());
  client.Send("GET /taskmanagers HTTP/1.1\r\nHost: x\r\n\r\n");
  const RawAnswer answer = client.Receive();
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, HasSubstr("a bug of the gateway"));
  client.Send("GET /overview HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 200);
}

TEST_F(HttpServerTest, ServesOthersWhileOneWaitsForItsAnswer) {
  dispatcher_.HoldOverviews();
  options_.num_threads = 1;
  Start();
  RawConnection waiting(server_->port());
  waiting.Send("GET /overview HTTP/1.1\r\nHost: x\r\n\r\n");
  RawConnection other(server_->port());
  other.Send("GET /jobs HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(other.Receive().status, 200);
  std::vector<DispatcherGateway::Callback<ClusterOverview>> held;
  WaitUntil([&] { return !(held = dispatcher_.TakeHeldOverviews()).empty(); });
  held.front()(ClusterOverview{.num_taskmanagers = 7});
  EXPECT_THAT(waiting.Receive().body, StartsWith("{\"taskmanagers\":7,"));
}

TEST_F(HttpServerTest, Answers500WhenTheGatewayDropsARequest) {
  dispatcher_.HoldOverviews();
  Start();
  RawConnection client(server_->port());
  client.Send("GET /overview HTTP/1.1\r\nHost: x\r\n\r\n");
  WaitUntil([&] { return !dispatcher_.TakeHeldOverviews().empty(); });
  EXPECT_EQ(client.Receive().status, 500);
}

TEST_F(HttpServerTest, Answers503WhenTheGatewayIsTooSlowAndDropsItsLateAnswer) {
  dispatcher_.HoldOverviews();
  options_.answer_timeout = absl::Milliseconds(20);
  Start();
  RawConnection client(server_->port());
  client.Send("GET /overview HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 503);
  for (const auto& late : dispatcher_.TakeHeldOverviews()) late(ClusterOverview());
  client.Send("GET /jobs HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.Receive().body, StartsWith("{\"jobs\""));
}

TEST_F(HttpServerTest, ClosesConnectionsThatAreTooSlow) {
  options_.header_timeout = absl::Milliseconds(30);
  options_.idle_timeout = absl::Milliseconds(30);
  options_.body_timeout = absl::Milliseconds(30);
  Start();
  RawConnection silent(server_->port());
  EXPECT_TRUE(silent.IsClosedByServer());
  RawConnection half_a_head(server_->port());
  half_a_head.Send("GET /jobs HTTP/1.1\r\nHo");
  EXPECT_TRUE(half_a_head.IsClosedByServer());
  RawConnection half_a_body(server_->port());
  half_a_body.Send(UploadHead("Content-Length: 1000"));
  half_a_body.Send(Form("a.so", "data").substr(0, 80));
  EXPECT_TRUE(half_a_body.IsClosedByServer());
  WaitUntil([&] { return NumFiles() == 0; });
}

TEST_F(HttpServerTest, ClosesAsHttp10ClientsAndConnectionCloseExpect) {
  Start();
  for (const std::string_view request :
       {"GET /jobs HTTP/1.0\r\n\r\n",
        "GET /jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"}) {
    RawConnection client(server_->port());
    client.Send(request);
    EXPECT_EQ(client.Receive().status, 200);
    EXPECT_TRUE(client.IsClosedByServer());
  }
}

TEST_F(HttpServerTest, StopsWithRequestsUnderWay) {
  dispatcher_.HoldOverviews();
  options_.drain_timeout = absl::Milliseconds(50);
  Start();
  RawConnection idle(server_->port());
  idle.Send("GET /jobs HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(idle.Receive().status, 200);
  RawConnection waiting(server_->port());
  waiting.Send("GET /overview HTTP/1.1\r\nHost: x\r\n\r\n");
  std::vector<DispatcherGateway::Callback<ClusterOverview>> held;
  WaitUntil([&] { return !(held = dispatcher_.TakeHeldOverviews()).empty(); });
  server_->Stop();
  EXPECT_TRUE(idle.IsClosedByServer());
  server_ = nullptr;
  held.front()(ClusterOverview());  // Nobody is there any more; nothing happens.
}

TEST_F(HttpServerTest, LetsRequestsUnderWayFinishWhenItStops) {
  dispatcher_.HoldOverviews();
  Start();
  RawConnection client(server_->port());
  client.Send("GET /overview HTTP/1.1\r\nHost: x\r\n\r\n");
  std::vector<DispatcherGateway::Callback<ClusterOverview>> held;
  WaitUntil([&] { return !(held = dispatcher_.TakeHeldOverviews()).empty(); });
  std::jthread stopper([&] { server_->Stop(); });
  held.front()(ClusterOverview());
  EXPECT_EQ(client.Receive().status, 200);
}

TEST_F(HttpServerTest, RefusesConnectionsBeyondItsLimit) {
  options_.max_connections = 2;
  Start();
  RawConnection first(server_->port());
  RawConnection second(server_->port());
  for (RawConnection* client : {&first, &second}) {
    client->Send("GET /jobs HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(client->Receive().status, 200);
  }
  RawConnection third(server_->port());
  EXPECT_TRUE(third.IsClosedByServer());
}

TEST_F(HttpServerTest, SaysSoWhenItsPortIsTaken) {
  Start();
  HttpServerOptions options;
  options.port = server_->port();
  const auto second = HttpServer::Start(options, Router());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("cannot listen for REST"));
}

TEST_F(HttpServerTest, ServesManyClientsAtOnce) {
  Start();
  std::vector<std::jthread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([port = server_->port()] {
      RawConnection client(port);
      for (int k = 0; k < 100; ++k) {
        client.Send("GET /jobs/overview HTTP/1.1\r\nHost: x\r\n\r\n");
        ASSERT_EQ(client.Receive().status, 200);
      }
    });
  }
}

}  // namespace
}  // namespace weir
