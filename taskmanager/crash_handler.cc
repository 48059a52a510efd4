#include "taskmanager/crash_handler.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "runtime/base/strings.h"
#include "runtime/task/current_operator.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "weir-crash-";
constexpr std::string_view kUnreported = ".txt";
constexpr std::string_view kReported = ".reported.txt";
constexpr std::string_view kFirstLine = "A weir TaskManager has crashed";
constexpr size_t kMaxReportedFiles = 20;
constexpr unsigned kMaxSecondsInHandler = 5;
constexpr int kReportTimeoutMs = 1000;
constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

constexpr std::string_view SignalName(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGBUS:
      return "SIGBUS";
    case SIGFPE:
      return "SIGFPE";
    case SIGILL:
      return "SIGILL";
    case SIGABRT:
      return "SIGABRT";
    default:
      return "signal";
  }
}

// What the signal's handler works with; nothing in it is made after the crash.
struct HandlerState {
  std::array<char, 1024> path = {};
  std::array<char, 256> task_manager_id = {};
  int crashed_fd = -1;
  int reported_fd = -1;
  int file = -1;
  std::array<char, 4096> text = {};  // Of a line.
  size_t size = 0;
  std::array<void*, 128> frames = {};
  std::atomic<bool> crashing{false};
};
HandlerState state;  // Zero-initialised, without a constructor's order to mind.
std::atomic<bool> installed{false};

void Put(std::string_view text) {
  const size_t size = std::min(text.size(), state.text.size() - state.size);
  std::memcpy(state.text.data() + state.size, text.data(), size);
  state.size += size;
}

void PutNumber(uint64_t number, int base = 10) {
  std::array<char, 24> digits = {};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base);
  Put({digits.data(), static_cast<size_t>(end.ptr - digits.data())});
}

void PutId(uint64_t high, uint64_t low) {
  for (const uint64_t half : {high, low}) {
    for (int shift = 60; shift >= 0; shift -= 4) {
      Put(std::string_view("0123456789abcdef").substr((half >> shift) & 15, 1));
    }
  }
}

void WriteFully(int file, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(file, data, size);
    if (written <= 0) return;
    data += written;
    size -= static_cast<size_t>(written);
  }
}

void EndLine() {
  if (state.size == state.text.size()) --state.size;
  state.text[state.size++] = '\n';
  WriteFully(STDERR_FILENO, state.text.data(), state.size);
  if (state.file >= 0) WriteFully(state.file, state.text.data(), state.size);
  state.size = 0;
}

void WriteSignal(int signal, const siginfo_t& info) {
  Put("signal: ");
  Put(SignalName(signal));
  EndLine();
  if (signal == SIGABRT) return;
  Put("address: 0x");
  PutNumber(reinterpret_cast<uint64_t>(info.si_addr), 16);
  EndLine();
}

void WritePlace() {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  Put("time_ms: ");
  PutNumber(static_cast<uint64_t>(now.tv_sec) * 1000 +
            static_cast<uint64_t>(now.tv_nsec) / 1000000);
  EndLine();
  Put("pid: ");
  PutNumber(static_cast<uint64_t>(::getpid()));
  EndLine();
  Put("taskmanager: ");
  Put(state.task_manager_id.data());
  EndLine();
  const OperatorContext::Place* const place = CurrentOperator();
  if (place == nullptr) {
    Put("place: not in user code of an operator");
    EndLine();
    return;
  }
  Put("job: ");
  PutId(place->job.high(), place->job.low());
  EndLine();
  Put("attempt: ");
  PutId(place->attempt.high(), place->attempt.low());
  EndLine();
  Put("operator: ");
  Put(place->name);
  EndLine();
  Put("uid: ");
  Put(place->uid);
  EndLine();
  Put("subtask: ");
  PutNumber(place->subtask);
  Put("/");
  PutNumber(place->parallelism);
  EndLine();
}

// "#3 0x7f… symbol+0x1f (library+0x2b40)"; the offset in the library is what addr2line takes.
void WriteStack() {
  Put("stack:");
  EndLine();
  const int count = ::backtrace(state.frames.data(), static_cast<int>(state.frames.size()));
  for (int i = 0; i < count; ++i) {
    const auto address = reinterpret_cast<uint64_t>(state.frames[static_cast<size_t>(i)]);
    Put("#");
    PutNumber(static_cast<uint64_t>(i));
    Put(" 0x");
    PutNumber(address, 16);
    Dl_info symbol = {};
    if (::dladdr(state.frames[static_cast<size_t>(i)], &symbol) != 0) {
      if (symbol.dli_sname != nullptr) {
        Put(" ");
        Put(symbol.dli_sname);
        Put("+0x");
        PutNumber(address - reinterpret_cast<uint64_t>(symbol.dli_saddr), 16);
      }
      if (symbol.dli_fname != nullptr) {
        Put(" (");
        Put(symbol.dli_fname);
        Put("+0x");
        PutNumber(address - reinterpret_cast<uint64_t>(symbol.dli_fbase), 16);
        Put(")");
      }
    }
    EndLine();
  }
}

