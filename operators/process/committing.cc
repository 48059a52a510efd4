#include "operators/process/committing.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "operators/process/stateful_operator.h"
#include "runtime/base/failure.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

// How long a commit that fails for now is tried again before the task fails, and is restored to try
// anew.
constexpr absl::Duration kCommitRetryLimit = absl::Seconds(60);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(50);
constexpr absl::Duration kMaxBackoff = absl::Seconds(2);

// A commit that has to wait for a JobManager asks so often whether there is one.
constexpr absl::Duration kLeasePause = absl::Milliseconds(100);

absl::Status Commit(Committer& committer, const std::vector<Committable>& committables) {
  try {
    return committer.Commit(committables);
  } catch (const std::exception& exception) {
    return ThrownByUserCode(StrCat("committer threw an exception: ", exception.what()));
  }
}

// Returns nothing if it may not go on.
std::optional<absl::Status> CommitWithRetries(Committer& committer, const std::atomic<bool>& closed,
                                              const TaskHandle& handle,
                                              const std::vector<Committable>& committables) {
  const Stopwatch stopwatch;
  absl::Duration backoff = kFirstBackoff;
  while (true) {
    if (!handle.MayCommit()) return std::nullopt;
    absl::Status status = Commit(committer, committables);
    const bool transient = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
    // Relaxed: at worst one more try.
    if (!transient || stopwatch.Elapsed() > kCommitRetryLimit ||
        closed.load(std::memory_order_relaxed)) {
      return status;
    }
    LogWarning("sink", StrCat("commit failed and is tried again: ", ToStd(status.message())));
    std::this_thread::sleep_for(absl::ToChronoMilliseconds(backoff));
    backoff = std::min(backoff * 2, kMaxBackoff);
  }
}

}  // namespace

absl::StatusOr<OperatorSubtaskState> Committing::Store(Share share) {
  OperatorSubtaskState snapshot;
  for (const Prepared& prepared : share.prepared) {
    snapshot.files.insert(snapshot.files.end(), prepared.files.begin(), prepared.files.end());
  }
  OperatorStateBackend backend;
  ASSIGN_OR_RETURN(OperatorListState<Share> state,
                   backend.GetListState(OperatorListStateDescriptor<Share>{kStateName}));
  state.Update({std::move(share)});
  snapshot.operator_state = backend.Snapshot();
  return snapshot;
}

absl::Status Committing::Open(OperatorContext& context, std::unique_ptr<Committer> committer,
                              std::vector<OperatorSubtaskState> restored) {
  context_ = &context;
  committer_ = std::move(committer);
  strand_ = std::make_unique<IoStrand>(context.io_pool());
  const bool from_checkpoint = !restored.empty();
  OperatorStateBackend backend;
  RETURN_IF_ERROR(backend.Restore(SplitStates(std::move(restored)).second));
  ASSIGN_OR_RETURN(const OperatorListState<Share> state,
                   backend.GetListState(OperatorListStateDescriptor<Share>{kStateName}));
  std::vector<std::string> predecessors;
  std::vector<Committable> left_over;
  for (const Share& share : state.Get()) {
    if (!share.identity.empty()) predecessors.push_back(share.identity);
    for (const Prepared& prepared : share.prepared) {
      left_over.push_back({prepared.bytes, prepared.files});
    }
  }
  if (committer_ == nullptr) {
    if (left_over.empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "the restored checkpoint holds output to be committed, but the sink has no committer; keep "
        "the kind of sink");
  }
  RETURN_IF_ERROR(committer_->Open(from_checkpoint, predecessors));
  if (left_over.empty()) return absl::OkStatus();
  // Before the writer starts: it may clear away what no commit refers to.
  return CommitWithRetries(*committer_, *closed_, *context.handle(), left_over)
      .value_or(absl::UnavailableError(
          "the JobManager was lost before the output was committed that the restored checkpoint "
          "holds"));
}

