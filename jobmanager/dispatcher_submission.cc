// How the Dispatcher takes jobs in.

#include <utility>

#include "jobmanager/checkpoint/snapshot_files.h"
#include "jobmanager/dispatcher.h"
#include "jobmanager/job_settings.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {

struct Dispatcher::PreparedJob {
  std::string entry;
  std::shared_ptr<const JobGraph> graph;
  std::string library_hash;
  bool uploaded_library = false;
  std::string files_hash;
};

absl::Status Dispatcher::CheckIsNew(JobId job_id) const {
  if (!jobs_.contains(job_id) && !submitting_.contains(job_id) && FindEnded(job_id) == nullptr) {
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(
      StrCat("a job of this id was submitted before: ", ToString(job_id)));
}

absl::Status Dispatcher::Submit(JobDescription job) {
  RETURN_IF_ERROR(CheckIsNew(job.id));
  job.checkpoint_dir = StrCat(options_.checkpoint_dir, "/", ToString(job.id));
  AddJob(std::move(job), {})->Start();
  return absl::OkStatus();
}

void Dispatcher::UploadJar(std::string name, std::string path, Callback<std::string> done) {
  executor_->RunBlocking([jars = jars_, name = std::move(name), path = std::move(path),
                          done = std::move(done)]() mutable {
    return Mail([id = jars->Upload(name, path), done = std::move(done)] { done(id); });
  });
}

void Dispatcher::ListJars(Callback<std::vector<JarFile>> done) {
  executor_->RunBlocking([jars = jars_, done = std::move(done)]() mutable {
    return Mail([list = jars->List(), done = std::move(done)] { done(list); });
  });
}

void Dispatcher::DeleteJar(std::string jar_id, StatusCallback done) {
  executor_->RunBlocking(
      [jars = jars_, jar_id = std::move(jar_id), done = std::move(done)]() mutable {
        return Mail([status = jars->Delete(jar_id), done = std::move(done)] { done(status); });
      });
}

void Dispatcher::RunJar(JarRunRequest request, Callback<JobId> done) {
  absl::StatusOr<Configuration> settings =
      MakeJobSettings(options_.configuration, {}, request.flink_configuration);
  if (!settings.ok()) {
    done(settings.status());
    return;
  }
  executor_->RunBlocking([this, request = std::move(request), settings = *std::move(settings),
                          done = std::move(done)]() mutable {
    absl::StatusOr<PreparedJob> prepared = Prepare(request, settings);
    return Mail([this, request = std::move(request), prepared = std::move(prepared),
                 done = std::move(done)]() mutable {
      if (prepared.ok()) {
        SubmitPrepared(std::move(request), *std::move(prepared), std::move(done));
      } else {
        done(prepared.status());
      }
    });
  });
}

absl::StatusOr<Dispatcher::PreparedJob> Dispatcher::Prepare(const JarRunRequest& request,
                                                            const Configuration& settings) {
  ASSIGN_OR_RETURN(JarStore::JobLocation job, jars_->FindJob(request.jar_id, request.entry_class));
  PreparedJob prepared;
  ASSIGN_OR_RETURN(prepared.library_hash, blobs_->PutFile(job.path));
  prepared.uploaded_library = job.uploaded;
  prepared.entry = job.entry;
  BuildRequest build;
  // The blob, not the file that it was made of: what is built is what TaskManagers will load.
  ASSIGN_OR_RETURN(build.library, blobs_->LocalPathOf(prepared.library_hash));
  build.entry = std::move(job.entry);
  build.arguments = request.program_args;
  build.default_parallelism =
      request.parallelism.value_or(static_cast<uint32_t>(settings.Get(kParallelismDefault)));
  build.max_parallelism = static_cast<uint32_t>(settings.Get(kPipelineMaxParallelism));
  build.chaining = settings.Get(kOperatorChaining);
  absl::StatusOr<BuiltJob> built = builder_->Build(build);
  // Whatever Build did wrong is the request's fault, not the server's.
  if (!built.ok() && !absl::IsUnavailable(built.status())) {
    return absl::InvalidArgumentError(built.status().message());
  }
  if (!built.ok()) return built.status();
  if (!built->files.empty()) {
    ASSIGN_OR_RETURN(prepared.files_hash, blobs_->Put(built->files));
  }
  if (std::string name = settings.Get(kPipelineName); !name.empty()) {
    built->graph.job_name = std::move(name);
  }
  prepared.graph = std::make_shared<const JobGraph>(std::move(built->graph));
  return prepared;
}

void Dispatcher::SubmitPrepared(JarRunRequest request, PreparedJob prepared, Callback<JobId> done) {
  absl::StatusOr<JobDescription> job = Describe(std::move(request), std::move(prepared));
  if (!job.ok()) return done(job.status());
  const JobId id = job->id;
  const auto submit = [this, id](JobDescription description) -> absl::StatusOr<JobId> {
    LogInfo("dispatcher",
            StrCat("job submitted: job=", ToString(id), " name=", description.graph->job_name));
    RETURN_IF_ERROR(Submit(std::move(description)));
    return id;
  };
  if (options_.job_store == nullptr) return done(submit(*std::move(job)));
  if (const absl::Status status = CheckIsNew(id); !status.ok()) return done(status);
  submitting_.insert(id);
  // Whoever is told that the job was taken in finds it after any crash.
  executor_->RunBlocking([this, id, submit, store = options_.job_store, job = *std::move(job),
                          done = std::move(done)]() mutable {
    absl::Status status = store->PutJob(job);
    return Mail([this, id, submit, status = std::move(status), job = std::move(job),
                 done = std::move(done)]() mutable {
      submitting_.erase(id);
      if (status.ok()) {
        done(submit(std::move(job)));
      } else {
        done(absl::UnavailableError(StrCat("the job cannot be kept, so it is not run; try again: ",
                                           ToStd(status.message()))));
      }
    });
  });
}

absl::StatusOr<JobDescription> Dispatcher::Describe(JarRunRequest request,
                                                    PreparedJob prepared) const {
  JobDescription job;
  ASSIGN_OR_RETURN(job.settings, MakeJobSettings(options_.configuration, prepared.graph->settings,
                                                 request.flink_configuration));
  RETURN_IF_ERROR(CheckCheckpointDir(job.settings, options_.configuration));
  if (request.parallelism.has_value()) {
    job.settings.Set(kParallelismDefault, *request.parallelism);
  }
  job.id = request.job_id.has_value() ? *request.job_id : RandomId<JobId>();
  job.graph = std::move(prepared.graph);
  job.library_hash = std::move(prepared.library_hash);
  job.uploaded_library = prepared.uploaded_library;
  job.files_hash = std::move(prepared.files_hash);
  job.entry = std::move(prepared.entry);
  job.arguments = std::move(request.program_args);
  if (!request.savepoint_path.empty()) {
    job.savepoint_path = SnapshotFolder(request.savepoint_path);
  }
  job.allow_non_restored_state = request.allow_non_restored_state;
  job.claim_mode = request.claim_mode;
  job.request_settings = std::move(request.flink_configuration);
  job.requested_parallelism = request.parallelism;
  job.checkpoint_dir = StrCat(options_.checkpoint_dir, "/", ToString(job.id));
  return job;
}

}  // namespace weir
