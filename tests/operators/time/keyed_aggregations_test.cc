#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"

namespace weir {

struct Sale {
  std::string shop;
  int64_t amount = 0;
  double weight = 0;
  std::string note;
  friend bool operator==(const Sale&, const Sale&) = default;
};

namespace {

using ::testing::ElementsAre;
using Harness = OperatorTestHarness<Sale, Sale>;

std::string ShopOf(const Sale& sale) { return sale.shop; }

TEST(KeyedAggregationsTest, SumKeepsTheOtherFieldsOfTheFirstRecord) {
  Harness harness([](DataStream<Sale> sales) { return sales.KeyBy(ShopOf).Sum(&Sale::amount); });
  harness.ProcessElement({"a", 5, 1, "first"}, 1000);
  harness.ProcessElement({"b", 7, 1, "b"}, 2000);
  harness.ProcessElement({"a", 3, 2, "second"}, 3000);
  const std::vector<StreamRecord<Sale>> records = harness.TakeRecords();
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[2].value, (Sale{"a", 8, 1, "first"}));
  EXPECT_EQ(records[2].timestamp, EventTime::FromMillis(3000)) << "the record's own time";
}

TEST(KeyedAggregationsTest, WholeNumbersWrapAround) {
  Harness harness([](DataStream<Sale> sales) { return sales.KeyBy(ShopOf).Sum(&Sale::amount); });
  harness.ProcessElement({"a", std::numeric_limits<int64_t>::max(), 0, ""});
  harness.ProcessElement({"a", 1, 0, ""});
  EXPECT_EQ(harness.TakeValues().back().amount, std::numeric_limits<int64_t>::min());
}

TEST(KeyedAggregationsTest, MinAndMaxChangeOneFieldMinByAndMaxByTakeTheRecord) {
  const std::vector<Sale> sales = {
      {"a", 5, 0, "five"}, {"a", 9, 0, "nine"}, {"a", 2, 0, "two"}, {"a", 2, 0, "again"}};
  const auto last_of = [&](auto build) {
    Harness harness(build);
    for (const Sale& sale : sales) harness.ProcessElement(sale);
    return harness.TakeValues().back();
  };
  using Stream = DataStream<Sale>;
  EXPECT_EQ(last_of([](Stream s) { return s.KeyBy(ShopOf).Min(&Sale::amount); }),
            (Sale{"a", 2, 0, "five"}));
  EXPECT_EQ(last_of([](Stream s) { return s.KeyBy(ShopOf).Max(&Sale::amount); }),
            (Sale{"a", 9, 0, "five"}));
  EXPECT_EQ(last_of([](Stream s) { return s.KeyBy(ShopOf).MinBy(&Sale::amount); }),
            (Sale{"a", 2, 0, "two"}));
  EXPECT_EQ(last_of([](Stream s) { return s.KeyBy(ShopOf).MaxBy(&Sale::amount); }),
            (Sale{"a", 9, 0, "nine"}));
}

TEST(KeyedAggregationsTest, AReduceThatThrowsFailsTheOperator) {
  Harness harness([](DataStream<Sale> sales) {
    return sales.KeyBy(ShopOf).Reduce(
        [](const Sale&, const Sale&) -> Sale { throw std::runtime_error("cannot add"); });
  });
  harness.ProcessElement({"a", 1, 0, ""});
  harness.ProcessElement({"a", 2, 0, ""});
  EXPECT_THAT(harness.status().ToString(), testing::HasSubstr("cannot add"));
}

// Row A9 of the features: what ties state to an operator is its uid.
TEST(KeyedAggregationsTest, StateIsFoundByUidThoughOperatorsAreRenamedAndReordered) {
  const auto same = [](const Sale& sale) { return sale; };
  Harness before([&](DataStream<Sale> sales) {
    return sales.KeyBy(ShopOf)
        .Sum(&Sale::amount)
        .Name("total")
        .Uid("the total")
        .Map(same)
        .Name("x");
  });
  before.ProcessElement({"a", 5, 0, ""});
  OperatorTestSnapshot snapshot = before.Snapshot();
  Harness after([&](DataStream<Sale> sales) {
    return sales.Map(same)
        .Name("another map ahead")
        .Filter([](const Sale&) { return true; })
        .KeyBy(ShopOf)
        .Sum(&Sale::amount)
        .Name("renamed")
        .Uid("the total");
  });
  after.Restore(std::move(snapshot));
  after.ProcessElement({"a", 3, 0, ""});
  EXPECT_EQ(after.TakeValues().back().amount, 8);
}

// Against a plain map, with snapshots, restores at other parallelisms and bounded output.
TEST(KeyedAggregationsTest, ReduceMatchesAModelThroughRestores) {
  const auto build = [](DataStream<Sale> sales) {
    return sales.KeyBy(ShopOf).Reduce([](const Sale& a, const Sale& b) {
      return Sale{a.shop, a.amount * 31 % 1'000'003 + b.amount, a.weight + b.weight, b.note};
    });
  };
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    std::map<std::string, Sale> model;
    const auto make = [&] {
      OperatorTestOptions options;
      options.parallelism = static_cast<uint32_t>(1 + random() % 4);
      if (random() % 2 == 0) options.output_capacity = 1 + random() % 3;
      return std::make_unique<Harness>(build, options);
    };
    std::unique_ptr<Harness> harness = make();
    for (int step = 0; step < 60; ++step) {
      if (random() % 15 == 0) {
        OperatorTestSnapshot snapshot = harness->Snapshot();
        harness = make();
        harness->Restore(std::move(snapshot));
      }
      const Sale sale{StrCat("shop ", random() % 6), static_cast<int64_t>(random() % 100), 0.5,
                      StrCat("note ", step)};
      const auto [entry, is_new] = model.try_emplace(sale.shop, sale);
      if (!is_new) {
        entry->second = {sale.shop, entry->second.amount * 31 % 1'000'003 + sale.amount,
                         entry->second.weight + sale.weight, sale.note};
      }
      harness->ProcessElement(sale);
      ASSERT_THAT(harness->TakeValues(), ElementsAre(entry->second));
    }
  }
}

}  // namespace
}  // namespace weir
