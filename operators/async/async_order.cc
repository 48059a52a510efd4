#include "operators/async/async_order.h"

#include <utility>
#include <variant>

#include "runtime/base/check.h"

namespace weir::internal {

AsyncOrder::SegmentId AsyncOrder::AddRequest() {
  if (segments_.empty() || segments_.back().closed) segments_.emplace_back();
  Segment& segment = segments_.back();
  ++segment.num_pending;
  segment.closed = ordered_;
  return first_ + segments_.size() - 1;
}

void AsyncOrder::AddControl(StreamElement element) {
  if (segments_.empty() || segments_.back().control.has_value()) {
    if (!segments_.empty() && std::holds_alternative<Watermark>(element)) {
      const Segment& last = segments_.back();
      const bool has_requests = last.num_pending > 0 || last.next_done < last.done.size();
      if (!has_requests && std::holds_alternative<Watermark>(*last.control)) {
        segments_.back().control = std::move(element);
        return;
      }
    }
    segments_.emplace_back();
  }
  segments_.back().control = std::move(element);
  segments_.back().closed = true;
}

void AsyncOrder::SetDone(SegmentId segment, Slot slot) {
  DCHECK(segment >= first_ && segment - first_ < segments_.size());
  Segment& of = segments_[segment - first_];
  --of.num_pending;
  of.done.push_back(slot);
}

AsyncOrder::Next AsyncOrder::PeekNext() {
  DropFinished();
  if (segments_.empty()) return {};
  const Segment& front = segments_.front();
  if (front.next_done < front.done.size()) return {front.done[front.next_done], nullptr};
  if (front.num_pending > 0 || !front.control.has_value()) return {};
  return {std::nullopt, &*front.control};
}

void AsyncOrder::PopNext() {
  Segment& front = segments_.front();
  if (front.next_done < front.done.size()) {
    if (++front.next_done == front.done.size()) {
      front.done.clear();
      front.next_done = 0;
    }
  } else {
    front.control.reset();
  }
  DropFinished();
}

void AsyncOrder::DropFinished() {
  while (!segments_.empty()) {
    const Segment& front = segments_.front();
    if (front.num_pending > 0 || front.next_done < front.done.size() || front.control.has_value()) {
      return;
    }
    segments_.pop_front();
    ++first_;
  }
}

}  // namespace weir::internal
