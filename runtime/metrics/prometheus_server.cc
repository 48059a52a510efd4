#include "runtime/metrics/prometheus_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <exception>
#include <optional>
#include <thread>

#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "runtime/metrics/prometheus_text.h"

namespace weir {
namespace {

constexpr size_t kMaxRequestBytes = 16 << 10;

/// A file descriptor and its owner.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  [[nodiscard]] int get() const { return value_; }

 private:
  int value_;
};

std::optional<uint16_t> ParsePort(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > 65535) {
    return std::nullopt;
  }
  return static_cast<uint16_t>(value);
}

std::string Response(std::string_view status, std::string_view content_type,
                     std::string_view body) {
  return StrCat("HTTP/1.1 ", status, "\r\nContent-Type: ", content_type,
                "\r\nContent-Length: ", body.size(), "\r\nConnection: close\r\n\r\n", body);
}

}  // namespace

absl::StatusOr<PortRange> ParsePortRange(std::string_view text) {
  const size_t dash = text.find('-');
  const std::optional<uint16_t> first = ParsePort(text.substr(0, dash));
  const std::optional<uint16_t> last =
      dash == std::string_view::npos ? first : ParsePort(text.substr(dash + 1));
  if (!first.has_value() || !last.has_value() || *last < *first) {
    return absl::InvalidArgumentError(
        StrCat("not a port or a range of ports, such as 9249 or 9249-9299: ", text));
  }
  return PortRange(*first, *last);
}

