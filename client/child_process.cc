#include "client/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/status/status.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr int kExitNotStarted = 127;

/// The settings of a spawn, released with it.
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

void Fill(const std::string& log_file, int output, SpawnSettings* settings) {
  posix_spawn_file_actions_t* const actions = &settings->actions;
  posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(actions, 2, log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                   0644);
  posix_spawn_file_actions_adddup2(actions, output < 0 ? 2 : output, 1);
  posix_spawn_file_actions_addclosefrom_np(actions, 3);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&settings->attributes, &signals);
  sigaddset(&signals, SIGPIPE);
  posix_spawnattr_setsigdefault(&settings->attributes, &signals);
  posix_spawnattr_setpgroup(&settings->attributes, 0);
  posix_spawnattr_setflags(&settings->attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Spawn(const std::vector<std::string>& command,
                                                 const std::string& log_file, int output) {
  SpawnSettings settings;
  Fill(log_file, output, &settings);
  std::vector<std::string> words = {"weir", kSupervisedArgument, StrCat(getpid())};
  words.insert(words.end(), command.begin(), command.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, "/proc/self/exe", &settings.actions, &settings.attributes,
                                arguments.data(), environ);
  if (error != 0) {
    return absl::UnavailableError(
        StrCat("cannot start ", command.front(), ": ", std::strerror(error), ", log=", log_file));
  }
  return ChildProcess(pid);
}

const std::optional<std::string>& ChildProcess::Poll() {
  int status = 0;
  if (ended_.has_value() || waitpid(pid_, &status, WNOHANG) != pid_) return ended_;
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    ended_ = StrCat("signal ", signal, " (", strsignal(signal), ")");
  } else {
    ended_ = StrCat("exit code ", WEXITSTATUS(status));
    succeeded_ = WEXITSTATUS(status) == 0;
  }
  return ended_;
}

void ChildProcess::Signal(int signal) {
  if (!Poll().has_value()) kill(pid_, signal);
}

int RunSupervised(int argc, char** argv) {
  if (argc < 4) return kExitNotStarted;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before that.
  if (StrCat(getppid()) != argv[2]) return kExitNotStarted;
  execv(argv[3], argv + 3);
  std::fprintf(stderr, "weir: cannot start %s: %s\n", argv[3], std::strerror(errno));
  return kExitNotStarted;
}

}  // namespace weir
