#include "runtime/metrics/histogram.h"

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace weir {
namespace {

TEST(HistogramTest, QuantilesAreWithinASixteenthOfTheValue) {
  Histogram histogram;
  for (int64_t value = 1; value <= 100'000; ++value) histogram.Record(value);
  const HistogramSnapshot snapshot = histogram.Snapshot();
  EXPECT_EQ(snapshot.count, 100'000u);
  EXPECT_EQ(snapshot.min, 1);
  EXPECT_EQ(snapshot.max, 100'000);
  EXPECT_NEAR(snapshot.mean, 50'000.5, 0.01);
  EXPECT_EQ(snapshot.sum, 5'000'050'000);
  EXPECT_NEAR(snapshot.standard_deviation, 28'867.5, 28'867.5 / 100);
  EXPECT_NEAR(static_cast<double>(snapshot.Quantile(0.5)), 50'000, 50'000.0 / 16);
  EXPECT_NEAR(static_cast<double>(snapshot.Quantile(0.99)), 99'000, 99'000.0 / 16);
  EXPECT_EQ(snapshot.Quantile(1), 100'000);
  EXPECT_EQ(snapshot.Quantile(0), 1);
}

TEST(HistogramTest, TakesAnyValue) {
  Histogram histogram;
  EXPECT_EQ(histogram.Snapshot().Quantile(0.5), 0);
  histogram.Record(std::numeric_limits<int64_t>::max());
  histogram.Record(-5);
  histogram.Record(0);
  const HistogramSnapshot snapshot = histogram.Snapshot();
  EXPECT_EQ(snapshot.count, 3u);
  EXPECT_EQ(snapshot.min, 0);
  EXPECT_EQ(snapshot.max, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(snapshot.Quantile(0.5), 0);
  EXPECT_EQ(snapshot.Quantile(1), std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace weir
