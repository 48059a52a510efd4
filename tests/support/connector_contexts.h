#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "operators/api/sink.h"
#include "operators/api/source.h"
#include "runtime/base/clock.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/mutex.h"

namespace weir {

/// The task of a reader or writer under test: runs nothing, but tells what was asked of it.
class FakeTaskHandle final : public TaskHandle {
 public:
  void Post(absl::AnyInvocable<absl::Status()> mail) override {
    const MutexLock lock(&mutex_);
    mail_.push_back(std::move(mail));
    changed_.SignalAll();
  }
  void Wake() override {
    const MutexLock lock(&mutex_);
    woken_ = true;
    changed_.SignalAll();
  }
  void WakeAt(absl::Time /*time*/) override {}
  void Fail(absl::Status reason) override {
    const MutexLock lock(&mutex_);
    if (failure_.ok()) failure_ = std::move(reason);
    changed_.SignalAll();
  }

  [[nodiscard]] absl::Status failure() const {
    const MutexLock lock(&mutex_);
    return failure_;
  }
  /// Waits for a Wake, or for anything else, a moment at most; forgets it.
  void AwaitWake(absl::Duration timeout = absl::Milliseconds(20)) {
    const MutexLock lock(&mutex_);
    if (!woken_) changed_.WaitFor(&mutex_, timeout);
    woken_ = false;
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<absl::AnyInvocable<absl::Status()>> mail_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
};

/// The store of checkpoints in tests of sinks that store nothing.
class NoStateStore final : public StateFileStore {
 public:
  absl::StatusOr<StoredFile> Store(const std::string&, const std::string&) override {
    return absl::UnimplementedError("the test has no state store");
  }
  absl::Status Fetch(const StoredFile&, const std::string&) override {
    return absl::UnimplementedError("the test has no state store");
  }
  absl::Status Delete(const std::string&) override {
    return absl::UnimplementedError("the test has no state store");
  }
};

/// The place of one subtask's writer.
class FakeSinkContext final : public SinkContext {
 public:
  FakeSinkContext(IoPool* pool, uint32_t subtask, JobId job) : pool_(pool) {
    place_.job = job;
    place_.uid = "alerts";
    place_.subtask = subtask;
    place_.attempt = RandomId<ExecutionAttemptId>();
  }
  [[nodiscard]] const OperatorContext::Place& place() const override { return place_; }
  [[nodiscard]] IoPool* io_pool() const override { return pool_; }
  [[nodiscard]] const Clock* clock() const override { return clock_; }
  [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const override { return handle_; }
  [[nodiscard]] MetricGroup* metrics() const override { return metrics_.get(); }
  [[nodiscard]] const std::shared_ptr<StateFileStore>& state_store() const override {
    return state_store_;
  }
  [[nodiscard]] FakeTaskHandle& task() const { return *fake_handle_; }
  [[nodiscard]] OperatorContext::Place& mutable_place() { return place_; }
  void set_clock(const Clock* clock) { clock_ = clock; }
  void set_state_store(std::shared_ptr<StateFileStore> store) { state_store_ = std::move(store); }

  /// Ends the writer's epoch as a checkpoint would, and waits until it is prepared.
  template <class T>
  absl::StatusOr<std::vector<Committable>> Prepare(SinkWriter<T>& writer, uint64_t checkpoint = 1) {
    absl::StatusOr<PrepareCommit> prepare = writer.BeginCommit(CheckpointId(checkpoint));
    if (!prepare.ok()) return prepare.status();
    return (*prepare)(*state_store_);
  }

 private:
  IoPool* const pool_;
  OperatorContext::Place place_;
  const Clock* clock_ = SystemClock();
  std::shared_ptr<StateFileStore> state_store_ = std::make_shared<NoStateStore>();
  const std::unique_ptr<MetricGroup> metrics_ = std::make_unique<MetricGroup>();
  const std::shared_ptr<FakeTaskHandle> fake_handle_ = std::make_shared<FakeTaskHandle>();
  const std::shared_ptr<TaskHandle> handle_ = fake_handle_;
};

/// What a checkpoint holds of a source.
struct SourceCheckpoint {
  std::string enumerator;
  std::vector<SourceSplit> splits;  // Of all readers.
};

/// Runs a source's enumerator and readers on the thread of the test, with a real I/O pool.
template <class T>
class SourceHarness {
 public:
  SourceHarness(const Source<T>& source, uint32_t parallelism, IoPool* pool,
                const Clock* clock = SystemClock())
      : clock_(clock), enumerator_context_(*this, parallelism, pool) {
    enumerator_ = source.CreateEnumerator();
    for (uint32_t subtask = 0; subtask < parallelism; ++subtask) {
      subtasks_.push_back(std::make_unique<Subtask>(*this, subtask, parallelism, pool));
      subtasks_.back()->reader = source.CreateReader();
    }
  }
  ~SourceHarness() {
    for (auto& subtask : subtasks_) subtask->reader->Close();
    enumerator_->Close();
  }

