#pragma once

#include <cstdint>
#include <memory>

#include "operators/api/source.h"

namespace weir::examples {

/// A record of the generator: the key it counts under.
struct Event {
  int64_t key = 0;
  int64_t sequence = 0;
};

/// Generates `records` events with keys 0..keys-1, the same for the same seed however many readers
/// share the work: the sequence is cut into splits, and event i depends on seed and i alone.
struct NumberSourceOptions {
  int64_t records = 1'000'000;
  int64_t keys = 1'000;
  uint64_t seed = 1;
  /// Events a second over all readers; 0 is as fast as possible.
  double rate = 0;
  /// Into how many splits each reader's share is cut, at least; each is asked for once the one
  /// before it has been read. Several let all readers share the work, and the rate, to the end.
  int64_t splits_per_reader = 8;
};

class NumberSource final : public Source<Event> {
 public:
  explicit NumberSource(NumberSourceOptions options) : options_(options) {}
  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override;
  [[nodiscard]] std::unique_ptr<SourceReader<Event>> CreateReader() const override;

 private:
  NumberSourceOptions options_;
};

}  // namespace weir::examples
