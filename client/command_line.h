#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/base/config.h"

namespace weir {

/// `weir local`: a whole cluster as child processes.
struct LocalCommand {
  int task_managers = 2;
  std::optional<uint32_t> slots = {};
  std::optional<uint16_t> rest_port = {};
  /// Checkpoints, uploads, logs. Empty: a temporary folder, removed at the end.
  std::string folder = {};
  bool restart_task_managers = true;
};

/// `weir run`: one job.
struct RunCommand {
  /// A job's name, or the path of a library.
  std::string job = {};
  std::string entry = {};
  std::string name = {};
  std::optional<uint32_t> parallelism = {};
  bool detached = false;
  /// A savepoint or a retained checkpoint to start from; empty: none.
  std::string from_savepoint = {};
  bool allow_non_restored_state = false;
  /// As given: "NO_CLAIM" or "CLAIM"; empty for the former.
  std::string claim_mode = {};
  /// Names of variables of this process's environment that the job gets; with * behind, all that
  /// begin so.
  std::vector<std::string> environment = {};
  std::vector<std::string> arguments = {};
};

struct ListCommand {};
struct InfoCommand {};

struct CancelCommand {
  std::string job = {};
};

/// `weir scale`: at least one of the two numbers is given.
struct ScaleCommand {
  std::string job = {};
  std::optional<uint32_t> parallelism = {};
  /// By name, part of a name, or id.
  std::map<std::string, uint32_t> of_vertices = {};
};

struct CheckpointsCommand {
  std::string job = {};
};

/// `weir savepoint`: takes one, or deletes the one at `dispose`.
struct SavepointCommand {
  std::string job = {};
  /// Empty: the one that the cluster has set.
  std::string directory = {};
  /// As given: "CANONICAL" or "NATIVE"; empty for the former.
  std::string format = {};
  std::string dispose = {};
};

/// `weir stop`: with a savepoint.
struct StopCommand {
  std::string job = {};
  std::string directory = {};
  std::string format = {};
  bool drain = false;
};

struct CheckpointCommand {
  std::string job = {};
};

struct UploadCommand {
  std::string library = {};
};

/// `weir state`: looks into a checkpoint or savepoint, without a cluster and without the job.
struct StateCommand {
  enum class Action : uint8_t { kList, kShow, kVerify };
  Action action = Action::kList;
  std::string path = {};
  /// Of kShow. The operator by its uid, or by the beginning of its id.
  std::string op = {};
  /// Empty for all states.
  std::string state = {};
  /// A key as JSON; empty for all keys.
  std::string key = {};
  std::optional<uint64_t> limit = {};
};

/// `weir --help`, `weir COMMAND --help`, `weir --version`.
struct PrintCommand {
  std::string text = {};
};

/// What the user asked for.
struct CommandLine {
  std::variant<PrintCommand, LocalCommand, RunCommand, ListCommand, InfoCommand, CancelCommand,
               ScaleCommand, CheckpointsCommand, UploadCommand, StateCommand, SavepointCommand,
               StopCommand, CheckpointCommand>
      command = {};
  ConfigurationSources sources = {};
  /// As given with --rest; empty if not.
  std::string rest = {};
  /// Print JSON instead of text.
  bool json = false;
};

/// Understands the arguments of `weir`, without the program's name, and adds this process's
/// environment to the sources. Errors: kInvalidArgument naming what is wrong and, for a command or
/// an option that there is none of, the nearest one.
[[nodiscard]] absl::StatusOr<CommandLine> ParseCommandLine(std::vector<std::string> arguments);

/// Returns the help of every command, one after the other, as Markdown for the reference.
[[nodiscard]] std::string CommandLineReference();

}  // namespace weir
