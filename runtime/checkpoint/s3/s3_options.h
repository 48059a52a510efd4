#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/clock.h"
#include "runtime/base/config.h"
#include "runtime/checkpoint/s3/aws_signature.h"
#include "runtime/checkpoint/s3/http_connection.h"

namespace weir {

/// How to reach an object store. Plain data.
struct S3Options {
  /// The store without a bucket in the host's name.
  HttpServerAddress address;
  AwsCredentials credentials;
  std::string region = "us-east-1";
  bool path_style = false;
  absl::Duration timeout = absl::Seconds(10);
  int max_attempts = 10;
  /// The pause before the second attempt is random below it; it doubles with each one.
  absl::Duration first_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(10);
  /// Larger files are uploaded in parts of this size.
  uint64_t part_bytes = uint64_t{8} << 20;
  const Clock* clock = SystemClock();
  /// Waits between attempts; null: sleeps. For tests.
  std::function<void(absl::Duration)> pause = nullptr;

  /// From the settings (runtime/base/s3_settings.h) and this process's environment. Keys may be
  /// missing: then requests fail and say so. Errors: kInvalidArgument for an endpoint that is none,
  /// for one key without the other, and for parts that are too small.
  [[nodiscard]] static absl::StatusOr<S3Options> FromConfiguration(
      const Configuration& configuration);
  /// The same with another environment: `variable` returns the value of one, or nothing.
  [[nodiscard]] static absl::StatusOr<S3Options> FromConfiguration(
      const Configuration& configuration,
      const std::function<std::string(const char* name)>& variable);

  /// Returns e.g. "http://127.0.0.1:9000".
  [[nodiscard]] std::string Endpoint() const;
};

}  // namespace weir
