#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "client/command_line.h"
#include "runtime/base/config.h"

namespace weir {

/// Returns the REST address that the user named: --rest, or else the variable WEIR_REST. Empty if
/// neither.
[[nodiscard]] std::string NamedRestAddress(const CommandLine& line);

/// Returns the REST address to talk to: the named one, or else rest.address and rest.port.
[[nodiscard]] std::string RestAddress(const CommandLine& line, const Configuration& configuration);

/// Returns the settings that `-Dkey=value` give a job: all but those of this client itself. The
/// configuration has checked them already.
[[nodiscard]] std::map<std::string, std::string> JobSettings(const ConfigurationSources& sources);

/// Sets `option` unless some source has set it.
template <class T>
void SetDefault(const ConfigOption<T>& option, const std::type_identity_t<T>& value,
                Configuration* configuration) {
  if (configuration->SourceOf(option.key) == "default") configuration->Set(option, value);
}

}  // namespace weir
