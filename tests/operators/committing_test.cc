#include "operators/process/committing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "operators/testing/manual_clock.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"
#include "tests/support/connector_contexts.h"

namespace weir::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A task whose mail the test runs, and which may commit or not.
class Handle final : public TaskHandle {
 public:
  void Post(absl::AnyInvocable<absl::Status()> mail) override {
    const MutexLock lock(&mutex_);
    mail_.push_back(std::move(mail));
    changed_.Signal();
  }
  void Wake() override {}
  void WakeAt(absl::Time) override { asked_to_wake = true; }
  void Fail(absl::Status) override {}
  [[nodiscard]] bool MayCommit() const override { return may_commit; }

  absl::Status RunOne() {
    absl::AnyInvocable<absl::Status()> mail;
    {
      const MutexLock lock(&mutex_);
      while (mail_.empty()) changed_.Wait(&mutex_);
      mail = std::move(mail_.front());
      mail_.pop_front();
    }
    return mail();
  }

  std::atomic<bool> may_commit{true};
  std::atomic<bool> asked_to_wake{false};

 private:
  Mutex mutex_;
  CondVar changed_;
  std::deque<absl::AnyInvocable<absl::Status()>> mail_ ABSL_GUARDED_BY(mutex_);
};

class Context final : public OperatorContext {
 public:
  [[nodiscard]] const Place& place() const override { return place_; }
  [[nodiscard]] MemoryBudget* memory_budget() const override { return nullptr; }
  [[nodiscard]] IoPool* io_pool() const override { return &pool_; }
  [[nodiscard]] const Clock* clock() const override { return &clock_; }
  [[nodiscard]] MetricGroup* metrics() const override { return nullptr; }
  [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const override { return base_; }
  [[nodiscard]] const std::shared_ptr<StateFileStore>& state_store() const override {
    return store_;
  }
  void SendToCoordinator(std::string) override {}

  const std::shared_ptr<Handle> handle_of_test = std::make_shared<Handle>();

 private:
  Place place_;
  ManualClock clock_;
  mutable IoPool pool_{"io", 2};
  const std::shared_ptr<TaskHandle> base_ = handle_of_test;
  std::shared_ptr<StateFileStore> store_;
};

// Notes what it commits. Fails for now until it is told otherwise, and may end the lease by that.
class NotingCommitter final : public Committer {
 public:
  struct Journal {
    Mutex mutex;
    std::vector<std::string> committed ABSL_GUARDED_BY(mutex);
    std::atomic<int> failures{0};
    std::function<void()> on_failure;
    std::vector<std::string> Committed() {
      const MutexLock lock(&mutex);
      return committed;
    }
  };
  explicit NotingCommitter(std::shared_ptr<Journal> journal) : journal_(std::move(journal)) {}

  absl::Status Commit(const std::vector<Committable>& committables) override {
    if (journal_->failures > 0) {
      --journal_->failures;
      if (journal_->on_failure) journal_->on_failure();
      return absl::UnavailableError("not now");
    }
    const MutexLock lock(&journal_->mutex);
    for (const Committable& one : committables) journal_->committed.push_back(one.bytes);
    return absl::OkStatus();
  }

 private:
  const std::shared_ptr<Journal> journal_;
};

class CommittingTest : public testing::Test {
 protected:
  CommittingTest() {
    EXPECT_TRUE(committing_.Open(context_, std::make_unique<NotingCommitter>(journal_), {}).ok());
  }
  ~CommittingTest() override { committing_.Close(); }

  static PrepareCommit Epoch(uint64_t checkpoint) {
    return [bytes = StrCat("epoch ", checkpoint)](StateFileStore&) {
      return absl::StatusOr<std::vector<Committable>>({Committable{bytes, {}}});
    };
  }
  void Prepare(uint64_t checkpoint, const std::string& bytes) {
    OperatorSnapshot snapshot =
        committing_.Snapshot(CheckpointId(checkpoint), [bytes](StateFileStore&) {
          return absl::StatusOr<std::vector<Committable>>({Committable{bytes, {}}});
        });
    EXPECT_TRUE(snapshot.write(store_).ok());
    snapshot.finish(true);
  }

