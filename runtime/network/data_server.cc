#include "runtime/network/data_server.h"

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "runtime/base/logging.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"
#include "runtime/network/internal/data_server_session.h"
#include "runtime/network/internal/network_context.h"

namespace weir {

namespace asio = boost::asio;
using asio::ip::tcp;

class DataServer::Impl : public std::enable_shared_from_this<DataServer::Impl> {
 public:
  Impl(DataServerOptions options, std::shared_ptr<internal::NetworkContext> context,
       ChannelRegistry* registry)
      : options_(std::move(options)),
        context_(std::move(context)),
        registry_(registry),
        counters_(std::make_shared<NetworkCounters>()),
        acceptor_(asio::make_strand(context_->io())),
        retry_(acceptor_.get_executor()) {}

  absl::Status Start();
  void Stop();
  uint16_t port() const { return port_.load(std::memory_order_relaxed); }
  const NetworkCounters& counters() const { return *counters_; }

 private:
  using Connection = std::shared_ptr<internal::FrameConnection>;

  void Accept();
  void OnAccept(const boost::system::error_code& error, internal::StrandSocket socket);
  void OnSessionClosed(const Connection& session);

  const DataServerOptions options_;
  const std::shared_ptr<internal::NetworkContext> context_;
  ChannelRegistry* const registry_;
  const std::shared_ptr<NetworkCounters> counters_;
  std::atomic<uint16_t> port_{0};
  tcp::acceptor acceptor_;  // On its own strand once listening; before that, Start's.
  asio::steady_timer retry_;

  Mutex mutex_;
  CondVar closed_;
  bool accepting_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<Connection> sessions_ ABSL_GUARDED_BY(mutex_);
};

absl::Status DataServer::Impl::Start() {
  boost::system::error_code error;
  const asio::ip::address address = asio::ip::make_address(options_.bind_address, error);
  if (error) {
    return absl::InvalidArgumentError(StrCat(
        "the data server's address is not a numeric one: bind_address=", options_.bind_address));
  }
  const tcp::endpoint endpoint(address, options_.port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  tcp::endpoint bound;
  if (!error) bound = acceptor_.local_endpoint(error);
  if (error) {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    return absl::UnavailableError(
        StrCat("the data server cannot listen: address=", options_.bind_address, ":", options_.port,
               " error=", error.message()));
  }
  port_.store(bound.port(), std::memory_order_relaxed);
  {
    MutexLock lock(&mutex_);
    accepting_ = true;
  }
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] { self->Accept(); });
  return absl::OkStatus();
}

void DataServer::Impl::Stop() {
  std::vector<Connection> sessions;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    sessions.assign(sessions_.begin(), sessions_.end());
  }
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
    boost::system::error_code ignored;
    self->acceptor_.close(ignored);
    self->retry_.cancel();
    MutexLock lock(&self->mutex_);
    self->accepting_ = false;
    self->closed_.SignalAll();
  });
  for (const Connection& session : sessions) {
    session->Post([connection = session.get()] {
      connection->Close(absl::UnavailableError("the data server stopped:"));
    });
  }
  MutexLock lock(&mutex_);
  while (accepting_ || !sessions_.empty()) closed_.Wait(&mutex_);
}

void DataServer::Impl::Accept() {
  if (!acceptor_.is_open()) return;
  acceptor_.async_accept(asio::make_strand(context_->io()),
                         [self = shared_from_this()](const boost::system::error_code& error,
                                                     internal::StrandSocket socket) {
                           self->OnAccept(error, std::move(socket));
                         });
}

void DataServer::Impl::OnAccept(const boost::system::error_code& error,
                                internal::StrandSocket socket) {
  if (!acceptor_.is_open()) return;
  if (error) {
    // Out of file descriptors, most likely: some will be free again.
    LogWarning("network", StrCat("the data server cannot accept: error=", error.message()));
    retry_.expires_after(std::chrono::milliseconds(100));
    retry_.async_wait([self = shared_from_this()](const boost::system::error_code& cancelled) {
      if (!cancelled) self->Accept();
    });
    return;
  }
  auto session = std::make_shared<internal::DataServerSession>(
      context_, std::move(socket), options_, registry_, counters_,
      [self = shared_from_this()](const Connection& closed) { self->OnSessionClosed(closed); });
  {
    MutexLock lock(&mutex_);
    if (stopping_) return;
    sessions_.insert(session);
  }
  counters_->num_connections.fetch_add(1, std::memory_order_relaxed);
  session->Post([started = session.get()] { started->Start(); });
  Accept();
}

void DataServer::Impl::OnSessionClosed(const Connection& session) {
  counters_->num_connections.fetch_sub(1, std::memory_order_relaxed);
  MutexLock lock(&mutex_);
  sessions_.erase(session);
  closed_.SignalAll();
}

DataServer::DataServer(DataServerOptions options, NetworkThreads* threads,
                       ChannelRegistry* registry)
    : impl_(std::make_shared<Impl>(std::move(options), threads->context(), registry)) {}

DataServer::~DataServer() { Stop(); }

absl::Status DataServer::Start() { return impl_->Start(); }

void DataServer::Stop() { impl_->Stop(); }

uint16_t DataServer::port() const { return impl_->port(); }

const NetworkCounters& DataServer::counters() const { return impl_->counters(); }

}  // namespace weir
