#include "client/local_cluster.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "client/cluster_client.h"
#include "client/settings.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);
constexpr absl::Duration kPollInterval = absl::Milliseconds(20);
constexpr absl::Duration kJobManagerGrace = absl::Seconds(5);
constexpr absl::Duration kTaskManagerGrace = absl::Seconds(10);
/// A process that lives shorter than this dies again soon: its successors wait ever longer.
constexpr absl::Duration kQuickDeath = absl::Seconds(5);
constexpr int kMaxDelaySeconds = 10;
constexpr std::streamoff kLogTailBytes = 2000;

std::string LogTail(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const std::streamoff size = file.tellg();
  file.seekg(std::max<std::streamoff>(0, size - kLogTailBytes));
  std::string tail((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (size > kLogTailBytes) tail.erase(0, tail.find('\n') + 1);
  return tail;
}

/// Returns what follows `name=` in the JobManager's line, up to a space.
std::string Field(std::string_view line, std::string_view name) {
  const size_t begin = line.find(StrCat(" ", name, "="));
  if (begin == line.npos) return {};
  std::string_view value = line.substr(begin + name.size() + 2);
  return std::string(value.substr(0, value.find_first_of(" \n")));
}

/// Where a client finds a server that listens on all addresses.
std::string Reachable(const std::string& address) {
  for (const std::string_view any : {"0.0.0.0:", "[::]:", ":::"}) {
    if (address.starts_with(any)) return StrCat("127.0.0.1:", address.substr(any.size()));
  }
  return address;
}

absl::Duration DelayAfter(int quick_deaths) {
  return absl::Seconds(std::clamp(quick_deaths - 1, 0, kMaxDelaySeconds));
}

}  // namespace

LocalCluster::LocalCluster(LocalClusterOptions options, const WorkFolder* folder,
                           SignalWaiter* signals)
    : options_(std::move(options)), folder_(folder), signals_(signals) {
  job_manager_.name = "jobmanager";
  job_manager_.log = folder_->Below("logs/jobmanager.log");
  for (int i = 1; i <= options_.task_managers; ++i) {
    Member member;
    member.name = StrCat("taskmanager-", i);
    member.log = folder_->Below(StrCat("logs/", member.name, ".log"));
    task_managers_.push_back(std::move(member));
  }
}

LocalCluster::~LocalCluster() {
  std::vector<Member*> members = {&job_manager_};
  for (Member& member : task_managers_) members.push_back(&member);
  End(members, absl::ZeroDuration());
  if (ready_pipe_ >= 0) close(ready_pipe_);
}

std::vector<std::string> LocalCluster::CommonArguments() const {
  std::vector<std::string> arguments;
  if (!options_.sources.file.empty()) {
    arguments.insert(arguments.end(), {"--config", options_.sources.file});
  }
  const auto add = [&](std::string_view key, std::string_view folder) {
    if (options_.configuration.SourceOf(key) != "default") return;
    arguments.push_back(StrCat("-D", key, "=", folder_->Below(folder)));
  };
  add(kIoTmpDirs.key, "tmp");
  add(kCheckpointingDir.key, "checkpoints");
  add(kWebUploadDir.key, "uploads");
  // What is temporary nobody comes back to.
  if (!folder_->temporary()) add(kJobManagerWorkingDir.key, "jobmanager");
  for (const std::string& definition : options_.sources.definitions) {
    arguments.push_back("-D" + definition);
  }
  return arguments;
}

absl::Status LocalCluster::Start() {
  RETURN_IF_ERROR(StartJobManager());
  for (Member& member : task_managers_) RETURN_IF_ERROR(StartTaskManager(&member));
  return AwaitTaskManagers();
}

absl::Status LocalCluster::StartJobManager() {
  const Configuration& configuration = options_.configuration;
  const int64_t rest_port =
      options_.rest_port.has_value() ? *options_.rest_port : configuration.Get(kRestPort);
  const bool own_rpc_port = configuration.SourceOf(kJobManagerRpcPort.key) == "default";
  const int64_t rpc_port = own_rpc_port ? 0 : configuration.Get(kJobManagerRpcPort);
  std::vector<std::string> command = {options_.program_folder + "/weir-jobmanager", "--rest-port",
                                      StrCat(rest_port), "--rpc-port", StrCat(rpc_port)};
  const std::vector<std::string> common = CommonArguments();
  command.insert(command.end(), common.begin(), common.end());
  std::array<int, 2> pipe_ends = {-1, -1};
  if (pipe2(pipe_ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    return absl::UnavailableError(StrCat("cannot make a pipe: ", std::strerror(errno)));
  }
  ready_pipe_ = pipe_ends[0];
  absl::StatusOr<ChildProcess> process =
      ChildProcess::Spawn(command, job_manager_.log, pipe_ends[1]);
  close(pipe_ends[1]);
  if (!process.ok()) return process.status();
  job_manager_.process = *std::move(process);
  job_manager_.lifetime = Stopwatch();
  return AwaitJobManager(ready_pipe_);
}

absl::Status LocalCluster::AwaitJobManager(int pipe) {
  std::string output;
  const Stopwatch waited;
  while (output.find('\n') == output.npos) {
    std::array<char, 256> piece = {};
    const ssize_t size = read(pipe, piece.data(), piece.size());
    if (size > 0) {
      output.append(piece.data(), static_cast<size_t>(size));
      continue;
    }
    RETURN_IF_ERROR(CheckAlive(&job_manager_));
    if (waited.Elapsed() > kStartTimeout) {
      return absl::DeadlineExceededError(
          StrCat("the JobManager did not get ready: log=", job_manager_.log));
    }
    RETURN_IF_ERROR(Pause());
  }
  rest_address_ = Reachable(Field(output, "rest"));
  rpc_address_ = Reachable(Field(output, "rpc"));
  if (!rest_address_.empty() && !rpc_address_.empty()) return absl::OkStatus();
  return absl::InternalError(StrCat("the JobManager did not say where it serves: ", output));
}

absl::Status LocalCluster::StartTaskManager(Member* member) {
  const int64_t slots = options_.slots.has_value()
                            ? *options_.slots
                            : options_.configuration.Get(kTaskManagerNumberOfTaskSlots);
  std::vector<std::string> command = {options_.program_folder + "/weir-taskmanager", "--jobmanager",
                                      rpc_address_, "--slots", StrCat(slots)};
  const std::vector<std::string> common = CommonArguments();
  command.insert(command.end(), common.begin(), common.end());
  ASSIGN_OR_RETURN(member->process, ChildProcess::Spawn(command, member->log));
  member->lifetime = Stopwatch();
  return absl::OkStatus();
}

absl::Status LocalCluster::AwaitTaskManagers() {
  ASSIGN_OR_RETURN(RestClient rest, RestClient::Create(rest_address_, absl::Seconds(5)));
  const ClusterClient client(std::move(rest));
  const Stopwatch waited;
  while (true) {
    const absl::StatusOr<ClusterStatus> status = client.Overview();
    if (status.ok() && status->task_managers >= options_.task_managers) return absl::OkStatus();
    RETURN_IF_ERROR(CheckAlive(&job_manager_));
    for (Member& member : task_managers_) RETURN_IF_ERROR(CheckAlive(&member));
    if (waited.Elapsed() > kStartTimeout) {
      return absl::DeadlineExceededError(
          StrCat("not all TaskManagers have registered: registered=",
                 status.ok() ? StrCat(status->task_managers) : status.status().ToString(),
                 " started=", options_.task_managers, " logs=", folder_->Below("logs")));
    }
    RETURN_IF_ERROR(Pause());
  }
}

absl::Status LocalCluster::Pause() {
  const std::optional<int> signal = signals_->Wait(kPollInterval);
  if (!signal.has_value() || !AsksToEnd(*signal)) return absl::OkStatus();
  return absl::CancelledError("stopped before the cluster was up");
}

absl::Status LocalCluster::CheckAlive(Member* member) {
  if (!member->process.has_value()) return absl::OkStatus();
  const std::optional<std::string>& ended = member->process->Poll();
  if (!ended.has_value()) return absl::OkStatus();
  return absl::UnavailableError(StrCat(member->name, " ended: ", *ended, "; the end of its log (",
                                       member->log, "):\n", LogTail(member->log)));
}

absl::Status LocalCluster::Supervise() {
  while (true) {
    const std::optional<int> signal = signals_->Wait(absl::Seconds(1));
    if (signal.has_value() && AsksToEnd(*signal)) return absl::OkStatus();
    RETURN_IF_ERROR(CheckAlive(&job_manager_));
    ReviveTaskManagers();
  }
}

void LocalCluster::ReviveTaskManagers() {
  for (Member& member : task_managers_) {
    if (member.process.has_value()) {
      const std::optional<std::string>& ended = member.process->Poll();
      if (!ended.has_value()) continue;
      member.quick_deaths = member.lifetime.Elapsed() < kQuickDeath ? member.quick_deaths + 1 : 0;
      std::fprintf(stderr, "weir: %s (pid %d) ended: %s; log: %s\n", member.name.c_str(),
                   member.process->pid(), ended->c_str(), member.log.c_str());
      member.process.reset();
      member.lifetime = Stopwatch();
    }
    if (!options_.restart_task_managers) continue;
    if (member.lifetime.Elapsed() < DelayAfter(member.quick_deaths)) continue;
    const absl::Status started = StartTaskManager(&member);
    if (started.ok()) {
      std::printf("%s pid=%d (a new one)\n", member.name.c_str(), member.process->pid());
      std::fflush(stdout);
    } else {
      std::fprintf(stderr, "weir: %s\n", started.ToString().c_str());
      ++member.quick_deaths;
      member.lifetime = Stopwatch();
    }
  }
}

absl::Status LocalCluster::Stop() {
  bool in_time = End({&job_manager_}, kJobManagerGrace);
  std::vector<Member*> members;
  for (Member& member : task_managers_) members.push_back(&member);
  in_time = End(members, kTaskManagerGrace) && in_time;
  if (in_time) return absl::OkStatus();
  return absl::DeadlineExceededError(
      StrCat("some processes did not end in time and were killed; logs=", folder_->Below("logs")));
}

bool LocalCluster::End(const std::vector<Member*>& members, absl::Duration grace) {
  const auto running = [&] {
    return std::any_of(members.begin(), members.end(), [](Member* member) {
      return member->process.has_value() && !member->process->Poll().has_value();
    });
  };
  const auto signal_all = [&](int signal) {
    for (Member* const member : members) {
      if (member->process.has_value()) member->process->Signal(signal);
    }
  };
  if (grace > absl::ZeroDuration()) signal_all(SIGTERM);
  const Stopwatch waited;
  while (running() && waited.Elapsed() < grace) {
    if (!Pause().ok()) break;
  }
  if (!running()) return true;
  signal_all(SIGKILL);
  while (running()) static_cast<void>(signals_->Wait(kPollInterval));
  return false;
}

std::string LocalCluster::Describe() const {
  std::string text;
  const auto add = [&text](const Member& member) {
    if (!member.process.has_value()) return;
    StrAppend(&text, member.name, " pid=", member.process->pid(), " log=", member.log, "\n");
  };
  add(job_manager_);
  for (const Member& member : task_managers_) add(member);
  return text;
}

}  // namespace weir
