#include "runtime/metrics/metric_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/base/strings.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

class Lines final : public MetricGroup::Visitor {
 public:
  void OnCounter(std::string_view name, uint64_t value) override { Add(name, StrCat(value)); }
  void OnGauge(std::string_view name, double value) override { Add(name, StrCat(value)); }
  void OnHistogram(std::string_view name, const HistogramSnapshot& snapshot) override {
    Add(name, StrCat("max ", snapshot.max));
  }
  void OnGroupBegin(std::string_view key, std::string_view value) override {
    scope_.push_back(value.empty() ? StrCat(key, ".") : StrCat(key, ".", value, "."));
  }
  void OnGroupEnd() override { scope_.pop_back(); }

  std::vector<std::string> lines;

 private:
  void Add(std::string_view name, const std::string& value) {
    std::string line;
    for (const std::string& part : scope_) line += part;
    lines.push_back(StrCat(line, name, "=", value));
  }
  std::vector<std::string> scope_;
};

std::vector<std::string> LinesOf(const MetricGroup& group) {
  Lines lines;
  group.Visit(lines);
  return lines.lines;
}

TEST(MetricGroupTest, ShowsMetricsInTheOrderOfNamesAndThenItsGroups) {
  MetricGroup group;
  group.AddCounter("b")->Add(3);
  group.AddCounter("a")->Add();
  group.AddGauge("level")->Set(2.5);
  group.AddHistogram("lag")->Record(7);
  group.AddGroup("split", "topic-1")->AddGauge("watermark")->Set(9);
  group.AddGroup("split", "topic-0")->AddGauge("watermark")->Set(8);
  group.AddGroup("state")->AddCounter("hits")->Add(5);
  EXPECT_THAT(LinesOf(group),
              ElementsAre("a=1", "b=3", "level=2.5", "lag=max 7", "split.topic-0.watermark=8",
                          "split.topic-1.watermark=9", "state.hits=5"));
}

TEST(MetricGroupTest, GivesTheSameMetricForTheSameName) {
  MetricGroup group;
  EXPECT_EQ(group.AddCounter("a"), group.AddCounter("a"));
  EXPECT_EQ(group.AddGroup("k", "v")->AddGauge("a"), group.AddGroup("k", "v")->AddGauge("a"));
}

TEST(MetricGroupTest, ChangesItsVersionWithItsNamesOnly) {
  MetricGroup group;
  Counter* const counter = group.AddCounter("a");
  const uint64_t before = group.version();
  counter->Add();
  EXPECT_EQ(group.version(), before);
  EXPECT_EQ(group.AddCounter("a"), counter);
  EXPECT_EQ(group.version(), before);
  MetricGroup* const within = group.AddGroup("split", "1");
  EXPECT_NE(within->AddGauge("g"), nullptr);
  const uint64_t grown = group.version();
  EXPECT_NE(grown, before);
  group.RemoveGroup("split", "1");
  EXPECT_NE(group.version(), grown);
  EXPECT_THAT(LinesOf(group), ElementsAre("a=1"));
}

TEST(MetricGroupTest, ShowsNoMoreThanItsBoundAndCountsRemovedOnesOut) {
  MetricGroup group;
  for (size_t i = 0; i < MetricGroup::kMaxMetrics; ++i) {
    group.AddGroup("split", StrCat(i))->AddGauge("watermark")->Set(1);
  }
  // Beyond the bound there is still something to write to.
  group.AddCounter("late")->Add();
  group.AddGauge("late_gauge")->Set(1);
  group.AddHistogram("late_histogram")->Record(1);
  EXPECT_THAT(LinesOf(group), SizeIs(MetricGroup::kMaxMetrics));
  group.RemoveGroup("split", "17");
  group.AddCounter("now_there_is_room")->Add();
  EXPECT_THAT(LinesOf(group), SizeIs(MetricGroup::kMaxMetrics));
}

}  // namespace
}  // namespace weir
