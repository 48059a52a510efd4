// Measures what it costs to spread batches over channels: nanoseconds of CPU per record, for each
// strategy, number of channels and kind of record. Usage: record_writer_bench [million records]

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/strings.h"
#include "runtime/record/key_codec.h"
#include "runtime/record/typed_batch.h"
#include "runtime/task/record_writer.h"
#include "tests/bench/cpu_seconds.h"

namespace weir {

struct PlainRecord {
  int64_t key = 0;
  int64_t value = 0;
  int64_t time = 0;
};

struct TextRecord {
  int64_t key = 0;
  std::string text;
  int64_t time = 0;
};

namespace {

template <class T>
class Hasher final : public KeyHasher {
 public:
  void HashKeys(const Batch& batch, std::vector<uint64_t>* hashes) const override {
    const auto values = BatchValues<T>(batch);
    hashes->resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) (*hashes)[i] = KeyHash<int64_t>(values[i].key);
  }
};

template <class T>
BatchPtr MakeBatch(uint64_t first) {
  TypedBatchBuilder<T> builder;
  for (uint64_t i = 0; i < kMaxBatchRecords; ++i) {
    T record;
    record.key = static_cast<int64_t>((first + i) * 2654435761U % 100'003);
    if constexpr (requires { record.text; }) record.text.assign(40, 'x');
    builder.Add(std::move(record), EventTime::FromMillis(static_cast<int64_t>(first + i)));
  }
  return builder.Finish();
}

template <class T>
void Run(const char* kind, ShipStrategy strategy, size_t num_channels, uint64_t num_records) {
  std::vector<std::shared_ptr<ChannelQueue>> channels;
  for (size_t i = 0; i < num_channels; ++i)
    channels.push_back(std::make_shared<ChannelQueue>(size_t{1} << 30, nullptr));
  Partitioning partitioning{.strategy = strategy};
  if (strategy == ShipStrategy::kHash) partitioning.key_hasher = std::make_shared<Hasher<T>>();
  RecordWriter writer({std::move(partitioning), 128, 0}, channels);
  constexpr uint64_t kBatchesPerRound = 64;
  double nanos = 0;
  uint64_t sent = 0;
  while (sent < num_records) {
    std::vector<BatchPtr> batches;
    for (uint64_t i = 0; i < kBatchesPerRound; ++i) {
      batches.push_back(MakeBatch<T>(sent));
      sent += batches.back()->size();
    }
    const double before = CpuSeconds();
    for (BatchPtr& batch : batches) writer.Accept(std::move(batch));
    writer.Flush();
    nanos += (CpuSeconds() - before) * 1e9;
    for (const auto& channel : channels) {
      while (channel->Pop().has_value()) {
      }
    }
  }
  std::printf("| %-9s | %8zu | %-6s | %6.2f |\n", std::string(ToString(strategy)).c_str(),
              num_channels, kind, nanos / static_cast<double>(sent));
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  using weir::ShipStrategy;
  const uint64_t records = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10) * 1'000'000;
  std::printf("| strategy  | channels | record | ns per record |\n|---|---|---|---|\n");
  for (const ShipStrategy strategy : {ShipStrategy::kForward, ShipStrategy::kHash,
                                      ShipStrategy::kRebalance, ShipStrategy::kShuffle}) {
    for (const size_t channels : {1, 2, 8, 64}) {
      if (strategy == ShipStrategy::kForward && channels != 1) continue;
      weir::Run<weir::PlainRecord>("plain", strategy, channels, records);
      weir::Run<weir::TextRecord>("text", strategy, channels, records);
    }
  }
  return 0;
}