  NoStateStore store_;
  const std::shared_ptr<NotingCommitter::Journal> journal_ =
      std::make_shared<NotingCommitter::Journal>();
  Context context_;
  Committing committing_;
};

TEST_F(CommittingTest, WaitsUntilItMayCommitAndThenGoesOnInOrder) {
  Prepare(1, "one");
  context_.handle_of_test->may_commit = false;
  committing_.Commit(CheckpointId(1));
  EXPECT_TRUE(context_.handle_of_test->asked_to_wake);
  EXPECT_TRUE(committing_.in_flight()) << "so that the task does not finish without it";
  EXPECT_THAT(journal_->Committed(), IsEmpty());
  context_.handle_of_test->may_commit = true;
  Prepare(2, "two");
  committing_.Commit(CheckpointId(2));
  EXPECT_TRUE(context_.handle_of_test->RunOne().ok());
  EXPECT_TRUE(context_.handle_of_test->RunOne().ok());
  EXPECT_THAT(journal_->Committed(), ElementsAre("one", "two"));
  EXPECT_FALSE(committing_.in_flight());
}

TEST_F(CommittingTest, TriesNothingAgainOnceItMayNotCommitAnyMore) {
  Prepare(1, "one");
  journal_->failures = 1;
  journal_->on_failure = [this] { context_.handle_of_test->may_commit = false; };
  committing_.Commit(CheckpointId(1));
  EXPECT_TRUE(context_.handle_of_test->RunOne().ok()) << "that is no failure of the task";
  EXPECT_THAT(journal_->Committed(), IsEmpty());
  EXPECT_TRUE(committing_.in_flight());
  context_.handle_of_test->may_commit = true;
  committing_.OnWake();
  EXPECT_TRUE(context_.handle_of_test->RunOne().ok());
  EXPECT_THAT(journal_->Committed(), ElementsAre("one"));
}

TEST_F(CommittingTest, KeepsWhatWaitsInEverySnapshot) {
  Prepare(1, "one");
  context_.handle_of_test->may_commit = false;
  committing_.Commit(CheckpointId(1));
  OperatorSnapshot snapshot = committing_.Snapshot(CheckpointId(2), nullptr);
  const absl::StatusOr<OperatorSubtaskState> state = snapshot.write(store_);
  ASSERT_TRUE(state.ok());
  snapshot.finish(true);
  Context restored;
  Committing other;
  ASSERT_TRUE(other.Open(restored, std::make_unique<NotingCommitter>(journal_), {*state}).ok());
  EXPECT_THAT(journal_->Committed(), ElementsAre("one"));
  other.Close();
}

TEST_F(CommittingTest, ASnapshotThatFailsBeforeTheSinksTurnLosesNoEpoch) {
  for (uint64_t checkpoint = 1; checkpoint <= 2; ++checkpoint) {
    OperatorSnapshot failed = committing_.Snapshot(CheckpointId(checkpoint), Epoch(checkpoint));
    failed.finish(false);  // Another operator could not write its state.
  }
  OperatorSnapshot snapshot = committing_.Snapshot(CheckpointId(3), Epoch(3));
  const absl::StatusOr<OperatorSubtaskState> state = snapshot.write(store_);
  ASSERT_TRUE(state.ok()) << state.status();
  snapshot.finish(true);

  Context restored;
  Committing other;
  const auto journal = std::make_shared<NotingCommitter::Journal>();
  ASSERT_TRUE(other.Open(restored, std::make_unique<NotingCommitter>(journal), {*state}).ok());
  EXPECT_THAT(journal->Committed(), ElementsAre("epoch 1", "epoch 2", "epoch 3"));
  other.Close();
  committing_.Commit(CheckpointId(3));
  EXPECT_TRUE(context_.handle_of_test->RunOne().ok());
  EXPECT_THAT(journal_->Committed(), ElementsAre("epoch 1", "epoch 2", "epoch 3"));
}

TEST_F(CommittingTest, ASnapshotThatFailsBehindTheSinksTurnPreparesNothingTwice) {
  OperatorSnapshot failed = committing_.Snapshot(CheckpointId(1), Epoch(1));
  EXPECT_TRUE(failed.write(store_).ok());
  failed.finish(false);
  OperatorSnapshot snapshot = committing_.Snapshot(CheckpointId(2), nullptr);
  EXPECT_TRUE(snapshot.write(store_).ok());
  snapshot.finish(true);
  committing_.Commit(CheckpointId(2));
  EXPECT_TRUE(context_.handle_of_test->RunOne().ok());
  EXPECT_THAT(journal_->Committed(), ElementsAre("epoch 1"));
}

}  // namespace
}  // namespace weir::internal
