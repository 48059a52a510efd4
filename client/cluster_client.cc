#include "client/cluster_client.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

using simdjson::SUCCESS;
using simdjson::dom::element;

// A server may leave fields out that older or other versions do not have: those read as empty or 0.

std::string Text(const element& object, std::string_view key) {
  std::string_view text;
  if (object[key].get(text) != SUCCESS) return {};
  return std::string(text);
}

int64_t Number(const element& object, std::string_view key) {
  const auto field = object[key];
  int64_t number = 0;
  if (field.get(number) == SUCCESS) return number;
  double fraction = 0;
  return field.get(fraction) == SUCCESS ? static_cast<int64_t>(fraction) : 0;
}

absl::Time Instant(const element& object, std::string_view key) {
  return absl::FromUnixMillis(Number(object, key));
}

absl::Duration Millis(const element& object, std::string_view key) {
  return absl::Milliseconds(Number(object, key));
}

/// Calls fn(const element&) for each element of the list, if there is one.
template <class Fn>
void ForEach(const element& object, std::string_view key, const Fn& fn) {
  simdjson::dom::array list;
  if (object[key].get(list) != SUCCESS) return;
  for (const element one : list) fn(one);
}

/// An answer and the memory that its elements lie in.
class Answer {
 public:
  static absl::StatusOr<Answer> Get(const RestClient& rest, const std::string& path) {
    ASSIGN_OR_RETURN(const std::string body, rest.Get(path));
    return Parse(body, path);
  }

  static absl::StatusOr<Answer> Parse(const std::string& body, const std::string& path) {
    Answer answer;
    if (answer.parser_->parse(body).get(answer.root_) != SUCCESS || !answer.root_.is_object()) {
      return absl::InternalError(StrCat(
          "the server's answer is not JSON; is this the REST address of a JobManager? path=", path,
          " answer=", std::string_view(body).substr(0, 200)));
    }
    return answer;
  }

  [[nodiscard]] const element& root() const { return root_; }

 private:
  Answer() : parser_(std::make_unique<simdjson::dom::parser>()) {}

  std::unique_ptr<simdjson::dom::parser> parser_;  // Elements point into it: it must not move.
  element root_;
};

/// Fills in what a TaskManager measures of itself. One that is lost meanwhile has nothing.
void AddMetrics(const RestClient& rest, TaskManagerStatus* status) {
  const absl::StatusOr<std::string> body =
      rest.Get(StrCat("/taskmanagers/", PercentEncode(status->id),
                      "/metrics?get=Status.JVM.CPU.Load,Status.Flink.Memory.Managed.Used"));
  simdjson::dom::parser parser;
  simdjson::dom::array list;
  if (!body.ok() || parser.parse(*body).get(list) != SUCCESS) return;
  for (const element metric : list) {
    const std::string value = Text(metric, "value");
    double number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc()) continue;
    const std::string id = Text(metric, "id");
    if (id == "Status.JVM.CPU.Load") status->cpu_load = number;
    if (id == "Status.Flink.Memory.Managed.Used") status->used_memory_bytes = number;
  }
}

std::string JobPath(std::string_view job_id, std::string_view rest = "") {
  return StrCat("/jobs/", PercentEncode(job_id), rest);
}

CheckpointLine ReadCheckpoint(const element& json) {
  return {.id = Number(json, "id"),
          .status = Text(json, "status"),
          .trigger_time = Instant(json, "trigger_timestamp"),
          .duration = Millis(json, "end_to_end_duration"),
          .state_size_bytes = Number(json, "state_size"),
          .path = Text(json, "external_path"),
          .failure = Text(json, "failure_message")};
}

std::string SubmissionBody(const JobSubmission& submission) {
  std::string body;
  JsonWriter json(&body);
  json.BeginObject();
  if (!submission.entry.empty()) json.Key("entryClass").String(submission.entry);
  json.Key("programArgsList").BeginArray();
  for (const std::string& argument : submission.arguments) json.String(argument);
  json.EndArray();
  if (submission.parallelism.has_value()) json.Key("parallelism").Int(*submission.parallelism);
  if (!submission.savepoint_path.empty()) {
    json.Key("savepointPath").String(submission.savepoint_path);
  }
  if (submission.allow_non_restored_state) json.Key("allowNonRestoredState").Bool(true);
  if (!submission.claim_mode.empty()) json.Key("claimMode").String(submission.claim_mode);
  if (!submission.settings.empty()) {
    json.Key("flinkConfiguration").BeginObject();
    for (const auto& [key, value] : submission.settings) json.Key(key).String(value);
    json.EndObject();
  }
  json.EndObject();
  return body;
}

