#pragma once

#include <cstddef>
#include <deque>
#include <utility>

namespace weir::proto {

/// A batch has at most so many bytes; a message that is larger goes alone.
inline constexpr size_t kMaxBatchBytes = size_t{1} << 20;

/// Takes the first message out, together with those that follow as far as they fit a batch: what is
/// to be sent next. `Message` is TaskManagerMessage or JobManagerMessage. Needs that there is one.
template <class Message>
[[nodiscard]] Message TakeBatch(std::deque<Message>* messages) {
  Message first = std::move(messages->front());
  messages->pop_front();
  size_t bytes = first.ByteSizeLong();
  const auto next_fits = [&] {
    return !messages->empty() && bytes + messages->front().ByteSizeLong() <= kMaxBatchBytes;
  };
  if (!next_fits()) return first;
  Message batch;
  *batch.mutable_batch()->add_messages() = std::move(first);
  while (next_fits()) {
    bytes += messages->front().ByteSizeLong();
    *batch.mutable_batch()->add_messages() = std::move(messages->front());
    messages->pop_front();
  }
  return batch;
}

}  // namespace weir::proto
