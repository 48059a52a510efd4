#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace weir {

/// As whom requests are signed. Plain data; never logged.
struct AwsCredentials {
  std::string access_key;
  std::string secret_key;
  /// Of temporary keys; else empty.
  std::string session_token;
};

/// The parts of an HTTP request that a signature covers.
struct SignedRequest {
  std::string method;
  /// As it is sent: each byte that is not plain percent-encoded, once.
  std::string path = "/";
  /// Names and values as they are, not encoded.
  std::vector<std::pair<std::string, std::string>> query = {};
  /// Names in lower case. Host has to be among them.
  std::vector<std::pair<std::string, std::string>> headers = {};
  /// SHA-256 of the body, in lower-case hexadecimal.
  std::string payload_hash = {};
};

/// Returns the value of the header Authorization: AWS Signature Version 4 over all headers given.
/// Source: Amazon, "Signature Version 4 signing process" and, for S3, "Authenticating Requests:
/// Using the Authorization Header".
[[nodiscard]] std::string SignatureV4(const SignedRequest& request,
                                      const AwsCredentials& credentials, std::string_view region,
                                      std::string_view service, absl::Time time);

/// Returns e.g. "20130524T000000Z", the form of the header x-amz-date.
[[nodiscard]] std::string AmzDate(absl::Time time);

/// Percent-encodes all bytes but letters, digits and "-._~", and '/' if `keeps_slash`.
[[nodiscard]] std::string UriEncode(std::string_view text, bool keeps_slash);
/// Undoes it; what is no encoding stays as it is.
[[nodiscard]] std::string UriDecode(std::string_view text);

/// Returns "a=b&c=d" sorted by name, encoded.
[[nodiscard]] std::string CanonicalQuery(
    const std::vector<std::pair<std::string, std::string>>& query);

/// Returns the MD5 of `bytes` in base 64, as the header Content-MD5 has it.
[[nodiscard]] std::string ContentMd5(std::string_view bytes);

namespace internal {

/// Returns the key of one day, region and service: raw bytes.
[[nodiscard]] std::string SigningKey(std::string_view secret_key, std::string_view date,
                                     std::string_view region, std::string_view service);
[[nodiscard]] std::string CanonicalRequest(const SignedRequest& request);

}  // namespace internal
}  // namespace weir