/// Posts `body` to begin an operation; returns the path below `polled` to ask for it.
absl::StatusOr<std::string> Trigger(const RestClient& rest, const std::string& path,
                                    const std::string& body, const std::string& polled) {
  ASSIGN_OR_RETURN(const std::string answered, rest.Post(path, body));
  ASSIGN_OR_RETURN(const Answer answer, Answer::Parse(answered, path));
  const std::string id = Text(answer.root(), "request-id");
  if (id.empty()) return absl::InternalError(StrCat("the answer holds no request id: ", answered));
  return StrCat(polled, "/", id);
}

}  // namespace

absl::StatusOr<ClusterStatus> ClusterClient::Overview() const {
  ASSIGN_OR_RETURN(const Answer answer, Answer::Get(rest_, "/overview"));
  const element& json = answer.root();
  return ClusterStatus{.task_managers = Number(json, "taskmanagers"),
                       .slots_total = Number(json, "slots-total"),
                       .slots_available = Number(json, "slots-available"),
                       .jobs_running = Number(json, "jobs-running"),
                       .jobs_finished = Number(json, "jobs-finished"),
                       .jobs_canceled = Number(json, "jobs-cancelled"),
                       .jobs_failed = Number(json, "jobs-failed"),
                       .version = Text(json, "flink-version")};
}

absl::StatusOr<std::vector<TaskManagerStatus>> ClusterClient::TaskManagers() const {
  ASSIGN_OR_RETURN(const Answer answer, Answer::Get(rest_, "/taskmanagers"));
  std::vector<TaskManagerStatus> task_managers;
  ForEach(answer.root(), "taskmanagers", [&](const element& json) {
    TaskManagerStatus status{.id = Text(json, "id"),
                             .data_port = Number(json, "dataPort"),
                             .slots = Number(json, "slotsNumber"),
                             .free_slots = Number(json, "freeSlots")};
    element hardware;
    if (json["hardware"].get(hardware) == SUCCESS) {
      status.cpu_cores = Number(hardware, "cpuCores");
      status.managed_memory_bytes = Number(hardware, "managedMemory");
    }
    task_managers.push_back(std::move(status));
  });
  for (TaskManagerStatus& status : task_managers) AddMetrics(rest_, &status);
  return task_managers;
}

absl::StatusOr<std::vector<JobSummary>> ClusterClient::Jobs() const {
  ASSIGN_OR_RETURN(const Answer answer, Answer::Get(rest_, "/jobs/overview"));
  std::vector<JobSummary> jobs;
  ForEach(answer.root(), "jobs", [&](const element& json) {
    JobSummary job{.id = Text(json, "jid"),
                   .name = Text(json, "name"),
                   .state = Text(json, "state"),
                   .start = Instant(json, "start-time"),
                   .duration = Millis(json, "duration")};
    element tasks;
    if (json["tasks"].get(tasks) == SUCCESS) {
      job.tasks = Number(tasks, "total");
      job.running_tasks = Number(tasks, "running");
    }
    jobs.push_back(std::move(job));
  });
  return jobs;
}

absl::StatusOr<JobProgress> ClusterClient::Progress(std::string_view job_id) const {
  ASSIGN_OR_RETURN(const Answer answer, Answer::Get(rest_, JobPath(job_id)));
  const element& json = answer.root();
  JobProgress progress{.name = Text(json, "name"),
                       .state = Text(json, "state"),
                       .duration = Millis(json, "duration")};
  ForEach(json, "vertices", [&](const element& vertex) {
    progress.tasks += Number(vertex, "parallelism");
    element tasks;
    if (vertex["tasks"].get(tasks) == SUCCESS) progress.running_tasks += Number(tasks, "RUNNING");
    element metrics;
    if (vertex["metrics"].get(metrics) != SUCCESS) return;
    progress.records = std::max(
        {progress.records, Number(metrics, "read-records"), Number(metrics, "write-records")});
  });
  return progress;
}

