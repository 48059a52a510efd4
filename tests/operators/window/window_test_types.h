#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "operators/api/keyed_stream.h"
#include "operators/api/stream_origin.h"
#include "runtime/graph/stream_graph.h"

namespace weir {

struct Reading {
  std::string sensor;
  int64_t time_ms = 0;
  int64_t value = 0;
  friend auto operator<=>(const Reading&, const Reading&) = default;
};

/// The result of a window: how many records, and their sum.
struct WindowSum {
  std::string sensor;
  int64_t start_ms = 0;
  int64_t end_ms = 0;
  int64_t sum = 0;
  int64_t count = 0;
  friend auto operator<=>(const WindowSum&, const WindowSum&) = default;
  friend std::ostream& operator<<(std::ostream& out, const WindowSum& w) {
    return out << w.sensor << "[" << w.start_ms << "," << w.end_ms << ")=" << w.sum << "/"
               << w.count;
  }
};

struct SumAndCount {
  int64_t sum = 0;
  int64_t count = 0;
};

/// A small accumulator that can be merged.
struct SumAggregate {
  using Accumulator = SumAndCount;
  using Result = SumAndCount;
  void Add(const Reading& reading, Accumulator& accumulator) const {
    accumulator.sum += reading.value;
    ++accumulator.count;
  }
  void Merge(const Accumulator& from, Accumulator& into) const {
    into.sum += from.sum;
    into.count += from.count;
  }
  Result GetResult(const Accumulator& accumulator) const { return accumulator; }
};

/// The same, without Merge.
struct UnmergeableSumAggregate {
  using Accumulator = SumAndCount;
  using Result = SumAndCount;
  void Add(const Reading& reading, Accumulator& accumulator) const {
    SumAggregate().Add(reading, accumulator);
  }
  Result GetResult(const Accumulator& accumulator) const { return accumulator; }
};

/// A large accumulator that can be merged.
struct ListAggregate {
  using Accumulator = std::vector<int64_t>;
  using Result = SumAndCount;
  void Add(const Reading& reading, Accumulator& accumulator) const {
    accumulator.push_back(reading.value);
  }
  void Merge(const Accumulator& from, Accumulator& into) const {
    into.insert(into.end(), from.begin(), from.end());
  }
  Result GetResult(const Accumulator& accumulator) const {
    Result result;
    for (const int64_t value : accumulator) result.sum += value;
    result.count = static_cast<int64_t>(accumulator.size());
    return result;
  }
};

/// Returns a stream of Readings that no source makes: for harnesses.
inline DataStream<Reading> ReadingStream(StreamGraph* graph) {
  StreamNode node;
  node.name = "Readings";
  node.num_inputs = 0;
  node.outputs.push_back({"", internal::BatchTypeOf<Reading>()});
  internal::StreamOrigin origin;
  origin.graph = graph;
  origin.ports = {{graph->AddNode(std::move(node)), 0}};
  return DataStream<Reading>(std::move(origin));
}

inline auto BySensor(StreamGraph* graph) {
  return ReadingStream(graph).KeyBy(
      [](const Reading& reading) -> const std::string& { return reading.sensor; });
}

}  // namespace weir
