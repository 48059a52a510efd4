#include "runtime/base/io_pool.h"

#include <pthread.h>

#include <utility>

#include "runtime/base/alternate_signal_stack.h"
#include "runtime/base/check.h"
#include "runtime/base/strings.h"

namespace weir {

namespace internal {
struct IoStrandState {
  std::deque<IoWork> queue;  // Both guarded by the pool's mutex.
  bool has_turn = false;     // A turn of this strand is queued or running: there is never a second.
};
}  // namespace internal

namespace {
// The pool whose thread this is. Only compared, so that work may post while its pool shuts down.
thread_local const IoPool* current_pool = nullptr;
}  // namespace

IoPool::IoPool(std::string name, int num_threads)
    : name_(std::move(name)), num_threads_(num_threads < 1 ? 1 : num_threads) {
  threads_.reserve(static_cast<size_t>(num_threads_));
  for (int i = 0; i < num_threads_; ++i) {
    threads_.emplace_back([this, i] { RunThread(i); });
  }
}

IoPool::~IoPool() { Shutdown(); }

bool IoPool::Accepts() const { return !closing_ || current_pool == this; }

bool IoPool::Post(IoWork work) {
  {
    const MutexLock lock(&mutex_);
    if (!Accepts()) return false;
    queue_.push_back(std::move(work));
  }
  work_ready_.Signal();
  return true;
}

bool IoPool::PostToStrand(const std::shared_ptr<internal::IoStrandState>& strand, IoWork work) {
  {
    const MutexLock lock(&mutex_);
    if (!Accepts()) return false;
    strand->queue.push_back(std::move(work));
    ++num_in_strands_;
    if (strand->has_turn) return true;
    strand->has_turn = true;
    ++num_strand_turns_;
    queue_.push_back([this, strand] { RunStrand(strand); });
  }
  work_ready_.Signal();
  return true;
}

void IoPool::RunStrand(const std::shared_ptr<internal::IoStrandState>& strand) {
  IoWork work;
  {
    const MutexLock lock(&mutex_);
    --num_strand_turns_;
    --num_in_strands_;
    work = std::move(strand->queue.front());
    strand->queue.pop_front();
  }
  work();
  work = nullptr;  // What it owns goes before the next piece of work begins.
  {
    const MutexLock lock(&mutex_);
    if (strand->queue.empty()) {
      strand->has_turn = false;
      return;
    }
    ++num_strand_turns_;
    queue_.push_back([this, strand] { RunStrand(strand); });
  }
  work_ready_.Signal();
}

void IoPool::RunThread(int index) {
  current_pool = this;
  pthread_setname_np(pthread_self(), StrCat(name_.substr(0, 11), "-", index).substr(0, 15).c_str());
  const AlternateSignalStack signal_stack;
  while (true) {
    IoWork work;
    {
      const MutexLock lock(&mutex_);
      while (queue_.empty() && !closing_) work_ready_.Wait(&mutex_);
      if (queue_.empty())
        return;  // Work that still runs elsewhere posts for its own thread, which returns here.
      work = std::move(queue_.front());
      queue_.pop_front();
      ++num_running_;
    }
    work();
    work = nullptr;  // What it owns goes first.
    const MutexLock lock(&mutex_);
    --num_running_;
  }
}

void IoPool::Shutdown() {
  DCHECK(current_pool != this) << "a pool cannot wait for itself";
  {
    const MutexLock lock(&mutex_);
    closing_ = true;
  }
  work_ready_.SignalAll();
  std::call_once(joined_, [this] { threads_.clear(); });
}

size_t IoPool::queued() const {
  const MutexLock lock(&mutex_);
  return queue_.size() - num_strand_turns_ + num_in_strands_;
}

bool IoPool::idle() const {
  const MutexLock lock(&mutex_);
  return queue_.empty() && num_running_ == 0;
}

IoStrand::IoStrand(IoPool* pool)
    : pool_(pool), state_(std::make_shared<internal::IoStrandState>()) {}

bool IoStrand::Post(IoWork work) { return pool_->PostToStrand(state_, std::move(work)); }

size_t IoStrand::queued() const {
  const MutexLock lock(&pool_->mutex_);
  return state_->queue.size();
}

}  // namespace weir
