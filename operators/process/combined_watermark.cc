#include "operators/process/combined_watermark.h"

#include <algorithm>
#include <utility>

namespace weir::internal {

CombinedWatermark::Split& CombinedWatermark::Add(std::string_view id, absl::Time now) {
  Split& split = splits_.try_emplace(std::string(id)).first->second;
  split.since = now;
  split.silent_since = counted_;
  changed_ = true;
  return split;
}

CombinedWatermark::Split* CombinedWatermark::Find(std::string_view id) {
  const auto found = splits_.find(id);
  return found == splits_.end() ? nullptr : &found->second;
}

void CombinedWatermark::Remove(std::string_view id) {
  const auto found = splits_.find(id);
  if (found == splits_.end()) return;
  finished_ = std::max(finished_, found->second.watermark);
  splits_.erase(found);
  if (splits_.empty()) empty_since_ = counted_;
  changed_ = true;
}

CombinedWatermark::Outcome CombinedWatermark::Update(absl::Time now, bool was_blocked) {
  if (!was_blocked && now > last_update_) counted_ += now - last_update_;
  last_update_ = now;
  EventTime lowest = EventTime::Max();  // Over the splits that hold event time back.
  EventTime furthest = finished_;       // Over all.
  bool any_active = false;
  for (auto& [id, split] : splits_) {
    if (split.got_record || split.paused) split.silent_since = counted_;
    split.got_record = false;
    const bool idle = split.marked_idle || counted_ - split.silent_since >= idle_timeout_;
    if (split.watermark > split.shown_watermark) {
      split.shown_watermark = split.watermark;
      split.since = now;
      changed_ = true;
    }
    changed_ = changed_ || idle != split.idle;
    split.idle = idle;
    furthest = std::max(furthest, split.watermark);
    if (idle) continue;
    any_active = true;
    lowest = std::min(lowest, split.watermark);
  }
  const bool idle = splits_.empty() ? expects_no_splits_ || counted_ - empty_since_ >= idle_timeout_
                                    : !any_active;
  Outcome outcome;
  outcome.became_active = idle_ && !idle;
  outcome.became_idle = !idle_ && idle;
  idle_ = idle;
  // With nothing left to hold it back, time has come as far as any split knows.
  const EventTime combined = any_active ? lowest : furthest;
  if (combined > emitted_) outcome.watermark = emitted_ = combined;
  return outcome;
}

bool CombinedWatermark::Activate() { return std::exchange(idle_, false); }

EventTime CombinedWatermark::AlignmentWatermark() const {
  if (splits_.empty()) return expects_no_splits_ ? EventTime::Max() : EventTime::Min();
  EventTime lowest = EventTime::Max();
  for (const auto& [id, split] : splits_) {
    if (!split.idle) lowest = std::min(lowest, split.watermark);
  }
  return lowest;
}

absl::Time CombinedWatermark::NextIdleTime() const {
  if (idle_timeout_ == absl::InfiniteDuration()) return absl::InfiniteFuture();
  absl::Time next = absl::InfiniteFuture();
  const auto consider = [&](absl::Duration silent_since) {
    next = std::min(next, last_update_ + (silent_since + idle_timeout_ - counted_));
  };
  for (const auto& [id, split] : splits_) {
    if (!split.idle && !split.paused) consider(split.silent_since);
  }
  if (splits_.empty() && !idle_) consider(empty_since_);
  return next;
}

std::vector<SplitWatermark> CombinedWatermark::Describe(size_t limit) const {
  std::vector<SplitWatermark> described;
  for (const auto& [id, split] : splits_) {
    described.push_back({id, split.shown_watermark, split.since, split.idle, split.paused});
  }
  const auto holds_back_more = [](const SplitWatermark& a, const SplitWatermark& b) {
    return a.idle != b.idle ? !a.idle : a.watermark < b.watermark;
  };
  limit = std::min(limit, described.size());
  std::partial_sort(described.begin(), described.begin() + static_cast<std::ptrdiff_t>(limit),
                    described.end(), holds_back_more);
  described.resize(limit);
  return described;
}

}  // namespace weir::internal
