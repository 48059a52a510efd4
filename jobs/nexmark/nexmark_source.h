#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "jobs/nexmark/event.h"
#include "jobs/nexmark/generator_config.h"
#include "operators/api/source.h"
#include "operators/api/watermark_strategy.h"
#include "runtime/graph/job_args.h"

namespace weir::nexmark {

struct NexmarkSourceOptions {
  GeneratorOptions generator;
  /// How many generators share the events, each with ids of its own; 0: as many as the source has
  /// subtasks. A fixed number gives the same events at any parallelism.
  int64_t generators = 0;
  /// Gives each event when it is due by its event time and the clock, rather than all as fast as
  /// they are taken. A source that fell behind, or was restored, catches up.
  bool paced = false;
};

/// The events of the Nexmark benchmark, with their times. Exactly once: a generator's position is
/// its state. Usable by any job.
class NexmarkSource final : public Source<Event> {
 public:
  explicit NexmarkSource(NexmarkSourceOptions options) : options_(options) {}
  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override;
  [[nodiscard]] std::unique_ptr<SourceReader<Event>> CreateReader() const override;

 private:
  NexmarkSourceOptions options_;
};

/// The strategy of the benchmark's tables: events come at most four seconds late.
[[nodiscard]] WatermarkStrategy<Event> NexmarkWatermarks();

/// Reads the source's settings from a job's arguments; docs/guides/nexmark.md lists them.
/// Errors: kInvalidArgument, naming the argument and what it may be.
[[nodiscard]] absl::StatusOr<NexmarkSourceOptions> ParseNexmarkSourceOptions(const JobArgs& args);

}  // namespace weir::nexmark
