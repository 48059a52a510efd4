#include "operators/state_processor/savepoint_contents.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>

#include "jobmanager/checkpoint/checkpoint_metadata.h"
#include "jobmanager/checkpoint/snapshot_files.h"
#include "runtime/base/check.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/graph/stream_graph.h"
#include "runtime/record/serde.h"
#include "runtime/state/operator_subtask_state.h"
#include "runtime/state/state_error.h"

namespace weir::internal {

namespace {

using ScratchId = HexId<struct ScratchIdTag>;

std::string ScratchFolder(const StateProcessorOptions& options) {
  const std::string parent = options.scratch_folder.empty()
                                 ? std::filesystem::temp_directory_path().string()
                                 : options.scratch_folder;
  return StrCat(parent, "/weir-state-processor-", weir::ToString(RandomId<ScratchId>()));
}

}  // namespace

struct SavepointContents::Impl {
  explicit Impl(StateProcessorOptions given)
      : options(std::move(given)),
        scratch(ScratchFolder(options)),
        budget(options.memory_bytes),
        configured(FileSystems::FromConfiguration(options.configuration)),
        file_systems(configured.ok() ? *configured : FileSystems::Local()),
        store(StrCat(scratch, "/files"), "state", FileSharing::kLinkWherePossible, file_systems) {
    metadata.id = CheckpointId(1);
    metadata.job_name = "state-processor";
    metadata.trigger_time = absl::Now();
  }
  ~Impl() {
    std::error_code ignored;
    std::filesystem::remove_all(scratch, ignored);
  }

  [[nodiscard]] CheckpointedOperator* Find(std::string_view uid) {
    for (CheckpointedOperator& op : metadata.operators) {
      if (op.uid == uid) return &op;
    }
    return nullptr;
  }

  // The states of an operator's subtasks. Errors: kDataLoss.
  absl::StatusOr<std::vector<OperatorSubtaskState>> StatesOf(std::string_view uid) {
    std::vector<OperatorSubtaskState> states;
    const CheckpointedOperator* const op = Find(uid);
    if (op == nullptr) return states;
    for (const std::string& bytes : op->subtasks) {
      if (!bytes.empty() && !FromBytes(bytes, states.emplace_back())) {
        return absl::DataLossError(
            StrCat("the state of an operator is damaged or of another version: operator=", uid));
      }
    }
    return states;
  }

  absl::StatusOr<std::vector<OperatorStateHandle>> MergedOperatorState(std::string_view uid) {
    ASSIGN_OR_RETURN(std::vector<OperatorSubtaskState> states, StatesOf(uid));
    std::vector<OperatorStateHandle> handles;
    for (OperatorSubtaskState& state : states) {
      if (state.operator_state.has_value()) handles.push_back(*std::move(state.operator_state));
    }
    if (handles.empty()) return handles;
    ASSIGN_OR_RETURN(auto merged, RedistributeOperatorState(std::move(handles), 1));
    return std::move(merged[0]);
  }

  // Makes the operator one of a single subtask with that state.
  void Put(std::string_view uid, const OperatorSubtaskState& state) {
    CheckpointedOperator* op = Find(uid);
    if (op == nullptr) {
      op = &metadata.operators.emplace_back();
      op->id = OperatorIdOfUid(uid);
      op->uid = uid;
      op->name = uid;
      op->max_parallelism = options.max_parallelism;
    }
    op->subtasks = {ToBytes(state)};
  }

