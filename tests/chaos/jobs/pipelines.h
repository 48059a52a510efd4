#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/api/data_stream.h"
#include "operators/api/job.h"
#include "operators/connectors/data_gen_source.h"

namespace weir::chaos {

/// A record of the generated sources.
struct Reading {
  int64_t key = 0;
  int64_t index = 0;
  int64_t value = 0;
};

/// A line of output. What `at` is depends on the pipeline: a time, an index, a count.
struct Outcome {
  int64_t key = 0;
  int64_t at = 0;
  int64_t value = 0;
};

/// Where the pipeline through Kafka reads and writes.
struct KafkaSettings {
  std::string brokers;
  std::string from;
  std::string to;
};

/// What the arguments of a run say. Plain data.
struct Settings {
  DataGenOptions source;
  int64_t keys = 1000;
  /// What a Throttle lets through a second, all subtasks together; 0: everything.
  double rate = 0;
  std::string out;
  KafkaSettings kafka;
};

/// Event times lie up to this far behind.
constexpr absl::Duration kDisorder = absl::Milliseconds(700);

/// A source of `settings.source`'s records; `seed` tells the sources of one run apart.
[[nodiscard]] DataStream<Reading> Readings(StreamEnvironment& environment, const Settings& settings,
                                           const std::string& uid, uint64_t seed);

/// The same, as fast as what follows takes them, so that channels fill.
[[nodiscard]] DataStream<Reading> FastReadings(StreamEnvironment& environment, Settings settings,
                                               const std::string& uid, uint64_t seed);

/// The line of an outcome of pipeline `name`, without its end.
void AppendLine(const std::string& name, const Outcome& outcome, std::string* line);

/// Writes outcomes to files, exactly once.
void Write(const DataStream<Outcome>& outcomes, const Settings& settings, const std::string& name);

inline int64_t KeyOf(const Reading& reading) { return reading.key; }

// The pipelines, each a part of the job that has nothing to do with the others.

void Broadcast(StreamEnvironment& environment, const Settings& settings);
void Counts(StreamEnvironment& environment, const Settings& settings);
/// Every kind of edge in front of a stage that is too slow.
void Edges(StreamEnvironment& environment, const Settings& settings);
/// From Kafka to Kafka, exactly once: a copy of each record, and its place among those of its key.
void Kafka(StreamEnvironment& environment, const Settings& settings);
void Timers(StreamEnvironment& environment, const Settings& settings);
void TwoInputs(StreamEnvironment& environment, const Settings& settings);
void Windows(StreamEnvironment& environment, const Settings& settings);

}  // namespace weir::chaos
