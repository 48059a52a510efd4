#include "runtime/network/data_client.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"
#include "runtime/network/internal/data_client_connection.h"
#include "runtime/network/internal/network_context.h"

namespace weir {

using internal::ClientChannel;
using internal::DataClientConnection;

class DataClient::Impl : public std::enable_shared_from_this<DataClient::Impl> {
 public:
  Impl(DataClientOptions options, std::shared_ptr<internal::NetworkContext> context)
      : options_(std::move(options)),
        context_(std::move(context)),
        counters_(std::make_shared<NetworkCounters>()) {}

  ChannelHandle Connect(const std::string& host, uint16_t port, const ChannelKey& key,
                        std::shared_ptr<ChannelQueue> target, const BatchType* type);
  void Stop();
  const NetworkCounters& counters() const { return *counters_; }

 private:
  using Connection = std::shared_ptr<DataClientConnection>;
  struct Peer {
    Connection connection;
    size_t num_handles = 0;
  };

  /// Returns the connection to a peer with one handle more on it; null once stopped.
  Connection Acquire(const std::string& host, uint16_t port);
  void Release(const Connection& connection);
  void OnLost(const Connection& connection);
  void OnClosed(const Connection& connection);

  const DataClientOptions options_;
  const std::shared_ptr<internal::NetworkContext> context_;
  const std::shared_ptr<NetworkCounters> counters_;

  Mutex mutex_;
  CondVar closed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<std::string, Peer> peers_ ABSL_GUARDED_BY(mutex_);  // Taking channels.
  absl::flat_hash_set<Connection> connections_ ABSL_GUARDED_BY(mutex_);   // Not yet closed.
};

ChannelHandle DataClient::Impl::Connect(const std::string& host, uint16_t port,
                                        const ChannelKey& key, std::shared_ptr<ChannelQueue> target,
                                        const BatchType* type) {
  const Connection connection = Acquire(host, port);
  if (connection == nullptr) {
    target->Break(absl::UnavailableError(
        StrCat("the data client has stopped: peer=", host, ":", port, " channel=", ToString(key))));
    return {};
  }
  auto channel = std::make_shared<ClientChannel>();
  channel->key = key;
  channel->target = std::move(target);
  {
    MutexLock lock(&channel->mutex);
    channel->type = type;
  }
  const std::weak_ptr<ClientChannel> weak_channel = channel;
  const std::weak_ptr<DataClientConnection> weak_connection = connection;
  channel->on_handle_closed = [self = shared_from_this(), weak_connection, weak_channel] {
    const Connection live = weak_connection.lock();
    if (live == nullptr) return;
    if (const auto closed = weak_channel.lock()) live->RemoveChannel(closed);
    self->Release(live);
  };
  const size_t threshold_bytes = std::max<size_t>(channel->target->capacity_bytes() / 4, 1);
  channel->target->SetConsumedListener(threshold_bytes, [weak_connection, weak_channel] {
    const Connection live = weak_connection.lock();
    const auto popped = weak_channel.lock();
    if (live != nullptr && popped != nullptr) live->ReturnCreditOf(popped);
  });
  connection->AddChannel(channel);
  return ChannelHandle(std::move(channel));
}

DataClient::Impl::Connection DataClient::Impl::Acquire(const std::string& host, uint16_t port) {
  Connection connection;
  {
    MutexLock lock(&mutex_);
    if (stopping_) return nullptr;
    Peer& peer = peers_[StrCat(host, ":", port)];
    ++peer.num_handles;
    if (peer.connection != nullptr) return peer.connection;
    const auto self = shared_from_this();
    connection = std::make_shared<DataClientConnection>(
        context_, host, port, options_, counters_,
        [self](const Connection& lost) { self->OnLost(lost); },
        [self](const Connection& closed) { self->OnClosed(closed); });
    peer.connection = connection;
    connections_.insert(connection);
    // Within the lock, so that it comes before another thread's first channel.
    connection->Start();
  }
  counters_->num_connections.fetch_add(1, std::memory_order_relaxed);
  return connection;
}

void DataClient::Impl::Release(const Connection& connection) {
  {
    MutexLock lock(&mutex_);
    const auto it = peers_.find(connection->peer());
    if (it == peers_.end() || it->second.connection != connection) return;
    if (--it->second.num_handles > 0) return;
    peers_.erase(it);
  }
  connection->Shutdown();
}

void DataClient::Impl::OnLost(const Connection& connection) {
  MutexLock lock(&mutex_);
  const auto it = peers_.find(connection->peer());
  if (it != peers_.end() && it->second.connection == connection) peers_.erase(it);
}

void DataClient::Impl::OnClosed(const Connection& connection) {
  counters_->num_connections.fetch_sub(1, std::memory_order_relaxed);
  MutexLock lock(&mutex_);
  connections_.erase(connection);
  closed_.SignalAll();
}

void DataClient::Impl::Stop() {
  std::vector<Connection> connections;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    connections.assign(connections_.begin(), connections_.end());
  }
  for (const Connection& connection : connections) {
    connection->Post([live = connection.get()] {
      live->Close(absl::UnavailableError("the data client stopped:"));
    });
  }
  MutexLock lock(&mutex_);
  while (!connections_.empty()) closed_.Wait(&mutex_);
}

ChannelHandle::ChannelHandle(std::shared_ptr<ClientChannel> channel)
    : channel_(std::move(channel)) {}

ChannelHandle& ChannelHandle::operator=(ChannelHandle&& other) noexcept {
  if (this != &other) {
    Close();
    channel_ = std::move(other.channel_);
  }
  return *this;
}

ChannelHandle::~ChannelHandle() { Close(); }

void ChannelHandle::Close() {
  const std::shared_ptr<ClientChannel> channel = std::exchange(channel_, nullptr);
  if (channel == nullptr) return;
  {
    MutexLock lock(&channel->mutex);
    channel->type = nullptr;
  }
  channel->target->SetConsumedListener(0, nullptr);
  channel->on_handle_closed();
}

DataClient::DataClient(DataClientOptions options, NetworkThreads* threads)
    : impl_(std::make_shared<Impl>(std::move(options), threads->context())) {}

DataClient::~DataClient() { Stop(); }

ChannelHandle DataClient::Connect(const std::string& host, uint16_t port, const ChannelKey& key,
                                  std::shared_ptr<ChannelQueue> target, const BatchType* type) {
  return impl_->Connect(host, port, key, std::move(target), type);
}

void DataClient::Stop() { impl_->Stop(); }

const NetworkCounters& DataClient::counters() const { return impl_->counters(); }

}  // namespace weir
