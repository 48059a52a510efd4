#pragma once

#include <cstddef>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/ids.h"

namespace weir {

/// A completed checkpoint that the job could be restored from.
struct RetainedCheckpoint {
  CheckpointId id;
  std::string path;
  /// The state files that it needs.
  std::set<std::string> files;
  /// False for a snapshot that belongs to the user and is never removed.
  bool owned = true;
  /// Of what the job was started from: the snapshot that the user gave, what it is, and whether it
  /// goes when this checkpoint is subsumed.
  std::string users_path = {};
  bool is_savepoint = false;
  bool claimed = false;
};

/// The newest completed checkpoints of one job, and the state files that may go.
///
/// A file is handed out for removal only when no retained checkpoint, and none of the user's, names
/// it, and not before one more checkpoint has completed: a task may take its next snapshot before
/// it hears that a checkpoint was completed or aborted, and builds on the files it knows of.
/// Threads: main thread. Does no I/O: the caller removes.
class CompletedCheckpointStore {
 public:
  /// What is to be removed: folders of checkpoints, state files, and snapshots that were claimed.
  struct Removal {
    std::vector<std::string> paths;
    std::vector<std::string> files;
    std::vector<std::string> snapshots;
  };

  explicit CompletedCheckpointStore(size_t num_retained) : num_retained_(num_retained) {}

  /// Takes in the newest checkpoint; returns what it makes superfluous.
  [[nodiscard]] Removal Add(RetainedCheckpoint checkpoint);

  /// Notes that a checkpoint has completed that is what the newest one is, so that this one stays;
  /// returns what is superfluous.
  [[nodiscard]] Removal AddUnchanged() { return TakeOrphans(); }

  /// Notes files written for a checkpoint that will not complete.
  void AddOrphans(const std::set<std::string>& files);

  /// Lets go of a checkpoint that cannot be restored from; its files stay on disk for inspection.
  void Forget(CheckpointId id);

  /// Returns the orphans that nothing needs, when no snapshot is under way any more.
  [[nodiscard]] Removal TakeOrphans();

  /// Lets go of all checkpoints and orphans: the job needs them no more. A claimed snapshot that
  /// nothing of the job's own has replaced stays.
  [[nodiscard]] Removal TakeAll();

  /// Oldest first.
  [[nodiscard]] const std::deque<RetainedCheckpoint>& checkpoints() const { return checkpoints_; }

 private:
  [[nodiscard]] bool IsNeeded(const std::string& file) const;
  void Drop(RetainedCheckpoint checkpoint, Removal* removal);

  const size_t num_retained_;
  std::deque<RetainedCheckpoint> checkpoints_;
  std::set<std::string> orphans_;
  std::set<std::string> users_files_;
};

}  // namespace weir
