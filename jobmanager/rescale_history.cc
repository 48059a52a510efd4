#include "jobmanager/rescale_history.h"

#include <utility>

#include "runtime/base/check.h"

namespace weir {

void RescaleHistory::Begin(RescaleCause cause, std::string reason,
                           std::vector<RescaledVertex> vertices, RescalePhase phase,
                           absl::Time now) {
  DCHECK(!in_progress());
  RescaleEntry& entry = entries_.emplace_front();
  entry.number = ++num_begun_;
  entry.cause = cause;
  entry.reason = std::move(reason);
  entry.begin = now;
  entry.vertices = std::move(vertices);
  entry.phases.push_back({.phase = phase, .begin = now});
  while (entries_.size() > max_entries_) entries_.pop_back();
}

void RescaleHistory::Enter(RescalePhase phase, absl::Time now) {
  if (!in_progress()) return;
  std::vector<RescaleEntry::Phase>& phases = entries_.front().phases;
  if (phases.back().phase == phase) return;
  phases.back().end = now;
  phases.push_back({.phase = phase, .begin = now});
}

void RescaleHistory::SetCheckpoint(uint64_t id) {
  if (in_progress()) entries_.front().checkpoint = id;
}

void RescaleHistory::SetAfter(const VertexParallelism& parallelism) {
  if (!in_progress()) return;
  for (RescaledVertex& vertex : entries_.front().vertices) vertex.after = parallelism.at(vertex.id);
}

void RescaleHistory::Complete(absl::Time now) {
  if (!in_progress()) return;
  ++num_completed_;
  End(RescaleResult::kCompleted, now);
}

void RescaleHistory::Fail(std::string reason, absl::Time now) {
  if (!in_progress()) return;
  entries_.front().reason = std::move(reason);
  End(RescaleResult::kFailed, now);
}

void RescaleHistory::End(RescaleResult result, absl::Time now) {
  RescaleEntry& entry = entries_.front();
  entry.result = result;
  entry.end = now;
  entry.phases.back().end = now;
}

std::vector<RescaleEntry> RescaleHistory::Entries() const {
  return {entries_.begin(), entries_.end()};
}

}  // namespace weir
