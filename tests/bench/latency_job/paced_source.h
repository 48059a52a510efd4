#pragma once

#include <cstdint>
#include <memory>

#include "operators/api/source.h"

namespace weir::bench {

/// A record of the paced source.
struct Tick {
  int64_t key = 0;
};

/// Emits records at a steady rate: each is due at a moment of the wall clock that is fixed when the
/// source starts, and its event time is that moment. What comes late is not moved on, so that a
/// delay shows in the latency of all records that had to wait.
///
/// Every reader has a record due at each full second, and at each of its fractions that the time
/// between two of its records divides: event time passes there at that very moment.
struct PacedSourceOptions {
  /// Records a second, over all readers.
  int64_t rate = 1'000;
  int64_t seconds = 10;
  /// Keys 0..keys-1 come in turn.
  int64_t keys = 1'000;
};

class PacedSource final : public Source<Tick> {
 public:
  explicit PacedSource(PacedSourceOptions options) : options_(options) {}
  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override;
  [[nodiscard]] std::unique_ptr<SourceReader<Tick>> CreateReader() const override;

 private:
  PacedSourceOptions options_;
};

}  // namespace weir::bench
