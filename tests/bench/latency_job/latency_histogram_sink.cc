#include "tests/bench/latency_job/latency_histogram_sink.h"

#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <system_error>
#include <vector>

#include "runtime/base/json_writer.h"
#include "runtime/base/strings.h"
#include "runtime/metrics/histogram.h"

namespace weir::bench {
namespace {

// The largest value that the bucket holds.
int64_t UpperBound(size_t bucket) {
  HistogramSnapshot one;
  one.count = 1;
  one.max = std::numeric_limits<int64_t>::max();
  one.buckets[bucket] = 1;
  return one.Quantile(1);
}

// {"count":…,"min_us":…,"max_us":…,"buckets":[[largest value, how many],…]}
std::string ToJson(const HistogramSnapshot& histogram) {
  std::string text;
  JsonWriter json(&text);
  json.BeginObject();
  json.Key("count").Int(static_cast<int64_t>(histogram.count));
  json.Key("min_us").Int(histogram.min);
  json.Key("max_us").Int(histogram.max);
  json.Key("buckets").BeginArray();
  for (size_t bucket = 0; bucket < HistogramSnapshot::kNumBuckets; ++bucket) {
    if (histogram.buckets[bucket] == 0) continue;
    json.BeginArray();
    json.Int(UpperBound(bucket)).Int(static_cast<int64_t>(histogram.buckets[bucket]));
    json.EndArray();
  }
  json.EndArray().EndObject();
  text.push_back('\n');
  return text;
}

class LatencyHistogramWriter final : public SinkWriter<WindowCount> {
 public:
  LatencyHistogramWriter(std::string path, absl::Duration warm_up, const Clock* clock)
      : path_(std::move(path)), warm_up_ms_(absl::ToInt64Milliseconds(warm_up)), clock_(clock) {}

  [[nodiscard]] bool Ready() const override { return true; }
  absl::Status Write(const WindowCount& result, EventTime) override {
    if (!first_end_ms_.has_value()) first_end_ms_ = result.window_end_ms;
    if (result.window_end_ms < *first_end_ms_ + warm_up_ms_) return absl::OkStatus();
    const int64_t now_micros = absl::ToUnixMicros(clock_->Now());
    latency_micros_.Record(now_micros - result.window_end_ms * 1000);
    return absl::OkStatus();
  }
  absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId) override {
    return PrepareCommit([path = path_, histogram = latency_micros_.Snapshot()](
                             StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
      const std::string unfinished = StrCat(path, ".part");
      std::ofstream file(unfinished);
      file << ToJson(histogram);
      file.close();
      std::error_code error;
      if (file) std::filesystem::rename(unfinished, path, error);
      if (!file || error) {
        return absl::UnavailableError(StrCat("cannot write the histogram: file=", path));
      }
      return std::vector<Committable>{};
    });
  }

 private:
  const std::string path_;
  const int64_t warm_up_ms_;
  const Clock* const clock_;
  Histogram latency_micros_;
  std::optional<int64_t> first_end_ms_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SinkWriter<WindowCount>>> LatencyHistogramSink::CreateWriter(
    SinkContext& context) const {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) {
    return absl::UnavailableError(
        StrCat("cannot make the folder of histograms: ", error.message(), ": folder=", folder_));
  }
  return std::make_unique<LatencyHistogramWriter>(
      StrCat(folder_, "/latency-", context.place().subtask, ".json"), warm_up_, context.clock());
}

}  // namespace weir::bench
