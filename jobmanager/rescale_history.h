#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobmanager/rescaling.h"

namespace weir {

/// Remembers the last rescales of a job, the one under way among them. Threads: main thread.
class RescaleHistory {
 public:
  /// Keeps `max_entries`, at least one.
  explicit RescaleHistory(size_t max_entries) : max_entries_(max_entries) {}

  /// Begins a rescale, in `phase`. None may be under way.
  void Begin(RescaleCause cause, std::string reason, std::vector<RescaledVertex> vertices,
             RescalePhase phase, absl::Time now);
  [[nodiscard]] bool in_progress() const {
    return !entries_.empty() && entries_.front().result == RescaleResult::kInProgress;
  }

  // Of the one under way; nothing happens if there is none.
  /// Ends the present phase. One that lasts goes on.
  void Enter(RescalePhase phase, absl::Time now);
  void SetCheckpoint(uint64_t id);
  /// Says what becomes of the vertices.
  void SetAfter(const VertexParallelism& parallelism);
  void Complete(absl::Time now);
  void Fail(std::string reason, absl::Time now);

  /// Newest first.
  [[nodiscard]] std::vector<RescaleEntry> Entries() const;
  /// Null if there is none.
  [[nodiscard]] const RescaleEntry* newest() const {
    return entries_.empty() ? nullptr : &entries_.front();
  }
  /// Those that have been completed, since the job began.
  [[nodiscard]] uint64_t num_completed() const { return num_completed_; }

 private:
  void End(RescaleResult result, absl::Time now);

  const size_t max_entries_;
  std::deque<RescaleEntry> entries_;  // Newest first.
  uint64_t num_begun_ = 0;
  uint64_t num_completed_ = 0;
};

}  // namespace weir
