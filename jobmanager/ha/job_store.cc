#include "jobmanager/ha/job_store.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "jobmanager/job_settings.h"
#include "jobmanager/proto_ids.h"
#include "proto/job_store.pb.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "job-store";
constexpr std::string_view kJobPrefix = "job-";
constexpr std::string_view kCheckpointsPrefix = "checkpoints-";
constexpr std::string_view kResultPrefix = "result-";
constexpr std::string_view kTaskManagersKey = "taskmanagers";
constexpr std::string_view kSavepointPrefix = "savepoint-";
// etcd takes values up to 1.5 MiB.
constexpr size_t kMaxInlineBytes = 256 << 10;

std::string Key(std::string_view prefix, JobId job_id) { return StrCat(prefix, ToString(job_id)); }

template <class Message>
absl::Status Parse(std::string_view bytes, Message* message) {
  if (message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::OkStatus();
  }
  return absl::DataLossError("the entry is damaged");
}

proto::StoredJob ToProto(const JobDescription& job) {
  proto::StoredJob out;
  out.set_job_id(IdToBytes(job.id));
  out.set_job_graph(SerializeJobGraph(*job.graph));
  out.set_library_hash(job.library_hash);
  out.set_entry(job.entry);
  for (const std::string& argument : job.arguments) out.add_arguments(argument);
  out.set_files_hash(job.files_hash);
  for (const auto& [key, value] : job.request_settings) {
    (*out.mutable_request_settings())[key] = value;
  }
  out.set_requested_parallelism(job.requested_parallelism.value_or(0));
  out.set_checkpoint_dir(job.checkpoint_dir);
  out.set_savepoint_path(job.savepoint_path);
  out.set_allow_non_restored_state(job.allow_non_restored_state);
  out.set_claims_savepoint(job.claim_mode == ClaimMode::kClaim);
  for (const auto& [vertex, range] : job.requirements) {
    proto::StoredParallelismRange* const stored = out.add_requirements();
    stored->set_vertex(IdToBytes(vertex));
    stored->set_lower(range.lower);
    stored->set_upper(range.upper);
  }
  out.set_is_cancelled(job.is_cancelled);
  out.set_uploaded_library(job.uploaded_library);
  return out;
}

proto::StoredException ToProto(const ExceptionEntry& exception) {
  proto::StoredException out;
  out.set_name(exception.exception_name);
  out.set_stacktrace(exception.stacktrace);
  out.set_time_us(absl::ToUnixMicros(exception.time));
  out.set_task_name(exception.task_name);
  out.set_endpoint(exception.endpoint);
  out.set_taskmanager_id(exception.taskmanager_id);
  return out;
}

ExceptionEntry FromProto(const proto::StoredException& stored) {
  ExceptionEntry exception;
  exception.exception_name = stored.name();
  exception.stacktrace = stored.stacktrace();
  exception.time = absl::FromUnixMicros(stored.time_us());
  exception.task_name = stored.task_name();
  exception.endpoint = stored.endpoint();
  exception.taskmanager_id = stored.taskmanager_id();
  return exception;
}

proto::StoredResult ToProto(const EndedJobRecord& ended) {
  proto::StoredResult out;
  out.set_job_id(IdToBytes(ended.overview.id));
  out.set_job_name(ended.overview.name);
  out.set_status(std::string(JobStatusName(ended.overview.status)));
  for (size_t i = 0; i < kNumJobStatuses; ++i) {
    const auto status = static_cast<JobStatus>(i);
    if (ended.timestamps[status] == absl::InfinitePast()) continue;
    (*out.mutable_timestamps_us())[std::string(JobStatusName(status))] =
        absl::ToUnixMicros(ended.timestamps[status]);
  }
  for (size_t i = 0; i < kNumExecutionStates; ++i) {
    const auto state = static_cast<ExecutionState>(i);
    if (ended.overview.task_counts[state] == 0) continue;
    (*out.mutable_task_counts())[std::string(ExecutionStateName(state))] =
        ended.overview.task_counts[state];
  }
  for (const ExceptionEntry& exception : ended.exceptions) {
    *out.add_exceptions() = ToProto(exception);
  }
  if (ended.result.failure.has_value()) *out.mutable_failure() = ToProto(*ended.result.failure);
  out.set_checkpoint_dir(ended.checkpoint_dir);
  out.set_num_completed_checkpoints(ended.num_completed_checkpoints);
  out.set_latest_checkpoint_id(ended.latest_checkpoint.id.value());
  out.set_latest_checkpoint_path(ended.latest_checkpoint.path);
  out.set_latest_checkpoint_trigger_us(absl::ToUnixMicros(ended.latest_checkpoint_trigger));
  return out;
}