class PrometheusServer::Impl {
 public:
  Impl(PrometheusServerOptions options, std::function<std::string()> render)
      : options_(std::move(options)),
        render_(std::move(render)),
        stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  ~Impl() {
    const uint64_t one = 1;
    // Cannot fail: the counter is 0.
    static_cast<void>(!write(stop_.get(), &one, sizeof(one)));
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Start() {
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* resolved = nullptr;
    const int error = getaddrinfo(options_.bind_address.c_str(), nullptr, &hints, &resolved);
    if (error != 0) {
      return absl::InvalidArgumentError(StrCat("metrics cannot be served on an unknown address: ",
                                               options_.bind_address, ": ", gai_strerror(error)));
    }
    const absl::Status listening = Listen(*resolved);
    freeaddrinfo(resolved);
    if (!listening.ok()) return listening;
    thread_ = std::jthread([this] {
      pthread_setname_np(pthread_self(), "weir-metrics");
      Serve();
    });
    return absl::OkStatus();
  }

  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  absl::Status Listen(const addrinfo& resolved) {
    sockaddr_storage address = {};
    std::memcpy(&address, resolved.ai_addr, resolved.ai_addrlen);
    in_port_t& address_port = resolved.ai_family == AF_INET6
                                  ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                  : reinterpret_cast<sockaddr_in&>(address).sin_port;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    int reason = 0;
    for (uint32_t port = options_.ports.first; port <= options_.ports.second; ++port) {
      listener_ =
          Descriptor(socket(resolved.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      const int reuse = 1;
      setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
      address_port = htons(static_cast<uint16_t>(port));
      if (bind(listener_.get(), generic, resolved.ai_addrlen) == 0 &&
          listen(listener_.get(), 16) == 0) {
        socklen_t length = sizeof(address);
        getsockname(listener_.get(), generic, &length);
        port_ = ntohs(address_port);
        return absl::OkStatus();
      }
      reason = errno;
    }
    return absl::UnavailableError(StrCat(
        "no port for metrics is free: address=", options_.bind_address,
        " ports=", options_.ports.first, "-", options_.ports.second, " reason=", strerror(reason)));
  }

  // Waits until the descriptor is ready, the time is over, or the server is to stop; returns
  // whether it is ready.
  bool Await(int descriptor, int16_t events, int timeout_ms) const {
    std::array<pollfd, 2> polled = {{{descriptor, events, 0}, {stop_.get(), POLLIN, 0}}};
    while (true) {
      const int ready = poll(polled.data(), polled.size(), timeout_ms);
      if (ready < 0 && errno == EINTR) continue;
      return ready > 0 && polled[1].revents == 0;
    }
  }

  [[nodiscard]] bool stopping() const {
    pollfd polled = {stop_.get(), POLLIN, 0};
    return poll(&polled, 1, 0) > 0;
  }

  void Serve() {
    while (!stopping()) {
      if (!Await(listener_.get(), POLLIN, -1)) continue;
      const Descriptor connection(
          accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (connection.get() >= 0) Answer(connection.get());
    }
  }

  void Answer(int connection) {
    const std::string request = Receive(connection);
    // A request that never became one gets no answer.
    if (request.find("\r\n\r\n") == std::string::npos) return;
    Send(connection, ResponseTo(std::string_view(request).substr(0, request.find("\r\n"))));
    shutdown(connection, SHUT_WR);
  }

  std::string Receive(int connection) const {
    const int64_t deadline = MonotonicNanos() + absl::ToInt64Nanoseconds(options_.timeout);
    std::string request;
    std::array<char, 4096> bytes;
    while (request.size() < kMaxRequestBytes && request.find("\r\n\r\n") == std::string::npos) {
      const int64_t left_ms = (deadline - MonotonicNanos()) / 1'000'000;
      if (left_ms <= 0 || !Await(connection, POLLIN, static_cast<int>(left_ms))) break;
      const ssize_t received = recv(connection, bytes.data(), bytes.size(), 0);
      if (received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR)) break;
      if (received > 0) request.append(bytes.data(), static_cast<size_t>(received));
    }
    return request;
  }

  std::string ResponseTo(std::string_view request_line) const {
    const size_t method_end = request_line.find(' ');
    const std::string_view method = request_line.substr(0, method_end);
    std::string_view path =
        method_end == std::string_view::npos ? "" : request_line.substr(method_end + 1);
    path = path.substr(0, path.find_first_of(" ?"));
    if (method != "GET" && method != "HEAD") {
      return Response("405 Method Not Allowed", "text/plain", "only GET and HEAD\n");
    }
    if (path != "/metrics" && path != "/") {
      return Response("404 Not Found", "text/plain", "metrics are at /metrics\n");
    }
    try {
      std::string response = Response("200 OK", kPrometheusContentType, render_());
      if (method == "HEAD") response.resize(response.find("\r\n\r\n") + 4);
      return response;
    } catch (const std::exception& exception) {
      LogError("metrics", StrCat("cannot render metrics: ", exception.what()));
      return Response("500 Internal Server Error", "text/plain", "metrics cannot be rendered\n");
    }
  }

  void Send(int connection, std::string_view bytes) const {
    const auto timeout_ms = static_cast<int>(absl::ToInt64Milliseconds(options_.timeout));
    while (!bytes.empty()) {
      const ssize_t sent = send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<size_t>(sent));
      } else if (sent < 0 && errno == EAGAIN) {
        if (!Await(connection, POLLOUT, timeout_ms)) return;
      } else if (sent < 0 && errno != EINTR) {
        return;  // The client is gone.
      }
    }
  }

  const PrometheusServerOptions options_;
  const std::function<std::string()> render_;
  Descriptor listener_{-1};
  const Descriptor stop_;  // Readable once the server is to stop.
  uint16_t port_ = 0;
  std::jthread thread_;
};

PrometheusServer::PrometheusServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PrometheusServer::~PrometheusServer() = default;

absl::StatusOr<std::unique_ptr<PrometheusServer>> PrometheusServer::Start(
    PrometheusServerOptions options, std::function<std::string()> render) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(render));
  if (absl::Status started = impl->Start(); !started.ok()) return started;
  return std::unique_ptr<PrometheusServer>(new PrometheusServer(std::move(impl)));
}

uint16_t PrometheusServer::port() const { return impl_->port(); }

}  // namespace weir