  /// Starts all parts, from `restored` if it is given.
  absl::Status Start(const SourceCheckpoint* restored = nullptr) {
    absl::Status status = enumerator_->Start(enumerator_context_,
                                             restored == nullptr ? nullptr : &restored->enumerator);
    for (size_t i = 0; status.ok() && i < subtasks_.size(); ++i) {
      Subtask& subtask = *subtasks_[i];
      status = subtask.reader->Start(subtask);
      std::vector<std::string> ids;
      std::vector<SourceSplit> own;
      if (restored != nullptr) {
        for (size_t j = i; j < restored->splits.size(); j += subtasks_.size()) {
          own.push_back(restored->splits[j]);
          ids.push_back(own.back().id);
        }
      }
      if (status.ok() && !own.empty()) status = subtask.reader->AddSplits(own);
      if (status.ok()) status = enumerator_->AddReader(static_cast<uint32_t>(i), ids);
    }
    return status;
  }

  /// Delivers mail and polls each reader once; `max_records` a reader. Returns the first error.
  absl::Status Step(size_t max_records = 1000) {
    absl::Status status = RunMail();
    for (auto& subtask : subtasks_) {
      if (!status.ok()) return status;
      if (subtask->ended) continue;
      subtask->room = max_records;
      const absl::StatusOr<ReadStatus> polled = subtask->reader->Poll(*subtask);
      if (!polled.ok()) return polled.status();
      subtask->ended = *polled == ReadStatus::kEnd;
      if (*polled == ReadStatus::kNothing) subtask->task().AwaitWake(absl::Milliseconds(2));
      status = RunMail();
    }
    return status;
  }

  /// Steps until `done` is true. Errors: of any part; kDeadlineExceeded.
  absl::Status RunUntil(const std::function<bool()>& done,
                        absl::Duration timeout = absl::Seconds(60)) {
    const Stopwatch stopwatch;
    while (!done()) {
      const absl::Status status = Step();
      if (!status.ok()) return status;
      if (stopwatch.Elapsed() > timeout)
        return absl::DeadlineExceededError("the test waits in vain");
    }
    return absl::OkStatus();
  }
  absl::Status RunToEnd() {
    return RunUntil([this] { return AllEnded(); });
  }

  [[nodiscard]] bool AllEnded() const {
    for (const auto& subtask : subtasks_) {
      if (!subtask->ended) return false;
    }
    return true;
  }
  [[nodiscard]] bool AllCaughtUp() const {
    for (const auto& subtask : subtasks_) {
      if (!subtask->initial_assigned || !subtask->reader->IsCaughtUp()) return false;
    }
    return true;
  }