absl::StatusOr<JobOutcome> ClusterClient::Outcome(std::string_view job_id) const {
  ASSIGN_OR_RETURN(const Answer answer, Answer::Get(rest_, JobPath(job_id, "/execution-result")));
  element result;
  if (answer.root()["job-execution-result"].get(result) != SUCCESS || !result.is_object()) {
    return JobOutcome{};
  }
  const std::string status = Text(result, "application-status");
  JobOutcome outcome{.state = status == "SUCCEEDED" ? std::string("FINISHED") : status,
                     .net_runtime = Millis(result, "net-runtime")};
  element failure;
  if (result["failure-cause"].get(failure) == SUCCESS) {
    outcome.failure = Text(failure, "stack-trace");
    if (outcome.failure.empty()) outcome.failure = Text(failure, "class");
  }
  return outcome;
}

absl::StatusOr<std::vector<JobFailure>> ClusterClient::Failures(std::string_view job_id,
                                                                size_t max_entries) const {
  ASSIGN_OR_RETURN(
      const Answer answer,
      Answer::Get(rest_, JobPath(job_id, StrCat("/exceptions?maxExceptions=", max_entries))));
  std::vector<JobFailure> failures;
  element history;
  if (answer.root()["exceptionHistory"].get(history) != SUCCESS) return failures;
  ForEach(history, "entries", [&](const element& entry) {
    failures.push_back({.time = Instant(entry, "timestamp"),
                        .message = Text(entry, "stacktrace"),
                        .task = Text(entry, "taskName")});
  });
  return failures;
}

absl::StatusOr<CheckpointOverview> ClusterClient::Checkpoints(std::string_view job_id) const {
  ASSIGN_OR_RETURN(const Answer answer, Answer::Get(rest_, JobPath(job_id, "/checkpoints")));
  CheckpointOverview overview;
  element counts;
  if (answer.root()["counts"].get(counts) == SUCCESS) {
    overview.total = Number(counts, "total");
    overview.completed = Number(counts, "completed");
    overview.failed = Number(counts, "failed");
    overview.in_progress = Number(counts, "in_progress");
    overview.restored = Number(counts, "restored");
  }
  ForEach(answer.root(), "history",
          [&](const element& json) { overview.history.push_back(ReadCheckpoint(json)); });
  return overview;
}

absl::StatusOr<JobScaling> ClusterClient::Scaling(std::string_view job_id) const {
  ASSIGN_OR_RETURN(const Answer answer, Answer::Get(rest_, JobPath(job_id, "/scaling")));
  JobScaling scaling{.state = Text(answer.root(), "state"),
                     .reason = Text(answer.root(), "reason")};
  element slots;
  if (answer.root()["slots"].get(slots) == SUCCESS) {
    scaling.wanted_slots = Number(slots, "wanted");
    scaling.available_slots = Number(slots, "available");
  }
  ForEach(answer.root(), "vertices", [&](const element& json) {
    bool configured = false;
    if (json["parallelismConfigured"].get(configured) != SUCCESS) configured = false;
    scaling.vertices.push_back({.id = Text(json, "id"),
                                .name = Text(json, "name"),
                                .parallelism = Number(json, "parallelism"),
                                .lower_bound = Number(json, "lowerBound"),
                                .upper_bound = Number(json, "upperBound"),
                                .max_parallelism = Number(json, "maxParallelism"),
                                .parallelism_configured = configured});
  });
  return scaling;
}

absl::Status ClusterClient::Scale(std::string_view job_id,
                                  const std::vector<JobScaling::Vertex>& vertices) const {
  std::string body;
  JsonWriter json(&body);
  json.BeginObject();
  for (const JobScaling::Vertex& vertex : vertices) {
    json.Key(vertex.id).BeginObject().Key("parallelism").BeginObject();
    json.Key("lowerBound").Int(vertex.lower_bound);
    json.Key("upperBound").Int(vertex.upper_bound);
    json.EndObject().EndObject();
  }
  json.EndObject();
  return rest_.Put(JobPath(job_id, "/resource-requirements"), body).status();
}

absl::Status ClusterClient::Cancel(std::string_view job_id) const {
  return rest_.Patch(JobPath(job_id, "?mode=cancel"), "").status();
}

absl::StatusOr<std::string> ClusterClient::TriggerSavepoint(std::string_view job_id,
                                                            const SavepointOptions& options) const {
  std::string body;
  JsonWriter json(&body);
  json.BeginObject();
  if (!options.directory.empty()) {
    json.Key(options.stop ? "targetDirectory" : "target-directory").String(options.directory);
  }
  if (!options.format.empty()) json.Key("formatType").String(options.format);
  if (options.stop) json.Key("drain").Bool(options.drain);
  json.EndObject();
  return Trigger(rest_, JobPath(job_id, options.stop ? "/stop" : "/savepoints"), body,
                 JobPath(job_id, "/savepoints"));
}

