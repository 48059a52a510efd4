#include "runtime/metrics/prometheus_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/metrics/metric_report.h"
#include "runtime/metrics/process_statistics.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

int Connect(uint16_t port) {
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  EXPECT_EQ(connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return connection;
}

// Sends the bytes and returns all that comes back until the server closes.
std::string Ask(uint16_t port, const std::string& request) {
  const int connection = Connect(port);
  EXPECT_EQ(send(connection, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  char bytes[65536];
  for (ssize_t received; (received = recv(connection, bytes, sizeof(bytes), 0)) > 0;) {
    answer.append(bytes, static_cast<size_t>(received));
  }
  close(connection);
  return answer;
}

std::unique_ptr<PrometheusServer> StartServer(std::function<std::string()> render,
                                              PrometheusServerOptions options = {}) {
  auto server = PrometheusServer::Start(std::move(options), std::move(render));
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

TEST(PrometheusServerTest, AnswersScrapesOneBehindTheOther) {
  int calls = 0;
  const auto server = StartServer([&calls] { return "calls " + std::to_string(++calls) + "\n"; });
  EXPECT_THAT(
      Ask(server->port(), "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"),
      AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Type: text/plain; version=0.0.4"),
            HasSubstr("Content-Length: 8\r\n"), EndsWith("\r\n\r\ncalls 1\n")));
  EXPECT_THAT(Ask(server->port(), "GET /?x=1 HTTP/1.0\r\n\r\n"), EndsWith("\r\n\r\ncalls 2\n"));
  EXPECT_THAT(Ask(server->port(), "HEAD /metrics HTTP/1.1\r\n\r\n"),
              AllOf(HasSubstr("Content-Length: 8\r\n"), EndsWith("\r\n\r\n")));
}

TEST(PrometheusServerTest, RefusesWhatIsNoScrape) {
  const auto server = StartServer([] { return std::string("x\n"); });
  EXPECT_THAT(Ask(server->port(), "GET /jobs HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Ask(server->port(), "POST /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Ask(server->port(), "\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Ask(server->port(), std::string(20'000, 'a')), Not(HasSubstr("200")));
}

TEST(PrometheusServerTest, SurvivesARendererThatThrows) {
  const auto server = StartServer([]() -> std::string { throw std::runtime_error("no"); });
  EXPECT_THAT(Ask(server->port(), "GET /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(Ask(server->port(), "GET /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 500 "));
}

TEST(PrometheusServerTest, IsNotHeldUpByAClientThatSaysNothing) {
  PrometheusServerOptions options;
  options.timeout = absl::Milliseconds(50);
  const auto server = StartServer([] { return std::string("x\n"); }, options);
  const int silent = Connect(server->port());
  EXPECT_THAT(Ask(server->port(), "GET /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  close(silent);
}

TEST(PrometheusServerTest, StopsAtOnceThoughAClientIsConnected) {
  auto server = StartServer([] { return std::string(64 << 20, 'x'); });
  const int silent = Connect(server->port());
  const Stopwatch stopwatch;
  server.reset();
  EXPECT_LT(stopwatch.Elapsed(), absl::Seconds(4));
  close(silent);
}

TEST(PrometheusServerTest, TakesTheNextFreePortOfItsRange) {
  const auto first = StartServer([] { return std::string("first\n"); });
  PrometheusServerOptions options;
  options.ports = {first->port(), first->port()};
  const auto refused = PrometheusServer::Start(options, [] { return std::string(); });
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("no port for metrics is free"));
  options.ports.second = 65535;
  const auto second = StartServer([] { return std::string("second\n"); }, options);
  EXPECT_GT(second->port(), first->port());
  EXPECT_THAT(Ask(second->port(), "GET /metrics HTTP/1.1\r\n\r\n"), EndsWith("second\n"));
}

TEST(PrometheusServerTest, ReadsPortRanges) {
  EXPECT_EQ(*ParsePortRange("9249"), PortRange(9249, 9249));
  EXPECT_EQ(*ParsePortRange("9249-9299"), PortRange(9249, 9299));
  EXPECT_EQ(*ParsePortRange("0"), PortRange(0, 0));
  for (const char* bad : {"", "x", "1-", "-1", "9300-9299", "65536", "1-2-3", "1 - 2"}) {
    EXPECT_FALSE(ParsePortRange(bad).ok()) << bad;
  }
}

TEST(ProcessStatisticsTest, KnowsThisProcess) {
  const ProcessStatistics statistics = ReadProcessStatistics();
  EXPECT_GT(statistics.cpu_nanos, 0);
  EXPECT_GT(statistics.num_threads, 0);
  EXPECT_GT(statistics.num_open_files, 2);
  EXPECT_GE(statistics.max_open_files, statistics.num_open_files);
  EXPECT_GT(statistics.resident_bytes, 1 << 20);
  EXPECT_GT(statistics.physical_memory_bytes, statistics.resident_bytes);
}

TEST(ProcessStatisticsTest, GivesTheLoadSinceTheLastReport) {
  ProcessMetrics metrics(1 << 30);
  ProcessStatistics statistics;
  statistics.num_cores = 2;
  statistics.cpu_nanos = 1'000;
  MetricReportBuilder first("flink_jobmanager", "");
  metrics.AddTo(statistics, 10'000, &first);
  statistics.cpu_nanos = 6'000;
  MetricReportBuilder second("flink_jobmanager", "");
  metrics.AddTo(statistics, 20'000, &second);
  const MetricReport report = second.Finish();
  EXPECT_EQ(report.layout->names[0], "Status.JVM.CPU.Load");
  EXPECT_EQ(report.layout->entries[0].family, "flink_jobmanager_Status_JVM_CPU_Load");
  EXPECT_DOUBLE_EQ(report.values[0], 0.25);  // Half of one core of two.
  EXPECT_THAT(report.layout->names, Contains("Status.JVM.GarbageCollector.All.TimeMsPerSecond"));
}

}  // namespace
}  // namespace weir
