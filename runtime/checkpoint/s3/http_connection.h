#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weir {

/// Where an HTTP server is, and how to talk to it.
struct HttpServerAddress {
  std::string host;
  std::string port;
  bool is_tls = false;
  /// Certificates in PEM that the server's has to lead to; empty: the system's.
  std::string ca_file = {};
};

/// A request; Content-Length is added.
struct HttpConnectionRequest {
  std::string method;
  /// Path and query, encoded.
  std::string target;
  /// Host has to be among them.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view body;
};

struct HttpConnectionAnswer {
  int status = 0;
  /// By name in lower case.
  std::map<std::string, std::string> headers;
  std::string body;

  /// Returns the header's value, or nothing.
  [[nodiscard]] std::string_view Header(const std::string& name) const;
};

/// One HTTP/1.1 connection that serves requests one after the other; the one place in the runtime
/// that knows Boost.Beast. Threads: one at a time. All methods block.
class HttpConnection {
 public:
  /// Connects when it is first used. `timeout` is the longest time without progress.
  HttpConnection(HttpServerAddress address, absl::Duration timeout);
  ~HttpConnection();

  /// Sends the request and reads the answer, whatever its status. After an error the connection is
  /// of no use. Errors: kUnavailable, kDeadlineExceeded; kFailedPrecondition if TLS fails: all
  /// name the address.
  [[nodiscard]] absl::StatusOr<HttpConnectionAnswer> Perform(const HttpConnectionRequest& request);

  /// Whether another request may be sent.
  [[nodiscard]] bool reusable() const;
  /// Whether the last request found the connection closed before any of its answer came, although
  /// earlier ones were answered: servers close connections that are idle, so that it should be sent
  /// again on a new one.
  [[nodiscard]] bool was_idle_too_long() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace weir
