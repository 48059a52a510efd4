// The Dispatcher and savepoints: taken, remembered, and disposed of.

#include <algorithm>
#include <utility>

#include "jobmanager/checkpoint/snapshot_files.h"
#include "jobmanager/dispatcher.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr size_t kMaxSavepointOperations = 100;

}  // namespace

void Dispatcher::ResolveSavepointDirectory(JobId job_id, std::string given,
                                           Callback<std::string> done) {
  executor_->Post([this, job_id, given = std::move(given), done = std::move(done)] {
    const auto running = jobs_.find(job_id);
    if (running == jobs_.end()) {
      done(FindEnded(job_id) == nullptr
               ? NoSuchJobError(job_id)
               : absl::FailedPreconditionError(
                     StrCat("cannot take a savepoint: the job has ended: ", ToString(job_id))));
      return;
    }
    const std::string folder = given.empty() ? running->second->SavepointDirectory() : given;
    if (folder.empty()) {
      done(absl::InvalidArgumentError(
          StrCat("Config key [", kSavepointDir.key,
                 "] is not set. Property [target-directory] must be provided.")));
      return;
    }
    done(NormalizedPath(folder));
  });
}

void Dispatcher::TriggerSavepoint(JobId job_id, SavepointRequest request,
                                  Callback<std::string> done) {
  executor_->Post([this, job_id, request = std::move(request), done = std::move(done)] {
    if (const auto running = jobs_.find(job_id); running != jobs_.end()) {
      const std::shared_ptr<JobMaster> job = running->second;  // It may end meanwhile.
      NoteSavepoint(job_id, request);
      job->TriggerSavepoint(
          request, [this, id = request.operation_id, done](absl::StatusOr<std::string> path) {
            NoteSavepointResult(id, path);
            done(std::move(path));
          });
    } else {
      done(NoSuchJobError(job_id));
    }
  });
}

void Dispatcher::DisposeSavepoint(std::string path, StatusCallback done) {
  path = SnapshotFolder(path);
  executor_->Post([this, path = std::move(path), done = std::move(done)] {
    for (const auto& [id, job] : jobs_) {
      if (!job->NeedsSnapshot(path)) continue;
      done(absl::FailedPreconditionError(
          StrCat("cannot dispose of a snapshot that a running job needs; cancel or stop the job "
                 "first: job=",
                 ToString(id), " path=", path)));
      return;
    }
    executor_->RunBlocking([file_systems = options_.file_systems, path, done] {
      return Mail([status = DisposeSnapshot(*file_systems, path), done] { done(status); });
    });
  });
}

void Dispatcher::NoteSavepoint(JobId job_id, const SavepointRequest& request) {
  if (options_.job_store == nullptr || request.operation_id.empty()) return;
  savepoints_.push_back({.job_id = job_id,
                         .id = request.operation_id,
                         .begin = executor_->clock()->Now(),
                         .target_directory = request.target_directory});
  KeepSavepoint(savepoints_.back());
  if (savepoints_.size() <= kMaxSavepointOperations) return;
  executor_->RunBlocking([store = options_.job_store, id = savepoints_.front().id]() -> Mail {
    if (const absl::Status status = store->RemoveSavepoint(id); !status.ok()) {
      LogWarning("dispatcher", ToStd(status.message()));
    }
    return nullptr;
  });
  savepoints_.pop_front();
  if (num_former_savepoints_ > 0) --num_former_savepoints_;
}

void Dispatcher::NoteSavepointResult(const std::string& operation_id,
                                     const absl::StatusOr<std::string>& path) {
  const auto noted =
      std::find_if(savepoints_.begin(), savepoints_.end(),
                   [&](const SavepointOperation& one) { return one.id == operation_id; });
  if (noted == savepoints_.end()) return;
  noted->result = path;
  KeepSavepoint(*noted);
}

// One write at a time, so that a result is not overwritten by the beginning.
void Dispatcher::KeepSavepoint(const SavepointOperation& savepoint) {
  savepoint_writes_.push_back(savepoint);
  if (savepoint_writes_.size() == 1) WriteSavepoints();
}

void Dispatcher::WriteSavepoints() {
  executor_->RunBlocking([this, store = options_.job_store, savepoint = savepoint_writes_.front()] {
    return Mail([this, status = store->PutSavepoint(savepoint)] {
      if (!status.ok()) LogWarning("dispatcher", ToStd(status.message()));
      savepoint_writes_.pop_front();
      if (!savepoint_writes_.empty()) WriteSavepoints();
    });
  });
}

void Dispatcher::RequestFormerSavepoint(JobId job_id, std::string operation_id,
                                        Callback<std::string> done) {
  executor_->Post([this, job_id, operation_id = std::move(operation_id), done = std::move(done)] {
    const auto end = savepoints_.begin() + static_cast<std::ptrdiff_t>(num_former_savepoints_);
    const auto found = std::find_if(savepoints_.begin(), end, [&](const SavepointOperation& one) {
      return one.id == operation_id && one.job_id == job_id;
    });
    if (found == end) {
      done(absl::NotFoundError("no such operation of an earlier leader"));
    } else if (found->result.has_value()) {
      done(*found->result);
    } else {
      done(absl::AbortedError(StrCat(
          "the JobManager was lost while it took the savepoint, so that the next one does not know "
          "what became of it; look into the target directory, or trigger another one: "
          "target-directory=",
          found->target_directory)));
    }
  });
}

}  // namespace weir
