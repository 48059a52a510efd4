#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "runtime/network/channel_queue.h"
#include "runtime/network/network_counters.h"
#include "runtime/network/network_threads.h"
#include "runtime/record/batch.h"

namespace weir {

namespace internal {
struct ClientChannel;
}

/// How a DataClient connects.
struct DataClientOptions {
  std::string cluster_id;  // Must equal the servers'.
  /// A refused connection is tried again, with growing pauses, until this has passed.
  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration initial_backoff = absl::Milliseconds(20);
  absl::Duration max_backoff = absl::Seconds(1);
};

/// A consumer's hold on one remote channel. Closing it cancels the channel at the producer.
/// Movable; used by one thread at a time; may outlive its DataClient.
class ChannelHandle {
 public:
  ChannelHandle() = default;
  /// For DataClient.
  explicit ChannelHandle(std::shared_ptr<internal::ClientChannel> channel);
  ChannelHandle(ChannelHandle&&) noexcept = default;
  ChannelHandle& operator=(ChannelHandle&& other) noexcept;
  ~ChannelHandle();

  /// Ends the channel. Once it returns, the channel's BatchType is used no more; an element already
  /// decoded may still reach the queue. Waits at most for the decoding of one element. May be
  /// called twice.
  void Close();

 private:
  std::shared_ptr<internal::ClientChannel> channel_;
};

/// Fetches the elements of channels whose producers run on other TaskManagers.
///
/// Place: one per TaskManager, the producer of every ChannelQueue that is fed from elsewhere; its
/// peers are DataServers. All channels from one peer share a connection, made when the first is
/// asked for and closed with the last. Flow control: a queue's capacity is the credit granted to
/// the sender, an element costs what it took on the wire, and credit goes back when at least a
/// quarter of the capacity has been popped. Failures break the queue, always after what arrived
/// before: kUnavailable for a peer that cannot be reached, refuses or is lost, kDataLoss for frames
/// or batches that cannot be read (both name peer and channel), kInternal for what user code throws
/// while it reads a record, and otherwise the producer's own status. Threads: any; the work, the
/// decoding too, is done on `threads`. Lifecycle: Stop before `threads` ends.
class DataClient {
 public:
  /// `threads` is borrowed.
  DataClient(DataClientOptions options, NetworkThreads* threads);
  /// Stops.
  ~DataClient();
  DataClient(const DataClient&) = delete;
  DataClient& operator=(const DataClient&) = delete;

  /// Feeds `target`, an unused queue, with what `key`'s producer on the data server at
  /// `host`:`port` pushes; batches are of `type`, which must live until the handle is closed. Does
  /// not block; the producer may come into being later.
  [[nodiscard]] ChannelHandle Connect(const std::string& host, uint16_t port, const ChannelKey& key,
                                      std::shared_ptr<ChannelQueue> target, const BatchType* type);

  /// Closes all connections, which breaks their queues, and waits until they are; blocks, so never
  /// on a network thread. May be called twice.
  void Stop();

  [[nodiscard]] const NetworkCounters& counters() const;

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;
};

}  // namespace weir
