// Measures what a chain of element operators costs per record: source → map → filter → map → sink
// in one task, records with two strings beyond the small-string size.
// Usage: chain_bench [million records]

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "operators/api/stream_environment.h"
#include "operators/connectors/blackhole_sink.h"
#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "tests/bench/counting_source.h"
#include "tests/bench/cpu_seconds.h"
#include "tests/support/local_job.h"

namespace weir {
namespace {

struct Bid {
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  std::string url;
  std::string extra;
};

std::pair<Bid, EventTime> MakeBid(int64_t index) {
  static const std::string url = "https://example.test/abc/def/item.htm?query=1&channel_id=12";
  static const std::string extra(70, 'x');
  return {{index % 1000, index % 777, index, url, extra}, EventTime::FromMillis(index / 1000)};
}

int Run(int64_t records) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / StrCat("chain-bench-", ToString(RandomId<JobId>()));
  std::filesystem::create_directories(folder);
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  environment
      .FromSource(CountingSource(records, &MakeBid), WatermarkStrategy<Bid>::Monotonous(), "Bids")
      .Map([](Bid bid) {
        bid.price = bid.price * 908 / 1000;
        return bid;
      })
      .Filter([](const Bid& bid) { return bid.price >= 0; })
      .Filter([](const Bid& bid) { return bid.auction % 4 != 0; })
      .Map([](Bid bid) {
        ++bid.bidder;
        return bid;
      })
      .SinkTo(BlackholeSink<Bid>());
  LocalJobOptions options;
  options.directory = folder;
  options.checkpointing = false;
  absl::Status status;
  const Stopwatch stopwatch;
  {
    LocalJob job(std::move(graph), options);
    status = job.Start();
    if (status.ok()) status = job.WaitUntilFinished(absl::Minutes(5));
  }
  std::filesystem::remove_all(folder);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  const double cpu_seconds = CpuSeconds();
  std::printf("%.1f M records, wall %.2f s, CPU %.2f s, %.1f ns of CPU a record\n",
              static_cast<double>(records) / 1e6, absl::ToDoubleSeconds(stopwatch.Elapsed()),
              cpu_seconds, cpu_seconds * 1e9 / static_cast<double>(records));
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  const double millions = argc > 1 ? std::atof(argv[1]) : 10;
  return weir::Run(static_cast<int64_t>(millions * 1e6));
}
