// Reads a Configuration's sources: the YAML file, the environment and the command line.

#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "runtime/base/config.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kPrefix = "WEIR_";

// Variables that begin with WEIR_ and are no option: read by name, or meant for scripts and tests.
bool IsReservedVariable(std::string_view name) {
  return name == "WEIR_CONFIG" || name == "WEIR_FAILPOINTS" || name == "WEIR_HOME" ||
         name == "WEIR_REST" || name.starts_with("WEIR_LOG_") || name.starts_with("WEIR_TEST_");
}

struct FileEntry {
  std::string key;
  std::string text;
  std::string source;  // "weir.yaml:12"
};

std::string LineOf(const std::string& file, const YAML::Mark& mark) {
  return mark.is_null() ? file : StrCat(file, ":", mark.line + 1);
}

absl::Status FlattenYaml(const YAML::Node& node, const std::string& file, const std::string& prefix,
                         std::vector<FileEntry>* entries) {
  for (const auto& child : node) {
    const std::string source = LineOf(file, child.first.Mark());
    if (!child.first.IsScalar()) {
      return absl::InvalidArgumentError(
          StrCat("cannot read the configuration; a key must be plain text: source=", source));
    }
    const std::string key = prefix + child.first.Scalar();
    if (child.second.IsMap()) {
      RETURN_IF_ERROR(FlattenYaml(child.second, file, key + ".", entries));
    } else if (child.second.IsScalar() || child.second.IsNull()) {
      entries->push_back({key, child.second.IsNull() ? "" : child.second.Scalar(), source});
    } else {
      return absl::InvalidArgumentError(
          StrCat("cannot read the configuration; a value must be one text or number, not a list: "
                 "key=\"",
                 key, "\" source=", source));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FileEntry>> ReadYaml(const std::string& file) {
  std::vector<FileEntry> entries;
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {  // Read as a stream, it throws no YAML error.
    return absl::InvalidArgumentError(StrCat(
        "cannot read the configuration; it is a folder, name the file in it: source=", file));
  }
  try {
    const YAML::Node root = YAML::LoadFile(file);
    if (root.IsNull()) return entries;
    if (!root.IsMap()) {
      return absl::InvalidArgumentError(StrCat(
          "cannot read the configuration; expected lines like \"rest.port: 8081\": source=", file));
    }
    RETURN_IF_ERROR(FlattenYaml(root, file, "", &entries));
  } catch (const YAML::BadFile&) {
    return absl::InvalidArgumentError(StrCat(
        "cannot read the configuration; no such file, or not allowed to read it: source=", file));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(StrCat("cannot read the configuration; not YAML: ", error.msg,
                                             ": source=", LineOf(file, error.mark)));
  }
  return entries;
}

absl::Status ApplyFile(const std::string& file, Configuration* configuration) {
  ASSIGN_OR_RETURN(const std::vector<FileEntry> entries, ReadYaml(file));
  std::map<std::string_view, std::string_view> seen;
  for (const FileEntry& entry : entries) {
    const auto [earlier, first] = seen.emplace(entry.key, entry.source);
    if (!first) {
      return absl::InvalidArgumentError(StrCat("option set twice; keep one of the lines: key=\"",
                                               entry.key, "\" first=", earlier->second,
                                               " source=", entry.source));
    }
    RETURN_IF_ERROR(configuration->SetText(entry.key, entry.text, entry.source));
  }
  return absl::OkStatus();
}

// Splits "NAME=value"; the value is empty if there is no '='.
std::pair<std::string_view, std::string_view> SplitAssignment(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return {text, {}};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

absl::Status ApplyEnvironment(const std::vector<std::string>& environment,
                              const OptionRegistry& registry, Configuration* configuration) {
  for (const std::string& variable : environment) {
    const auto [name, value] = SplitAssignment(variable);
    if (!name.starts_with(kPrefix) || IsReservedVariable(name)) continue;
    const std::string source = StrCat("environment variable ", name);
    const OptionDescription* const option = registry.FindByEnvironment(name);
    if (option != nullptr) {
      RETURN_IF_ERROR(configuration->SetText(option->key, value, source));
      continue;
    }
    const std::vector<OptionDescription> options = registry.Describe();
    std::vector<std::string_view> names;
    names.reserve(options.size());
    for (const OptionDescription& known : options) names.push_back(known.environment);
    const std::string_view nearest = NearestMatch(name, names);
    return absl::InvalidArgumentError(StrCat(
        "unknown option; ",
        nearest.empty() ? std::string("unset the variable, or see --help for those there are")
                        : StrCat("did you mean \"", nearest, "\"?"),
        ": key=\"", name, "\" source=", source));
  }
  return absl::OkStatus();
}

absl::Status ApplyDefinitions(const std::vector<std::string>& definitions,
                              Configuration* configuration) {
  for (const std::string& definition : definitions) {
    const auto [key, value] = SplitAssignment(definition);
    if (key.size() == definition.size()) {
      return absl::InvalidArgumentError(
          StrCat("a definition on the command line has no value; write -Dkey=value, like "
                 "-Drest.port=8081: \"-D",
                 definition, "\""));
    }
    RETURN_IF_ERROR(configuration->SetText(key, value, StrCat("command line -D", key)));
  }
  return absl::OkStatus();
}

std::string FileFromEnvironment(const std::vector<std::string>& environment) {
  for (const std::string& variable : environment) {
    const auto [name, value] = SplitAssignment(variable);
    if (name == "WEIR_CONFIG") return std::string(value);
  }
  return {};
}

}  // namespace

absl::StatusOr<Configuration> Configuration::Load(std::shared_ptr<const OptionRegistry> registry,
                                                  const ConfigurationSources& sources) {
  const OptionRegistry& options = *registry;
  Configuration configuration(std::move(registry));
  const std::string file =
      sources.file.empty() ? FileFromEnvironment(sources.environment) : sources.file;
  if (!file.empty()) RETURN_IF_ERROR(ApplyFile(file, &configuration));
  RETURN_IF_ERROR(ApplyEnvironment(sources.environment, options, &configuration));
  RETURN_IF_ERROR(ApplyDefinitions(sources.definitions, &configuration));
  return configuration;
}

absl::StatusOr<ConfigurationSources> TakeConfigurationSources(std::vector<std::string>* arguments) {
  ConfigurationSources sources;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    if (std::string_view(*variable).starts_with(kPrefix))
      sources.environment.emplace_back(*variable);
  }
  std::vector<std::string> rest;
  size_t i = 0;
  for (; i < arguments->size() && (*arguments)[i] != "--"; ++i) {
    const std::string& argument = (*arguments)[i];
    if (argument.starts_with("--config=")) {
      sources.file = argument.substr(9);
    } else if (argument.starts_with("-D") && argument.size() > 2) {
      sources.definitions.push_back(argument.substr(2));
    } else if (argument == "--config" || argument == "-D") {
      if (i + 1 >= arguments->size()) {
        return absl::InvalidArgumentError(
            StrCat("a flag has no value; write --config FILE or -Dkey=value: ", argument));
      }
      ++i;
      if (argument == "-D") {
        sources.definitions.push_back((*arguments)[i]);
      } else {
        sources.file = (*arguments)[i];
      }
    } else {
      rest.push_back(argument);
    }
  }
  rest.insert(rest.end(), arguments->begin() + static_cast<std::ptrdiff_t>(i), arguments->end());
  *arguments = std::move(rest);
  return sources;
}

}  // namespace weir
