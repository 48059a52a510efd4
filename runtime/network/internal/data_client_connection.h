#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "runtime/base/mutex.h"
#include "runtime/network/data_client.h"
#include "runtime/network/internal/frame_connection.h"

namespace weir::internal {

/// A channel as the consumer's side knows it; shared by the handle and the connection.
struct ClientChannel {
  ChannelKey key;
  std::shared_ptr<ChannelQueue> target;
  std::function<void()> on_handle_closed;  // Set before the handle is given out.

  Mutex mutex;
  // Null once the handle is closed; the lock is held while user code decodes with it.
  const BatchType* type ABSL_GUARDED_BY(mutex) = nullptr;

  // On the connection's strand.
  uint32_t number = 0;
  int64_t credit_bytes = 0;       // What the sender may have left.
  size_t limit_bytes = 0;         // Of its queue, as last told.
  CheckpointId awaited;           // As last told.
  CheckpointId received_barrier;  // The newest.
};

/// The client's side of one connection: feeds the queues of all channels from one peer.
///
///     kConnecting (with retries) --> kOpen --> closed
///
/// Threads: on the connection's strand; the public methods may be called from any thread and take
/// effect in the order of the calls.
class DataClientConnection final : public FrameConnection {
 public:
  using Callback = std::function<void(const std::shared_ptr<DataClientConnection>&)>;

  /// `on_lost` is called when the connection takes no more channels, before its queues break: who
  /// connects anew because of that gets a new connection. `on_closed` is called last. `options` is
  /// borrowed and kept alive by what the callbacks hold.
  DataClientConnection(std::shared_ptr<NetworkContext> context, std::string host, uint16_t port,
                       const DataClientOptions& options, std::shared_ptr<NetworkCounters> counters,
                       Callback on_lost, Callback on_closed);

  void Start();
  void AddChannel(const std::shared_ptr<ClientChannel>& channel);
  void RemoveChannel(const std::shared_ptr<ClientChannel>& channel);
  /// Gives the sender back what the consumer has popped, and tells it a new limit of the queue.
  void ReturnCreditOf(const std::shared_ptr<ClientChannel>& channel);
  /// Says what is left to say and closes.
  void Shutdown();

  /// "host:port".
  [[nodiscard]] const std::string& peer() const { return peer_; }

 private:
  using Channel = ClientChannel;
  using ChannelPtr = std::shared_ptr<ClientChannel>;
  using Endpoints = boost::asio::ip::tcp::resolver::results_type;

  absl::Status OnFrame(const FrameHeader& header, std::string_view payload) override;
  void FillOutput(std::string*) override {}
  void OnEnd(const absl::Status& reason) override;
  void OnClosed() override;

  void Resolve();
  void ConnectTo(const Endpoints& endpoints);
  void OnConnectFailed(const boost::system::error_code& error);
  void OnConnected();

  void Request(Channel& channel);
  void TellLimit(Channel& channel);
  void TellAwaited(Channel& channel);
  void ReturnCredit(Channel& channel);
  absl::Status OnData(const ChannelPtr& channel, std::string_view payload);
  absl::Status OnCompressedData(const ChannelPtr& channel, std::string_view payload);
  void BreakChannel(const ChannelPtr& channel, const absl::Status& reason, bool tell_peer);
  absl::Status WithPlace(const absl::Status& reason, const Channel& channel) const;

  const std::string host_;
  const uint16_t port_;
  const std::string peer_;
  const DataClientOptions& options_;
  const Callback on_lost_;
  const Callback on_closed_;
  boost::asio::ip::basic_resolver<boost::asio::ip::tcp, Strand> resolver_;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                    boost::asio::wait_traits<std::chrono::steady_clock>, Strand>
      retry_;
  std::chrono::steady_clock::time_point connect_deadline_;
  std::chrono::nanoseconds backoff_{0};
  std::string decompressed_;  // Scratch memory.
  bool introduced_ = false;
  uint32_t last_number_ = 0;
  absl::flat_hash_map<uint32_t, ChannelPtr> channels_;
};

}  // namespace weir::internal
