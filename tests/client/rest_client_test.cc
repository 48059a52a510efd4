#include "client/rest_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
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
using testing::Pair;
using testing::StartsWith;

class RestClientTest : public testing::Test {
 protected:
  RestClientTest() {
    HttpServerOptions options;
    options.max_upload_bytes = 4 << 20;
    options.drain_timeout = absl::Milliseconds(50);
    server_ = *HttpServer::Start(options, MakeRestRouter(&dispatcher_, {}));
  }

  [[nodiscard]] RestClient Client() const {
    return *RestClient::Create(StrCat("http://127.0.0.1:", server_->port(), "/"));
  }

  static std::string WriteFile(const std::string& name, const std::string& content) {
    std::string path = testing::TempDir() + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  FakeDispatcher dispatcher_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(RestClientTest, CallsEachMethod) {
  const RestClient client = Client();
  EXPECT_THAT(*client.Get("/v1/jobs"), StartsWith("{\"jobs\""));
  EXPECT_THAT(*client.Post("/jars/ndr/run", R"({"parallelism":2})"), StartsWith("{\"jobid\""));
  EXPECT_EQ(dispatcher_.last_run()->parallelism, 2);
  EXPECT_EQ(*client.Patch(StrCat("/jobs/", ToString(FakeDispatcher::KnownJob())), ""), "{}");
  EXPECT_EQ(client.Delete("/jars/ndr").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RestClientTest, GoesOnToTheLeaderThatAStandbyNames) {
  HttpServerOptions options;
  options.max_upload_bytes = 4 << 20;
  std::string leader = StrCat("http://127.0.0.1:", server_->port());
  options.intercept = [&leader](std::string_view target) {
    HttpResponse response = ErrorResponse(307, "a standby");
    response.headers.emplace_back("Location", StrCat(leader, target));
    return response;
  };
  const auto standby = HttpServer::Start(options, MakeRestRouter(&dispatcher_, {}));
  ASSERT_TRUE(standby.ok()) << standby.status();
  const RestClient client = *RestClient::Create(StrCat("127.0.0.1:", (*standby)->port()));
  EXPECT_THAT(*client.Get("/v1/jobs?x=1"), StartsWith("{\"jobs\""));
  EXPECT_THAT(*client.Post("/jars/ndr/run", R"({"parallelism":3})"), StartsWith("{\"jobid\""));
  EXPECT_EQ(dispatcher_.last_run()->parallelism, 3);
  const auto uploaded =
      client.Upload("/jars/upload", WriteFile("redirected.so", std::string(300'000, 'x')));
  EXPECT_TRUE(uploaded.ok()) << uploaded.status();
  // Two that name each other.
  leader = StrCat("http://127.0.0.1:", (*standby)->port());
  EXPECT_EQ(ToStd(client.Get("/jobs").status().message()), "a standby");
}

TEST_F(RestClientTest, PassesOnTheServersWords) {
  const absl::Status unknown = Client().Get("/jobs/00000000000000000000000000000000").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ToStd(unknown.message()), "Job 00000000000000000000000000000000 not found");
  EXPECT_EQ(Client().Get("/jobs/zz").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RestClientTest, UploadsAFileUnchanged) {
  std::string content(1'000'000, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 + i / 253);
  const absl::StatusOr<std::string> answer =
      Client().Upload("/jars/upload", WriteFile("job.so", content));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(dispatcher_.uploads(), ElementsAre(Pair("job.so", content)));
  EXPECT_FALSE(std::filesystem::exists(dispatcher_.last_upload_path()));
}

TEST_F(RestClientTest, SaysWhyAnUploadWasRefused) {
  const std::string file = WriteFile("large.so", std::string(8 << 20, 'x'));
  const absl::Status status = Client().Upload("/jars/upload", file).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(Client().Upload("/jars/upload", "/nowhere/x").status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(RestClientTest, SaysSoWhenNothingListens) {
  const RestClient client = Client();
  server_ = nullptr;
  const absl::Status status = client.Get("/jobs").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(ToStd(status.message())), StartsWith("nothing listens at 127.0.0.1:"));
}

TEST_F(RestClientTest, GivesUpAfterItsTimeout) {
  dispatcher_.HoldOverviews();
  const auto client =
      RestClient::Create(StrCat("127.0.0.1:", server_->port()), absl::Milliseconds(30));
  EXPECT_EQ(client->Get("/overview").status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(RestClientAddressTest, ChecksAddresses) {
  EXPECT_EQ(RestClient::Create("localhost:8081")->address(), "localhost:8081");
  EXPECT_EQ(RestClient::Create("http://[::1]:8081/")->address(), "[::1]:8081");
  for (const std::string_view bad :
       {"", "localhost", ":8081", "localhost:", "localhost:x", "a:123456"}) {
    EXPECT_EQ(RestClient::Create(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(PercentEncodeTest, EncodesAllButPlainCharacters) {
  EXPECT_EQ(PercentEncode("a b/ä-1"), "a%20b%2F%C3%A4-1");
}

}  // namespace
}  // namespace weir
