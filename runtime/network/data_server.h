#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/network/channel_registry.h"
#include "runtime/network/network_counters.h"
#include "runtime/network/network_threads.h"

namespace weir {

/// How a DataServer listens and how much it holds.
struct DataServerOptions {
  std::string bind_address = "127.0.0.1";  // A numeric address.
  uint16_t port = 0;                       // 0: any free one.
  std::string cluster_id;                  // Peers of another cluster are refused.
  /// A connection serialises up to this many bytes, and one element more, before it waits for the
  /// socket.
  size_t write_buffer_bytes = size_t{256} << 10;
  /// Batches go out LZ4-compressed where that saves an eighth or more.
  bool compress = false;
  size_t max_channels_per_connection = size_t{1} << 20;
  /// A connection that has not introduced itself by then is closed.
  absl::Duration handshake_timeout = absl::Seconds(10);
};

/// Sends the elements of this TaskManager's channels to consumers on other TaskManagers.
///
/// Place: one per TaskManager, the consumer of every ChannelQueue that is read elsewhere; its peers
/// are DataClients. One connection carries many channels, served in turn. Flow control: a channel
/// sends batches only while the consumer's credit, in bytes, is positive (one element may
/// overdraft; control elements need none), so a stalled channel holds back its own queue and
/// nothing else. A barrier is announced ahead of the data queued before it. Failures: a lost
/// connection or a consumer that closes breaks the producer's queue, which then swallows what is
/// pushed; a queue that the producer breaks ends at the consumer with the same status, after what
/// was queued. What user code throws while it is serialised breaks its channel. Fencing: none here.
/// A channel is named by its producer's attempt id, which is unique and unguessable, so a request
/// can only mean the attempt it was made for. Threads: any; the work is done on `threads`.
/// Lifecycle: Stop before `threads` and `registry` end.
class DataServer {
 public:
  /// `threads` and `registry` are borrowed.
  DataServer(DataServerOptions options, NetworkThreads* threads, ChannelRegistry* registry);
  /// Stops.
  ~DataServer();
  DataServer(const DataServer&) = delete;
  DataServer& operator=(const DataServer&) = delete;

  /// Listens. Errors: kInvalidArgument for an address that is none, kUnavailable if it is taken.
  [[nodiscard]] absl::Status Start();
  /// Closes all connections and waits until they are; blocks, so never on a network thread. May be
  /// called twice.
  void Stop();

  /// The port listened on; 0 before Start.
  [[nodiscard]] uint16_t port() const;
  [[nodiscard]] const NetworkCounters& counters() const;

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;
};

}  // namespace weir
