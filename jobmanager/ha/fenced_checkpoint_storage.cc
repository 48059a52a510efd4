#include "jobmanager/ha/fenced_checkpoint_storage.h"

#include <algorithm>
#include <set>
#include <utility>

namespace weir {
namespace {

// Ids that a write of pointers reserves beyond its own, so that few writes are needed.
constexpr uint64_t kReservedIds = 16;

}  // namespace

struct FencedCheckpointStorage::Shared : std::enable_shared_from_this<Shared> {
  Shared(JobId id, CheckpointPointers kept, JobStore* job_store, MainThreadExecutor* main_thread)
      : job_id(id), pointers(std::move(kept)), store(job_store), executor(main_thread) {}

  // Changes the pointers and writes them; one write at a time, so that they arrive in order.
  void Update(std::function<void(CheckpointPointers*)> change, Done done) {
    updates.emplace_back(std::move(change), std::move(done));
    if (!writing) WriteNext();
  }

  void WriteNext() {
    writing = !updates.empty();
    if (!writing) return;
    auto [change, then] = std::move(updates.front());
    updates.pop_front();
    CheckpointPointers changed = pointers;
    change(&changed);
    executor->RunBlocking([self = shared_from_this(), changed = std::move(changed),
                           done = std::move(then)]() mutable {
      absl::Status status = self->store->PutCheckpoints(self->job_id, changed);
      return Mail([self, changed = std::move(changed), status = std::move(status),
                   done = std::move(done)]() mutable {
        if (status.ok()) {
          // Some may have been removed meanwhile.
          std::erase_if(changed.checkpoints, [&](const CheckpointPointers::Pointer& pointer) {
            return self->removed_while_writing.contains(pointer.path);
          });
          self->pointers = std::move(changed);
        }
        self->removed_while_writing.clear();
        done(std::move(status));
        self->WriteNext();
      });
    });
  }

  void Forget(const std::string& path) {
    std::erase_if(pointers.checkpoints, [&](const auto& pointer) { return pointer.path == path; });
    if (writing) removed_while_writing.insert(path);
  }

  const JobId job_id;
  CheckpointPointers pointers;
  JobStore* const store;
  MainThreadExecutor* const executor;
  std::deque<std::pair<std::function<void(CheckpointPointers*)>, Done>> updates;
  std::set<std::string> removed_while_writing;
  bool writing = false;
};

FencedCheckpointStorage::FencedCheckpointStorage(std::unique_ptr<CheckpointStorage> storage,
                                                 JobId job_id, CheckpointPointers pointers,
                                                 JobStore* store, MainThreadExecutor* executor)
    : storage_(std::move(storage)),
      shared_(std::make_shared<Shared>(job_id, std::move(pointers), store, executor)) {}

void FencedCheckpointStorage::Write(std::shared_ptr<const CheckpointMetadata> metadata,
                                    std::function<void(absl::StatusOr<std::string>)> done) {
  const CheckpointId id = metadata->id;
  WriteFenced(
      id, /*is_users=*/false,
      [storage = storage_, metadata = std::move(metadata)](Written written) {
        storage->Write(metadata, std::move(written));
      },
      std::move(done));
}

void FencedCheckpointStorage::WriteSavepoint(
    std::shared_ptr<const CheckpointMetadata> metadata, SavepointFormat format,
    std::string target_directory, std::function<void(absl::StatusOr<std::string>)> done) {
  // Pointed to as well: a job that stops with it commits by it, and must not go back behind it.
  const CheckpointId id = metadata->id;
  WriteFenced(
      id, /*is_users=*/true,
      [storage = storage_, metadata = std::move(metadata), format,
       target = std::move(target_directory)](Written written) {
        storage->WriteSavepoint(metadata, format, target, std::move(written));
      },
      std::move(done));
}

void FencedCheckpointStorage::WriteFenced(CheckpointId id, bool is_users,
                                          std::function<void(Written)> write, Written done) {
  const auto reserve = [id](CheckpointPointers* pointers) {
    pointers->id_limit = std::max(pointers->id_limit, CheckpointId(id.value() + kReservedIds));
  };
  auto begin = [shared = shared_, id, is_users, reserve, write = std::move(write), done] {
    write([shared, id, is_users, reserve, done](absl::StatusOr<std::string> path) {
      if (!path.ok()) return done(std::move(path));
      shared->Update(
          [id, is_users, reserve, path = *path](CheckpointPointers* pointers) {
            // Savepoints stay where they are, but nobody goes back to one behind what is newer.
            std::erase_if(pointers->checkpoints,
                          [](const CheckpointPointers::Pointer& kept) { return kept.is_users; });
            pointers->checkpoints.push_back({id, path, is_users});
            reserve(pointers);
          },
          [path, done](const absl::Status& status) {
            done(status.ok() ? path : absl::StatusOr<std::string>(status));
          });
    });
  };
  if (id <= shared_->pointers.id_limit) return begin();
  // Nothing may lie in the folder of an id that another leader might take as well.
  shared_->Update(reserve, [begin = std::move(begin), done](const absl::Status& status) {
    if (!status.ok()) return done(status);
    begin();
  });
}

void FencedCheckpointStorage::Read(std::string path,
                                   std::function<void(absl::StatusOr<CheckpointMetadata>)> done) {
  storage_->Read(std::move(path), std::move(done));
}

void FencedCheckpointStorage::Discard(std::vector<std::string> paths,
                                      std::vector<std::string> files) {
  for (const std::string& path : paths) shared_->Forget(path);
  storage_->Discard(std::move(paths), std::move(files));
}

void FencedCheckpointStorage::TakeOver(std::string path,
                                       std::function<absl::Status(const CheckpointMetadata&)> check,
                                       std::function<void(absl::StatusOr<Snapshot>)> done) {
  storage_->TakeOver(std::move(path), std::move(check), std::move(done));
}

void FencedCheckpointStorage::Sweep(std::function<void(uint64_t newest_checkpoint)> done) {
  storage_->Sweep(std::move(done));
}

void FencedCheckpointStorage::Dispose(std::string path) {
  shared_->Forget(path);
  storage_->Dispose(std::move(path));
}

std::vector<std::string> FencedCheckpointStorage::FilesOf(std::string_view state) const {
  return storage_->FilesOf(state);
}

}  // namespace weir
