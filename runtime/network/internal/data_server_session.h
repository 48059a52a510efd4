#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/base/mutex.h"
#include "runtime/network/channel_registry.h"
#include "runtime/network/data_server.h"
#include "runtime/network/internal/frame_connection.h"

namespace weir::internal {

/// The server's side of one connection: the consumer of the queues that the peer asked for.
///
/// A channel waits for its queue's listener, for credit, or in `ready_` for its turn. Threads: on
/// the connection's strand, save Wake, which the producers' tasks call.
class DataServerSession final : public FrameConnection {
 public:
  using ClosedCallback = std::function<void(const std::shared_ptr<FrameConnection>&)>;

  /// `registry` and `options` are borrowed until `on_closed` has been called.
  DataServerSession(std::shared_ptr<NetworkContext> context, StrandSocket socket,
                    const DataServerOptions& options, ChannelRegistry* registry,
                    std::shared_ptr<NetworkCounters> counters, ClosedCallback on_closed);

  /// Begins the handshake. On the strand.
  void Start();

 private:
  struct Channel {
    uint32_t number = 0;
    ChannelKey key;
    // May fall below zero by one element, and by what lies ahead of an awaited barrier.
    int64_t credit_bytes = 0;
    int64_t initial_credit_bytes = 0;  // What credit never exceeds.
    size_t limit_bytes = 0;            // Of the queue, as the consumer told; 0: it has not.
    ChannelRegistry::WaitId wait = 0;
    std::shared_ptr<ChannelQueue> queue;  // Null until the producer is there.
    CheckpointId announced;               // Newest barrier the consumer knows of.
    CheckpointId awaited;                 // What the consumer records up to.
    CheckpointId sent_barrier;            // The newest.
    bool ready = false;                   // Is in ready_.
    bool closed = false;
    std::atomic<bool> signalled{
        false};  // Is in woken_: set by the producer, cleared on the strand.
  };
  using ChannelPtr = std::shared_ptr<Channel>;

  absl::Status OnFrame(const FrameHeader& header, std::string_view payload) override;
  void FillOutput(std::string* out) override;
  void OnEnd(const absl::Status& reason) override;
  void OnClosed() override;

  absl::Status OnRequest(uint32_t number, std::string_view payload);
  absl::Status OnCredit(uint32_t number, std::string_view payload);
  absl::Status OnLimit(uint32_t number, std::string_view payload);
  absl::Status OnAwait(uint32_t number, std::string_view payload);
  absl::Status CheckNumber(uint32_t number) const;
  void OnPresent(const ChannelPtr& channel,
                 const absl::StatusOr<std::shared_ptr<ChannelQueue>>& queue);

  void Wake(const ChannelPtr& channel);
  void HandleWoken();
  void MakeReady(const ChannelPtr& channel);
  void Announce(Channel& channel);
  bool SendNext(Channel& channel, std::string* out);
  // Returns what the element costs of the channel's credit: the size of its frame, uncompressed.
  absl::StatusOr<size_t> AppendElement(const Channel& channel, const StreamElement& element,
                                       std::string* out);
  void SendBreak(Channel& channel, const absl::Status& reason, std::string* out);
  void Detach(Channel& channel, const absl::Status& reason);

  const DataServerOptions& options_;
  ChannelRegistry* const registry_;
  const ClosedCallback on_closed_;
  std::string peer_;
  bool introduced_ = false;
  uint32_t last_number_ = 0;
  absl::flat_hash_map<uint32_t, ChannelPtr> channels_;
  std::string compressed_;        // Scratch memory.
  std::deque<ChannelPtr> ready_;  // May send; served in turn.

  Mutex mutex_;
  std::vector<ChannelPtr> woken_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir::internal
