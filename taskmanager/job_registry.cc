#include "taskmanager/job_registry.h"

#include <utility>

#include "proto/control_plane.pb.h"
#include "proto/job_graph.pb.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/graph/job_args.h"

namespace weir {

// What makes two jobs' graphs the same.
struct JobRegistry::Request {
  std::string library_hash;
  std::string entry;
  std::vector<std::string> arguments;
  std::string files_hash;

  friend auto operator<=>(const Request&, const Request&) = default;
};

struct JobRegistry::State : std::enable_shared_from_this<State> {
  State(BlobCache* blob_cache, IoPool* build_pool, TimerThread* timer_thread, absl::Duration limit)
      : blobs(blob_cache), pool(build_pool), timers(timer_thread), time_limit(limit) {}

  absl::StatusOr<std::shared_ptr<const LoadedJob>> Build(const Request& request) const;
  void Finish(const Request& request, uint64_t number, const Result& result);

  BlobCache* const blobs;
  IoPool* const pool;
  TimerThread* const timers;
  const absl::Duration time_limit;

  struct Waiting {
    uint64_t number = 0;  // Tells a request from a later one of the same content.
    std::vector<Callback> callbacks;
  };
  Mutex mutex;
  uint64_t next_number ABSL_GUARDED_BY(mutex) = 1;
  std::map<Request, Waiting> waiting ABSL_GUARDED_BY(mutex);
  std::map<Request, std::weak_ptr<const LoadedJob>> built ABSL_GUARDED_BY(mutex);
};

JobRegistry::Result JobRegistry::State::Build(const Request& request) const {
  ASSIGN_OR_RETURN(const std::string path, blobs->Get(request.library_hash));
  ASSIGN_OR_RETURN(std::shared_ptr<const JobLibrary> library, JobLibrary::Load(path));
  ASSIGN_OR_RETURN(const JobDefinition* const job, library->Find(request.entry));
  ASSIGN_OR_RETURN(JobArgs args, JobArgs::Parse(request.arguments));
  std::map<std::string, std::string> files;
  if (!request.files_hash.empty()) {
    ASSIGN_OR_RETURN(const std::string recorded, blobs->Read(request.files_hash));
    proto::BuildResult result;
    if (!result.ParseFromString(recorded)) {
      return absl::DataLossError(
          StrCat("the files of a job are damaged: files_hash=", request.files_hash));
    }
    files.insert(result.files().begin(), result.files().end());
  }
  args.ReplayFiles(std::move(files));
  ASSIGN_OR_RETURN(StreamGraph graph, BuildStreamGraph(*job, args));
  auto built_job = std::make_shared<LoadedJob>();
  built_job->library = std::move(library);
  built_job->graph = std::make_shared<const StreamGraph>(std::move(graph));
  return std::shared_ptr<const LoadedJob>(std::move(built_job));
}

void JobRegistry::State::Finish(const Request& request, uint64_t number, const Result& result) {
  std::vector<Callback> callbacks;
  {
    const MutexLock lock(&mutex);
    const auto found = waiting.find(request);
    if (found == waiting.end() || found->second.number != number)
      return;  // Too late, or too early.
    callbacks = std::move(found->second.callbacks);
    waiting.erase(found);
    if (result.ok()) built[request] = *result;
    std::erase_if(built, [](const auto& entry) { return entry.second.expired(); });
  }
  for (Callback& callback : callbacks) callback(result);
}

JobRegistry::JobRegistry(BlobCache* blobs, IoPool* pool, TimerThread* timers,
                         absl::Duration time_limit)
    : state_(std::make_shared<State>(blobs, pool, timers, time_limit)) {}

void JobRegistry::Obtain(const proto::JobInformation& job, Callback callback) {
  const Request request{job.library_hash(),
                        job.entry(),
                        {job.arguments().begin(), job.arguments().end()},
                        job.files_hash()};
  std::shared_ptr<const LoadedJob> present;
  uint64_t number = 0;
  {
    const MutexLock lock(&state_->mutex);
    if (const auto found = state_->built.find(request); found != state_->built.end()) {
      present = found->second.lock();
    }
    if (present == nullptr) {
      State::Waiting& waiting = state_->waiting[request];
      waiting.callbacks.push_back(std::move(callback));
      if (waiting.number != 0) return;  // Being built already.
      number = waiting.number = state_->next_number++;
    }
  }
  if (present != nullptr) {
    callback(std::move(present));
    return;
  }
  state_->timers->ScheduleAfter(state_->time_limit, [state = state_, request, number] {
    state->Finish(request, number,
                  absl::DeadlineExceededError(StrCat(
                      "the job's graph was not built in time; make Build faster: entry=",
                      request.entry, " time_limit_s=", absl::ToInt64Seconds(state->time_limit))));
  });
  const bool posted = state_->pool->Post(
      [state = state_, request, number] { state->Finish(request, number, state->Build(request)); });
  if (!posted) {
    state_->Finish(request, number, absl::UnavailableError("the TaskManager is stopping"));
  }
}

}  // namespace weir
