#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weir {

/// Talks to a JobManager's REST API, one connection a call. Every call blocks, at most about
/// `timeout` without progress. A standby JobManager is left for the leader that it names. Copyable;
/// a copy may be used by each thread.
///
/// Calls return the answer's JSON text. Errors: kUnavailable if nothing listens there or the
/// connection breaks, kDeadlineExceeded after the timeout; an answer that is an error becomes a
/// Status with the server's own words: kInvalidArgument for 400, kNotFound for 404,
/// kFailedPrecondition for 409, kResourceExhausted for 413, kUnavailable for 503, else kInternal.
class RestClient {
 public:
  /// Takes "host:port", with or without "http://" before and "/" behind. Errors: kInvalidArgument.
  [[nodiscard]] static absl::StatusOr<RestClient> Create(
      std::string_view address, absl::Duration timeout = absl::Seconds(60));

  /// `path` is percent-encoded and may carry a query. A body is JSON text, or empty for none.
  [[nodiscard]] absl::StatusOr<std::string> Get(std::string_view path) const;
  [[nodiscard]] absl::StatusOr<std::string> Post(std::string_view path,
                                                 std::string_view json) const;
  [[nodiscard]] absl::StatusOr<std::string> Put(std::string_view path, std::string_view json) const;
  [[nodiscard]] absl::StatusOr<std::string> Patch(std::string_view path,
                                                  std::string_view json) const;
  [[nodiscard]] absl::StatusOr<std::string> Delete(std::string_view path) const;

  /// Posts the file as the one field of a form, under its own name. Reads it piece by piece.
  /// Further errors: kNotFound if the file cannot be opened.
  [[nodiscard]] absl::StatusOr<std::string> Upload(std::string_view path,
                                                   const std::string& file) const;

  /// "host:port".
  [[nodiscard]] std::string address() const;

 private:
  RestClient(std::string host, std::string port, absl::Duration timeout);
  [[nodiscard]] absl::StatusOr<std::string> Call(std::string_view method, std::string_view path,
                                                 std::string_view body) const;

  std::string host_;
  std::string port_;
  absl::Duration timeout_;
};

/// Returns `text` so that it can stand as one segment of a path or as a value in a query.
[[nodiscard]] std::string PercentEncode(std::string_view text);

}  // namespace weir
