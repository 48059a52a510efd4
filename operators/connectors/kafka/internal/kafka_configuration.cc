#include "operators/connectors/kafka/internal/kafka_configuration.h"

#include <librdkafka/rdkafka.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

// The names of all properties, from the table that librdkafka prints.
std::vector<std::string> PropertyNames() {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* stream = open_memstream(&text, &size);
  if (stream == nullptr) return {};
  rd_kafka_conf_properties_show(stream);
  std::fclose(stream);
  std::vector<std::string> names;
  for (const std::string_view line : StrSplit({text, size}, '\n')) {
    const std::string_view name = StripWhitespace(line.substr(0, line.find('|')));
    if (line.find('|') != std::string_view::npos && name != "Property" &&
        name.find_first_of("- ") != 0) {
      names.emplace_back(name);
    }
  }
  std::free(text);
  return names;
}

absl::Status Set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  char reason[512];
  switch (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason, sizeof(reason))) {
    case RD_KAFKA_CONF_OK:
      return absl::OkStatus();
    case RD_KAFKA_CONF_UNKNOWN: {
      const std::vector<std::string> names = PropertyNames();
      const std::vector<std::string_view> candidates(names.begin(), names.end());
      const std::string_view nearest = NearestMatch(name, candidates);
      return absl::InvalidArgumentError(
          StrCat("there is no such Kafka property",
                 nearest.empty() ? std::string() : StrCat("; did you mean ", nearest, "?"),
                 ": property=", name));
    }
    default:
      return absl::InvalidArgumentError(StrCat("a Kafka property has a wrong value: property=",
                                               name, " reason=", std::string_view(reason)));
  }
}

absl::Status SetAll(rd_kafka_conf_t* conf, const KafkaConfiguration& configuration) {
  for (const auto& [name, value] : configuration.defaults) RETURN_IF_ERROR(Set(conf, name, value));
  for (const auto& [name, value] : configuration.user) {
    if (configuration.fixed.contains(name)) {
      return absl::InvalidArgumentError(
          StrCat("a Kafka property is set by weir itself; leave it out, or use the option that "
                 "stands for it: property=",
                 name));
    }
    RETURN_IF_ERROR(Set(conf, name, value));
  }
  for (const auto& [name, value] : configuration.fixed) RETURN_IF_ERROR(Set(conf, name, value));
  return absl::OkStatus();
}

}  // namespace

KafkaConfiguration ProducerConfiguration(const std::string& brokers,
                                         KafkaConfiguration::Properties user) {
  KafkaConfiguration configuration;
  configuration.producer = true;
  configuration.defaults = {
      {"client.id", "weir"},
      {"compression.codec", "lz4"},
      {"linger.ms", "5"},
      {"partitioner", "murmur2_random"},
      {"reconnect.backoff.max.ms", "2000"},
  };
  configuration.user = std::move(user);
  configuration.fixed = {{"bootstrap.servers", brokers}};
  return configuration;
}

absl::StatusOr<rd_kafka_conf_s*> MakeKafkaConfiguration(const KafkaConfiguration& configuration) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  const absl::Status status = SetAll(conf, configuration);
  if (status.ok()) return conf;
  rd_kafka_conf_destroy(conf);
  return status;
}

absl::Status ValidateKafkaConfiguration(const KafkaConfiguration& configuration) {
  ASSIGN_OR_RETURN(rd_kafka_conf_t* const conf, MakeKafkaConfiguration(configuration));
  rd_kafka_conf_destroy(conf);
  return absl::OkStatus();
}

}  // namespace weir::internal
