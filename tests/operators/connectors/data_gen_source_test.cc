#include "operators/connectors/data_gen_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "operators/testing/manual_clock.h"
#include "tests/support/connector_contexts.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

const auto kIndexOf = [](const DataGenRecord& record, DataGenRandom&) { return record.index; };

TEST(DataGenSourceTest, MakesEachRecordOnceAtAnyParallelismAndAcrossRestores) {
  IoPool pool("test", 1);
  for (uint64_t seed = 0; seed < 30; ++seed) {
    DataGenRandom random(seed, 0);
    const DataGenSource source({.count = 5000, .num_splits = static_cast<uint32_t>(seed % 5)},
                               kIndexOf);
    std::vector<uint64_t> indices;
    std::optional<SourceCheckpoint> checkpoint;
    while (true) {
      SourceHarness<uint64_t> harness(source, 1 + static_cast<uint32_t>(random.Below(4)), &pool);
      ASSERT_EQ(harness.Start(checkpoint.has_value() ? &*checkpoint : nullptr), absl::OkStatus());
      for (uint64_t steps = random.Below(6); steps > 0 && !harness.AllEnded(); --steps) {
        ASSERT_EQ(harness.Step(random.Below(700)), absl::OkStatus());
      }
      const auto& made = harness.records();
      indices.insert(indices.end(), made.begin(), made.end());
      if (harness.AllEnded()) break;
      checkpoint = harness.Checkpoint();
    }
    std::sort(indices.begin(), indices.end());
    ASSERT_EQ(indices.size(), 5000u) << "seed " << seed;
    for (uint64_t i = 0; i < indices.size(); ++i) ASSERT_EQ(indices[i], i) << "seed " << seed;
  }
}

TEST(DataGenSourceTest, ARecordDependsOnSeedAndIndexOnly) {
  const auto text = [](const DataGenRecord&, DataGenRandom& random) { return random.Text(12); };
  const DataGenSource first({.disorder = absl::Seconds(3), .seed = 7}, text);
  const DataGenSource other({.disorder = absl::Seconds(3), .seed = 8}, text);
  std::set<std::string> texts;
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(first.Generate(i), first.Generate(i));
    EXPECT_NE(first.Generate(i), other.Generate(i));
    texts.insert(first.Generate(i).first);
  }
  EXPECT_EQ(texts.size(), 1000u);
}

TEST(DataGenSourceTest, DisorderAndLateShareAreAsStated) {
  const int64_t disorder = 500;
  const uint64_t count = 200'000;
  const DataGenSource source({.count = count,
                              .first_event_time = EventTime::FromMillis(1'000'000),
                              .event_interval = absl::Microseconds(2500),
                              .disorder = absl::Milliseconds(disorder),
                              .late_share = 0.02,
                              .lateness = absl::Seconds(10)},
                             kIndexOf);
  EventTime furthest = EventTime::Min();
  uint64_t num_late = 0;
  double sum_behind = 0;
  int64_t most_behind = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const EventTime time = source.Generate(i).second;
    const int64_t behind = 1'000'000 + static_cast<int64_t>(i) * 5 / 2 - time.millis();
    // What the watermark of BoundedOutOfOrderness(disorder) says before this record.
    if (furthest != EventTime::Min() && time <= furthest - disorder - 1) {
      ++num_late;
      EXPECT_GE(behind, 10'000);
    } else {
      sum_behind += static_cast<double>(behind);
      most_behind = std::max(most_behind, behind);
    }
    furthest = std::max(furthest, time);
  }
  EXPECT_NEAR(static_cast<double>(num_late) / static_cast<double>(count), 0.02, 0.002);
  EXPECT_NEAR(sum_behind / static_cast<double>(count - num_late), 250, 5);
  EXPECT_EQ(most_behind, disorder);
}

