#include "client/settings.h"

#include <string_view>

#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {

std::string NamedRestAddress(const CommandLine& line) {
  if (!line.rest.empty()) return line.rest;
  constexpr std::string_view kVariable = "WEIR_REST=";
  for (const std::string& variable : line.sources.environment) {
    if (variable.starts_with(kVariable)) return variable.substr(kVariable.size());
  }
  return {};
}

std::string RestAddress(const CommandLine& line, const Configuration& configuration) {
  std::string named = NamedRestAddress(line);
  if (!named.empty()) return named;
  return StrCat(configuration.Get(kRestAddress), ":", configuration.Get(kRestPort));
}

std::map<std::string, std::string> JobSettings(const ConfigurationSources& sources) {
  std::map<std::string, std::string> settings;
  for (const std::string& definition : sources.definitions) {
    const size_t equals = definition.find('=');
    const std::string key = definition.substr(0, equals);
    if (key.starts_with("rest.") || key.starts_with("env.") || equals == definition.npos) continue;
    settings[key] = definition.substr(equals + 1);
  }
  return settings;
}

}  // namespace weir