absl::StatusOr<std::string> ClusterClient::TriggerCheckpoint(std::string_view job_id) const {
  return Trigger(rest_, JobPath(job_id, "/checkpoints"), "", JobPath(job_id, "/checkpoints"));
}

absl::StatusOr<std::string> ClusterClient::TriggerDisposal(std::string_view savepoint_path) const {
  std::string body;
  JsonWriter(&body).BeginObject().Key("savepoint-path").String(savepoint_path).EndObject();
  return Trigger(rest_, "/savepoint-disposal", body, "/savepoint-disposal");
}

absl::StatusOr<OperationStatus> ClusterClient::Operation(const std::string& path) const {
  ASSIGN_OR_RETURN(const Answer answer, Answer::Get(rest_, path));
  OperationStatus operation;
  element status;
  if (answer.root()["status"].get(status) == SUCCESS) {
    operation.completed = Text(status, "id") == "COMPLETED";
  }
  element outcome;
  if (answer.root()["operation"].get(outcome) != SUCCESS || !outcome.is_object()) return operation;
  operation.location = Text(outcome, "location");
  operation.checkpoint_id = Number(outcome, "checkpointId");
  element cause;
  if (outcome["failure-cause"].get(cause) == SUCCESS && cause.is_object()) {
    operation.failure = Text(cause, "stack-trace");
    if (operation.failure.empty()) operation.failure = Text(cause, "class");
  }
  return operation;
}

absl::StatusOr<std::vector<JobLibraryStatus>> ClusterClient::Libraries() const {
  ASSIGN_OR_RETURN(const Answer answer, Answer::Get(rest_, "/jars"));
  std::vector<JobLibraryStatus> libraries;
  ForEach(answer.root(), "files", [&](const element& json) {
    JobLibraryStatus library{.id = Text(json, "id"), .name = Text(json, "name")};
    ForEach(json, "entry",
            [&](const element& entry) { library.entries.push_back(Text(entry, "name")); });
    libraries.push_back(std::move(library));
  });
  return libraries;
}

absl::StatusOr<std::string> ClusterClient::Upload(const std::string& file) const {
  ASSIGN_OR_RETURN(const std::string body, rest_.Upload("/jars/upload", file));
  ASSIGN_OR_RETURN(const Answer answer, Answer::Parse(body, "/jars/upload"));
  const std::string name = Text(answer.root(), "filename");
  return name.substr(name.rfind('/') + 1);
}

absl::StatusOr<std::string> ClusterClient::Submit(const JobSubmission& submission) const {
  const std::string path = StrCat("/jars/", PercentEncode(submission.library_id), "/run");
  ASSIGN_OR_RETURN(const std::string body, rest_.Post(path, SubmissionBody(submission)));
  ASSIGN_OR_RETURN(const Answer answer, Answer::Parse(body, path));
  std::string job_id = Text(answer.root(), "jobid");
  if (job_id.empty()) return absl::InternalError(StrCat("the answer holds no job id: ", body));
  return job_id;
}

absl::StatusOr<std::string> ClusterClient::ResolveJob(std::string_view text) const {
  constexpr size_t kIdDigits = 32;
  const bool hexadecimal = text.find_first_not_of("0123456789abcdef") == text.npos;
  if (text.size() == kIdDigits && hexadecimal) return std::string(text);
  ASSIGN_OR_RETURN(const std::vector<JobSummary> jobs, Jobs());
  std::vector<std::string> matches;
  std::vector<std::string_view> names;
  for (const JobSummary& job : jobs) {
    const bool begins_so = hexadecimal && !text.empty() && job.id.starts_with(text);
    if (begins_so || job.name == text) matches.push_back(job.id);
    names.push_back(job.name);
  }
  if (matches.size() == 1) return matches.front();
  if (matches.size() > 1) {
    return absl::InvalidArgumentError(
        StrCat("several jobs have this name or id; give a whole id of: ", StrJoin(matches, ", "),
               ": \"", text, "\""));
  }
  const std::string_view nearest = NearestMatch(text, names);
  return absl::NotFoundError(StrCat(
      "no job has this id or name; ",
      nearest.empty() ? std::string("see weir list") : StrCat("did you mean \"", nearest, "\"?"),
      ": \"", text, "\""));
}

