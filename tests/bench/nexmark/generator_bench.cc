// Makes Nexmark events in a plain loop, without the engine: what the generator costs by itself.
// usage: nexmark_generator_bench EVENTS RATE. Prints one JSON line, in CPU seconds.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "jobs/nexmark/generator.h"
#include "jobs/nexmark/generator_config.h"
#include "tests/bench/cpu_seconds.h"

namespace weir::nexmark {
namespace {

int Run(int64_t events, double rate) {
  GeneratorOptions options;
  options.events = events;
  options.rate = rate;
  if (const absl::Status status = options.Validate(); !status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 2;
  }
  Generator generator(options, SplitEvents(options, 1).front());
  // As many events live at a time as in a batch.
  std::vector<Event> batch(1024);
  int64_t sum = 0;
  const double begin = CpuSeconds();
  for (size_t i = 0; !generator.AtEnd(); i = (i + 1) % batch.size()) {
    EventTime time;
    batch[i] = generator.Next(&time);
    sum += time.millis();
  }
  std::printf("{\"events\": %lld, \"seconds\": %.4f, \"seen\": %lld}\n",
              static_cast<long long>(events), CpuSeconds() - begin, static_cast<long long>(sum));
  return 0;
}

}  // namespace
}  // namespace weir::nexmark

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s EVENTS RATE\n", argv[0]);
    return 2;
  }
  return weir::nexmark::Run(std::atoll(argv[1]), std::atof(argv[2]));
}
