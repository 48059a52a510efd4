// A job to be stopped and started again: --records N --keys K --rate R --out FOLDER. The sink gets
// each record's key and how often the key has come so far, so that a record that is lost or comes
// twice shows. --short N adds a source that ends after N records; --extra adds a stateful operator.

#include <cstdint>
#include <string>

#include "operators/api/job.h"
#include "operators/connectors/data_gen_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace {

struct Seen {
  int64_t key = 0;
  int64_t times = 0;
};

// Counts a key's records, and tells at each how many there were.
struct CountSoFar final : weir::KeyedProcessFunction<int64_t, Seen, Seen> {
  absl::Status Open(weir::KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(count_, context.GetState(weir::ValueStateDescriptor<int64_t>{"count"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Seen& seen, Context&, weir::Collector<Seen>& out) override {
    out.Collect({seen.key, ++count_.Mutable()});
  }

 private:
  weir::ValueState<int64_t> count_;
};

auto Numbers(uint64_t records, int64_t keys, double rate) {
  return weir::DataGenSource({.count = records, .records_per_second = rate},
                             [keys](const weir::DataGenRecord& record, weir::DataGenRandom&) {
                               return Seen{static_cast<int64_t>(record.index) % keys, 0};
                             });
}

absl::Status Build(weir::StreamEnvironment& environment, const weir::JobArgs& args) {
  ASSIGN_OR_RETURN(const int64_t records, args.GetInt("records", 100'000));
  ASSIGN_OR_RETURN(const int64_t keys, args.GetInt("keys", 1'000));
  ASSIGN_OR_RETURN(const double rate, args.GetDouble("rate", 0));
  ASSIGN_OR_RETURN(const int64_t short_records, args.GetInt("short", 0));
  ASSIGN_OR_RETURN(const int64_t extra, args.GetInt("extra", 0));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "a folder for the results"));
  const auto no_watermarks = weir::WatermarkStrategy<Seen>::NoWatermarks();
  weir::DataStream<Seen> numbers =
      environment
          .FromSource(Numbers(static_cast<uint64_t>(records), keys, rate), no_watermarks, "numbers")
          .Uid("numbers");
  if (short_records > 0) {
    numbers = numbers.Union(environment
                                .FromSource(Numbers(static_cast<uint64_t>(short_records), keys, 0),
                                            no_watermarks, "short")
                                .Uid("short"));
  }
  const auto key = [](const Seen& seen) { return seen.key; };
  weir::DataStream<Seen> counted =
      numbers.KeyBy(key).Process(CountSoFar()).Name("Count").Uid("count");
  if (extra != 0) {
    counted = counted.KeyBy(key).Process(CountSoFar()).Name("Extra count").Uid("extra");
  }
  counted
      .Map([](const Seen& seen) {
        return weir::StrCat(R"({"key":)", seen.key, R"(,"times":)", seen.times, "}");
      })
      .Uid("lines")
      .SinkTo(weir::NdjsonFileSink<std::string>({.folder = args.ResolvePath(out)}), "sink")
      .Uid("sink");
  return absl::OkStatus();
}

}  // namespace

WEIR_JOB("running_count", "Counts records by key so far", Build);
