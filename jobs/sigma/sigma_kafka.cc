#include "jobs/sigma/sigma_kafka.h"

#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Properties = std::map<std::string, std::string>;

absl::StatusOr<std::string> Needed(const SigmaSettings& settings, std::string_view name,
                                   std::string_view method) {
  const std::string& value = settings.Text(name);
  if (!value.empty()) return value;
  return absl::InvalidArgumentError(
      StrCat("a setting is missing: ", name, " KAFKA_AUTH_METHOD=", method));
}

/// Which method is meant where none is named: an API key is there to be used.
std::string AuthMethod(const SigmaSettings& settings) {
  const std::string& method = settings.Text("KAFKA_AUTH_METHOD");
  if (!method.empty()) return method;
  return settings.Text("KAFKA_API_KEY").empty() ? "PLAINTEXT" : "SASL";
}

absl::Status AddCredentials(const SigmaSettings& settings, std::string_view method,
                            Properties* properties) {
  (*properties)["sasl.mechanisms"] = settings.Text("KAFKA_SASL_MECHANISM");
  ASSIGN_OR_RETURN((*properties)["sasl.username"], Needed(settings, "KAFKA_API_KEY", method));
  ASSIGN_OR_RETURN((*properties)["sasl.password"], Needed(settings, "KAFKA_API_SECRET", method));
  return absl::OkStatus();
}

/// Certificates. With SASL they are optional; `needed` if they are what the client is known by.
absl::Status AddTls(const SigmaSettings& settings, bool needed, Properties* properties) {
  if (!settings.Text("KAFKA_SSL_TRUSTSTORE_LOCATION").empty() &&
      settings.Text("KAFKA_SSL_CA_LOCATION").empty()) {
    return absl::InvalidArgumentError(
        StrCat("a Java trust store cannot be read; write its certificates to a PEM file (keytool "
               "-exportcert -rfc) and name that in KAFKA_SSL_CA_LOCATION: "
               "KAFKA_SSL_TRUSTSTORE_LOCATION=",
               settings.Text("KAFKA_SSL_TRUSTSTORE_LOCATION")));
  }
  const std::pair<std::string_view, std::string_view> files[] = {
      {"KAFKA_SSL_CA_LOCATION", "ssl.ca.location"},
      {"KAFKA_SSL_CERTIFICATE_LOCATION", "ssl.certificate.location"},
      {"KAFKA_SSL_KEY_LOCATION", "ssl.key.location"}};
  for (const auto& [name, property] : files) {
    const std::string& path = settings.Text(name);
    if (needed) RETURN_IF_ERROR(Needed(settings, name, "SSL").status());
    if (!path.empty()) (*properties)[std::string(property)] = path;
  }
  if (!settings.Text("KAFKA_SSL_KEY_PASSWORD").empty()) {
    (*properties)["ssl.key.password"] = settings.Text("KAFKA_SSL_KEY_PASSWORD");
  }
  if (!settings.Bool("KAFKA_SSL_CHECK_HOSTNAME")) {
    (*properties)["ssl.endpoint.identification.algorithm"] = "none";
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Brokers(const SigmaSettings& settings) {
  const std::string& brokers = settings.Text("KAFKA_BOOTSTRAP_SERVERS");
  if (!brokers.empty()) return brokers;
  return absl::InvalidArgumentError(
      "there is no broker of Kafka; set KAFKA_BOOTSTRAP_SERVERS or give --brokers HOST:PORT");
}

absl::StatusOr<Properties> AllProperties(const SigmaSettings& settings, Properties given) {
  ASSIGN_OR_RETURN(Properties properties, KafkaSecurity(settings));
  given.merge(properties);  // What is there already stays.
  return given;
}

}  // namespace

absl::StatusOr<Properties> KafkaSecurity(const SigmaSettings& settings) {
  Properties properties;
  const std::string method = AuthMethod(settings);
  if (method == "PLAINTEXT") return properties;
  properties["security.protocol"] = method == "SASL" ? "SASL_SSL" : method;
  if (method != "SSL") RETURN_IF_ERROR(AddCredentials(settings, method, &properties));
  if (method != "SASL_PLAINTEXT") RETURN_IF_ERROR(AddTls(settings, method == "SSL", &properties));
  return properties;
}

absl::StatusOr<KafkaSourceOptions> EventSourceOptions(const SigmaSettings& settings,
                                                      std::string_view topic,
                                                      Properties properties) {
  KafkaSourceOptions options;
  ASSIGN_OR_RETURN(options.brokers, Brokers(settings));
  options.topics = {std::string(topic)};
  options.group_id = StrCat(settings.Text("KAFKA_CONSUMER_GROUP"), "-events-", topic);
  const std::string& start = settings.Text("KAFKA_STARTING_OFFSET");
  options.start = start == "earliest" ? KafkaStart::kEarliest
                  : start == "latest" ? KafkaStart::kLatest
                                      : KafkaStart::kCommitted;
  ASSIGN_OR_RETURN(options.properties, AllProperties(settings, std::move(properties)));
  RETURN_IF_ERROR(KafkaSource(options).Validate());
  return options;
}

absl::StatusOr<KafkaSourceOptions> ControlSourceOptions(const SigmaSettings& settings,
                                                        Properties properties) {
  KafkaSourceOptions options;
  ASSIGN_OR_RETURN(options.brokers, Brokers(settings));
  options.topics = {settings.Text("KAFKA_RULES_TOPIC")};
  options.group_id = StrCat(settings.Text("KAFKA_CONSUMER_GROUP"), "-rules");
  options.start = KafkaStart::kEarliest;
  ASSIGN_OR_RETURN(options.properties, AllProperties(settings, std::move(properties)));
  RETURN_IF_ERROR(KafkaSource(options).Validate());
  return options;
}

absl::StatusOr<KafkaSinkOptions> SinkOptions(const SigmaSettings& settings, std::string_view topic,
                                             Properties properties) {
  KafkaSinkOptions options;
  ASSIGN_OR_RETURN(options.brokers, Brokers(settings));
  options.topic = std::string(topic);
  ASSIGN_OR_RETURN(options.properties, AllProperties(settings, std::move(properties)));
  const std::string& guarantee = settings.Text("DELIVERY_GUARANTEE");
  options.delivery_guarantee = guarantee == "exactly_once" ? DeliveryGuarantee::kExactlyOnce
                               : guarantee == "none"       ? DeliveryGuarantee::kNone
                                                           : DeliveryGuarantee::kAtLeastOnce;
  return options;
}

}  // namespace weir::sigma
