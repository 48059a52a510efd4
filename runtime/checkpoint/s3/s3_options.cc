#include "runtime/checkpoint/s3/s3_options.h"

#include <cstdlib>
#include <initializer_list>
#include <utility>

#include "runtime/base/s3_settings.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

using Environment = std::function<std::string(const char* name)>;

std::string FirstOf(std::string value, std::initializer_list<const char*> names,
                    const Environment& variable) {
  for (const char* const name : names) {
    if (!value.empty()) break;
    value = variable(name);
  }
  return value;
}

absl::Status NotAnEndpoint(std::string_view text) {
  return absl::InvalidArgumentError(
      StrCat("the object store's address is none; write it as http://host:port or https://host: "
             "s3.endpoint=",
             text));
}

absl::StatusOr<HttpServerAddress> ParseEndpoint(std::string_view text) {
  HttpServerAddress address;
  std::string_view rest = StripWhitespace(text);
  address.is_tls = true;
  for (const auto& [scheme, is_tls] : {std::pair<std::string_view, bool>{"https://", true},
                                       std::pair<std::string_view, bool>{"http://", false}}) {
    if (!rest.starts_with(scheme)) continue;
    rest.remove_prefix(scheme.size());
    address.is_tls = is_tls;
    break;
  }
  while (rest.ends_with('/')) rest.remove_suffix(1);
  const bool is_ipv6 = rest.starts_with('[');
  const size_t colon = is_ipv6 ? rest.find("]:") : rest.rfind(':');
  std::string_view host = rest.substr(0, colon);
  if (colon == rest.npos) {
    address.port = address.is_tls ? "443" : "80";
  } else {
    address.port = std::string(rest.substr(colon + (is_ipv6 ? 2 : 1)));
  }
  if (is_ipv6) {
    host.remove_prefix(1);
    if (host.ends_with(']')) host.remove_suffix(1);
  }
  address.host = std::string(host);
  const bool is_port = !address.port.empty() && address.port.size() <= 5 &&
                       address.port.find_first_not_of("0123456789") == address.port.npos;
  if (host.empty() || !is_port || host.find_first_of("/?#@ ") != host.npos) {
    return NotAnEndpoint(text);
  }
  return address;
}

absl::Status ReadCredentials(const Configuration& configuration, const Environment& variable,
                             AwsCredentials* credentials) {
  credentials->access_key = configuration.Get(kS3AccessKey);
  credentials->secret_key = configuration.Get(kS3SecretKey);
  credentials->session_token = configuration.Get(kS3SessionToken);
  std::string_view names = "s3.access-key and s3.secret-key";
  if (credentials->access_key.empty() && credentials->secret_key.empty()) {
    credentials->access_key = variable("AWS_ACCESS_KEY_ID");
    credentials->secret_key = variable("AWS_SECRET_ACCESS_KEY");
    if (credentials->session_token.empty()) {
      credentials->session_token = variable("AWS_SESSION_TOKEN");
    }
    names = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
  }
  if (credentials->access_key.empty() == credentials->secret_key.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("of the two keys of the object store one is missing; set both: ", names));
}

}  // namespace

absl::StatusOr<S3Options> S3Options::FromConfiguration(const Configuration& configuration) {
  return FromConfiguration(configuration, [](const char* name) {
    const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
    return std::string(value == nullptr ? "" : value);
  });
}

absl::StatusOr<S3Options> S3Options::FromConfiguration(const Configuration& configuration,
                                                       const Environment& variable) {
  S3Options options;
  options.region =
      FirstOf(configuration.Get(kS3Region), {"AWS_REGION", "AWS_DEFAULT_REGION"}, variable);
  if (options.region.empty()) options.region = "us-east-1";
  std::string endpoint = FirstOf(configuration.Get(kS3Endpoint),
                                 {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}, variable);
  if (endpoint.empty()) endpoint = StrCat("https://s3.", options.region, ".amazonaws.com");
  ASSIGN_OR_RETURN(options.address, ParseEndpoint(endpoint));
  options.address.ca_file = FirstOf(configuration.Get(kS3CaFile), {"AWS_CA_BUNDLE"}, variable);
  options.path_style = configuration.Get(kS3PathStyleAccess);
  RETURN_IF_ERROR(ReadCredentials(configuration, variable, &options.credentials));
  options.timeout = configuration.Get(kS3ConnectionTimeout);
  options.max_attempts = static_cast<int>(configuration.Get(kS3AttemptsMaximum));
  options.part_bytes = static_cast<uint64_t>(configuration.Get(kS3UploadPartSize).bytes());
  constexpr uint64_t kLeastPart = uint64_t{5} << 20;
  if (options.part_bytes < kLeastPart) {
    return absl::InvalidArgumentError(
        StrCat("object stores take no part below 5 mb but the last one: ", kS3UploadPartSize.key,
               "=", options.part_bytes, " bytes"));
  }
  return options;
}

std::string S3Options::Endpoint() const {
  const bool is_ipv6 = address.host.find(':') != std::string::npos;
  return StrCat(address.is_tls ? "https://" : "http://", is_ipv6 ? "[" : "", address.host,
                is_ipv6 ? "]" : "", ":", address.port);
}

}  // namespace weir
