#include "operators/process/batch_operators.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

struct Bid {
  int64_t auction = 0;
  std::string bidder;
  int64_t price = 0;
};
struct Sale {
  int64_t auction = 0;
  std::string text;
  friend bool operator==(const Sale&, const Sale&) = default;
};

using Harness = OperatorTestHarness<Bid, Sale>;

bool Keeps(const Bid& bid) { return bid.price % 3 != 0; }
Sale Project(const Bid& bid) { return {bid.auction, StrCat(bid.bidder, ":", bid.price)}; }

DataStream<Sale> RowWise(DataStream<Bid> bids) { return bids.Filter(Keeps).Map(Project); }

DataStream<Sale> BatchWise(DataStream<Bid> bids) {
  return bids.ProcessBatch<Sale>(
      [](std::span<const Bid> in, std::span<const EventTime> times, Collector<Sale>& out) {
        for (size_t i = 0; i < in.size(); ++i) {
          if (Keeps(in[i])) out.Collect(Project(in[i]), times[i]);
        }
      });
}

DataStream<Sale> BatchWiseAtOnce(DataStream<Bid> bids) {
  return bids.ProcessBatch<Sale>(
      [](std::span<const Bid> in, std::span<const EventTime> in_times, Collector<Sale>& out) {
        std::vector<Sale> sales;
        std::vector<EventTime> times;
        for (size_t i = 0; i < in.size(); ++i) {
          if (!Keeps(in[i])) continue;
          sales.push_back(Project(in[i]));
          times.push_back(in_times[i]);
        }
        out.CollectBatch(std::move(sales), std::move(times));
      });
}

// The records in whatever order, with their times.
std::multiset<std::tuple<int64_t, std::string, EventTime>> SalesOf(
    const std::vector<OutputElement<Sale>>& output) {
  std::multiset<std::tuple<int64_t, std::string, EventTime>> sales;
  for (const OutputElement<Sale>& element : output) {
    if (const auto* record = std::get_if<StreamRecord<Sale>>(&element)) {
      sales.emplace(record->value.auction, record->value.text, record->timestamp);
    }
  }
  return sales;
}

TEST(BatchOperatorsTest, BatchesGiveTheSameAsRows) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    OperatorTestOptions options;
    options.parallelism = 1 + static_cast<uint32_t>(random() % 3);
    if (random() % 2 == 0) options.output_capacity = 1 + random() % 200;
    Harness rows(RowWise, options);
    Harness batches(BatchWise, options);
    Harness at_once(BatchWiseAtOnce, options);
    std::vector<std::vector<OutputElement<Sale>>> outputs(3);
    for (int step = 0; step < 20; ++step) {
      std::vector<StreamRecord<Bid>> bids(random() % (step % 5 == 0 ? 2000 : 20));
      for (StreamRecord<Bid>& bid : bids) {
        bid.value = {static_cast<int64_t>(random() % 9), std::string(random() % 90, 'b'),
                     static_cast<int64_t>(random() % 1000)};
        if (random() % 8 > 0)
          bid.timestamp = EventTime::FromMillis(static_cast<int64_t>(random() % 1000));
      }
      const auto watermark = static_cast<int64_t>(step);
      size_t which = 0;
      for (Harness* harness : {&rows, &batches, &at_once}) {
        harness->ProcessElements(bids);
        harness->ProcessWatermark(watermark);
        auto output = harness->TakeOutput();
        outputs[which].insert(outputs[which].end(), output.begin(), output.end());
        ++which;
      }
    }
    // With several subtasks their outputs mix in another order.
    if (options.parallelism > 1) {
      ASSERT_EQ(SalesOf(outputs[0]), SalesOf(outputs[1])) << "seed " << seed;
      ASSERT_EQ(SalesOf(outputs[0]), SalesOf(outputs[2])) << "seed " << seed;
      continue;
    }
    ASSERT_EQ(outputs[0], outputs[1]) << "seed " << seed;
    ASSERT_EQ(outputs[0], outputs[2]) << "seed " << seed;
  }
}

TEST(BatchOperatorsTest, MapBatchKeepsPlacesAndTimes) {
  OperatorTestHarness<int64_t, int64_t> harness([](DataStream<int64_t> numbers) {
    return numbers.MapBatch<int64_t>([](std::span<const int64_t> in, std::span<int64_t> out) {
      for (size_t i = 0; i < in.size(); ++i) out[i] = in[i] * in[i];
    });
  });
  std::vector<StreamRecord<int64_t>> input;
  std::vector<StreamRecord<int64_t>> expected;
  for (int64_t i = 0; i < 3000; ++i) {
    input.push_back({i, EventTime::FromMillis(i)});
    expected.push_back({i * i, EventTime::FromMillis(i)});
  }
  harness.ProcessElements(input);
  EXPECT_EQ(harness.TakeRecords(), expected);
  harness.ProcessElement(5);
  EXPECT_THAT(harness.TakeRecords(), ::testing::ElementsAre(StreamRecord<int64_t>{25}));
}

TEST(BatchOperatorsTest, WhatABatchFunctionThrowsFailsTheOperator) {
  OperatorTestHarness<int64_t, int64_t> harness([](DataStream<int64_t> numbers) {
    return numbers.ProcessBatch<int64_t>(
        [](std::span<const int64_t>, std::span<const EventTime>, Collector<int64_t>&) {
          throw std::runtime_error("no batch today");
        });
  });
  harness.ProcessElement(1);
  EXPECT_THAT(harness.status().ToString(), ::testing::HasSubstr("no batch today"));
}

}  // namespace
}  // namespace weir