OperatorSnapshot Committing::Snapshot(CheckpointId checkpoint, PrepareCommit prepare) {
  Share known;
  if (committer_ != nullptr) known.identity = committer_->Identity();
  known.prepared = committing_;
  known.prepared.insert(known.prepared.end(), pending_.begin(), pending_.end());
  // What `write` works off on the I/O pool, for `finish` to take over.
  auto epochs = std::make_shared<Epochs>();
  epochs->unprepared = std::exchange(unprepared_, {});
  if (prepare) epochs->unprepared.push_back({checkpoint.value(), std::move(prepare)});
  OperatorSnapshot snapshot;
  snapshot.write = [known = std::move(known), epochs, handle = context_->handle()](
                       StateFileStore& store) mutable -> absl::StatusOr<OperatorSubtaskState> {
    if (const absl::Status status = Prepare(*epochs, store); !status.ok()) {
      // The epoch's output is not safe and will not be prepared again: start over from the last
      // checkpoint.
      handle->Fail(status);
      return status;
    }
    known.prepared.insert(known.prepared.end(), epochs->prepared.begin(), epochs->prepared.end());
    return Store(std::move(known));
  };
  // A checkpoint that fails elsewhere does not undo what was prepared, and may fail before `write`
  // was called at all: the next one carries both.
  snapshot.finish = [this, epochs](bool) {
    pending_.insert(pending_.end(), std::make_move_iterator(epochs->prepared.begin()),
                    std::make_move_iterator(epochs->prepared.end()));
    unprepared_ = std::move(epochs->unprepared);
  };
  return snapshot;
}

absl::Status Committing::Prepare(Epochs& epochs, StateFileStore& store) {
  for (Unprepared& epoch : epochs.unprepared) {
    ASSIGN_OR_RETURN(std::vector<Committable> committables, epoch.prepare(store));
    for (Committable& committable : committables) {
      epochs.prepared.push_back(
          {epoch.checkpoint, std::move(committable.bytes), std::move(committable.files)});
    }
  }
  epochs.unprepared.clear();
  return absl::OkStatus();
}

void Committing::Commit(CheckpointId checkpoint) {
  std::vector<Committable> committables;
  std::vector<Prepared> later;
  for (Prepared& prepared : pending_) {
    if (prepared.checkpoint > checkpoint.value()) {
      later.push_back(std::move(prepared));
    } else {
      committables.push_back({prepared.bytes, prepared.files});
      committing_.push_back(std::move(prepared));
    }
  }
  pending_ = std::move(later);
  if (!committables.empty()) queue_.push_back(std::move(committables));
  StartNext();
}

void Committing::OnWake() { StartNext(); }

void Committing::StartNext() {
  if (active_ || queue_.empty() || committer_ == nullptr) return;  // Null: closed.
  const std::shared_ptr<TaskHandle>& handle = context_->handle();
  if (!handle->MayCommit()) {
    handle->WakeAt(context_->clock()->Now() + kLeasePause);
    return;
  }
  active_ = true;
  strand_->Post([this, committer = committer_, closed = closed_,
                 committables = std::move(queue_.front()), handle]() mutable {
    std::optional<absl::Status> status =
        CommitWithRetries(*committer, *closed, *handle, committables);
    handle->Post([this, committables = std::move(committables),
                  status = std::move(status)]() mutable {
      active_ = false;
      if (status.has_value()) {
        committing_.erase(committing_.begin(),
                          committing_.begin() + static_cast<std::ptrdiff_t>(committables.size()));
      } else {
        queue_.push_front(std::move(committables));
      }
      absl::Status result = std::move(status).value_or(absl::OkStatus());
      if (result.ok()) StartNext();
      return result;
    });
  });
  queue_.pop_front();
}

void Committing::Close() {
  closed_->store(true, std::memory_order_relaxed);
  if (committer_ == nullptr) return;
  committer_->Close();
  // Behind what is under way, and not here: the end of a client blocks.
  strand_->Post([committer = std::move(committer_)] {});
}

}  // namespace weir::internal
