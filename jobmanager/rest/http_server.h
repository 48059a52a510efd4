#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobmanager/rest/router.h"

namespace weir {

struct HttpServerOptions {
  /// An address or a host name.
  std::string bind_address = "127.0.0.1";
  /// 0 takes any free port.
  uint16_t port = 0;
  uint32_t num_threads = 2;
  /// Connections beyond these are closed at once.
  uint32_t max_connections = 1024;
  uint64_t max_body_bytes = uint64_t{16} << 20;
  uint64_t max_upload_bytes = uint64_t{1} << 30;
  /// An existing folder for uploads under way; empty makes one of the server's own, removed with
  /// it.
  std::string upload_directory;
  /// How long a connection may stay open without a request.
  absl::Duration idle_timeout = absl::Seconds(60);
  /// How long a request line with its headers may take.
  absl::Duration header_timeout = absl::Seconds(10);
  /// How long a body may take, and a response: this, and a second for each 64 KiB moved.
  absl::Duration body_timeout = absl::Seconds(30);
  /// How long a handler may take; the client then gets a 503.
  absl::Duration answer_timeout = absl::Minutes(2);
  /// Asked first for every request, with its target (path and query) as it came: what it returns is
  /// the answer, nothing lets the request pass. Called from any of the server's threads; must not
  /// block. Empty: all pass.
  std::function<std::optional<HttpResponse>(std::string_view target)> intercept = {};
  /// How long Stop waits for requests under way.
  absl::Duration drain_timeout = absl::Seconds(5);
};

/// An HTTP/1.1 server on threads of its own: keep-alive, pipelining, chunked bodies, `Expect:
/// 100-continue`, HEAD and OPTIONS, cross-origin header. Malformed requests get 400, unknown paths
/// 404, wrong methods 405, oversized bodies 413, exceptions in handlers 500, always with
/// `{"errors": [...]}`.
///
/// Threads: handlers run on the server's threads, one request of a connection at a time.
class HttpServer {
 public:
  /// Binds and begins to serve. Errors: kFailedPrecondition if the address cannot be bound.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<HttpServer>> Start(HttpServerOptions options,
                                                                         Router router);

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  /// Stops.
  ~HttpServer();

  [[nodiscard]] uint16_t port() const;

  /// Closes the door, lets requests under way finish within the drain timeout, and ends the
  /// threads. Blocks. Must not be called from a handler. Responders that are still held are
  /// harmless afterwards.
  void Stop();

 private:
  class Core;
  explicit HttpServer(std::shared_ptr<Core> core);

  std::shared_ptr<Core> core_;
};

}  // namespace weir
