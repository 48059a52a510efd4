#include "taskmanager/job_processes.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "taskmanager/job_process_flags.h"
#include "taskmanager/memory_guard.h"
#include "taskmanager/spare_arguments.h"

extern char** environ;

namespace weir {
namespace {

constexpr std::string_view kComponent = "job-processes";
constexpr int kLinkOfProcess = 3;
constexpr size_t kMostMetricsBytes = size_t{256} << 20;

// The spawn's settings, released with their owner.
struct SpawnSettings {
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

// Starts `command` with `link` as its descriptor 3, and nothing else of this process's but stdout
// and stderr. Returns an error's number, or 0.
int Spawn(const std::vector<std::string>& command, int link, pid_t* pid) {
  SpawnSettings settings;
  posix_spawn_file_actions_addopen(&settings.actions, 0, "/dev/null", O_RDONLY, 0);
  // Of the same number it would keep its close-on-exec.
  const int copy =
      link == kLinkOfProcess ? ::fcntl(link, F_DUPFD_CLOEXEC, kLinkOfProcess + 1) : link;
  posix_spawn_file_actions_adddup2(&settings.actions, copy, kLinkOfProcess);
  posix_spawn_file_actions_addclosefrom_np(&settings.actions, kLinkOfProcess + 1);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&settings.attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&settings.attributes, &signals);
  posix_spawnattr_setflags(&settings.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const int error = posix_spawn(pid, command.front().c_str(), &settings.actions,
                                &settings.attributes, arguments.data(), environ);
  if (copy != link) ::close(copy);
  return error;
}

bool SendLine(int link, const std::string& line) {
  // A process that does not read is about to be given up; nobody waits for it.
  return ::send(link, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(line.size());
}

// Reads from a link what answers one question, until a deadline.
class AnswerReader {
 public:
  AnswerReader(int link, absl::Duration timeout) : link_(link), timeout_(timeout) {}

  // Returns the metrics of the question `number`; passes over late answers to earlier ones.
  std::optional<std::string> ReadMetrics(uint64_t number) {
    while (true) {
      const std::optional<std::string> header = ReadLine();
      unsigned long long answered = 0;
      unsigned long long size = 0;
      if (!header.has_value() ||
          std::sscanf(header->c_str(), "metrics %llu %llu", &answered, &size) != 2 ||
          size > kMostMetricsBytes) {
        return std::nullopt;
      }
      std::optional<std::string> metrics = ReadBytes(size);
      if (!metrics.has_value() || answered == number) return metrics;
    }
  }

 private:
  std::optional<std::string> ReadLine() {
    while (true) {
      if (const size_t end = read_.find('\n'); end != std::string::npos) {
        std::string line = read_.substr(0, end);
        read_.erase(0, end + 1);
        return line;
      }
      if (!ReadSome()) return std::nullopt;
    }
  }
  std::optional<std::string> ReadBytes(size_t size) {
    while (read_.size() < size) {
      if (!ReadSome()) return std::nullopt;
    }
    std::string bytes = read_.substr(0, size);
    read_.erase(0, size);
    return bytes;
  }
  bool ReadSome() {
    const auto left = absl::ToInt64Milliseconds(timeout_ - watch_.Elapsed());
    pollfd waiting{link_, POLLIN, 0};
    if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) <= 0) return false;
    const ssize_t received = ::recv(link_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (received <= 0) return false;
    read_.append(buffer_.data(), static_cast<size_t>(received));
    return true;
  }

  const int link_;
  const absl::Duration timeout_;
  const Stopwatch watch_;
  std::string read_;
  std::array<char, 16384> buffer_ = {};
};

std::string HowItEnded(int wait_status) {
  if (!WIFSIGNALED(wait_status)) return StrCat("exit(", WEXITSTATUS(wait_status), ")");
  const char* const name = ::sigabbrev_np(WTERMSIG(wait_status));
  return name == nullptr ? StrCat("signal ", WTERMSIG(wait_status)) : StrCat("SIG", name);
}

}  // namespace

void AppendFlags(const JobProcessFlags& flags, std::vector<std::string>* command) {
  const auto append = [&](std::string_view flag, const std::string& value) {
    command->emplace_back(flag);
    command->push_back(value);
  };
  append(kJobProcessOwnerFlag, flags.owner_id);
  append(kJobProcessOwnerPidFlag, std::to_string(flags.owner_pid));
  append(kJobProcessJobFlag, flags.job_id);
  append(kJobProcessMemoryFlag, std::to_string(flags.memory_bytes));
  append(kJobProcessLinkFlag, std::to_string(flags.link));
  append(kJobProcessWorkFolderFlag, flags.work_folder);
  append(kJobProcessBlobFolderFlag, flags.blob_folder);
  append(kJobProcessCrashFolderFlag, flags.crash_folder);
}

struct JobProcesses::Process {
  std::string id;  // Empty: it is a spare one.
  JobId job;
  // All is guarded by the lock; id and job do not change any more once they are set.
  uint32_t num_slots = 0;
  pid_t pid = 0;       // 0 before it is started and once it is reaped.
  bool asked = false;  // To end.
  int link = -1;
  uint64_t num_questions = 0;
  std::jthread supervisor;
};

JobProcesses::JobProcesses(JobProcessesOptions options, TimerThread* timers)
    : options_(std::move(options)), timers_(timers) {
  timers_->ScheduleAfter(options_.spare_delay, [this] { PrepareSpare(); });
}

JobProcesses::~JobProcesses() { Stop(); }

int64_t JobProcesses::ShareOf(uint32_t num_slots) const {
  return options_.memory_bytes / options_.num_slots * std::min(num_slots, options_.num_slots);
}

void JobProcesses::DivideMemory() {
  uint32_t num_slots = 0;
  for (const auto& [id, process] : processes_) num_slots += process->num_slots;
  options_.budget->SetLimit(MemoryGuard::CountedBytes(options_.memory_bytes - ShareOf(num_slots)));
}

void JobProcesses::Run(const std::string& id, JobId job, uint32_t num_slots,
                       const std::string& jobmanager) {
  std::vector<std::shared_ptr<Process>> joined;  // Without the lock.
  const MutexLock lock(&mutex_);
  if (stopping_) return;
  joined.swap(finished_);
  std::shared_ptr<Process>& process = processes_[id];
  if (process != nullptr) {
    process->num_slots = num_slots;
    if (process->link >= 0) SendLine(process->link, StrCat("memory ", ShareOf(num_slots), "\n"));
  } else if (process = TakeSpare(id, job, num_slots, jobmanager); process == nullptr) {
    process = std::make_shared<Process>();
    process->id = id;
    process->job = job;
    process->num_slots = num_slots;
    process->supervisor = std::jthread([this, started = process.get(), jobmanager] {
      pthread_setname_np(pthread_self(), "weir-job-proc");
      Supervise(*started, jobmanager);
    });
  }
  DivideMemory();
}

void JobProcesses::PrepareSpare() {
  const MutexLock lock(&mutex_);
  if (stopping_ || spare_ != nullptr) return;
  spare_ = std::make_shared<Process>();
  spare_->supervisor = std::jthread([this, started = spare_.get()] {
    pthread_setname_np(pthread_self(), "weir-job-proc");
    Supervise(*started, "");
  });
}

std::shared_ptr<JobProcesses::Process> JobProcesses::TakeSpare(const std::string& id, JobId job,
                                                               uint32_t num_slots,
                                                               const std::string& jobmanager) {
  timers_->ScheduleAfter(options_.spare_delay, [this] { PrepareSpare(); });
  if (spare_ == nullptr || spare_->pid == 0 || spare_->asked) return nullptr;
  Process told;
  told.id = id;
  told.job = job;
  told.num_slots = num_slots;
  if (!SendArguments(spare_->link, ArgumentsOf(told, jobmanager))) return nullptr;
  spare_->id = id;
  spare_->job = job;
  spare_->num_slots = num_slots;
  LogInfo(kComponent, StrCat("process of a job started: id=", id, " pid=", spare_->pid, " spare"));
  return std::exchange(spare_, nullptr);
}

std::vector<std::string> JobProcesses::ArgumentsOf(const Process& process,
                                                   const std::string& jobmanager) const {
  std::vector<std::string> arguments = {"--id",     process.id, "--jobmanager",
                                        jobmanager, "--slots",  std::to_string(process.num_slots)};
  JobProcessFlags flags;
  flags.owner_id = options_.task_manager_id;
  flags.owner_pid = ::getpid();
  flags.job_id = ToString(process.job);
  flags.memory_bytes = ShareOf(process.num_slots);
  flags.link = kLinkOfProcess;
  flags.work_folder = FolderOf(process);
  flags.blob_folder = options_.blob_folder;
  flags.crash_folder = options_.crash_folder;
  AppendFlags(flags, &arguments);
  return arguments;
}

int JobProcesses::Start(Process& process, const std::string& jobmanager) {
  std::array<int, 2> ends = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return errno;
  std::vector<std::string> command = options_.command;
  if (process.id.empty()) {
    // Room for the job's id, which is written there for people who look at the process.
    command.insert(command.end(),
                   {std::string(kJobProcessSpareFlag), std::to_string(kLinkOfProcess),
                    std::string(kJobProcessJobFlag), std::string(ToString(JobId()).size(), '-')});
  } else {
    const std::vector<std::string> arguments = ArgumentsOf(process, jobmanager);
    command.insert(command.end(), arguments.begin(), arguments.end());
  }
  const int error = Spawn(command, ends[1], &process.pid);
  ::close(ends[1]);
  if (error == 0) {
    process.link = ends[0];
  } else {
    process.pid = 0;
    ::close(ends[0]);
  }
  return error;
}

std::string JobProcesses::FolderOf(const Process& process) const {
  return StrCat(options_.work_folder, "/", process.id);
}

void JobProcesses::Supervise(Process& process, const std::string& jobmanager) {
  int error = 0;
  bool was_asked = false;
  pid_t pid = 0;
  {
    const MutexLock lock(&mutex_);
    if (!process.asked) error = Start(process, jobmanager);
    pid = process.pid;
    if (pid != 0 && !process.id.empty()) {
      LogInfo(kComponent, StrCat("process of a job started: id=", process.id, " pid=", pid));
    }
  }
  int status = 0;
  if (pid != 0) {
    siginfo_t info = {};
    // It stays a zombie, so its id stays its own until nobody signals it any more.
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 &&
           errno == EINTR) {
    }
  }
  bool is_spare = false;
  {
    const MutexLock lock(&mutex_);
    if (pid != 0) ::waitpid(pid, &status, 0);
    process.pid = 0;
    if (process.link >= 0) ::close(std::exchange(process.link, -1));
    was_asked = process.asked;
    is_spare = process.id.empty();
    if (is_spare) StrikeOff(process);
  }
  if (is_spare) {
    if (!was_asked) {
      LogWarning(kComponent, StrCat("the spare process for jobs ended: pid=", pid, " ",
                                    error != 0 ? std::strerror(error) : HowItEnded(status)));
    }
    return;
  }
  if (error != 0)
    Report(process, "spawn", StrCat("it could not be started: ", std::strerror(error)));
  if (pid != 0) ReportEnd(process, pid, status, was_asked);
  if (pid != 0) {
    LogInfo(kComponent, StrCat("process of a job ended: id=", process.id, " pid=", pid, " ",
                               HowItEnded(status), was_asked ? " as it was asked to" : ""));
  }
  std::error_code ignored;  // What stays goes with the TaskManager's folder.
  std::filesystem::remove_all(FolderOf(process), ignored);
  const MutexLock lock(&mutex_);
  StrikeOff(process);
  DivideMemory();
}

void JobProcesses::StrikeOff(const Process& process) {
  finished_.push_back(process.id.empty() ? std::exchange(spare_, nullptr)
                                         : std::move(processes_.extract(process.id).mapped()));
  ended_.SignalAll();
}

void JobProcesses::ReportEnd(const Process& process, pid_t pid, int wait_status,
                             bool was_asked) const {
  // What it could not tell itself it may still have written down; also one that is killed because
  // it has told, before it could mark that it has.
  const std::string path = FindCrashFile(options_.crash_folder, process.id, pid);
  if (!path.empty()) {
    absl::StatusOr<CrashReport> written = ReadCrashFile(path);
    if (IsCrashReported(path) || !written.ok()) return;
    if (written->job == JobId()) written->job = process.job;
    options_.report(*written, path);
    return;
  }
  if (was_asked) return;
  const std::string how = HowItEnded(wait_status);
  Report(process, how,
         how == "SIGKILL" ? "it was killed: by hand, or because the machine is out of memory"
                          : "it left no word of where it was");
}

void JobProcesses::Report(const Process& process, const std::string& how,
                          const std::string& text) const {
  LogError(kComponent, StrCat("process of a job failed: id=", process.id,
                              " job=", ToString(process.job), " ", how, ": ", text));
  CrashReport report;
  report.task_manager_id = process.id;
  report.job = process.job;
  report.signal = how;
  report.text = text;
  options_.report(report, /*crash_file=*/"");
}

void JobProcesses::End(const std::string& id, bool at_once) {
  const MutexLock lock(&mutex_);
  const auto found = processes_.find(id);
  if (found == processes_.end()) return;
  if (at_once) {
    Kill(*found->second);
    return;
  }
  Ask(*found->second);
  timers_->ScheduleAfter(options_.end_timeout, [this, id] { End(id, /*at_once=*/true); });
}

void JobProcesses::Ask(Process& process) {
  process.asked = true;
  if (process.link >= 0) ::shutdown(process.link, SHUT_WR);
}

void JobProcesses::Kill(Process& process) {
  process.asked = true;
  if (process.pid != 0) ::kill(process.pid, SIGKILL);
}

void JobProcesses::KillAll() {
  const MutexLock lock(&mutex_);
  for (const auto& [id, process] : processes_) Kill(*process);
}

std::vector<std::string> JobProcesses::RenderMetrics() {
  struct Question {
    int link;  // A copy, which is ours to close.
    uint64_t number;
  };
  std::vector<Question> questions;
  {
    const MutexLock lock(&mutex_);
    for (const auto& [id, process] : processes_) {
      const uint64_t number = ++process->num_questions;
      if (process->link < 0 || !SendLine(process->link, StrCat("metrics ", number, "\n"))) continue;
      questions.push_back({::fcntl(process->link, F_DUPFD_CLOEXEC, 0), number});
    }
  }
  std::vector<std::string> metrics;
  const Stopwatch watch;
  for (const Question& question : questions) {
    AnswerReader reader(question.link, options_.metrics_timeout - watch.Elapsed());
    std::optional<std::string> answer = reader.ReadMetrics(question.number);
    if (answer.has_value()) metrics.push_back(*std::move(answer));
    ::close(question.link);
  }
  return metrics;
}

size_t JobProcesses::num_processes() const {
  const MutexLock lock(&mutex_);
  return processes_.size();
}

bool JobProcesses::has_spare() const {
  const MutexLock lock(&mutex_);
  return spare_ != nullptr && spare_->pid != 0;
}

std::vector<std::string> JobProcesses::ids() const {
  const MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, process] : processes_) {
    if (!process->asked) ids.push_back(id);
  }
  return ids;
}

void JobProcesses::Stop() {
  std::vector<std::shared_ptr<Process>> joined;  // Without the lock.
  const MutexLock lock(&mutex_);
  stopping_ = true;
  if (spare_ != nullptr) Ask(*spare_);
  for (const auto& [id, process] : processes_) Ask(*process);
  const Stopwatch watch;
  while (!processes_.empty() || spare_ != nullptr) {
    if (!ended_.WaitFor(&mutex_, options_.end_timeout - watch.Elapsed()) ||
        watch.Elapsed() >= options_.end_timeout) {
      if (spare_ != nullptr) Kill(*spare_);
      for (const auto& [id, process] : processes_) Kill(*process);
      ended_.WaitFor(&mutex_, absl::Seconds(1));
    }
  }
  joined.swap(finished_);
}

}  // namespace weir
