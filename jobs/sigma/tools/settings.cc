#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/sigma/settings/sigma_settings.h"
#include "jobs/sigma/tools/commands.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Flags = std::map<std::string, std::string>;

/// Reads `--name value`, `--name=value` and a bare `--name` (true), as jobs do.
absl::StatusOr<Flags> ReadFlags(const std::vector<std::string>& arguments) {
  Flags flags;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("--")) {
      return absl::InvalidArgumentError(
          StrCat("a setting is not of the form --name value: ", argument));
    }
    const size_t equals = argument.find('=');
    if (equals != std::string::npos) {
      flags[argument.substr(2, equals - 2)] = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size() && !arguments[i + 1].starts_with("--")) {
      flags[argument.substr(2)] = arguments[i + 1];
      ++i;
    } else {
      flags[argument.substr(2)] = "true";
    }
  }
  return flags;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file) return absl::NotFoundError(StrCat("the file of settings cannot be read: ", path));
  return std::move(content).str();
}

absl::Status CheckKnown(const Flags& flags, const std::set<std::string, std::less<>>& known) {
  for (const auto& [name, value] : flags) {
    if (known.contains(name)) continue;
    const std::string_view nearest =
        NearestMatch(name, std::vector<std::string_view>(known.begin(), known.end()));
    return absl::InvalidArgumentError(
        StrCat("no setting has the flag --", name,
               nearest.empty() ? std::string() : StrCat("; did you mean --", nearest, "?")));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int> ShowSettings(const SettingsCommand& command,
                                 const std::vector<std::string>& environment,
                                 const CommandOutput& output) {
  ASSIGN_OR_RETURN(const Flags flags, ReadFlags(command.flags));
  ASSIGN_OR_RETURN(const std::string file, ReadFile(command.env_file));
  std::string variables;
  for (const std::string& variable : environment) {
    if (variable.find('\n') == std::string::npos) StrAppend(&variables, variable, "\n");
  }
  std::set<std::string, std::less<>> known;
  const auto find = [&](std::string_view name) -> std::optional<std::string> {
    const auto found = flags.find(*known.emplace(name).first);
    if (found == flags.end()) return std::nullopt;
    return found->second;
  };
  ASSIGN_OR_RETURN(const SigmaSettings settings, SigmaSettings::Load(find, variables, file));
  RETURN_IF_ERROR(CheckKnown(flags, known));
  output.out(settings.Describe());
  return kExitDone;
}

}  // namespace weir::sigma