namespace {

void SetBounds(int64_t parallelism, JobScaling::Vertex* vertex) {
  vertex->upper_bound = parallelism;
  vertex->lower_bound = std::min(vertex->lower_bound, parallelism);
}

absl::StatusOr<JobScaling::Vertex*> FindVertex(std::vector<JobScaling::Vertex>* vertices,
                                               std::string_view text) {
  std::vector<JobScaling::Vertex*> matches;
  std::vector<std::string> names;
  for (JobScaling::Vertex& vertex : *vertices) {
    if (vertex.id == text || vertex.name == text) return &vertex;
    if (vertex.name.find(text) != std::string::npos) matches.push_back(&vertex);
    names.push_back(StrCat("\"", vertex.name, "\""));
  }
  if (matches.size() == 1) return matches.front();
  const std::string known = StrJoin(names, ", ");
  if (matches.empty()) {
    return absl::NotFoundError(
        StrCat("the job has no vertex of this name: \"", text, "\"; there are ", known));
  }
  return absl::InvalidArgumentError(
      StrCat("several vertices have this in their name: \"", text, "\"; there are ", known));
}

}  // namespace

absl::StatusOr<std::vector<JobScaling::Vertex>> PlanScaling(
    const JobScaling& job, std::optional<uint32_t> parallelism,
    const std::map<std::string, uint32_t>& of_vertices) {
  std::vector<JobScaling::Vertex> vertices = job.vertices;
  if (parallelism.has_value()) {
    const bool all =
        std::all_of(vertices.begin(), vertices.end(),
                    [](const JobScaling::Vertex& vertex) { return vertex.parallelism_configured; });
    for (JobScaling::Vertex& vertex : vertices) {
      if (all || !vertex.parallelism_configured) SetBounds(*parallelism, &vertex);
    }
  }
  for (const auto& [name, of_vertex] : of_vertices) {
    ASSIGN_OR_RETURN(JobScaling::Vertex* const vertex, FindVertex(&vertices, name));
    SetBounds(of_vertex, vertex);
  }
  for (const JobScaling::Vertex& vertex : vertices) {
    if (vertex.upper_bound <= vertex.max_parallelism) continue;
    return absl::InvalidArgumentError(
        StrCat("the parallelism is above the vertex's max parallelism, which is fixed with its "
               "state: vertex=\"",
               vertex.name, "\" parallelism=", vertex.upper_bound,
               " max_parallelism=", vertex.max_parallelism));
  }
  return vertices;
}

absl::StatusOr<JobSubmission> FindJob(const std::vector<JobLibraryStatus>& libraries,
                                      std::string_view name) {
  std::vector<JobSubmission> found;
  std::vector<std::string> known;
  std::vector<std::string> unreadable;
  for (const JobLibraryStatus& library : libraries) {
    if (library.entries.empty()) unreadable.push_back(library.id);
    const bool shipped = library.name == StrCat("lib", library.id, ".so");
    for (const std::string& entry : library.entries) {
      known.push_back(entry);
      if (entry != name) continue;
      if (shipped) return JobSubmission{.library_id = library.id, .entry = entry};
      found.push_back({.library_id = library.id, .entry = entry});
    }
  }
  if (found.size() == 1) return found.front();
  for (const JobLibraryStatus& library : libraries) {
    if (library.id == name) return JobSubmission{.library_id = library.id};
  }
  if (!found.empty()) {
    std::vector<std::string> ids;
    for (const JobSubmission& job : found) ids.push_back(job.library_id);
    return absl::InvalidArgumentError(
        StrCat("several libraries have a job of this name; give a library's id and --entry: job=\"",
               name, "\" libraries=", StrJoin(ids, ", ")));
  }
  std::sort(known.begin(), known.end());
  const std::string_view nearest =
      NearestMatch(name, std::vector<std::string_view>(known.begin(), known.end()));
  return absl::NotFoundError(
      StrCat("no such job and no such file; ",
             nearest.empty() ? StrCat("there are: ", known.empty() ? "none" : StrJoin(known, ", "))
                             : StrCat("did you mean \"", nearest, "\"?"),
             unreadable.empty() ? ""
                                : StrCat("; libraries that could not be read, the JobManager's log "
                                         "says why: ",
                                         StrJoin(unreadable, ", ")),
             ": \"", name, "\""));
}

}  // namespace weir
