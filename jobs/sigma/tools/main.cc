// weir-sigma: what `weir sigma` runs. Checks Sigma rules and matches them against events in files.

#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "jobs/sigma/tools/command_line.h"
#include "jobs/sigma/tools/commands.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

void Write(std::string_view text, std::FILE* file) {
  std::fwrite(text.data(), 1, text.size(), file);
}

std::vector<std::string> Environment() {
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

absl::StatusOr<int> Run(const Command& command) {
  const CommandOutput output{[](std::string_view text) { Write(text, stdout); },
                             [](std::string_view text) { Write(text, stderr); }};
  if (const auto* const print = std::get_if<PrintCommand>(&command)) {
    output.out(print->text);
    return kExitDone;
  }
  if (const auto* const check = std::get_if<CheckCommand>(&command)) return Check(*check, output);
  if (const auto* const match = std::get_if<MatchCommand>(&command)) return Match(*match, output);
  if (const auto* const explain = std::get_if<ExplainCommand>(&command)) {
    return Explain(*explain, output);
  }
  if (const auto* const settings = std::get_if<SettingsCommand>(&command)) {
    return ShowSettings(*settings, Environment(), output);
  }
  return Bench(std::get<BenchCommand>(command), output);
}

int PrintError(const absl::Status& status, int exit_code) {
  std::fprintf(stderr, "weir sigma: %s\n", StrCat(ToStd(status.message())).c_str());
  return exit_code;
}

int Main(int argc, char** argv) {
  const absl::StatusOr<Command> command =
      ParseSigmaCommandLine(std::vector<std::string>(argv + 1, argv + argc));
  if (!command.ok()) return PrintError(command.status(), kExitUsage);
  const absl::StatusOr<int> exit_code = Run(*command);
  // A check that could not be made must not look like one that found something.
  const int code_of_error =
      std::holds_alternative<CheckCommand>(*command) ? kExitUsage : kExitFailed;
  const int result = exit_code.ok() ? *exit_code : PrintError(exit_code.status(), code_of_error);
  if (std::fflush(stdout) == 0) return result;
  return PrintError(absl::UnavailableError("stdout cannot be written"), kExitFailed);
}

}  // namespace
}  // namespace weir::sigma

int main(int argc, char** argv) { return weir::sigma::Main(argc, argv); }
