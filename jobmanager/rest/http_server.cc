#include "jobmanager/rest/http_server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "jobmanager/rest/internal/http_session.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using internal::HttpSession;

constexpr auto kAwaitable = asio::as_tuple(asio::use_awaitable);

absl::StatusOr<std::string> MakeUploadDirectory() {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  if (error) return absl::UnavailableError(StrCat("no folder for uploads: ", error.message()));
  std::string path = (parent / "weir-uploads-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) {
    return absl::UnavailableError(StrCat("cannot make a folder for uploads: path=", path));
  }
  return path;
}

}  // namespace

/// The event loop with everything on it. Exchanges may keep it alive, stopped, beyond the server.
class HttpServer::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(HttpServerOptions options, Router router)
      : options_(std::move(options)),
        router_(std::move(router)),
        owns_upload_directory_(options_.upload_directory.empty()) {}

  absl::Status Start() {
    RETURN_IF_ERROR(Listen());
    if (owns_upload_directory_) {
      ASSIGN_OR_RETURN(options_.upload_directory, MakeUploadDirectory());
    }
    context_ = {.options = &options_,
                .router = &router_,
                .address = StrCat(options_.bind_address, ":", port_),
                .event_loop = weak_from_this()};
    asio::co_spawn(io_context_, Accept(), asio::detached);
    for (uint32_t i = 0; i < std::max(options_.num_threads, 1U); ++i) {
      threads_.emplace_back([this] {
        pthread_setname_np(pthread_self(), "rest");
        io_context_.run();
      });
    }
    return absl::OkStatus();
  }

  void Stop() {
    asio::post(io_context_, [this] {
      error_code ignored;
      acceptor_.close(ignored);
    });
    DrainSessions();
    io_context_.stop();
    for (std::jthread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
    threads_.clear();
    if (owns_upload_directory_ && !options_.upload_directory.empty()) {
      std::error_code ignored;
      std::filesystem::remove_all(std::exchange(options_.upload_directory, {}), ignored);
    }
  }

  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  absl::Status Listen() {
    const std::string where = StrCat(options_.bind_address, ":", options_.port);
    error_code error;
    tcp::resolver resolver(io_context_);
    const auto endpoints =
        resolver.resolve(options_.bind_address, std::to_string(options_.port), error);
    if (!error && !endpoints.empty()) {
      const tcp::endpoint endpoint = *endpoints.begin();
      acceptor_.open(endpoint.protocol(), error);
      if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
      if (!error) acceptor_.bind(endpoint, error);
      if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
      if (!error) port_ = acceptor_.local_endpoint(error).port();
    }
    if (error) {
      return absl::FailedPreconditionError(
          StrCat("cannot listen for REST; choose another rest-port or address: address=", where,
                 " error=", error.message()));
    }
    return absl::OkStatus();
  }

  asio::awaitable<void> Accept() {
    while (acceptor_.is_open()) {
      auto [error, socket] =
          co_await acceptor_.async_accept(asio::make_strand(io_context_), kAwaitable);
      if (error == asio::error::operation_aborted || !acceptor_.is_open()) co_return;
      if (error) {  // Out of descriptors, most likely: others will be closed soon.
        asio::steady_timer pause(io_context_, std::chrono::milliseconds(50));
        co_await pause.async_wait(kAwaitable);
        continue;
      }
      Adopt(std::move(socket));
    }
  }

  void Adopt(tcp::socket socket) {
    auto session = std::make_shared<HttpSession>(std::move(socket), &context_);
    {
      const MutexLock lock(&mutex_);
      if (stopping_ || sessions_.size() >= options_.max_connections) return;
      sessions_.insert(session.get());
    }
    session->Start([this, session = session.get()] { Forget(session); });
  }

  void Forget(HttpSession* session) {
    const MutexLock lock(&mutex_);
    sessions_.erase(session);
    if (sessions_.empty()) no_sessions_.SignalAll();
  }

  void DrainSessions() {
    const auto deadline =
        std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(options_.drain_timeout);
    const MutexLock lock(&mutex_);
    stopping_ = true;
    // A session leaves the set before it ends, so those in it are alive; Shutdown only posts.
    for (HttpSession* session : sessions_) session->Shutdown();
    while (!sessions_.empty()) {
      const auto left = deadline - std::chrono::steady_clock::now();
      if (left <= left.zero()) return;
      no_sessions_.WaitFor(&mutex_, absl::FromChrono(left));
    }
  }

  HttpServerOptions options_;
  const Router router_;
  const bool owns_upload_directory_;
  internal::HttpSessionContext context_;
  uint16_t port_ = 0;
  Mutex mutex_;
  CondVar no_sessions_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<HttpSession*> sessions_ ABSL_GUARDED_BY(mutex_);
  asio::io_context io_context_;  // Destroys what is still on it, sessions too, before the rest.
  tcp::acceptor acceptor_{io_context_};
  std::vector<std::jthread> threads_;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(HttpServerOptions options,
                                                              Router router) {
  auto core = std::make_shared<Core>(std::move(options), std::move(router));
  RETURN_IF_ERROR(core->Start());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
}

HttpServer::HttpServer(std::shared_ptr<Core> core) : core_(std::move(core)) {}

HttpServer::~HttpServer() { Stop(); }

uint16_t HttpServer::port() const { return core_->port(); }

void HttpServer::Stop() { core_->Stop(); }

}  // namespace weir