absl::StatusOr<EndedJobRecord> FromProto(const proto::StoredResult& stored) {
  EndedJobRecord ended;
  std::optional<JobStatus> end;
  for (size_t i = 0; i < kNumJobStatuses; ++i) {
    const auto status = static_cast<JobStatus>(i);
    const auto name = std::string(JobStatusName(status));
    const auto found = stored.timestamps_us().find(name);
    if (found != stored.timestamps_us().end()) {
      ended.timestamps[status] = absl::FromUnixMicros(found->second);
    }
    if (stored.status() == name) end = status;
  }
  if (!end.has_value() || !IsGloballyTerminal(*end)) {
    return absl::DataLossError(StrCat("this is no state to end in: ", stored.status()));
  }
  for (size_t i = 0; i < kNumExecutionStates; ++i) {
    const auto state = static_cast<ExecutionState>(i);
    const auto found = stored.task_counts().find(std::string(ExecutionStateName(state)));
    if (found != stored.task_counts().end()) ended.overview.task_counts[state] = found->second;
  }
  ended.overview.id = IdFromBytes<JobId>(stored.job_id());
  ended.overview.name = stored.job_name();
  ended.overview.status = *end;
  ended.overview.start_time = ended.timestamps[JobStatus::kInitializing];
  ended.overview.end_time = ended.timestamps[*end];
  ended.overview.last_modification = ended.overview.end_time;
  for (const proto::StoredException& exception : stored.exceptions()) {
    ended.exceptions.push_back(FromProto(exception));
  }
  ended.result.id = ended.overview.id;
  ended.result.status = *end;
  ended.result.net_runtime = ended.overview.end_time - ended.overview.start_time;
  if (stored.has_failure()) ended.result.failure = FromProto(stored.failure());
  ended.checkpoint_dir = stored.checkpoint_dir();
  ended.num_completed_checkpoints = stored.num_completed_checkpoints();
  ended.latest_checkpoint = {CheckpointId(stored.latest_checkpoint_id()),
                             stored.latest_checkpoint_path(), false};
  ended.latest_checkpoint_trigger = absl::FromUnixMicros(stored.latest_checkpoint_trigger_us());
  return ended;
}

absl::StatusOr<CheckpointPointers> ReadCheckpoints(std::string_view bytes) {
  proto::StoredCheckpoints stored;
  RETURN_IF_ERROR(Parse(bytes, &stored));
  CheckpointPointers pointers;
  for (const auto& checkpoint : stored.checkpoints()) {
    pointers.checkpoints.push_back(
        {CheckpointId(checkpoint.id()), checkpoint.path(), checkpoint.is_users()});
  }
  pointers.id_limit = CheckpointId(stored.id_limit());
  return pointers;
}

void LogUnreadable(const std::string& key, const absl::Status& status) {
  LogError(kComponent, StrCat("an entry of the store cannot be read, it is passed over: key=", key,
                              ": ", ToStd(status.message())));
}

}  // namespace

absl::Status JobStore::PutJob(const JobDescription& job) {
  proto::StoredJobReference reference;
  *reference.mutable_job() = ToProto(job);
  if (reference.ByteSizeLong() > kMaxInlineBytes) {
    ASSIGN_OR_RETURN(std::string hash, blobs_->Put(reference.job().SerializeAsString()));
    reference.set_blob_hash(std::move(hash));
  }
  return store_->Put(epoch_, Key(kJobPrefix, job.id), reference.SerializeAsString());
}

absl::Status JobStore::PutCheckpoints(JobId job_id, const CheckpointPointers& checkpoints) {
  proto::StoredCheckpoints stored;
  for (const CheckpointPointers::Pointer& pointer : checkpoints.checkpoints) {
    proto::StoredCheckpoints::Checkpoint* const out = stored.add_checkpoints();
    out->set_id(pointer.id.value());
    out->set_path(pointer.path);
    out->set_is_users(pointer.is_users);
  }
  stored.set_id_limit(checkpoints.id_limit.value());
  return store_->Put(epoch_, Key(kCheckpointsPrefix, job_id), stored.SerializeAsString());
}