// Of the first thread that comes here; the process ends with it, so others never return.
void BeginReport() {
  if (state.crashing.exchange(true)) {
    while (true) ::pause();
  }
  ::alarm(kMaxSecondsInHandler);
  state.file = ::open(state.path.data(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  Put(kFirstLine);
  EndLine();
}

// Writes where the thread is, and waits until the JobManager has been told.
void FinishReport() {
  WritePlace();
  WriteStack();
  if (state.file >= 0) ::close(state.file);
  WriteFully(state.crashed_fd, "c", 1);
  pollfd reported = {.fd = state.reported_fd, .events = POLLIN, .revents = 0};
  ::poll(&reported, 1, kReportTimeoutMs);
}

void OnSignal(int signal, siginfo_t* info, void*) {
  BeginReport();
  WriteSignal(signal, *info);
  FinishReport();
  // Blocked here, it is delivered when the handler returns, with the stack of the crash.
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

// Code that is no business of the process's end has called exit().
void OnExit(int status, void*) {
  if (!installed.load()) return;
  BeginReport();
  Put("signal: exit(");
  PutNumber(static_cast<uint64_t>(status & 0xff));
  Put(")");
  EndLine();
  FinishReport();
  ::_exit(status);  // What other threads use must not be destroyed under them.
}

template <size_t size>
void Copy(std::string_view from, std::array<char, size>* to) {
  const size_t count = std::min(from.size(), size - 1);
  std::memcpy(to->data(), from.data(), count);
  (*to)[count] = '\0';
}

// Makes the C++ name of a stack's line readable.
std::string Readable(const std::string& line) {
  const size_t begin = line.find(" _Z");
  if (begin == std::string::npos) return line;
  const size_t end = line.find('+', begin);
  if (end == std::string::npos) return line;
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(line.substr(begin + 1, end - begin - 1).c_str(), nullptr, nullptr,
                          &status),
      &std::free);
  return status == 0 ? StrCat(line.substr(0, begin + 1), name.get(), line.substr(end)) : line;
}

template <class Id>
Id ReadId(std::string_view text) {
  uint64_t high = 0;
  uint64_t low = 0;
  if (text.size() != 32) return Id();
  std::from_chars(text.data(), text.data() + 16, high, 16);
  std::from_chars(text.data() + 16, text.data() + 32, low, 16);
  return Id(high, low);
}

void ReadField(std::string_view key, const std::string& value, CrashReport* report) {
  const char* const end = value.data() + value.size();
  if (key == "signal") report->signal = value;
  if (key == "pid") std::from_chars(value.data(), end, report->pid);
  if (key == "time_ms") std::from_chars(value.data(), end, report->time_ms);
  if (key == "taskmanager") report->task_manager_id = value;
  if (key == "job") report->job = ReadId<JobId>(value);
  if (key == "attempt") report->attempt = ReadId<ExecutionAttemptId>(value);
  if (key == "operator") report->operator_name = value;
  if (key == "uid") report->uid = value;
  if (key == "subtask") {
    const auto read = std::from_chars(value.data(), end, report->subtask);
    if (read.ptr != end) std::from_chars(read.ptr + 1, end, report->parallelism);
  }
}

// The crash files of `folder` whose names end so, oldest first.
std::vector<fs::path> FilesEndingIn(std::string_view suffix, const fs::path& folder) {
  std::vector<std::pair<fs::file_time_type, fs::path>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool reported = name.ends_with(kReported);
    if (!name.starts_with(kPrefix) || !name.ends_with(suffix)) continue;
    if (reported != (suffix == kReported)) continue;
    found.emplace_back(entry.last_write_time(error), entry.path());
  }
  std::sort(found.begin(), found.end());
  std::vector<fs::path> paths;
  for (auto& [time, path] : found) paths.push_back(std::move(path));
  return paths;
}

}  // namespace

