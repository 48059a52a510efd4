// Measures the window operators alone: records and firings of one subtask, with batches made ahead.
// Prints nanoseconds of CPU a record, and a result.
// Usage: window_bench [million records]

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "operators/api/keyed_stream.h"
#include "operators/process/stateful_operator.h"
#include "runtime/record/key_codec.h"
#include "runtime/record/typed_batch.h"
#include "tests/bench/cpu_seconds.h"

namespace weir {
namespace {

using Clock = ThreadCpuClock;

struct Event {
  int64_t key = 0;
  int64_t value = 0;
};

struct Count {
  using Accumulator = int64_t;
  using Result = int64_t;
  void Add(const Event&, int64_t& count) const { ++count; }
  void Merge(const int64_t& from, int64_t& into) const { into += from; }
  int64_t GetResult(const int64_t& count) const { return count; }
};

class NoHandle final : public TaskHandle {
 public:
  void Post(absl::AnyInvocable<absl::Status()>) override {}
  void Wake() override {}
  void WakeAt(absl::Time) override {}
  void Fail(absl::Status) override {}
};

class Context final : public OperatorContext {
 public:
  Context() { place_.key_groups = {0, 127}; }
  [[nodiscard]] const Place& place() const override { return place_; }
  [[nodiscard]] MemoryBudget* memory_budget() const override { return nullptr; }
  [[nodiscard]] IoPool* io_pool() const override { return nullptr; }
  [[nodiscard]] const weir::Clock* clock() const override { return SystemClock(); }
  [[nodiscard]] MetricGroup* metrics() const override { return &metrics_; }
  [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const override { return handle_; }
  [[nodiscard]] const std::shared_ptr<StateFileStore>& state_store() const override {
    return store_;
  }
  void SendToCoordinator(std::string) override {}

 private:
  Place place_;
  mutable MetricGroup metrics_;
  std::shared_ptr<TaskHandle> handle_ = std::make_shared<NoHandle>();
  std::shared_ptr<StateFileStore> store_;
};

class CountingTarget final : public OutputTarget {
 public:
  void Accept(StreamElement element) override {
    if (const auto* batch = std::get_if<BatchPtr>(&element)) results += (*batch)->size();
  }
  [[nodiscard]] bool Full() const override { return false; }
  uint64_t results = 0;
};

/// `records_per_second` of event time, keys at random of `num_keys`, a watermark each 100 ms.
template <class BuildStream>
void Measure(const char* name, int64_t num_records, int64_t num_keys, int64_t records_per_second,
             BuildStream build) {
  StreamGraph graph;
  StreamNode node;
  node.name = "Events";
  node.num_inputs = 0;
  node.outputs.push_back({"", internal::BatchTypeOf<Event>()});
  internal::StreamOrigin origin;
  origin.graph = &graph;
  origin.ports = {{graph.AddNode(std::move(node)), 0}};
  const auto stream =
      build(DataStream<Event>(origin).KeyBy([](const Event& event) { return event.key; }));
  std::unique_ptr<StreamOperator> op =
      graph.nodes()[stream.origin().ports.front().node].factory->Create();
  Context context;
  Output output(1);
  CountingTarget target;
  output.port(0).AddTarget(&target);
  if (!op->Open(context, output, {}).ok()) std::abort();

  constexpr int64_t kBatch = 1000;
  std::mt19937_64 random(1);
  double in_records = 0;
  double in_watermarks = 0;
  int64_t watermark = 0;
  for (int64_t done = 0; done < num_records; done += kBatch) {
    TypedBatchBuilder<Event> builder;
    int64_t time = 0;
    for (int64_t i = 0; i < kBatch; ++i) {
      const auto key = static_cast<int64_t>(random() % static_cast<uint64_t>(num_keys));
      time = (done + i) * 1000 / records_per_second;
      builder.Add({key, i}, EventTime::FromMillis(time));
      builder.SetLastHash(KeyHash(key));
    }
    BatchCursor cursor{builder.Finish(), 0};
    const auto begin = Clock::now();
    if (!op->ProcessBatch(0, cursor, output).ok()) std::abort();
    const auto middle = Clock::now();
    while (watermark + 100 <= time) {
      watermark += 100;
      while (*op->ProcessWatermark({EventTime::FromMillis(watermark)}, output) != Progress::kDone) {
      }
    }
    in_records += std::chrono::duration<double, std::nano>(middle - begin).count();
    in_watermarks += std::chrono::duration<double, std::nano>(Clock::now() - middle).count();
  }
  op->Close();
  std::printf(
      "%-58s %7.1f ns a record %9.1f ns a result %9.1f ns a record in all  (%llu results)\n", name,
      in_records / static_cast<double>(num_records),
      in_watermarks / static_cast<double>(std::max<uint64_t>(target.results, 1)),
      (in_records + in_watermarks) / static_cast<double>(num_records),
      static_cast<unsigned long long>(target.results));
  std::fflush(stdout);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  using namespace weir;  // NOLINT
  const int64_t records = (argc > 1 ? std::atoll(argv[1]) : 10) * 1'000'000;
  const auto tumbling = [](const auto& keyed) {
    return keyed.Window(TumblingEventTimeWindows::Of(absl::Seconds(10))).Aggregate(Count());
  };
  const auto sliding = [](absl::Duration size, absl::Duration slide) {
    return [size, slide](const auto& keyed) {
      return keyed.Window(SlidingEventTimeWindows::Of(size, slide)).Aggregate(Count());
    };
  };
  Measure("tumbling 10 s, 1,000 keys, 100,000/s", records, 1'000, 100'000, tumbling);
  Measure("tumbling 10 s, 1,000,000 keys, 500,000/s", records, 1'000'000, 500'000, tumbling);
  Measure("tumbling 10 s by timers, 1,000,000 keys, 500,000/s", records, 1'000'000, 500'000,
          [](const auto& keyed) {
            return keyed.Window(TumblingEventTimeWindows::Of(absl::Seconds(10)))
                .Trigger(EventTimeTrigger())
                .Aggregate(Count());
          });
  Measure("sliding 10 s / 2 s, 100,000 keys, 100,000/s", records, 100'000, 100'000,
          sliding(absl::Seconds(10), absl::Seconds(2)));
  // The number of results per record differs by the slide: the price of a record should not.
  Measure("sliding 1 h / 10 min, 100 keys, 1,000/s", records, 100, 1'000,
          sliding(absl::Hours(1), absl::Minutes(10)));
  Measure("sliding 1 h / 1 s, 100 keys, 1,000/s", records, 100, 1'000,
          sliding(absl::Hours(1), absl::Seconds(1)));
  // The same with more records to a slice of a key.
  Measure("sliding 1 h / 10 min, 100 keys, 100,000/s", records, 100, 100'000,
          sliding(absl::Hours(1), absl::Minutes(10)));
  Measure("sliding 1 h / 1 s, 100 keys, 100,000/s", records, 100, 100'000,
          sliding(absl::Hours(1), absl::Seconds(1)));
  Measure(
      "sessions of 10 s, 1,000 keys, 100,000/s", records, 1'000, 100'000, [](const auto& keyed) {
        return keyed.Window(EventTimeSessionWindows::WithGap(absl::Seconds(10))).Aggregate(Count());
      });
  Measure(
      "sessions of 10 s, 1,000,000 keys, 100,000/s", records, 1'000'000, 100'000,
      [](const auto& keyed) {
        return keyed.Window(EventTimeSessionWindows::WithGap(absl::Seconds(10))).Aggregate(Count());
      });
  return 0;
}
