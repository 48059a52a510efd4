// Within a process no record is serialised: not in a chain, not between tasks.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "operators/api/stream_environment.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"

namespace weir {

/// A record that counts how often it is serialised.
struct Counted {
  Counted() = default;
  explicit Counted(int64_t number) : value(number) {}
  int64_t value = 0;
  friend auto operator<=>(const Counted&, const Counted&) = default;
  static inline std::atomic<int> writes{0};
};

template <>
struct Serde<Counted> {
  static void Write(ByteWriter& writer, const Counted& record) {
    ++Counted::writes;
    writer.WriteFixed(record.value);
  }
  static bool Read(ByteReader& reader, Counted& record) { return reader.ReadFixed(&record.value); }
  static Schema GetSchema() { return Serde<int64_t>::GetSchema(); }
};

namespace {

TEST(SerialisationCountTest, EdgesWithinAProcessEncodeNothing) {
  const std::string folder =
      StrCat(::testing::TempDir(), "/serialisation-", ToString(RandomId<JobId>()));
  std::filesystem::create_directories(folder);
  std::vector<Counted> records;
  for (int64_t i = 0; i < 20'000; ++i) records.emplace_back(i);
  auto results = std::make_shared<MemorySinkContents<int64_t>>();
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  environment
      .FromSource(MemorySource<Counted>(records),
                  WatermarkStrategy<Counted>::Monotonous().WithTimestamps(
                      [](const Counted&) { return EventTime::FromMillis(0); }),
                  "Records")
      .Map([](Counted record) { return record; })
      .Filter([](const Counted& record) { return record.value % 2 == 0; })
      .Rebalance()
      .Map([](const Counted& record) { return Counted(record.value + 1); })
      .KeyBy([](const Counted& record) { return record.value % 100; })
      .Window(TumblingEventTimeWindows::Of(absl::Seconds(1)))
      .Process<Counted>([](const int64_t&, const TimeWindow&, const std::vector<Counted>& all,
                           Collector<Counted>& out) {
        for (const Counted& record : all) out.Collect(record);
      })
      .Map([](const Counted& record) { return record.value; })
      .SinkTo(MemorySink<int64_t>(results));
  LocalJobOptions options;
  options.parallelism = 2;
  options.directory = folder;
  options.checkpointing = false;  // A snapshot would serialise what the window holds.
  absl::Status status;
  {
    LocalJob job(std::move(graph), options);
    status = job.Start();
    if (status.ok()) status = job.WaitUntilFinished();
  }
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(results->Committed().size(), 10'000u);
  EXPECT_EQ(Counted::writes, 0);
}

}  // namespace
}  // namespace weir