TEST(DataGenSourceTest, TheRateIsThatOfAllReadersTogether) {
  IoPool pool("test", 1);
  ManualClock clock;
  const DataGenSource source({.records_per_second = 3000}, kIndexOf);
  SourceHarness<uint64_t> harness(source, 3, &pool, &clock);
  ASSERT_EQ(harness.Start(), absl::OkStatus());
  const auto run = [&] {
    for (size_t before = size_t(-1); before != harness.records().size();) {
      before = harness.records().size();
      ASSERT_EQ(harness.Step(100'000), absl::OkStatus());
    }
  };
  run();
  EXPECT_EQ(harness.records().size(), 3u);  // Each reader's first is due at once.
  clock.Advance(absl::Seconds(1));
  run();
  EXPECT_NEAR(static_cast<double>(harness.records().size()), 3000, 3);
  clock.Advance(absl::Milliseconds(500));
  run();
  EXPECT_NEAR(static_cast<double>(harness.records().size()), 4500, 3);
}

TEST(DataGenSourceTest, MalformedShareIsAsStated) {
  const auto line = [](const DataGenRecord&, DataGenRandom&) {
    return std::string(R"({"user":"alice"})");
  };
  const DataGenSource source({.malformed_share = 0.01}, line);
  int num_malformed = 0;
  for (uint64_t i = 0; i < 100'000; ++i) {
    const std::string text = source.Generate(i).first;
    if (text.ends_with('\xff')) {
      ++num_malformed;
    } else {
      ASSERT_EQ(text, R"({"user":"alice"})");
    }
  }
  EXPECT_NEAR(num_malformed, 1000, 120);
}

TEST(DataGenSourceTest, RefusesOptionsThatMakeNoSense) {
  IoPool pool("test", 1);
  const auto start = [&](DataGenOptions options) {
    SourceHarness<uint64_t> harness(DataGenSource(options, kIndexOf), 1, &pool);
    return harness.Start().ToString();
  };
  EXPECT_THAT(start({.late_share = 1.5}), HasSubstr("late_share=1.5"));
  EXPECT_THAT(start({.disorder = -absl::Seconds(1)}), HasSubstr("disorder=-1s"));
  EXPECT_THAT(start({.malformed_share = 0.5}), HasSubstr("std::string"));
}

TEST(DataGenRandomTest, ZipfKeysComeAsOftenAsStated) {
  for (const double exponent : {0.5, 1.0, 1.3}) {
    for (const uint64_t num_keys : {uint64_t{1}, uint64_t{10}, uint64_t{100'000}}) {
      const ZipfKeys keys(num_keys, exponent);
      constexpr int kDraws = 100'000;
      std::map<uint64_t, int> counts;
      for (int i = 0; i < kDraws; ++i) {
        DataGenRandom random(3, static_cast<uint64_t>(i));
        ++counts[keys.Draw(random)];
      }
      EXPECT_LT(counts.rbegin()->first, num_keys);
      double total = 0;
      for (uint64_t key = 0; key < num_keys; ++key) {
        total += std::pow(static_cast<double>(key + 1), -exponent);
      }
      for (uint64_t key = 0; key < std::min<uint64_t>(num_keys, 5); ++key) {
        const double share = std::pow(static_cast<double>(key + 1), -exponent) / total;
        const double deviation = std::sqrt(kDraws * share * (1 - share));
        EXPECT_NEAR(counts[key], kDraws * share, 5 * deviation + 1)
            << "exponent " << exponent << " keys " << num_keys << " key " << key;
      }
    }
  }
}

TEST(DataGenRandomTest, HotKeysTakeTheirShare) {
  const HotKeys keys(1000, 4, 0.75);
  int hot = 0;
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 100'000; ++i) {
    DataGenRandom random(1, i);
    const uint64_t key = keys.Draw(random);
    seen.insert(key);
    if (key < 4) ++hot;
  }
  EXPECT_NEAR(hot, 75'000, 700);
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_EQ(*seen.rbegin(), 999u);
}

TEST(DataGenRandomTest, NormalAndExponentialHaveTheirMeansAndDeviations) {
  double sum = 0;
  double squares = 0;
  double waits = 0;
  constexpr int kDraws = 100'000;
  for (uint64_t i = 0; i < kDraws; ++i) {
    DataGenRandom random(5, i);
    const double value = random.Normal(10, 2);
    sum += value;
    squares += (value - 10) * (value - 10);
    waits += random.Exponential(4);
  }
  EXPECT_NEAR(sum / kDraws, 10, 0.05);
  EXPECT_NEAR(std::sqrt(squares / kDraws), 2, 0.05);
  EXPECT_NEAR(waits / kDraws, 4, 0.1);
}

}  // namespace
}  // namespace weir
