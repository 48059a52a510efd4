#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "jobmanager/ha/job_store.h"
#include "jobmanager/main_thread_executor.h"

namespace weir {

/// Keeps in the job store which TaskManagers may run tasks, so that a leader that takes over knows
/// whether any of them has yet to be heard of.
///
/// One is noted before it gets its first task. What is asked for while a write is under way goes
/// into the next one together. Threads: main thread. Destroyed after the executor has ended.
class TaskManagerRoster {
 public:
  /// Both are borrowed. `ids` are those in the store.
  TaskManagerRoster(JobStore* store, MainThreadExecutor* executor, std::set<std::string> ids);

  /// Calls `then` once `id` is kept, possibly before this returns; never if another leader has
  /// come.
  void Add(const std::string& id, std::function<void()> then);
  /// It runs nothing any more that matters. Is kept some time later.
  void Remove(const std::string& id);

  [[nodiscard]] const std::set<std::string>& ids() const { return ids_; }

 private:
  void Write();
  void OnWritten(const std::set<std::string>& ids, const absl::Status& status);

  JobStore* const store_;
  MainThreadExecutor* const executor_;
  std::set<std::string> ids_;
  std::set<std::string> kept_;
  std::vector<std::pair<std::string, std::function<void()>>> waiting_;
  bool writing_ = false;
};

}  // namespace weir