absl::Status JobStore::PutResult(const EndedJobRecord& ended) {
  return store_->Put(epoch_, Key(kResultPrefix, ended.overview.id),
                     ToProto(ended).SerializeAsString());
}

absl::Status JobStore::RemoveJob(JobId job_id) {
  // What was submitted last: without it nobody asks for the checkpoints.
  RETURN_IF_ERROR(store_->Remove(epoch_, Key(kCheckpointsPrefix, job_id)));
  return store_->Remove(epoch_, Key(kJobPrefix, job_id));
}

absl::Status JobStore::RemoveResult(JobId job_id) {
  return store_->Remove(epoch_, Key(kResultPrefix, job_id));
}

absl::Status JobStore::PutSavepoint(const SavepointOperation& savepoint) {
  proto::StoredSavepointOperation stored;
  stored.set_job_id(IdToBytes(savepoint.job_id));
  stored.set_id(savepoint.id);
  stored.set_begin_us(absl::ToUnixMicros(savepoint.begin));
  stored.set_target_directory(savepoint.target_directory);
  stored.set_has_ended(savepoint.result.has_value());
  if (savepoint.result.has_value()) {
    const absl::Status& status = savepoint.result->status();
    if (status.ok()) stored.set_path(**savepoint.result);
    stored.set_error(std::string(ToStd(status.message())));
    stored.set_error_code(static_cast<int>(status.code()));
  }
  return store_->Put(epoch_, StrCat(kSavepointPrefix, savepoint.id), stored.SerializeAsString());
}

absl::Status JobStore::RemoveSavepoint(const std::string& id) {
  return store_->Remove(epoch_, StrCat(kSavepointPrefix, id));
}

absl::StatusOr<std::vector<SavepointOperation>> JobStore::LoadSavepoints() {
  using Values = std::map<std::string, std::string>;
  ASSIGN_OR_RETURN(const Values values, store_->List(epoch_, kSavepointPrefix));
  std::vector<SavepointOperation> savepoints;
  for (const auto& [key, bytes] : values) {
    proto::StoredSavepointOperation stored;
    if (const absl::Status status = Parse(bytes, &stored); !status.ok()) {
      LogUnreadable(key, status);
      continue;
    }
    SavepointOperation& savepoint = savepoints.emplace_back();
    savepoint.job_id = IdFromBytes<JobId>(stored.job_id());
    savepoint.id = stored.id();
    savepoint.begin = absl::FromUnixMicros(stored.begin_us());
    savepoint.target_directory = stored.target_directory();
    if (!stored.has_ended()) continue;
    if (stored.error_code() == 0) {
      savepoint.result = stored.path();
    } else {
      savepoint.result = StatusFromWire(stored.error_code(), stored.error());
    }
  }
  std::stable_sort(
      savepoints.begin(), savepoints.end(),
      [](const SavepointOperation& a, const SavepointOperation& b) { return a.begin < b.begin; });
  return savepoints;
}

absl::Status JobStore::PutTaskManagers(const std::set<std::string>& ids) {
  proto::StoredTaskManagers stored;
  for (const std::string& id : ids) stored.add_ids(id);
  return store_->Put(epoch_, kTaskManagersKey, stored.SerializeAsString());
}

absl::StatusOr<std::set<std::string>> JobStore::LoadTaskManagers() {
  using Values = std::map<std::string, std::string>;
  ASSIGN_OR_RETURN(const Values values, store_->List(epoch_, kTaskManagersKey));
  proto::StoredTaskManagers stored;
  for (const auto& [key, bytes] : values) RETURN_IF_ERROR(Parse(bytes, &stored));
  return std::set<std::string>(stored.ids().begin(), stored.ids().end());
}

