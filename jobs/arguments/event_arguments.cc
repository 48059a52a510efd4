#include "jobs/arguments/event_arguments.h"

#include "absl/status/status.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> parts;
  for (const std::string_view part : StrSplit(text, ',')) {
    const std::string_view stripped = StripWhitespace(part);
    if (!stripped.empty()) parts.emplace_back(stripped);
  }
  return parts;
}

absl::StatusOr<std::map<std::string, std::string>> FilesAt(
    const JobArgs& args, std::string_view path, const std::vector<std::string>& suffixes) {
  // Only the arguments may look at the file system, so the error tells a file from a folder.
  absl::StatusOr<std::map<std::string, std::string>> files = args.Folder(path, suffixes);
  if (!files.ok()) {
    ASSIGN_OR_RETURN(std::string content, args.File(path));
    return std::map<std::string, std::string>{{std::string(path), std::move(content)}};
  }
  if (files->empty()) {
    return absl::NotFoundError(StrCat("the folder holds no file named *", StrJoin(suffixes, ", *"),
                                      ": path=", args.ResolvePath(path)));
  }
  return files;
}

absl::StatusOr<std::map<std::string, std::string>> KafkaProperties(const JobArgs& args) {
  std::map<std::string, std::string> properties;
  const std::optional<std::string> path = args.Find("kafka-config");
  if (!path.has_value()) return properties;
  ASSIGN_OR_RETURN(const std::string text, args.File(*path));
  int number = 0;
  for (const std::string_view raw : StrSplit(text, '\n')) {
    ++number;
    const std::string_view line = StripWhitespace(raw);
    if (line.empty() || line.starts_with('#')) continue;
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return absl::InvalidArgumentError(
          StrCat("Kafka configuration line is not of the form name=value: file=", *path,
                 " line=", number));
    }
    properties[std::string(StripWhitespace(line.substr(0, equals)))] =
        std::string(StripWhitespace(line.substr(equals + 1)));
  }
  return properties;
}

absl::StatusOr<KafkaSourceOptions> KafkaEvents(const JobArgs& args, std::string_view topic_flag,
                                               std::string_view default_group) {
  KafkaSourceOptions options;
  ASSIGN_OR_RETURN(options.brokers, args.GetRequired("brokers", "host:port of Kafka brokers"));
  ASSIGN_OR_RETURN(const std::string topics,
                   args.GetRequired(topic_flag, "Kafka topics, with commas between"));
  options.topics = SplitList(topics);
  options.group_id = args.GetString("group", default_group);
  ASSIGN_OR_RETURN(options.properties, KafkaProperties(args));
  const std::string start = args.GetString("starting-offset", "latest");
  if (start == "earliest") {
    options.start = KafkaStart::kEarliest;
  } else if (start == "latest") {
    options.start = KafkaStart::kLatest;
  } else if (start == "committed") {
    options.start = KafkaStart::kCommitted;
  } else {
    return absl::InvalidArgumentError(
        StrCat("job argument has a value that cannot be read; give earliest, latest or committed: "
               "--starting-offset=",
               start));
  }
  RETURN_IF_ERROR(KafkaSource(options).Validate());
  return options;
}

}  // namespace weir
