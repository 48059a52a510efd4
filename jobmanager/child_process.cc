#include "jobmanager/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "runtime/base/clock.h"
#include "runtime/base/strings.h"

extern char** environ;

namespace weir {
namespace {

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

// A file in memory alone, read from its start. Unlike a pipe it holds any amount, so the child need
// not read it. Returns -1, with errno, if there is none to be had.
int MakeInput(std::string_view input) {
  const int fd = memfd_create("stdin", MFD_CLOEXEC);
  if (fd < 0) return -1;
  while (!input.empty()) {
    const ssize_t written = write(fd, input.data(), input.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int error = errno;
      close(fd);
      errno = error;
      return -1;
    }
    input.remove_prefix(static_cast<size_t>(written));
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

int Spawn(const std::vector<std::string>& command, int input, const std::string& output,
          pid_t* pid) {
  SpawnSettings settings;
  posix_spawn_file_actions_adddup2(&settings.actions, input, 0);
  posix_spawn_file_actions_addopen(&settings.actions, 1, output.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&settings.actions, 1, 2);
  // What is open in the JobManager (sockets above all) must not live on in the child.
  posix_spawn_file_actions_addclosefrom_np(&settings.actions, 3);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&settings.attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&settings.attributes, &signals);
  posix_spawnattr_setpgroup(&settings.attributes, 0);
  posix_spawnattr_setflags(&settings.attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  return posix_spawn(pid, command.front().c_str(), &settings.actions, &settings.attributes,
                     arguments.data(), environ);
}

// Returns whether the process ended within the limit. It stays a zombie, so its id stays its own.
bool WaitForEnd(pid_t pid, absl::Duration time_limit) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  const Stopwatch watch;
  while (true) {
    const absl::Duration left = time_limit - watch.Elapsed();
    if (fd >= 0) {
      pollfd waiting{fd, POLLIN, 0};
      const int64_t millis = std::clamp<int64_t>(absl::ToInt64Milliseconds(left) + 1, 0, 1 << 30);
      const int ready = poll(&waiting, 1, static_cast<int>(millis));
      if (ready != 0 && !(ready < 0 && errno == EINTR)) break;
    } else {
      // A kernel without pidfd_open: ask now and then.
      siginfo_t info{};
      if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
          info.si_pid == pid) {
        return true;
      }
      poll(nullptr, 0, 10);
    }
    if (watch.Elapsed() >= time_limit) {
      if (fd >= 0) close(fd);
      return false;
    }
  }
  close(fd);
  return true;
}

}  // namespace

absl::StatusOr<ChildResult> RunChild(const std::vector<std::string>& command,
                                     const std::string& output, absl::Duration time_limit,
                                     std::string_view input) {
  const int input_fd = MakeInput(input);
  if (input_fd < 0) {
    return absl::UnavailableError(
        StrCat("cannot make the input of ", command.front(), ": ", std::strerror(errno)));
  }
  pid_t pid = 0;
  const int error = Spawn(command, input_fd, output, &pid);
  close(input_fd);
  if (error != 0) {
    return absl::UnavailableError(
        StrCat("cannot start ", command.front(), ": ", std::strerror(error)));
  }
  ChildResult result;
  result.timed_out = !WaitForEnd(pid, time_limit);
  // What it started itself goes with it, in time or not.
  kill(-pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    result.signal = WTERMSIG(status);
  } else {
    result.exit_code = WEXITSTATUS(status);
  }
  return result;
}

}  // namespace weir
