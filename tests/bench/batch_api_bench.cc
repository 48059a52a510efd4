// Filter and projection of plain records: row-wise operators beside one that takes batches. CPU
// time, so that other work on the machine matters less.
//
//     build/release/bin/batch_api_bench [million records]

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <span>
#include <vector>

#include "operators/testing/operator_test_harness.h"

namespace weir {
namespace {

struct Bid {
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  int64_t channel = 0;
};
struct Sale {
  int64_t auction = 0;
  int64_t euros = 0;
};

// Pushes batches that are made beforehand.
class Harness : public OperatorTestHarness<Bid, Sale> {
 public:
  using OperatorTestHarness::OperatorTestHarness;
  // Returns CPU nanoseconds a record.
  double Run(const std::vector<BatchPtr>& batches, size_t rounds) {
    uint64_t num_out = 0;
    const std::clock_t begin = std::clock();
    size_t num_in = 0;
    for (size_t round = 0; round < rounds; ++round) {
      for (const BatchPtr& batch : batches) {
        num_in += batch->size();
        core().Push(0, batch);
      }
      for (const auto& captured : core().TakeMainOutput()) {
        num_out += std::get<BatchPtr>(captured.element)->size();
      }
    }
    const double nanos = static_cast<double>(std::clock() - begin) * (1e9 / CLOCKS_PER_SEC);
    if (num_out == 0) std::abort();
    return nanos / static_cast<double>(num_in);
  }
};

constexpr auto kKeeps = [](const Bid& bid) { return bid.price > 500; };
constexpr auto kProject = [](const Bid& bid) { return Sale{bid.auction, bid.price * 89 / 100}; };

int Main(int argc, char** argv) {
  const size_t millions = argc > 1 ? static_cast<size_t>(std::atoi(argv[1])) : 20;
  std::vector<BatchPtr> batches;
  uint64_t state = 1;
  for (int b = 0; b < 64; ++b) {
    TypedBatchBuilder<Bid> builder;
    for (size_t i = 0; i < kMaxBatchRecords; ++i) {
      state = state * 6364136223846793005 + 1442695040888963407;
      builder.Add({static_cast<int64_t>(i), b, static_cast<int64_t>((state >> 33) % 1000), 1},
                  EventTime::FromMillis(static_cast<int64_t>(i)));
    }
    batches.push_back(builder.Finish());
  }
  const size_t rounds = millions * 1'000'000 / (64 * kMaxBatchRecords) + 1;
  for (int run = 0; run < 3; ++run) {
    Harness rows([](DataStream<Bid> bids) { return bids.Filter(kKeeps).Map(kProject); });
    const double row_nanos = rows.Run(batches, rounds);
    Harness one([](DataStream<Bid> bids) {
      return bids.FlatMap<Sale>([](const Bid& bid, Collector<Sale>& out) {
        if (kKeeps(bid)) out.Collect(kProject(bid));
      });
    });
    const double flat_map_nanos = one.Run(batches, rounds);
    Harness batch([](DataStream<Bid> bids) {
      return bids.ProcessBatch<Sale>(
          [](std::span<const Bid> in, std::span<const EventTime> times, Collector<Sale>& out) {
            // Without a branch on the data: every record is written, and kept by moving on.
            std::vector<Sale> sales(in.size());
            std::vector<EventTime> sale_times(in.size());
            size_t count = 0;
            for (size_t i = 0; i < in.size(); ++i) {
              sales[count] = kProject(in[i]);
              sale_times[count] = times[i];
              count += kKeeps(in[i]) ? 1 : 0;
            }
            sales.resize(count);
            sale_times.resize(count);
            out.CollectBatch(std::move(sales), std::move(sale_times));
          });
    });
    const double batch_nanos = batch.Run(batches, rounds);
    std::printf(
        "rows (Filter, Map): %.2f ns/record  rows (FlatMap): %.2f  batches: %.2f  ratio: %.1f, "
        "%.1f\n",
        row_nanos, flat_map_nanos, batch_nanos, row_nanos / batch_nanos,
        flat_map_nanos / batch_nanos);
  }
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return weir::Main(argc, argv); }