absl::StatusOr<CrashReport> ReadCrashFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(StrCat("there is no crash file: path=", path));
  CrashReport report;
  std::string line;
  bool in_stack = false;
  while (std::getline(file, line)) {
    if (report.text.empty() && line != kFirstLine) break;
    if (!in_stack) {
      if (const size_t colon = line.find(": "); colon != std::string::npos) {
        ReadField(std::string_view(line).substr(0, colon), line.substr(colon + 2), &report);
      }
      in_stack = line == "stack:";
    }
    StrAppend(&report.text, in_stack ? Readable(line) : line, "\n");
  }
  if (report.signal.empty()) {
    return absl::DataLossError(StrCat("a file is no crash file, or is cut short: path=", path));
  }
  return report;
}

std::vector<std::string> FindUnreportedCrashes(const std::string& folder) {
  std::vector<std::string> paths;
  for (const fs::path& path : FilesEndingIn(kUnreported, folder)) paths.push_back(path.string());
  return paths;
}

std::string FindCrashFile(const std::string& folder, const std::string& task_manager_id,
                          int64_t pid) {
  for (const std::string_view suffix : {kUnreported, kReported}) {
    for (const fs::path& path : FilesEndingIn(suffix, folder)) {
      if (!path.filename().string().ends_with(StrCat("-", pid, suffix))) continue;
      const absl::StatusOr<CrashReport> report = ReadCrashFile(path.string());
      if (report.ok() && report->task_manager_id == task_manager_id) return path.string();
    }
  }
  return "";
}

bool IsCrashReported(const std::string& path) { return path.ends_with(kReported); }

void MarkCrashReported(const std::string& path) {
  std::error_code error;  // One that cannot be renamed is reported once more.
  const std::string stem = path.substr(0, path.size() - kUnreported.size());
  fs::rename(path, StrCat(stem, kReported), error);
  std::vector<fs::path> reported = FilesEndingIn(kReported, fs::path(path).parent_path());
  for (size_t i = 0; i + kMaxReportedFiles < reported.size(); ++i) fs::remove(reported[i], error);
}

absl::StatusOr<std::unique_ptr<CrashHandler>> CrashHandler::Install(CrashHandlerOptions options) {
  if (installed.exchange(true)) {
    return absl::FailedPreconditionError("the process has a crash handler already");
  }
  std::unique_ptr<CrashHandler> handler(new CrashHandler(std::move(options)));
  if (::pipe2(handler->crashed_, O_CLOEXEC) != 0 || ::pipe2(handler->reported_, O_CLOEXEC) != 0) {
    return absl::UnavailableError(
        StrCat("cannot make a pipe for the crash handler: ", std::strerror(errno)));
  }
  handler->thread_ = std::jthread([&self = *handler] {
    pthread_setname_np(pthread_self(), "weir-crash");
    self.WaitForCrash();
  });
  Copy(handler->path_, &state.path);
  Copy(handler->options_.task_manager_id, &state.task_manager_id);
  state.crashed_fd = handler->crashed_[1];
  state.reported_fd = handler->reported_[0];
  // The first call loads the unwinder, which allocates.
  static_cast<void>(::backtrace(state.frames.data(), 1));
  struct sigaction action = {};
  action.sa_sigaction = &OnSignal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  for (const int signal : kSignals) ::sigaction(signal, &action, nullptr);
  static const int registered = ::on_exit(&OnExit, nullptr);
  static_cast<void>(registered);
  return handler;
}

CrashHandler::CrashHandler(CrashHandlerOptions options)
    : options_(std::move(options)),
      path_(StrCat(options_.folder, "/", kPrefix, ::time(nullptr), "-", ::getpid(), kUnreported)) {}

CrashHandler::~CrashHandler() {
  if (thread_.joinable()) {
    for (const int signal : kSignals) ::signal(signal, SIG_DFL);
    WriteFully(crashed_[1], "q", 1);
    thread_.join();
  }
  for (const int fd : {crashed_[0], crashed_[1], reported_[0], reported_[1]}) {
    if (fd >= 0) ::close(fd);
  }
  installed.store(false);
}

void CrashHandler::WaitForCrash() const {
  char word = 0;
  while (::read(crashed_[0], &word, 1) < 0 && errno == EINTR) {
  }
  if (word != 'c') return;
  const absl::StatusOr<CrashReport> report = ReadCrashFile(path_);
  if (report.ok() && options_.report(*report)) MarkCrashReported(path_);
  WriteFully(reported_[1], "r", 1);
}

}  // namespace weir
