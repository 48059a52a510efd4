#include "operators/connectors/internal/sink_io_queue.h"

#include <utility>

namespace weir::internal {

std::shared_ptr<SinkIoQueue> SinkIoQueue::Create(IoPool* pool, std::shared_ptr<TaskHandle> handle,
                                                 size_t max_waiting_bytes) {
  return std::shared_ptr<SinkIoQueue>(new SinkIoQueue(pool, std::move(handle), max_waiting_bytes));
}

SinkIoQueue::SinkIoQueue(IoPool* pool, std::shared_ptr<TaskHandle> handle, size_t max_waiting_bytes)
    : pool_(pool), handle_(std::move(handle)), max_waiting_bytes_(max_waiting_bytes) {}

// Relaxed: a stale answer only delays a wake-up that is on its way, or admits one record more.
bool SinkIoQueue::HasRoom() const {
  return waiting_bytes_.load(std::memory_order_relaxed) < max_waiting_bytes_;
}

uint64_t SinkIoQueue::Push(size_t bytes, Work work) {
  uint64_t ticket = 0;
  {
    const MutexLock lock(&mutex_);
    ticket = ++last_ticket_;
    if (closed_ || !status_.ok()) {
      done_ticket_ = ticket;
      return ticket;
    }
    waiting_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    items_.push_back({bytes, std::move(work)});
    if (posted_) return ticket;
    posted_ = true;
  }
  // A pool that shuts down runs nothing more; the task ends with it.
  (void)pool_->Post([self = shared_from_this()] { self->WorkAll(); });
  return ticket;
}

uint64_t SinkIoQueue::last_ticket() const {
  const MutexLock lock(&mutex_);
  return last_ticket_;
}

absl::Status SinkIoQueue::status() const {
  const MutexLock lock(&mutex_);
  return status_;
}

void SinkIoQueue::WorkOnce() {
  Item item = std::move(items_.front());
  items_.pop_front();
  working_ = true;
  mutex_.Unlock();
  absl::Status status = item.work();
  item.work = nullptr;
  const bool failed = !status.ok();
  if (failed) handle_->Fail(status);
  mutex_.Lock();
  working_ = false;
  ++done_ticket_;
  size_t freed = item.bytes;
  if (failed) {
    status_ = std::move(status);
    done_ticket_ = last_ticket_;
    for (const Item& dropped : items_) freed += dropped.bytes;
    items_.clear();
  }
  const size_t before = waiting_bytes_.fetch_sub(freed, std::memory_order_relaxed);
  work_done_.SignalAll();
  if (before >= max_waiting_bytes_ && before - freed < max_waiting_bytes_) {
    mutex_.Unlock();
    handle_->Wake();
    mutex_.Lock();
  }
}

void SinkIoQueue::WorkAll() {
  mutex_.Lock();
  while (true) {
    while (working_) work_done_.Wait(&mutex_);
    if (items_.empty()) break;
    WorkOnce();
  }
  posted_ = false;
  mutex_.Unlock();
}

absl::Status SinkIoQueue::WaitFor(uint64_t ticket) {
  const MutexLock lock(&mutex_);
  while (done_ticket_ < ticket && !closed_) {
    if (working_) {
      work_done_.Wait(&mutex_);
    } else {
      WorkOnce();
    }
  }
  if (!status_.ok()) return status_;
  return done_ticket_ < ticket ? absl::CancelledError("the sink's writer was closed")
                               : absl::OkStatus();
}

void SinkIoQueue::Close() {
  const MutexLock lock(&mutex_);
  closed_ = true;
  items_.clear();
  work_done_.SignalAll();
  while (working_) work_done_.Wait(&mutex_);
}

}  // namespace weir::internal
