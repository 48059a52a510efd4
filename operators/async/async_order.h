#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "runtime/record/stream_element.h"

namespace weir::internal {

/// In which order the answers to requests, and the control elements between them, leave an
/// asynchronous operator.
///
/// Segments follow each other; within one, requests leave as they are done. In ordered mode each
/// request is a segment, in unordered mode those between two control elements are one, so that no
/// watermark is overtaken, either way. Threads: the task's.
class AsyncOrder {
 public:
  using Slot = uint32_t;
  /// Names a segment for as long as it has requests.
  using SegmentId = uint64_t;

  explicit AsyncOrder(bool ordered) : ordered_(ordered) {}

  /// A request begins.
  SegmentId AddRequest();
  /// A control element follows all requests so far. A watermark with no request between it and the
  /// one before takes that one's place.
  void AddControl(StreamElement element);
  /// The request in `slot`, of `segment`, is done.
  void SetDone(SegmentId segment, Slot slot);

  /// What may leave next: a done request, a control element, or neither. Stays until PopNext.
  struct Next {
    std::optional<Slot> slot;
    const StreamElement* control = nullptr;
  };
  [[nodiscard]] Next PeekNext();
  void PopNext();

  [[nodiscard]] bool empty() const { return segments_.empty(); }

 private:
  struct Segment {
    size_t num_pending = 0;
    absl::InlinedVector<Slot, 1> done;
    size_t next_done = 0;
    bool closed = false;                   // No request is added.
    std::optional<StreamElement> control;  // Behind all of the segment's requests; it is closed.
  };

  void DropFinished();

  const bool ordered_;
  std::deque<Segment> segments_;
  SegmentId first_ = 0;  // Id of the front.
};

}  // namespace weir::internal
