#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "runtime/record/event_time.h"
#include "runtime/record/key_codec.h"
#include "runtime/state/namespace.h"

namespace weir {

/// The time from `start` up to, but not including, `end`.
struct TimeWindow {
  EventTime start;
  EventTime end;

  /// The last instant that belongs to the window. A window fires when the watermark reaches it.
  [[nodiscard]] EventTime MaxTimestamp() const { return end - 1; }
  /// Whether the two overlap or touch: such session windows become one.
  [[nodiscard]] bool Intersects(const TimeWindow& other) const {
    return start <= other.end && end >= other.start;
  }
  /// The smallest window that holds both.
  [[nodiscard]] TimeWindow Cover(const TimeWindow& other) const {
    return {std::min(start, other.start), std::max(end, other.end)};
  }
  friend auto operator<=>(const TimeWindow&, const TimeWindow&) = default;
  template <class H>
  friend H AbslHashValue(H state, const TimeWindow& window) {
    return H::combine(std::move(state), window.start, window.end);
  }
};

/// The one window that all records of a key are in. It never ends by itself: give it a trigger.
struct GlobalWindow {
  [[nodiscard]] EventTime MaxTimestamp() const { return EventTime::Max(); }
  friend auto operator<=>(const GlobalWindow&, const GlobalWindow&) = default;
};

template <>
struct KeyCodec<GlobalWindow> {
  template <class Sink>
  static void Encode(Sink&, const GlobalWindow&) {}
  static bool Decode(ByteReader&, GlobalWindow&) { return true; }
};

template <>
struct Serde<GlobalWindow> {
  static void Write(ByteWriter&, const GlobalWindow&) {}
  static bool Read(ByteReader&, GlobalWindow&) { return true; }
  static Schema GetSchema() { return {Schema::Kind::kStruct, "", {}}; }
};

}  // namespace weir
