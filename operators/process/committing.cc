#include "operators/process/committing.h"

#include <algorithm>
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

absl::Status CommitWithRetries(Committer& committer, const std::vector<std::string>& committables) {
  const Stopwatch stopwatch;
  absl::Duration backoff = kFirstBackoff;
  while (true) {
    absl::Status status;
    try {
      status = committer.Commit(committables);
    } catch (const std::exception& exception) {
      status = ThrownByUserCode(StrCat("committer threw an exception: ", exception.what()));
    }
    const bool transient = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
    if (!transient || stopwatch.Elapsed() > kCommitRetryLimit) return status;
    LogWarning("sink", StrCat("commit failed and is tried again: ", ToStd(status.message())));
    std::this_thread::sleep_for(absl::ToChronoMilliseconds(backoff));
    backoff = std::min(backoff * 2, kMaxBackoff);
  }
}

}  // namespace

absl::StatusOr<OperatorStateHandle> Committing::Store(std::vector<Committable> committables) {
  OperatorStateBackend backend;
  ASSIGN_OR_RETURN(OperatorListState<Committable> state,
                   backend.GetListState(OperatorListStateDescriptor<Committable>{kStateName}));
  state.Update(std::move(committables));
  return backend.Snapshot();
}

absl::Status Committing::Open(OperatorContext& context, std::unique_ptr<Committer> committer,
                              std::vector<OperatorSubtaskState> restored) {
  context_ = &context;
  committer_ = std::move(committer);
  strand_ = std::make_unique<IoStrand>(context.io_pool());
  OperatorStateBackend backend;
  RETURN_IF_ERROR(backend.Restore(SplitStates(std::move(restored)).second));
  ASSIGN_OR_RETURN(const OperatorListState<Committable> state,
                   backend.GetListState(OperatorListStateDescriptor<Committable>{kStateName}));
  if (state.empty()) return absl::OkStatus();
  if (committer_ == nullptr) {
    return absl::FailedPreconditionError(
        "the restored checkpoint holds output to be committed, but the sink has no committer; keep "
        "the kind of sink");
  }
  // Before the writer starts: it may clear away what no commit refers to.
  std::vector<std::string> bytes;
  for (const Committable& committable : state.Get()) bytes.push_back(committable.bytes);
  return CommitWithRetries(*committer_, bytes);
}

OperatorSnapshot Committing::Snapshot(CheckpointId checkpoint, PrepareCommit prepare) {
  std::vector<Committable> known = committing_;
  known.insert(known.end(), pending_.begin(), pending_.end());
  // What `write` prepares on the I/O pool, for `finish` to take over.
  auto prepared = std::make_shared<std::vector<Committable>>();
  OperatorSnapshot snapshot;
  snapshot.write = [checkpoint, known = std::move(known), prepared, prepare = std::move(prepare),
                    handle = context_->handle()](
                       StateFileStore&) mutable -> absl::StatusOr<OperatorSubtaskState> {
    if (prepare) {
      absl::StatusOr<std::vector<std::string>> bytes = prepare();
      if (!bytes.ok()) {
        // The epoch's output is not safe and will not be prepared again: start over from the last
        // checkpoint.
        handle->Fail(bytes.status());
        return bytes.status();
      }
      for (std::string& item : *bytes) prepared->push_back({checkpoint.value(), std::move(item)});
    }
    known.insert(known.end(), prepared->begin(), prepared->end());
    OperatorSubtaskState state;
    ASSIGN_OR_RETURN(state.operator_state, Store(std::move(known)));
    return state;
  };
  // A checkpoint that fails elsewhere does not undo what was prepared: the next one carries it.
  snapshot.finish = [this, prepared](bool) {
    pending_.insert(pending_.end(), std::make_move_iterator(prepared->begin()),
                    std::make_move_iterator(prepared->end()));
  };
  return snapshot;
}

void Committing::Commit(CheckpointId checkpoint) {
  std::vector<std::string> bytes;
  std::vector<Committable> later;
  for (Committable& committable : pending_) {
    if (committable.checkpoint > checkpoint.value()) {
      later.push_back(std::move(committable));
    } else {
      bytes.push_back(committable.bytes);
      committing_.push_back(std::move(committable));
    }
  }
  pending_ = std::move(later);
  if (bytes.empty()) return;
  ++in_flight_;
  const size_t count = bytes.size();
  strand_->Post(
      [this, committer = committer_, bytes = std::move(bytes), count, handle = context_->handle()] {
        absl::Status status = CommitWithRetries(*committer, bytes);
        handle->Post([this, count, status = std::move(status)] {
          --in_flight_;
          committing_.erase(committing_.begin(),
                            committing_.begin() + static_cast<std::ptrdiff_t>(count));
          return status;
        });
      });
}

}  // namespace weir::internal
