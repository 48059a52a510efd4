#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "jobmanager/rest/http_server.h"

namespace weir::internal {

/// What all sessions of a server share; outlives them.
struct HttpSessionContext {
  const HttpServerOptions* options = nullptr;
  const Router* router = nullptr;
  /// "host:port" of the server, for requests without a Host header.
  std::string address;
  /// Keeps the event loop alive for answers that come after the server has stopped.
  std::weak_ptr<void> event_loop;
};

/// One connection: reads a request, has it answered, writes the answer, and again.
///
/// Threads: everything but the constructor, Start and Shutdown runs on the session's strand.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  /// `socket` belongs to a strand.
  HttpSession(boost::asio::ip::tcp::socket socket, const HttpSessionContext* context);

  /// Begins to serve; calls `on_closed` on the strand once the connection has ended.
  void Start(std::function<void()> on_closed);
  /// Ends the connection: at once if it waits for a request, else after the current answer. Any
  /// thread.
  void Shutdown();

 private:
  class Exchange;
  /// A request under construction and what is known of it.
  struct Incoming;

  [[nodiscard]] boost::asio::awaitable<void> Serve();
  /// Returns whether the connection lives on.
  [[nodiscard]] boost::asio::awaitable<bool> ServeOne();
  [[nodiscard]] boost::asio::awaitable<bool> AwaitRequest();
  [[nodiscard]] boost::asio::awaitable<bool> ReadHeader(Incoming* incoming);
  [[nodiscard]] boost::asio::awaitable<bool> ReadBody(Incoming* incoming);
  [[nodiscard]] boost::asio::awaitable<HttpResponse> Answer(Incoming* incoming);
  [[nodiscard]] boost::asio::awaitable<bool> Write(const Incoming& incoming, HttpResponse response);
  /// Answers with an error, lets the client read it although it still sends, and ends the
  /// connection.
  [[nodiscard]] boost::asio::awaitable<bool> Refuse(Incoming* incoming, HttpResponse response);
  void ResolveRoute(Incoming* incoming) const;
  [[nodiscard]] absl::Status ParseTarget(std::string_view target, HttpRequest* request) const;
  void OnAnswer(uint64_t sequence, std::function<HttpResponse()> render);

  const HttpSessionContext* const context_;
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  boost::asio::steady_timer answer_timer_;
  uint64_t sequence_ = 0;  // Counts requests; answers to older ones are dropped.
  std::function<HttpResponse()> answer_;
  bool idle_ = true;
  bool stopping_ = false;
};

}  // namespace weir::internal
