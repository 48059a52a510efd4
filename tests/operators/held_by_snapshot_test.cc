// A task whose memory is short while its snapshot is written takes no input: a whole job whose
// snapshot does not get on until the test lets it.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/connectors/blackhole_sink.h"
#include "runtime/base/status_macros.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

constexpr int64_t kNumKeys = 32'000;
constexpr size_t kValueBytes = 1'000;
constexpr int64_t kMemoryBytes = 4 << 20;  // An eighth of what all values take.

struct Shared {
  std::latch snapshot_may_go_on{1};
  std::atomic<int64_t> num_processed{0};
};
Shared* shared = nullptr;  // Of the test that runs.

// Whether the thread has run the task: it may then write values because they leave memory.
thread_local bool runs_steps = false;

struct Value {
  std::string text;
};

}  // namespace

template <>
struct Serde<Value> {
  static void Write(ByteWriter& writer, const Value& value) {
    if (!runs_steps) shared->snapshot_may_go_on.wait();
    writer.WriteString(value.text);
  }
  static bool Read(ByteReader& reader, Value& value) { return reader.ReadString(&value.text); }
  static Schema GetSchema() { return {Schema::Kind::kOpaque, "Value", {}}; }
  static size_t OwnedBytes(const Value& value) { return value.text.capacity() + 1; }
};

namespace {

class Keep final : public KeyedProcessFunction<int64_t, int64_t, int64_t> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(value_, context.GetState(ValueStateDescriptor<Value>{"value"}));
    return absl::OkStatus();
  }
  void ProcessElement(const int64_t&, Context&, Collector<int64_t>&) override {
    runs_steps = true;
    value_.Mutable().text.assign(kValueBytes, 'x');
    shared->num_processed.fetch_add(1);
  }

 private:
  ValueState<Value> value_;
};

// Returns whether it came true.
template <class Condition>
bool Await(Condition&& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(HeldBySnapshotTest, ATaskTakesNoInputWhileItsStateCannotLeaveMemory) {
  Shared own;
  shared = &own;
  const TemporaryFolder folder;
  std::vector<int64_t> keys(kNumKeys);
  std::iota(keys.begin(), keys.end(), 0);
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  environment
      .FromSource(MemorySource<int64_t>(std::move(keys), 16, /*rate_limited=*/true),
                  WatermarkStrategy<int64_t>::NoWatermarks(), "Keys")
      .KeyBy([](const int64_t& key) { return key; })
      .Process(Keep())
      .Name("Keep")
      .SinkTo(BlackholeSink<int64_t>());
  LocalJobOptions options;
  options.directory = folder.path();
  options.memory_bytes = kMemoryBytes;
  LocalJob job(std::move(graph), options);
  ASSERT_TRUE(job.Start().ok());
  ASSERT_TRUE(Await([&] { return own.num_processed > 0; }));

  bool held = false;
  int64_t num_when_held = 0;
  std::jthread observer([&] {
    const auto task = job.TasksOf("Keep").front();
    held = Await([&] { return task->metrics().is_backpressured; });
    num_when_held = own.num_processed;
    own.snapshot_may_go_on.count_down();
  });
  const auto checkpoint = job.TriggerCheckpoint();
  observer.join();
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_TRUE(held);
  EXPECT_LT(num_when_held, kMemoryBytes / static_cast<int64_t>(kValueBytes));

  const absl::Status finished = job.WaitUntilFinished();
  EXPECT_TRUE(finished.ok()) << finished;
  EXPECT_EQ(own.num_processed, kNumKeys);
  EXPECT_LT(job.memory_budget().peak_bytes(), kMemoryBytes * 11 / 10);
}

}  // namespace
}  // namespace weir
