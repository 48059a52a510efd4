#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "operators/connectors/kafka/kafka_source.h"
#include "runtime/graph/job_args.h"

namespace weir {

/// Splits a list written with commas; blanks around parts and empty parts do not count.
[[nodiscard]] std::vector<std::string> SplitList(std::string_view text);

/// Returns the files at `path`, name to content: the file itself, or those in the folder and below
/// it whose names end in one of `suffixes`. Errors: kNotFound if there is neither, or the folder
/// holds no such file.
[[nodiscard]] absl::StatusOr<std::map<std::string, std::string>> FilesAt(
    const JobArgs& args, std::string_view path, const std::vector<std::string>& suffixes);

/// Reads `--kafka-config FILE`: librdkafka's properties, `name=value` a line; `#` begins a comment.
/// Empty if it was not given. Errors: kInvalidArgument naming file and line.
[[nodiscard]] absl::StatusOr<std::map<std::string, std::string>> KafkaProperties(
    const JobArgs& args);

/// Reads where to take events from Kafka: `--brokers`, `--<topic_flag>` (a list), `--group`,
/// `--starting-offset earliest|latest|committed` (default: latest), `--kafka-config`. Errors:
/// kInvalidArgument naming the argument and what is accepted.
[[nodiscard]] absl::StatusOr<KafkaSourceOptions> KafkaEvents(const JobArgs& args,
                                                             std::string_view topic_flag,
                                                             std::string_view default_group);

}  // namespace weir
