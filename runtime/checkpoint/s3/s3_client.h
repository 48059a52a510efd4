#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/mutex.h"
#include "runtime/checkpoint/s3/http_connection.h"
#include "runtime/checkpoint/s3/s3_options.h"

namespace weir {

/// One call of the S3 API. Plain data.
struct S3Request {
  std::string method;
  std::string bucket;
  /// Without a '/' in front; empty: of the bucket itself.
  std::string key = {};
  std::vector<std::pair<std::string, std::string>> query = {};
  /// Names in lower case.
  std::vector<std::pair<std::string, std::string>> headers = {};
  /// Not owned.
  std::string_view body = {};
  /// How often it is tried; 0: as the client is set up.
  int max_attempts = 0;
};

/// Signs requests, sends them, and tries again what may succeed then.
///
/// Tried again, after pauses that grow and are random: no answer, broken and cut answers, 408, 429
/// and 5xx, and answers of 200 whose body is an error (as of CompleteMultipartUpload). All requests
/// that weir makes may be sent twice.
///
/// Threads: any. Blocks. Connections are kept and used again.
class S3Client {
 public:
  explicit S3Client(S3Options options);
  ~S3Client();

  /// Returns an answer of 2xx. Errors: kNotFound (404, but for a bucket), kOutOfRange (416),
  /// kAlreadyExists (412), kFailedPrecondition (a bucket, region or clock that is not right),
  /// kPermissionDenied (401, 403), kResourceExhausted (507, 413 or a quota), kUnavailable and
  /// kDeadlineExceeded after the last attempt, kInvalidArgument for all else that the store does
  /// not take. They say what would mend it, and name the call, the object and the store.
  /// `was_retried`, if given, is set to whether an earlier attempt got no usable answer, and so may
  /// have done its work.
  [[nodiscard]] absl::StatusOr<HttpConnectionAnswer> Perform(const S3Request& request,
                                                             bool* was_retried = nullptr);

  [[nodiscard]] const S3Options& options() const { return options_; }

 private:
  struct Attempt {
    absl::StatusOr<HttpConnectionAnswer> answer;
    bool may_retry = false;
  };

  [[nodiscard]] HttpServerAddress AddressOf(const S3Request& request) const;
  [[nodiscard]] HttpConnectionRequest Sign(const S3Request& request,
                                           const std::string& payload_hash) const;
  /// Both set `*was_sent_before` if they send it more than once.
  [[nodiscard]] Attempt Try(const S3Request& request, const std::string& payload_hash,
                            bool* was_sent_before);
  [[nodiscard]] absl::StatusOr<HttpConnectionAnswer> Send(const S3Request& request,
                                                          const std::string& payload_hash,
                                                          bool* was_sent_before);
  void Pause(int attempt);

  [[nodiscard]] std::unique_ptr<HttpConnection> TakeConnection(const HttpServerAddress& address);
  void KeepConnection(const HttpServerAddress& address, std::unique_ptr<HttpConnection> connection);

  const S3Options options_;
  Mutex mutex_;
  // By host.
  std::multimap<std::string, std::unique_ptr<HttpConnection>> idle_ ABSL_GUARDED_BY(mutex_);
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