absl::StatusOr<JobDescription> JobStore::ReadJob(std::string_view bytes) const {
  proto::StoredJobReference reference;
  RETURN_IF_ERROR(Parse(bytes, &reference));
  if (reference.kind_case() == proto::StoredJobReference::kBlobHash) {
    ASSIGN_OR_RETURN(const std::string blob, blobs_->Read(reference.blob_hash()));
    RETURN_IF_ERROR(Parse(blob, reference.mutable_job()));
  }
  const proto::StoredJob& stored = reference.job();
  JobDescription job;
  job.id = IdFromBytes<JobId>(stored.job_id());
  ASSIGN_OR_RETURN(JobGraph graph, ParseJobGraph(stored.job_graph()));
  job.graph = std::make_shared<const JobGraph>(std::move(graph));
  job.library_hash = stored.library_hash();
  job.entry = stored.entry();
  job.arguments.assign(stored.arguments().begin(), stored.arguments().end());
  job.files_hash = stored.files_hash();
  job.request_settings.insert(stored.request_settings().begin(), stored.request_settings().end());
  ASSIGN_OR_RETURN(job.settings,
                   MakeJobSettings(cluster_, job.graph->settings, job.request_settings));
  if (stored.requested_parallelism() != 0) {
    job.requested_parallelism = stored.requested_parallelism();
    job.settings.Set(kParallelismDefault, stored.requested_parallelism());
  }
  job.checkpoint_dir = stored.checkpoint_dir();
  job.savepoint_path = stored.savepoint_path();
  job.allow_non_restored_state = stored.allow_non_restored_state();
  job.claim_mode = stored.claims_savepoint() ? ClaimMode::kClaim : ClaimMode::kNoClaim;
  for (const proto::StoredParallelismRange& range : stored.requirements()) {
    job.requirements[IdFromBytes<JobVertexId>(range.vertex())] = {range.lower(), range.upper()};
  }
  job.is_cancelled = stored.is_cancelled();
  job.uploaded_library = stored.uploaded_library();
  return job;
}

absl::StatusOr<std::set<std::string>> JobStore::NeededBlobs() {
  ASSIGN_OR_RETURN(const auto jobs, store_->List(epoch_, kJobPrefix));
  std::set<std::string> hashes;
  for (const auto& [key, bytes] : jobs) {
    proto::StoredJobReference reference;
    RETURN_IF_ERROR(Parse(bytes, &reference));
    if (reference.kind_case() == proto::StoredJobReference::kBlobHash) {
      hashes.insert(reference.blob_hash());
    }
    ASSIGN_OR_RETURN(const JobDescription job, ReadJob(bytes));
    hashes.insert(job.library_hash);
    hashes.insert(job.files_hash);
  }
  return hashes;
}

absl::StatusOr<JobStore::Contents> JobStore::Load() {
  using Values = std::map<std::string, std::string>;
  ASSIGN_OR_RETURN(const Values results, store_->List(epoch_, kResultPrefix));
  ASSIGN_OR_RETURN(const Values jobs, store_->List(epoch_, kJobPrefix));
  ASSIGN_OR_RETURN(const Values checkpoints, store_->List(epoch_, kCheckpointsPrefix));
  Contents contents;
  std::set<JobId> ended_ids;
  for (const auto& [key, bytes] : results) {
    proto::StoredResult stored;
    absl::Status status = Parse(bytes, &stored);
    if (status.ok()) {
      absl::StatusOr<EndedJobRecord> ended = FromProto(stored);
      status = ended.status();
      if (status.ok()) {
        ended_ids.insert(ended->overview.id);
        contents.ended_jobs.push_back(*std::move(ended));
      }
    }
    if (!status.ok()) LogUnreadable(key, status);
  }
  std::stable_sort(contents.ended_jobs.begin(), contents.ended_jobs.end(),
                   [](const EndedJobRecord& a, const EndedJobRecord& b) {
                     return a.overview.end_time > b.overview.end_time;
                   });
  for (const auto& [key, bytes] : checkpoints) {
    // Of a checkpoint that was under way when its job ended.
    if (jobs.contains(StrCat(kJobPrefix, key.substr(kCheckpointsPrefix.size())))) continue;
    RETURN_IF_ERROR(store_->Remove(epoch_, key));
  }
  for (const auto& [key, bytes] : jobs) {
    absl::StatusOr<JobDescription> description = ReadJob(bytes);
    if (!description.ok()) {
      LogUnreadable(key, description.status());
      continue;
    }
    const JobId id = description->id;
    if (ended_ids.contains(id)) {
      RETURN_IF_ERROR(RemoveJob(id));  // The last leader did not come to it.
      continue;
    }
    StoredJob job{*std::move(description), {}};
    if (const auto found = checkpoints.find(Key(kCheckpointsPrefix, id));
        found != checkpoints.end()) {
      absl::StatusOr<CheckpointPointers> pointers = ReadCheckpoints(found->second);
      if (!pointers.ok()) {
        // To begin from nothing would be worse than not to begin.
        LogUnreadable(found->first, pointers.status());
        continue;
      }
      job.checkpoints = *std::move(pointers);
    }
    contents.jobs.push_back(std::move(job));
  }
  return contents;
}

}  // namespace weir