  const StateProcessorOptions options;
  const std::string scratch;
  MemoryBudget budget;
  const absl::StatusOr<std::shared_ptr<const FileSystems>> configured;
  const std::shared_ptr<const FileSystems> file_systems;
  FileStateStore store;
  CheckpointMetadata metadata;
  uint64_t next_backend = 1;
};

SavepointContents::SavepointContents(StateProcessorOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {
  CHECK(impl_->options.max_parallelism >= 1 && impl_->options.max_parallelism <= kMaxMaxParallelism)
      << impl_->options.max_parallelism;
}

SavepointContents::~SavepointContents() = default;

absl::Status SavepointContents::Load(const std::string& path) {
  RETURN_IF_ERROR(impl_->configured.status());
  ASSIGN_OR_RETURN(impl_->metadata, ReadCheckpoint(*impl_->file_systems, path));
  return absl::OkStatus();
}

std::vector<std::string> SavepointContents::Uids() const {
  std::vector<std::string> uids;
  for (const CheckpointedOperator& op : impl_->metadata.operators) uids.push_back(op.uid);
  return uids;
}

absl::Status SavepointContents::CheckHas(std::string_view uid) const {
  if (impl_->Find(uid) != nullptr) return absl::OkStatus();
  return absl::NotFoundError(StrCat("the savepoint has no such operator; it has ",
                                    StrJoin(Uids(), ", "), ": operator=", uid));
}

KeyedStateBackendOptions SavepointContents::OptionsOf(std::string_view uid) {
  const CheckpointedOperator* const op = impl_->Find(uid);
  KeyedStateBackendOptions options;
  options.max_parallelism = op == nullptr ? impl_->options.max_parallelism : op->max_parallelism;
  options.range = {0, options.max_parallelism - 1};
  options.memory_budget = &impl_->budget;
  options.local_dir = StrCat(impl_->scratch, "/backend-", impl_->next_backend++);
  return options;
}

absl::Status SavepointContents::Restore(std::string_view uid, KeyedStateBackendBase& backend) {
  ASSIGN_OR_RETURN(std::vector<OperatorSubtaskState> states, impl_->StatesOf(uid));
  std::vector<KeyedStateHandle> handles;
  for (OperatorSubtaskState& state : states) {
    if (state.keyed.has_value()) handles.push_back(*std::move(state.keyed));
  }
  return handles.empty() ? absl::OkStatus() : backend.Restore(std::move(handles), impl_->store);
}

absl::Status SavepointContents::Restore(std::string_view uid, OperatorStateBackend& backend) {
  ASSIGN_OR_RETURN(std::vector<OperatorStateHandle> handles, impl_->MergedOperatorState(uid));
  return backend.Restore(std::move(handles));
}

absl::Status SavepointContents::Replace(std::string_view uid, KeyedStateBackendBase& backend) {
  OperatorSubtaskState state;
  ASSIGN_OR_RETURN(std::vector<OperatorStateHandle> others, impl_->MergedOperatorState(uid));
  state.operator_state = others.empty() ? OperatorStateBackend().Snapshot() : std::move(others[0]);
  std::unique_ptr<KeyedSnapshot> snapshot = backend.Snapshot(impl_->metadata.id);
  absl::StatusOr<KeyedStateHandle> handle = snapshot->Run(impl_->store);
  backend.FinishSnapshot(std::move(snapshot));
  if (!handle.ok()) return handle.status();
  state.keyed = *std::move(handle);
  impl_->Put(uid, state);
  return absl::OkStatus();
}

absl::Status SavepointContents::Replace(std::string_view uid, const OperatorStateBackend& backend) {
  ASSIGN_OR_RETURN(std::vector<OperatorSubtaskState> states, impl_->StatesOf(uid));
  const bool has_keyed =
      std::any_of(states.begin(), states.end(),
                  [](const OperatorSubtaskState& state) { return state.keyed.has_value(); });
  if (!has_keyed) {
    OperatorSubtaskState state;
    state.operator_state = backend.Snapshot();
    impl_->Put(uid, state);
    return absl::OkStatus();
  }
  // The keyed state stays as it lies: the first subtask has all of the operator state.
  CheckpointedOperator* const op = impl_->Find(uid);
  for (size_t i = 0; i < states.size(); ++i) {
    states[i].operator_state = i == 0 ? backend.Snapshot() : OperatorStateBackend().Snapshot();
    op->subtasks[i] = ToBytes(states[i]);
  }
  return absl::OkStatus();
}

void SavepointContents::Remove(std::string_view uid) {
  std::erase_if(impl_->metadata.operators,
                [uid](const CheckpointedOperator& op) { return op.uid == uid; });
}

absl::StatusOr<std::string> SavepointContents::Write(const std::string& given_path) {
  RETURN_IF_ERROR(impl_->configured.status());
  const std::shared_ptr<const FileSystems>& file_systems = impl_->file_systems;
  const std::string path = NormalizedPath(given_path);
  std::error_code error;
  bool exists = !IsObjectPath(path) && std::filesystem::exists(path, error);
  if (!exists) {
    ASSIGN_OR_RETURN(const std::vector<FileEntry> present, file_systems->List(path));
    exists = !present.empty();
  }
  if (exists) {
    return absl::AlreadyExistsError(
        StrCat("the folder of the savepoint is there already; name a new one: path=", path));
  }
  CheckpointMetadata written = impl_->metadata;
  FileStateStore files(path, "state", FileSharing::kLinkWherePossible, file_systems);
  const auto move_file = [&](std::string* file, uint64_t size_bytes,
                             uint64_t checksum) -> absl::Status {
    RETURN_IF_ERROR(files.Verify({*file, size_bytes, checksum}));
    const std::string name = FileName(*file);
    ASSIGN_OR_RETURN(const StoredFile stored, files.Store(*file, name.substr(name.rfind('-') + 1)));
    *file = FileName(stored.path);  // The folder may be moved.
    return absl::OkStatus();
  };
  const auto copy = [&]() -> absl::Status {
    for (CheckpointedOperator& op : written.operators) {
      for (std::string& bytes : op.subtasks) {
        OperatorSubtaskState state;
        if (bytes.empty()) continue;
        if (!FromBytes(bytes, state)) {
          return absl::DataLossError(StrCat(
              "the state of an operator is damaged or of another version: operator=", op.uid));
        }
        RETURN_IF_ERROR(VisitFiles(&state, move_file));
        bytes = ToBytes(state);
      }
    }
    return file_systems->Write(StrCat(path, "/_metadata"), SerializeCheckpointMetadata(written));
  };
  if (const absl::Status status = copy(); !status.ok()) {
    file_systems->DeleteFolder(path).IgnoreError();
    return status;
  }
  return path;
}

absl::Status CatchAll(std::string_view uid, const std::function<absl::Status()>& body) {
  try {
    return body();
  } catch (const StateError& error) {
    return error.status();
  } catch (const std::exception& error) {
    return absl::InternalError(StrCat(
        "the function on the state of an operator threw: ", error.what(), " operator=", uid));
  }
}

}  // namespace weir::internal
