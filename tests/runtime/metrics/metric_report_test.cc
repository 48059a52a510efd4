#include "runtime/metrics/metric_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "runtime/metrics/prometheus_text.h"
#include "runtime/metrics/rate_meter.h"

namespace weir {
namespace {

using ::testing::ElementsAre;

// The report of a task with one operator: with names if `from` is null, else with those of `from`.
MetricReport MakeReport(const MetricGroup& group, double records, const MetricReport* from) {
  MetricReportBuilder builder =
      from == nullptr
          ? MetricReportBuilder("flink_taskmanager_job_task", PrometheusLabel("host", "a.b"))
          : MetricReportBuilder(from->layout, from->label_sets);
  builder.Add("numRecordsIn", records);
  builder.BeginScope(MetricScopeName("Source: gen"), "operator",
                     PrometheusLabel("operator_name", "Source: gen"));
  builder.AddGroup(group);
  builder.EndScope();
  builder.AddText("lastCheckpointExternalPath", "/a/b");
  return builder.Finish();
}

TEST(MetricReportTest, NamesMetricsAsFlinksRestDoes) {
  MetricGroup group;
  group.AddCounter("numLateRecordsDropped")->Add(2);
  group.AddGroup("split", "topic-0")->AddGroup("watermark")->AddGauge("currentWatermark")->Set(5);
  const MetricReport report = MakeReport(group, 7.5, nullptr);
  EXPECT_THAT(report.layout->names,
              ElementsAre("numRecordsIn", "Source__gen.numLateRecordsDropped",
                          "Source__gen.split.topic-0.watermark.currentWatermark",
                          "lastCheckpointExternalPath"));
  EXPECT_THAT(report.values, ElementsAre(7.5, 2, 5, 0));
  EXPECT_EQ(MetricValueText(report, 0), "7.5");
  EXPECT_EQ(MetricValueText(report, 3), "/a/b");
}

TEST(MetricReportTest, WritesPrometheusTextAsFlinksReporterDoes) {
  MetricGroup group;
  group.AddGroup("split", "topic-0")->AddGroup("watermark")->AddGauge("currentWatermark")->Set(5);
  group.AddHistogram("eventTimeLag")->Record(4);
  const MetricReport first = MakeReport(group, 7.5, nullptr);
  const MetricReport second = MakeReport(group, 8, nullptr);
  const std::vector<const MetricReport*> reports = {&first, &second};
  EXPECT_EQ(PrometheusLabel("operator_name", "Source: gen"), R"(operator_name="Source:_gen")");
  const std::string text = RenderPrometheus(reports);
  const std::string lag = "flink_taskmanager_job_task_operator_eventTimeLag";
  const std::string labels = R"(host="a_b",operator_name="Source:_gen")";
  std::string summary;
  for (const char* quantile : {"0.5", "0.75", "0.95", "0.98", "0.99", "0.999"}) {
    summary += lag + "{" + labels + ",quantile=\"" + quantile + "\"} 4\n";
  }
  summary += lag + "_sum{" + labels + "} 4\n" + lag + "_count{" + labels + "} 1\n";
  const std::string watermark =
      "flink_taskmanager_job_task_operator_split_watermark_currentWatermark";
  const std::string split = "{" + labels + ",split=\"topic_0\"} 5\n";
  EXPECT_EQ(text,
            "# TYPE flink_taskmanager_job_task_lastCheckpointExternalPath gauge\n"
            "flink_taskmanager_job_task_lastCheckpointExternalPath{host=\"a_b\"} 0\n"
            "flink_taskmanager_job_task_lastCheckpointExternalPath{host=\"a_b\"} 0\n"
            "# TYPE flink_taskmanager_job_task_numRecordsIn gauge\n"
            "flink_taskmanager_job_task_numRecordsIn{host=\"a_b\"} 7.5\n"
            "flink_taskmanager_job_task_numRecordsIn{host=\"a_b\"} 8\n"
            "# TYPE " +
                lag + " summary\n" + summary + summary + "# TYPE " + watermark + " gauge\n" +
                watermark + split + watermark + split);
}

TEST(MetricReportTest, MergesPrometheusTextsOfSeveralProcesses) {
  const std::string first =
      "# TYPE a gauge\na{p=\"1\"} 1\n# TYPE c summary\nc{p=\"1\",quantile=\"0.5\"} "
      "1\nc_sum{p=\"1\"} 1\n";
  const std::string second = "# TYPE a gauge\na{p=\"2\"} 2\n# TYPE b gauge\nb{p=\"2 # TYPE\"} 2\n";
  EXPECT_EQ(MergePrometheusTexts(std::vector<std::string>{first}), first);
  EXPECT_EQ(MergePrometheusTexts(std::vector<std::string>{first, "", second}),
            "# TYPE a gauge\na{p=\"1\"} 1\na{p=\"2\"} 2\n"
            "# TYPE b gauge\nb{p=\"2 # TYPE\"} 2\n"
            "# TYPE c summary\nc{p=\"1\",quantile=\"0.5\"} 1\nc_sum{p=\"1\"} 1\n");
  const std::string other_kind = "# TYPE a summary\na_sum{p=\"3\"} 3\n";
  EXPECT_EQ(MergePrometheusTexts(std::vector<std::string>{second, other_kind}), second)
      << "one name is of one kind";
}

TEST(MetricReportTest, ReusesNamesWhileTheMetricsStayTheSame) {
  MetricGroup group;
  Counter* const counter = group.AddCounter("numLateRecordsDropped");
  group.AddHistogram("lag")->Record(3);
  const MetricReport first = MakeReport(group, 1, nullptr);
  counter->Add(9);
  const MetricReport next = MakeReport(group, 2, &first);
  EXPECT_EQ(next.layout, first.layout);
  EXPECT_EQ(next.layout->names.size(), next.values.size());
  EXPECT_EQ(next.values[0], 2);
  EXPECT_EQ(next.values[1], 9);
  EXPECT_EQ(*MakeReport(group, 2, nullptr).layout, *first.layout);
}

TEST(MetricReportTest, WritesNumbersAsFlinkDoes) {
  EXPECT_EQ(MetricValueText(0), "0");
  EXPECT_EQ(MetricValueText(-1), "-1");
  EXPECT_EQ(MetricValueText(1'795'311'643'869), "1795311643869");
  EXPECT_EQ(MetricValueText(232.05), "232.05");
  EXPECT_EQ(MetricValueText(static_cast<double>(std::numeric_limits<int64_t>::min())),
            "-9223372036854775808");
  EXPECT_EQ(MetricValueText(static_cast<double>(std::numeric_limits<int64_t>::max())),
            "9223372036854775807");
  EXPECT_EQ(MetricValueText(std::numeric_limits<double>::quiet_NaN()), "NaN");
}

TEST(RateMeterTest, GivesTheGrowthPerSecondOfTheLastLooks) {
  RateMeter meter;
  constexpr int64_t kSecond = 1'000'000'000;
  EXPECT_EQ(meter.Update(100, 0), 0);
  EXPECT_EQ(meter.Update(300, 2 * kSecond), 100);
  // Steady, and then nothing: after ten seconds nothing is left of it.
  for (int64_t i = 2; i <= 10; ++i) {
    EXPECT_EQ(meter.Update(static_cast<double>(100 + 200 * i), 2 * i * kSecond), 100);
  }
  double rate = 100;
  for (int64_t i = 11; i <= 16; ++i) {
    const double next = meter.Update(2100, 2 * i * kSecond);
    EXPECT_LT(next, rate);
    rate = next;
  }
  EXPECT_EQ(rate, 0);
}

TEST(RateMeterTest, BeginsAnewWhenTheTotalShrinks) {
  RateMeter meter;
  EXPECT_EQ(meter.Update(100, 0), 0);
  EXPECT_EQ(meter.Update(10, 1'000'000'000), 0);
  EXPECT_EQ(meter.Update(30, 2'000'000'000), 20);
}

}  // namespace
}  // namespace weir
