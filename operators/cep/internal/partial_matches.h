#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace weir::internal {

/// A match begun and not complete: the last event it took, and the ways it may go on.
struct PartialMatch {
  uint32_t stage = 0;  // Of the last event taken.
  uint32_t count = 0;  // How many the stage has taken; no further than the stage's minimum counts.
  uint32_t node = 0;
  uint64_t alive = 0;  // Ways on that are still open; see PatternMatcher.
  bool fresh = true;   // No event has come since the last one taken.
  int64_t first_time_ms = 0;
  int64_t last_time_ms = 0;
  uint64_t first_event = 0;  // Number of the first event taken.
};

/// A match that waits for an earlier one, because of its skip strategy.
struct CompletedMatch {
  uint32_t node = 0;
  int64_t time_ms = 0;  // When it was found.
  uint64_t first_event = 0;
};

/// The state of one key: partial matches, and the events they hold, each once. The taken events of
/// a match are a list from its last back to its first; matches share the part they have in common.
/// Serialised as a whole. Slots of both lists are reused; free ones have no references.
template <class T>
struct PartialMatches {
  static constexpr uint32_t kNone = 0xFFFFFFFF;

  struct Node {
    uint32_t event = 0;  // Slot.
    uint32_t stage = 0;
    uint32_t previous = kNone;
    uint32_t references = 0;  // Of partial and completed matches, and of later nodes.
  };
  struct Event {
    uint64_t number = 0;      // Events of a key are numbered as they come.
    uint32_t references = 0;  // Of nodes.
    T value{};
  };

  uint64_t next_event = 0;
  std::vector<Node> nodes;
  std::vector<Event> events;
  std::vector<uint32_t> free_nodes;
  std::vector<uint32_t> free_events;
  std::vector<PartialMatch> partial;
  std::vector<CompletedMatch> completed;  // In the order they are to be emitted.

  [[nodiscard]] bool empty() const { return partial.empty() && completed.empty(); }

  uint32_t AddEvent(T value, uint64_t number) {
    const uint32_t slot = TakeSlot(events, free_events);
    events[slot] = Event{number, 0, std::move(value)};
    return slot;
  }
  // The new node has one reference, the caller's.
  uint32_t AddNode(uint32_t event, uint32_t stage, uint32_t previous) {
    const uint32_t slot = TakeSlot(nodes, free_nodes);
    nodes[slot] = Node{event, stage, previous, 1};
    ++events[event].references;
    if (previous != kNone) ++nodes[previous].references;
    return slot;
  }
  void Hold(uint32_t node) { ++nodes[node].references; }
  void Release(uint32_t node) {
    while (node != kNone && --nodes[node].references == 0) {
      Event& event = events[nodes[node].event];
      if (--event.references == 0) {
        event.value = T{};
        free_events.push_back(nodes[node].event);
      }
      free_nodes.push_back(node);
      node = nodes[node].previous;
    }
  }

 private:
  template <class Item>
  static uint32_t TakeSlot(std::vector<Item>& items, std::vector<uint32_t>& free) {
    if (free.empty()) {
      items.emplace_back();
      return static_cast<uint32_t>(items.size() - 1);
    }
    const uint32_t slot = free.back();
    free.pop_back();
    return slot;
  }
};

}  // namespace weir::internal
