// The JobMaster as the CheckpointCoordinator's messenger, and what users ask of its checkpoints and
// savepoints.

#include <map>
#include <utility>

#include "jobmanager/job_master.h"
#include "jobmanager/job_settings.h"
#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "job-master";

}  // namespace

void JobMaster::TakeRescaleCheckpoint(std::function<void(absl::StatusOr<CheckpointId>)> done) {
  // The answer comes out of the CheckpointCoordinator, which it will stop: so it takes a turn.
  checkpoints_.TriggerNow(
      [executor = services_.executor,
       answer = InGeneration([done = std::move(done)](JobMaster&, absl::StatusOr<CheckpointId> id) {
         done(std::move(id));
       })](absl::StatusOr<CheckpointId> id) {
        executor->Post([answer, id = std::move(id)]() mutable { answer(std::move(id)); });
      });
}

void JobMaster::DiscardCheckpoints() {
  if (!DiscardsCheckpoints(status_)) {
    checkpoints_.DiscardOrphans();
    storage_->Sweep([](uint64_t) {});
    return;
  }
  checkpoints_.DiscardAll();
  // The folder may also hold what TaskManagers left that died. The user's checkpoint is not ours.
  if (!job_.savepoint_path.starts_with(StrCat(job_.checkpoint_dir, "/"))) {
    storage_->Discard({job_.checkpoint_dir}, {});
  }
}

void JobMaster::TriggerCheckpoint(CheckpointCoordinator::TriggerCallback done) {
  checkpoints_.TriggerNow(std::move(done));
}

void JobMaster::TriggerSavepoint(const SavepointRequest& request,
                                 CheckpointCoordinator::SavepointCallback done) {
  if (StrCat(request.target_directory, "/").starts_with(StrCat(job_.checkpoint_dir, "/"))) {
    done(absl::InvalidArgumentError(
        StrCat("a savepoint cannot lie in the folder of its job's checkpoints, which may go with "
               "the job; name another target directory: ",
               request.target_directory)));
    return;
  }
  checkpoints_.TriggerSavepoint(request, [this, then = request.then, done = std::move(done)](
                                             absl::StatusOr<std::string> path) {
    if (path.ok() && StopsJob(then)) {
      stop_ = CompletedStop{*std::move(path), done};
      return;
    }
    if (path.ok() && then == AfterSavepoint::kCancel) {
      LogInfo(kComponent,
              StrCat("cancelled with a savepoint: job=", ToString(job_.id), " savepoint=", *path));
      const absl::Status status = Cancel();
      if (!status.ok()) {
        done(absl::Status(status.code(),
                          ToAbsl(StrCat("the savepoint is complete, but ", ToStd(status.message()),
                                        " savepoint=", *path))));
        return;
      }
    }
    done(std::move(path));
  });
}

std::string JobMaster::SavepointDirectory() const { return job_.settings.Get(kSavepointDir); }

bool JobMaster::NeedsSnapshot(const std::string& path) const {
  return checkpoints_.Retains(path) || path.starts_with(StrCat(job_.checkpoint_dir, "/")) ||
         (status_ == JobStatus::kInitializing && path == job_.savepoint_path);
}

void JobMaster::AnswerStop(const absl::Status& reason) {
  if (!stop_.has_value()) return;
  const CompletedStop stop = *std::exchange(stop_, std::nullopt);
  stop.done(absl::AbortedError(
      StrCat("the savepoint is complete, but the job did not stop; if it restarts, it goes on from "
             "the savepoint: savepoint=",
             stop.savepoint, ": ", ToStd(reason.message()))));
}

bool JobMaster::DiscardsCheckpoints(JobStatus status) const {
  const std::string retention = job_.settings.Get(kCheckpointingRetention);
  switch (status) {
    case JobStatus::kFinished:
      return true;
    case JobStatus::kCanceled:
      return retention != "RETAIN_ON_CANCELLATION";
    default:
      return retention == "NO_EXTERNALIZED_CHECKPOINTS";
  }
}

void JobMaster::TriggerCoordinators(CheckpointId id,
                                    const std::vector<ExecutionAttemptId>& coordinators) {
  std::map<TaskManagerGateway*, proto::JobManagerMessage> messages;
  for (const ExecutionAttemptId attempt : coordinators) {
    TaskManagerGateway* const location = LocationOf(*executions_.FindCoordinator(attempt));
    proto::TriggerCoordinatorCheckpoint* const trigger =
        messages[location].mutable_trigger_coordinator();
    trigger->set_checkpoint_id(id.value());
    trigger->add_attempts(IdToBytes(attempt));
  }
  for (const auto& [location, message] : messages) location->Send(message);
}

void JobMaster::TriggerSources(CheckpointId id, absl::Time trigger_time, BarrierKind kind,
                               const std::vector<ExecutionAttemptId>& sources) {
  std::map<TaskManagerGateway*, proto::JobManagerMessage> messages;
  for (const ExecutionAttemptId attempt : sources) {
    proto::TriggerCheckpoint* const trigger =
        messages[executions_.Find(attempt)->current->location()].mutable_trigger();
    trigger->set_checkpoint_id(id.value());
    trigger->set_trigger_time_ms(absl::ToUnixMillis(trigger_time));
    trigger->set_barrier_kind(static_cast<uint32_t>(kind));
    trigger->add_attempts(IdToBytes(attempt));
  }
  for (const auto& [location, message] : messages) location->Send(message);
}

void JobMaster::NotifyCheckpointComplete(CheckpointId id) {
  has_begun_commits_ = true;
  proto::JobManagerMessage message;
  message.mutable_complete()->set_job_id(IdToBytes(job_.id));
  message.mutable_complete()->set_checkpoint_id(id.value());
  SendToAll(message);
}

void JobMaster::NotifyCheckpointAborted(CheckpointId id) {
  proto::JobManagerMessage message;
  message.mutable_aborted()->set_job_id(IdToBytes(job_.id));
  message.mutable_aborted()->set_checkpoint_id(id.value());
  SendToAll(message);
}

CheckpointConfig JobMaster::CheckpointConfiguration() const {
  return CheckpointConfigOf(job_.settings, job_.checkpoint_dir);
}

}  // namespace weir
