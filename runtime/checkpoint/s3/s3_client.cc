#include "runtime/checkpoint/s3/s3_client.h"

#include <algorithm>
#include <thread>

#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/s3/s3_xml.h"
#include "runtime/graph/content_hash.h"

namespace weir {
namespace {

constexpr size_t kMaxIdleConnections = 16;

// Not what the store does not know (501, 505), and not that it is full (507).
bool MayRetry(int status) {
  return status == 408 || status == 429 ||
         (status >= 500 && status != 501 && status != 505 && status != 507);
}

// What the store says went wrong, if it says so.
struct StoreError {
  std::string code;
  std::string message;
  std::string region;
};

StoreError ParseError(const HttpConnectionAnswer& answer) {
  StoreError error;
  error.code = internal::XmlElement(answer.body, "Code");
  error.message = internal::XmlElement(answer.body, "Message");
  error.region = internal::XmlElement(answer.body, "Region");
  if (error.region.empty()) error.region = std::string(answer.Header("x-amz-bucket-region"));
  return error;
}

std::string Describe(const S3Request& request, const S3Options& options,
                     const HttpConnectionAnswer& answer, const StoreError& error) {
  std::string text = StrCat(request.method, " s3://", request.bucket, "/", request.key,
                            " endpoint=", options.Endpoint(), " status=", answer.status);
  if (!error.code.empty()) StrAppend(&text, " code=", error.code);
  if (!error.message.empty()) StrAppend(&text, " message=\"", error.message, "\"");
  if (const std::string_view id = answer.Header("x-amz-request-id"); !id.empty()) {
    StrAppend(&text, " request_id=", id);
  }
  return text;
}

absl::Status RefusedKeys(const StoreError& error, const std::string& where) {
  if (error.code == "RequestTimeTooSkewed") {
    return absl::FailedPreconditionError(
        StrCat("this host's clock and the object store's differ too much; set the clock: ", where));
  }
  if (error.code == "InvalidAccessKeyId" || error.code == "SignatureDoesNotMatch" ||
      error.code == "InvalidToken" || error.code == "ExpiredToken") {
    return absl::PermissionDeniedError(
        StrCat("the object store does not know these keys; check s3.access-key and s3.secret-key, "
               "or the AWS variables of the environment: ",
               where));
  }
  return absl::PermissionDeniedError(
      StrCat("the object store refuses the access; grant the access key of s3.access-key reading, "
             "writing, listing and deleting in the bucket: ",
             where));
}

// The status of an answer that is no success.
absl::Status ToStatus(const S3Request& request, const S3Options& options,
                      const HttpConnectionAnswer& answer) {
  const StoreError error = ParseError(answer);
  const std::string where = Describe(request, options, answer, error);
  if (error.code == "NoSuchBucket" || (answer.status == 404 && request.key.empty())) {
    return absl::FailedPreconditionError(
        StrCat("there is no such bucket in the object store; make it, or mend the path: ", where));
  }
  if (error.code == "XMinioStorageFull" || error.code == "QuotaExceeded" || answer.status == 507 ||
      error.code == "XMinioAdminBucketQuotaExceeded") {
    return absl::ResourceExhaustedError(StrCat("the object store is full: ", where));
  }
  switch (answer.status) {
    case 401:
    case 403:
      return RefusedKeys(error, where);
    case 404:
      return absl::NotFoundError(StrCat("there is no such object: ", where));
    case 412:
      return absl::AlreadyExistsError(
          StrCat("there is another object than the request wants: ", where));
    case 413:
      return absl::ResourceExhaustedError(
          StrCat("the object is larger than the object store takes: ", where));
    case 416:
      return absl::OutOfRangeError(StrCat("the object ends before: ", where));
    default:
      break;
  }
  if (MayRetry(answer.status)) {
    return absl::UnavailableError(
        StrCat(error.code == "SlowDown" || answer.status == 429
                   ? "the object store is asked more often than it takes, and stays so: "
                   : "the object store fails, and goes on to: ",
               where));
  }
  if (!error.region.empty() && error.region != options.region) {
    return absl::FailedPreconditionError(
        StrCat("the bucket is in another region; set s3.endpoint.region: ", error.region,
               ", and s3.endpoint if it names a region: ", where));
  }
  if (answer.status >= 300 && answer.status < 400) {
    return absl::FailedPreconditionError(
        StrCat("the object store has the bucket at another address; set s3.endpoint: location=",
               answer.Header("location"), " ", where));
  }
  return absl::InvalidArgumentError(
      StrCat("the object store does not take a request; is it compatible with S3, and "
             "s3.path.style.access what it needs? ",
             where));
}

std::string KeyOf(const HttpServerAddress& address) {
  return StrCat(address.host, ":", address.port);
}

absl::Status WithRequest(const absl::Status& status, const S3Request& request) {
  return {status.code(), ToAbsl(StrCat(ToStd(status.message()), " request=", request.method,
                                       " s3://", request.bucket, "/", request.key))};
}

}  // namespace

S3Client::S3Client(S3Options options)
    : options_(std::move(options)), random_(std::random_device{}()) {}

S3Client::~S3Client() = default;

HttpServerAddress S3Client::AddressOf(const S3Request& request) const {
  HttpServerAddress address = options_.address;
  if (!options_.path_style) address.host = StrCat(request.bucket, ".", address.host);
  return address;
}

HttpConnectionRequest S3Client::Sign(const S3Request& request,
                                     const std::string& payload_hash) const {
  const HttpServerAddress address = AddressOf(request);
  const bool is_default_port = address.port == (address.is_tls ? "443" : "80");
  const absl::Time now = options_.clock->Now();
  SignedRequest to_sign;
  to_sign.method = request.method;
  to_sign.path =
      StrCat("/", options_.path_style ? UriEncode(request.bucket, false) : "",
             options_.path_style && !request.key.empty() ? "/" : "", UriEncode(request.key, true));
  to_sign.query = request.query;
  to_sign.payload_hash = payload_hash;
  to_sign.headers = request.headers;
  to_sign.headers.emplace_back(
      "host", is_default_port ? address.host : StrCat(address.host, ":", address.port));
  to_sign.headers.emplace_back("x-amz-content-sha256", payload_hash);
  to_sign.headers.emplace_back("x-amz-date", AmzDate(now));
  if (!options_.credentials.session_token.empty()) {
    to_sign.headers.emplace_back("x-amz-security-token", options_.credentials.session_token);
  }
  HttpConnectionRequest http;
  http.method = request.method;
  const std::string query = CanonicalQuery(request.query);
  http.target = query.empty() ? to_sign.path : StrCat(to_sign.path, "?", query);
  http.headers = to_sign.headers;
  http.headers.emplace_back("authorization",
                            SignatureV4(to_sign, options_.credentials, options_.region, "s3", now));
  http.body = request.body;
  return http;
}

absl::StatusOr<HttpConnectionAnswer> S3Client::Perform(const S3Request& request,
                                                       bool* was_retried) {
  if (options_.credentials.access_key.empty()) {
    return absl::FailedPreconditionError(
        StrCat("there are no keys for the object store; set s3.access-key and s3.secret-key, or "
               "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: bucket=",
               request.bucket, " endpoint=", options_.Endpoint()));
  }
  const std::string payload_hash = ContentHash(request.body);
  const int max_attempts = request.max_attempts > 0 ? request.max_attempts : options_.max_attempts;
  bool was_sent_before = false;
  for (int attempt = 1;; ++attempt) {
    Attempt tried = Try(request, payload_hash, &was_sent_before);
    if (was_retried != nullptr) *was_retried = was_sent_before;
    was_sent_before = true;
    if (tried.answer.ok()) return std::move(tried.answer);
    if (!tried.may_retry || attempt >= max_attempts) return tried.answer.status();
    LogDebug("s3", StrCat("trying again: attempt=", attempt, " of=", max_attempts,
                          " error=", ToStd(tried.answer.status().message())));
    Pause(attempt);
  }
}

S3Client::Attempt S3Client::Try(const S3Request& request, const std::string& payload_hash,
                                bool* was_sent_before) {
  absl::StatusOr<HttpConnectionAnswer> answer = Send(request, payload_hash, was_sent_before);
  if (!answer.ok()) {
    const bool may_retry = !absl::IsFailedPrecondition(answer.status());
    return {WithRequest(answer.status(), request), may_retry};
  }
  if (answer->status >= 200 && answer->status < 300) {
    // Some calls answer 200 at once, to say only later that they failed.
    if (request.method == "POST" || request.method == "PUT") {
      // One that deletes many objects names those that it did not: its caller reads that.
      const bool is_error = !internal::XmlElement(answer->body, "Error").empty() &&
                            answer->body.find("<DeleteResult") == std::string::npos;
      if (is_error) {
        const StoreError error = ParseError(*answer);
        return {absl::UnavailableError(StrCat("the object store did not do what it had begun: ",
                                              Describe(request, options_, *answer, error))),
                error.code == "InternalError" || error.code == "SlowDown" ||
                    error.code == "ServiceUnavailable"};
      }
    }
    return {std::move(answer), false};
  }
  // Two conditional writes at a time: the next attempt tells who was first.
  const bool is_conflict =
      answer->status == 409 && ParseError(*answer).code == "ConditionalRequestConflict";
  return {ToStatus(request, options_, *answer), MayRetry(answer->status) || is_conflict};
}

absl::StatusOr<HttpConnectionAnswer> S3Client::Send(const S3Request& request,
                                                    const std::string& payload_hash,
                                                    bool* was_sent_before) {
  const HttpServerAddress address = AddressOf(request);
  while (true) {
    std::unique_ptr<HttpConnection> connection = TakeConnection(address);
    absl::StatusOr<HttpConnectionAnswer> answer = connection->Perform(Sign(request, payload_hash));
    // Each such connection is gone afterwards, so this ends. Most likely the server has closed it
    // before, but it may have done the work.
    if (!answer.ok() && connection->was_idle_too_long()) {
      *was_sent_before = true;
      continue;
    }
    if (answer.ok() && connection->reusable()) KeepConnection(address, std::move(connection));
    return answer;
  }
}

void S3Client::Pause(int attempt) {
  absl::Duration longest = options_.first_backoff;
  for (int i = 1; i < attempt && longest < options_.max_backoff; ++i) longest *= 2;
  longest = std::min(longest, options_.max_backoff);
  double share = 0;
  {
    const MutexLock lock(&mutex_);
    share = std::uniform_real_distribution<double>(0, 1)(random_);
  }
  // At least half, so that a store that is down for a moment is waited for.
  const absl::Duration pause = longest * (0.5 + share / 2);
  if (options_.pause) {
    options_.pause(pause);
  } else {
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(pause));
  }
}

std::unique_ptr<HttpConnection> S3Client::TakeConnection(const HttpServerAddress& address) {
  {
    const MutexLock lock(&mutex_);
    if (const auto found = idle_.find(KeyOf(address)); found != idle_.end()) {
      std::unique_ptr<HttpConnection> connection = std::move(found->second);
      idle_.erase(found);
      return connection;
    }
  }
  return std::make_unique<HttpConnection>(address, options_.timeout);
}

void S3Client::KeepConnection(const HttpServerAddress& address,
                              std::unique_ptr<HttpConnection> connection) {
  const MutexLock lock(&mutex_);
  if (idle_.size() < kMaxIdleConnections) idle_.emplace(KeyOf(address), std::move(connection));
}

}  // namespace weir
