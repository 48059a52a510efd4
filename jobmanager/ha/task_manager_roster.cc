#include "jobmanager/ha/task_manager_roster.h"

#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr absl::Duration kRetryPause = absl::Seconds(1);

}  // namespace

TaskManagerRoster::TaskManagerRoster(JobStore* store, MainThreadExecutor* executor,
                                     std::set<std::string> ids)
    : store_(store), executor_(executor), ids_(std::move(ids)), kept_(ids_) {}

void TaskManagerRoster::Add(const std::string& id, std::function<void()> then) {
  ids_.insert(id);
  if (kept_.contains(id) && !writing_) return then();
  waiting_.emplace_back(id, std::move(then));
  Write();
}

void TaskManagerRoster::Remove(const std::string& id) {
  if (ids_.erase(id) > 0) Write();
}

void TaskManagerRoster::Write() {
  if (std::exchange(writing_, true)) return;
  executor_->RunBlocking([this, store = store_, ids = ids_] {
    return Mail([this, ids, status = store->PutTaskManagers(ids)] { OnWritten(ids, status); });
  });
}

void TaskManagerRoster::OnWritten(const std::set<std::string>& ids, const absl::Status& status) {
  writing_ = false;
  if (absl::IsAborted(status)) return;  // Another one leads.
  if (!status.ok()) {
    LogWarning("dispatcher", StrCat("cannot keep which TaskManagers there are, trying again: ",
                                    ToStd(status.message())));
    writing_ = true;
    executor_->PostAfter(kRetryPause, [this] {
      writing_ = false;
      Write();
    });
    return;
  }
  kept_ = ids;
  std::vector<std::function<void()>> kept;
  std::erase_if(waiting_, [&](auto& waiting) {
    if (!kept_.contains(waiting.first)) return false;
    kept.push_back(std::move(waiting.second));
    return true;
  });
  if (ids_ != kept_) Write();
  for (const std::function<void()>& then : kept) then();
}

}  // namespace weir
