// What metrics cost a TaskManager with many subtasks: measuring them, telling the JobManager, and a
// scrape over HTTP (row N7: under a second at 2,000 subtasks). Milliseconds.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "jobmanager/metrics_decoder.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "runtime/metrics/prometheus_server.h"
#include "taskmanager/metrics_collector.h"
#include "taskmanager/metrics_encoder.h"
#include "tests/bench/cpu_seconds.h"
#include "tests/taskmanager/fake_task.h"

namespace weir {
namespace {

size_t Scrape(uint16_t port) {
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  if (connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    std::abort();
  const std::string request = "GET /metrics HTTP/1.1\r\n\r\n";
  if (send(connection, request.data(), request.size(), 0) < 0) std::abort();
  size_t total = 0;
  std::vector<char> bytes(1 << 20);
  for (ssize_t received; (received = recv(connection, bytes.data(), bytes.size(), 0)) > 0;) {
    total += static_cast<size_t>(received);
  }
  close(connection);
  return total;
}

struct Millis {
  double wall = 0;
  double cpu = 0;  // Of the whole process.
};

/// The medians of five calls.
template <class Call>
Millis MedianMillis(Call call) {
  std::vector<double> wall;
  std::vector<double> cpu;
  for (int i = 0; i < 5; ++i) {
    const Stopwatch stopwatch;
    const double cpu_before = CpuSeconds();
    call();
    cpu.push_back((CpuSeconds() - cpu_before) * 1e3);
    wall.push_back(absl::ToDoubleMilliseconds(stopwatch.Elapsed()));
  }
  std::sort(wall.begin(), wall.end());
  std::sort(cpu.begin(), cpu.end());
  return {wall[wall.size() / 2], cpu[cpu.size() / 2]};
}

void Run(size_t num_subtasks) {
  MemoryBudget budget(1 << 30);
  NetworkCounters counters;
  MetricsCollector collector({"127.0.0.1:1234-abcdef", "127.0.0.1", &budget, &counters, &counters});
  std::vector<std::shared_ptr<FakeTask>> tasks;
  for (size_t i = 0; i < num_subtasks; ++i) {
    const auto task = std::make_shared<FakeTask>();
    task->snapshot.records_in = 1'234'567 * i;
    task->window_group.AddHistogram("eventTimeLag")->Record(static_cast<int64_t>(i));
    task->window_group.AddCounter("numLateRecordsDropped")->Add(i);
    collector.AddTask({JobId(7, 8), "my job", JobVertexId(9, 10), "Source: gen -> win",
                       static_cast<uint32_t>(i), task->attempt(), 0},
                      task);
    tasks.push_back(task);
  }
  const auto collect = [&] { collector.Collect(MonotonicNanos(), SystemClock()->Now()); };
  collect();
  MetricsEncoder encoder;
  MetricsDecoder decoder;
  size_t wire_bytes = 0;
  const auto report = [&] {
    wire_bytes = 0;
    encoder.Encode(*collector.Latest(), [&](const proto::TaskManagerMessage& message) {
      wire_bytes += message.ByteSizeLong();
      (void)decoder.Decode(message.metrics());
    });
  };
  report();
  const auto server = PrometheusServer::Start({}, [&] { return collector.RenderPrometheus(); });
  if (!server.ok()) std::abort();
  size_t scrape_bytes = 0;
  const Millis collected = MedianMillis(collect);
  const Millis reported = MedianMillis(report);
  const Millis scraped = MedianMillis([&] { scrape_bytes = Scrape((*server)->port()); });
  const std::string text = collector.RenderPrometheus();
  std::printf("%8zu %12.2f %12.2f %12.2f %12.2f %12.1f %12.1f %10td\n", num_subtasks, collected.cpu,
              reported.cpu, scraped.cpu, scraped.wall, static_cast<double>(wire_bytes) / 1024,
              static_cast<double>(scrape_bytes) / 1024, std::count(text.begin(), text.end(), '\n'));
}

}  // namespace
}  // namespace weir

int main() {
  std::printf("%8s %12s %12s %12s %12s %12s %12s %10s\n", "subtasks", "collect CPU", "report CPU",
              "scrape CPU", "scrape wall", "report KiB", "scrape KiB", "lines");
  for (const size_t num_subtasks : {size_t{10}, size_t{100}, size_t{1000}, size_t{2000}})
    weir::Run(num_subtasks);
}
