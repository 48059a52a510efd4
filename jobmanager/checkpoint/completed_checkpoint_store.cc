#include "jobmanager/checkpoint/completed_checkpoint_store.h"

#include <algorithm>
#include <utility>

namespace weir {

CompletedCheckpointStore::Removal CompletedCheckpointStore::Add(RetainedCheckpoint checkpoint) {
  if (!checkpoint.owned) users_files_.insert(checkpoint.files.begin(), checkpoint.files.end());
  const bool owned = checkpoint.owned;
  checkpoints_.push_back(std::move(checkpoint));
  // The user's may go at any time: what the job has stays beside it.
  if (!owned) return {};
  // Only what was superfluous before this completion goes: see the class.
  Removal removal = TakeOrphans();
  while (checkpoints_.size() > num_retained_) {
    RetainedCheckpoint oldest = std::move(checkpoints_.front());
    checkpoints_.pop_front();
    Drop(std::move(oldest), &removal);
  }
  return removal;
}

void CompletedCheckpointStore::AddOrphans(const std::set<std::string>& files) {
  orphans_.insert(files.begin(), files.end());
}

void CompletedCheckpointStore::Forget(CheckpointId id) {
  std::erase_if(checkpoints_, [id](const RetainedCheckpoint& kept) { return kept.id == id; });
}

CompletedCheckpointStore::Removal CompletedCheckpointStore::TakeOrphans() {
  Removal removal;
  for (const std::string& file : orphans_) {
    if (!IsNeeded(file)) removal.files.push_back(file);
  }
  orphans_.clear();
  return removal;
}

CompletedCheckpointStore::Removal CompletedCheckpointStore::TakeAll() {
  Removal removal;
  while (!checkpoints_.empty()) {
    RetainedCheckpoint oldest = std::move(checkpoints_.front());
    checkpoints_.pop_front();
    if (checkpoints_.empty()) oldest.claimed = false;
    Drop(std::move(oldest), &removal);
  }
  removal.files = TakeOrphans().files;
  return removal;
}

bool CompletedCheckpointStore::IsNeeded(const std::string& file) const {
  return users_files_.contains(file) ||
         std::any_of(checkpoints_.begin(), checkpoints_.end(),
                     [&](const RetainedCheckpoint& kept) { return kept.files.contains(file); });
}

void CompletedCheckpointStore::Drop(RetainedCheckpoint checkpoint, Removal* removal) {
  if (checkpoint.claimed) removal->snapshots.push_back(checkpoint.users_path);
  if (!checkpoint.owned) return;
  removal->paths.push_back(checkpoint.path);
  AddOrphans(checkpoint.files);
}

}  // namespace weir
