#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "runtime/record/event_time.h"

namespace weir {

/// An element of a window with its event time. Plain data.
template <class T>
struct TimestampedValue {
  T value{};
  EventTime timestamp = EventTime::Min();
};

/// What an evictor may ask. Plain data.
struct EvictorContext {
  EventTime current_watermark;
  absl::Time current_processing_time;
};

/// The base of evictors: take elements out of a window before or after the window function sees
/// them. What is taken out is gone for later firings too. An evictor has, in place of these, what
/// it needs of them, with its own T and W. A window with an evictor keeps all its elements. A
/// value, copied into every subtask.
class Evictor {
 public:
  /// `elements` are in the order they came.
  template <class T, class W>
  void EvictBefore(std::vector<TimestampedValue<T>>&, const W&, const EvictorContext&) {}
  template <class T, class W>
  void EvictAfter(std::vector<TimestampedValue<T>>&, const W&, const EvictorContext&) {}
};

/// Keeps the last `max_count` elements.
class CountEvictor : public Evictor {
 public:
  static CountEvictor Of(size_t max_count, bool evict_after = false) {
    return {max_count, evict_after};
  }
  template <class T, class W>
  void EvictBefore(std::vector<TimestampedValue<T>>& elements, const W&, const EvictorContext&) {
    if (!evict_after_) Evict(elements);
  }
  template <class T, class W>
  void EvictAfter(std::vector<TimestampedValue<T>>& elements, const W&, const EvictorContext&) {
    if (evict_after_) Evict(elements);
  }

 private:
  CountEvictor(size_t max_count, bool evict_after)
      : max_count_(max_count), evict_after_(evict_after) {}
  template <class Elements>
  void Evict(Elements& elements) const {
    if (elements.size() <= max_count_) return;
    elements.erase(elements.begin(),
                   elements.end() - static_cast<typename Elements::difference_type>(max_count_));
  }
  size_t max_count_;
  bool evict_after_;
};

/// Keeps the elements of the last `window_size` of event time, counted back from the latest one.
class TimeEvictor : public Evictor {
 public:
  static TimeEvictor Of(absl::Duration window_size, bool evict_after = false) {
    return {absl::ToInt64Milliseconds(window_size), evict_after};
  }
  template <class T, class W>
  void EvictBefore(std::vector<TimestampedValue<T>>& elements, const W&, const EvictorContext&) {
    if (!evict_after_) Evict(elements);
  }
  template <class T, class W>
  void EvictAfter(std::vector<TimestampedValue<T>>& elements, const W&, const EvictorContext&) {
    if (evict_after_) Evict(elements);
  }

 private:
  TimeEvictor(int64_t size_ms, bool evict_after) : size_ms_(size_ms), evict_after_(evict_after) {}
  template <class Elements>
  void Evict(Elements& elements) const {
    EventTime latest = EventTime::Min();
    for (const auto& element : elements) latest = std::max(latest, element.timestamp);
    if (latest == EventTime::Min()) return;  // None of them has a time.
    const EventTime cut = latest - size_ms_;
    std::erase_if(elements, [&](const auto& element) { return element.timestamp <= cut; });
  }
  int64_t size_ms_;
  bool evict_after_;
};

/// Takes out elements that differ from the last one by `threshold` or more, by
/// delta(const T& element, const T& last) -> double.
template <class Delta>
class DeltaEvictor : public Evictor {
 public:
  DeltaEvictor(double threshold, Delta delta, bool evict_after = false)
      : threshold_(threshold), delta_(std::move(delta)), evict_after_(evict_after) {}
  template <class T, class W>
  void EvictBefore(std::vector<TimestampedValue<T>>& elements, const W&, const EvictorContext&) {
    if (!evict_after_) Evict(elements);
  }
  template <class T, class W>
  void EvictAfter(std::vector<TimestampedValue<T>>& elements, const W&, const EvictorContext&) {
    if (evict_after_) Evict(elements);
  }

 private:
  template <class Elements>
  void Evict(Elements& elements) {
    if (elements.empty()) return;
    const auto last = elements.back().value;
    std::erase_if(elements,
                  [&](const auto& element) { return delta_(element.value, last) >= threshold_; });
  }
  double threshold_;
  Delta delta_;
  bool evict_after_;
};

}  // namespace weir