  SourceCheckpoint Checkpoint(uint64_t id = 1) {
    SourceCheckpoint checkpoint;
    checkpoint.enumerator = *enumerator_->Snapshot(CheckpointId(id));
    for (auto& subtask : subtasks_) {
      for (SourceSplit& split : subtask->reader->Snapshot(CheckpointId(id))) {
        checkpoint.splits.push_back(std::move(split));
      }
    }
    return checkpoint;
  }
  absl::Status CompleteCheckpoint(uint64_t id = 1) {
    for (auto& subtask : subtasks_) {
      const absl::Status status = subtask->reader->NotifyCheckpointComplete(CheckpointId(id));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  /// All records so far, of all readers; those of a split in their order.
  [[nodiscard]] std::vector<T>& records() { return records_; }
  /// Their times as the source gave them.
  [[nodiscard]] std::vector<EventTime>& times() { return times_; }
  [[nodiscard]] std::vector<DeadLetter>& dead_letters() { return dead_letters_; }
  /// Of all subtasks together.
  [[nodiscard]] MetricGroup& metrics() { return metrics_; }
  [[nodiscard]] size_t num_finished_splits() const { return num_finished_; }

 private:
  struct Subtask final : SourceReaderContext, SourceOutput<T> {
    Subtask(SourceHarness& harness_in, uint32_t index, uint32_t parallelism, IoPool* pool_in)
        : harness(harness_in), pool(pool_in) {
      place_.subtask = index;
      place_.parallelism = parallelism;
    }
    [[nodiscard]] const OperatorContext::Place& place() const override { return place_; }
    [[nodiscard]] IoPool* io_pool() const override { return pool; }
    [[nodiscard]] const Clock* clock() const override { return harness.clock_; }
    [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const override { return handle_; }
    [[nodiscard]] MetricGroup* metrics() const override { return &harness.metrics_; }
    void RequestSplit() override {
      harness.mail_.push_back(
          [this] { return harness.enumerator_->HandleSplitRequest(place_.subtask); });
    }
    void SendToEnumerator(std::string event) override {
      harness.mail_.push_back([this, event = std::move(event)] {
        return harness.enumerator_->HandleReaderEvent(place_.subtask, event);
      });
    }
    void Collect(T record, EventTime time, std::string_view /*split_id*/) override {
      harness.records_.push_back(std::move(record));
      harness.times_.push_back(time);
      if (room > 0) --room;
    }
    void CollectDeadLetter(DeadLetter letter) override {
      harness.dead_letters_.push_back(std::move(letter));
    }
    void SplitFinished(std::string_view /*split_id*/) override { ++harness.num_finished_; }
    [[nodiscard]] bool Full() const override { return room == 0; }
    FakeTaskHandle& task() { return *fake_handle; }

    SourceHarness& harness;
    IoPool* const pool;
    std::unique_ptr<SourceReader<T>> reader;
    size_t room = 0;
    bool ended = false;
    bool initial_assigned = false;
    OperatorContext::Place place_;
    std::shared_ptr<FakeTaskHandle> fake_handle = std::make_shared<FakeTaskHandle>();
    std::shared_ptr<TaskHandle> handle_ = fake_handle;
  };

  class EnumeratorContext final : public SplitEnumeratorContext {
   public:
    EnumeratorContext(SourceHarness& harness, uint32_t parallelism, IoPool* pool)
        : harness_(harness), parallelism_(parallelism), pool_(pool) {}
    [[nodiscard]] uint32_t parallelism() const override { return parallelism_; }
    [[nodiscard]] IoPool* io_pool() const override { return pool_; }
    [[nodiscard]] const Clock* clock() const override { return harness_.clock_; }
    [[nodiscard]] MetricGroup* metrics() override { return &metrics_; }
    void AssignSplits(uint32_t subtask, std::vector<SourceSplit> splits) override {
      // At once, so that no checkpoint comes between.
      const absl::Status status = harness_.subtasks_[subtask]->reader->AddSplits(std::move(splits));
      if (!status.ok()) Fail(status);
    }
    void SignalInitialSplitsAssigned(uint32_t subtask) override {
      harness_.subtasks_[subtask]->initial_assigned = true;
    }
    void SignalNoMoreSplits(uint32_t subtask) override {
      harness_.subtasks_[subtask]->reader->NotifyNoMoreSplits();
    }
    void SendToReader(uint32_t subtask, std::string event) override {
      const absl::Status status = harness_.subtasks_[subtask]->reader->HandleEnumeratorEvent(event);
      if (!status.ok()) Fail(status);
    }
    void Post(absl::AnyInvocable<absl::Status()> mail) override {
      const MutexLock lock(&mutex_);
      posted_.push_back({absl::InfinitePast(), std::move(mail)});
    }
    void PostAfter(absl::Duration delay, absl::AnyInvocable<absl::Status()> mail) override {
      const MutexLock lock(&mutex_);
      posted_.push_back({harness_.clock_->Now() + delay, std::move(mail)});
    }
    void Fail(absl::Status reason) override {
      const MutexLock lock(&mutex_);
      if (failure_.ok()) failure_ = std::move(reason);
    }
    std::vector<absl::AnyInvocable<absl::Status()>> TakeDue() {
      const MutexLock lock(&mutex_);
      std::vector<absl::AnyInvocable<absl::Status()>> due;
      std::vector<Posted> later;
      for (Posted& posted : posted_) {
        if (posted.time <= harness_.clock_->Now()) {
          due.push_back(std::move(posted.mail));
        } else {
          later.push_back(std::move(posted));
        }
      }
      posted_ = std::move(later);
      return due;
    }
    absl::Status failure() const {
      const MutexLock lock(&mutex_);
      return failure_;
    }

   private:
    MetricGroup metrics_;
    struct Posted {
      absl::Time time;
      absl::AnyInvocable<absl::Status()> mail;
    };
    SourceHarness& harness_;
    const uint32_t parallelism_;
    IoPool* const pool_;
    mutable Mutex mutex_;
    std::vector<Posted> posted_ ABSL_GUARDED_BY(mutex_);
    absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  };

  absl::Status RunMail() {
    for (auto& mail : enumerator_context_.TakeDue()) {
      const absl::Status status = mail();
      if (!status.ok()) return status;
    }
    while (!mail_.empty()) {
      auto mail = std::move(mail_.front());
      mail_.pop_front();
      const absl::Status status = mail();
      if (!status.ok()) return status;
    }
    return enumerator_context_.failure();
  }

  const Clock* const clock_;
  std::vector<T> records_;
  std::vector<EventTime> times_;
  std::vector<DeadLetter> dead_letters_;
  MetricGroup metrics_;
  size_t num_finished_ = 0;
  std::deque<absl::AnyInvocable<absl::Status()>> mail_;
  EnumeratorContext enumerator_context_;
  std::unique_ptr<SplitEnumerator> enumerator_;
  std::vector<std::unique_ptr<Subtask>> subtasks_;
};

}  // namespace weir
