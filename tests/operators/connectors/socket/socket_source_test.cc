#include "operators/connectors/socket/socket_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/strings.h"
#include "tests/support/connector_contexts.h"

namespace weir {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A server on a port of its own that sends each of `texts` on a connection of its own and closes
// it.
class TextServer {
 public:
  explicit TextServer(std::vector<std::string> texts)
      : acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
    thread_ = std::jthread([this, texts = std::move(texts)] {
      for (const std::string& text : texts) {
        tcp::socket socket(io_);
        boost::system::error_code error;
        acceptor_.accept(socket, error);
        if (error) return;
        asio::write(socket, asio::buffer(text), error);
      }
    });
  }
  [[nodiscard]] uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::jthread thread_;
};

TEST(SocketSourceTest, ReadsRecordsUntilTheServerCloses) {
  IoPool pool("test", 1);
  const TextServer server({"one\r\ntwo\n\nlast without an end"});
  SourceHarness<std::string> harness(SocketSource({.port = server.port()}), 2, &pool);
  ASSERT_EQ(harness.Start(), absl::OkStatus());
  ASSERT_EQ(harness.RunToEnd(), absl::OkStatus());
  EXPECT_THAT(harness.records(), ElementsAre("one", "two", "", "last without an end"));
}

TEST(SocketSourceTest, ConnectsAgain) {
  IoPool pool("test", 1);
  const TextServer server({"a;b", "c;"});
  SourceHarness<std::string> harness(SocketSource({.port = server.port(),
                                                   .delimiter = ';',
                                                   .reconnect = true,
                                                   .min_backoff = absl::Milliseconds(1)}),
                                     1, &pool);
  ASSERT_EQ(harness.Start(), absl::OkStatus());
  ASSERT_EQ(harness.RunUntil([&] { return harness.records().size() == 3; }), absl::OkStatus());
  EXPECT_THAT(harness.records(), ElementsAre("a", "b", "c"));
  EXPECT_FALSE(harness.AllEnded());
}

TEST(SocketSourceTest, AFastSenderWaitsForASlowReader) {
  IoPool pool("test", 1);
  std::string text;
  for (int i = 0; i < 200'000; ++i) StrAppend(&text, "line ", i, "\n");
  const TextServer server({text});
  SourceHarness<std::string> harness(
      SocketSource({.port = server.port(), .max_buffered_bytes = 10'000}), 1, &pool);
  ASSERT_EQ(harness.Start(), absl::OkStatus());
  ASSERT_EQ(harness.RunToEnd(), absl::OkStatus());
  ASSERT_EQ(harness.records().size(), 200'000u);
  EXPECT_EQ(harness.records()[123'456], "line 123456");
}

TEST(SocketSourceTest, FailsWithoutServer) {
  IoPool pool("test", 1);
  uint16_t port = 0;
  {
    port = TextServer({}).port();
  }
  SourceHarness<std::string> harness(SocketSource({.port = port}), 1, &pool);
  ASSERT_EQ(harness.Start(), absl::OkStatus());
  const absl::Status status = harness.RunToEnd();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(StrCat("port=", port)));
}

TEST(SocketSourceTest, RefusesARecordThatIsTooLong) {
  IoPool pool("test", 1);
  const TextServer server({"short\n" + std::string(5000, 'x')});
  SourceHarness<std::string> harness(
      SocketSource({.port = server.port(), .max_record_bytes = 1000}), 1, &pool);
  ASSERT_EQ(harness.Start(), absl::OkStatus());
  EXPECT_THAT(harness.RunToEnd().ToString(), HasSubstr("max_record_bytes=1000"));
  EXPECT_THAT(harness.records(), ElementsAre("short"));
}

}  // namespace
}  // namespace weir
