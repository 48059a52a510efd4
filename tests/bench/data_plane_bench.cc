// Measures the TCP data plane on the loopback: 1,024 records of 24 bytes a batch, one thread on
// each side. Usage: data_plane_bench [megabytes] [channels]

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/mutex.h"
#include "runtime/network/channel_registry.h"
#include "runtime/network/data_client.h"
#include "runtime/network/data_server.h"
#include "runtime/network/network_threads.h"
#include "runtime/record/typed_batch.h"
#include "tests/bench/cpu_seconds.h"

namespace weir {
namespace {

struct Record {
  int64_t key = 0;
  int64_t value = 0;
  int64_t time = 0;
};

constexpr size_t kRecordsPerBatch = kMaxBatchRecords;

class Wakeup {
 public:
  void Set() {
    MutexLock lock(&mutex_);
    set_ = true;
    changed_.Signal();
  }
  void Wait() {
    MutexLock lock(&mutex_);
    while (!set_) changed_.Wait(&mutex_);
    set_ = false;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool set_ = false;
};

void Run(size_t total_megabytes, uint32_t num_channels, size_t capacity_bytes) {
  MemoryBudget budget(int64_t{1} << 30);
  ChannelRegistry registry(capacity_bytes, &budget);
  NetworkThreads producer_threads(1);
  NetworkThreads consumer_threads(1);
  DataServer server({.cluster_id = "bench"}, &producer_threads, &registry);
  if (!server.Start().ok()) std::abort();
  DataClient client({.cluster_id = "bench"}, &consumer_threads);
  const TypedBatchType<Record> type;
  const size_t num_batches =
      (total_megabytes << 20) / (kRecordsPerBatch * sizeof(Record)) / num_channels * num_channels;

  Wakeup space;
  Wakeup data;
  std::vector<std::shared_ptr<ChannelQueue>> queues;
  std::vector<std::shared_ptr<ChannelQueue>> targets;
  std::vector<ChannelHandle> handles;
  for (uint32_t i = 0; i < num_channels; ++i) {
    const ChannelKey key{ExecutionAttemptId(1, 1), 0, i};
    queues.push_back(registry.GetOrCreate(key));
    queues.back()->SetSpaceListener([&] { space.Set(); });
    targets.push_back(std::make_shared<ChannelQueue>(capacity_bytes, &budget));
    targets.back()->SetDataListener([&] { data.Set(); });
    handles.push_back(client.Connect("127.0.0.1", server.port(), key, targets.back(), &type));
  }
  TypedBatchBuilder<Record> builder;
  for (size_t i = 0; i < kRecordsPerBatch; ++i) builder.Add(Record{}, EventTime::Min());
  const BatchPtr batch = builder.Finish();

  const double cpu_before = CpuSeconds();
  const Stopwatch stopwatch;
  std::jthread producer([&] {
    std::vector<size_t> left(num_channels, num_batches / num_channels);
    for (size_t sent = 0; sent < num_batches;) {
      bool progress = false;
      for (uint32_t i = 0; i < num_channels; ++i) {
        for (; left[i] > 0 && !queues[i]->Full(); --left[i], ++sent) {
          queues[i]->Push(batch);
          progress = true;
        }
      }
      if (!progress && sent < num_batches) space.Wait();
    }
  });
  for (size_t received = 0; received < num_batches;) {
    bool progress = false;
    for (const auto& target : targets) {
      while (target->Pop().has_value()) {
        ++received;
        progress = true;
      }
    }
    if (!progress) data.Wait();
  }
  producer.join();
  const double seconds = absl::ToDoubleSeconds(stopwatch.Elapsed());
  const double cpu_seconds = CpuSeconds() - cpu_before;
  const auto records = static_cast<double>(num_batches * kRecordsPerBatch);
  const double megabytes = records * sizeof(Record) / 1e6;
  std::printf("| %8u | %12zu | %8.0f | %12.0f | %16.1f | %10.1f |\n", num_channels,
              capacity_bytes >> 10, megabytes / seconds, megabytes / cpu_seconds,
              records / cpu_seconds / 1e6, static_cast<double>(budget.peak_bytes()) / 1e6);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  const size_t megabytes = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 2048;
  std::printf(
      "| channels | capacity KiB |     MB/s | MB/CPU-s     | M records/CPU-s  | peak MB    |\n");
  std::printf("|---|---|---|---|---|---|\n");
  if (argc > 2) {
    weir::Run(megabytes, static_cast<uint32_t>(std::strtoul(argv[2], nullptr, 10)),
              size_t{256} << 10);
    return 0;
  }
  weir::Run(megabytes, 1, size_t{1} << 20);
  weir::Run(megabytes, 8, size_t{256} << 10);
  weir::Run(megabytes, 64, size_t{128} << 10);
  return 0;
}
