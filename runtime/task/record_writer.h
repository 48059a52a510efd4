#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/graph/stream_graph.h"
#include "runtime/network/channel_queue.h"
#include "runtime/record/batch.h"
#include "runtime/task/output.h"
#include "runtime/task/queue_usage.h"

namespace weir {

/// Spreads one outgoing edge's records over its channels and sends them in batches.
///
/// A channel's batch is sent when it is full, and all of them by Flush: when the task goes idle, at
/// the buffer timeout, and before control elements. Watermarks wait for the next Flush, at most one
/// a flush. Threads: within a step only.
class RecordWriter final : public OutputTarget {
 public:
  struct Options {
    ShipStrategy strategy = ShipStrategy::kForward;
    std::shared_ptr<const KeyHasher> key_hasher;
    /// Key groups of the target; for kHash.
    uint32_t max_parallelism = 128;
    /// This producer's subtask index; for kForward and the start of kRebalance.
    uint32_t subtask = 0;
  };
  RecordWriter(Options options, std::vector<std::shared_ptr<ChannelQueue>> channels);

  void Accept(StreamElement element) override;
  [[nodiscard]] bool Full() const override;

  /// Sends everything that is held back.
  void Flush();
  /// Since when something is held back, in monotonic nanoseconds; nothing if nothing is.
  [[nodiscard]] std::optional<int64_t> pending_since() const { return pending_since_; }
  [[nodiscard]] uint64_t bytes_out() const { return bytes_out_; }
  [[nodiscard]] uint64_t batches_out() const { return batches_out_; }
  /// How full the channels are. Any thread.
  [[nodiscard]] QueueUsage Usage() const;
  /// Calls `listener`, on any thread, when a full channel has room again.
  void SetSpaceListener(const ChannelQueue::Listener& listener);

 private:
  void AcceptBatch(BatchPtr batch);
  void PartitionByKey(BatchPtr batch);
  void Send(size_t channel, BatchPtr batch);
  void NotePending();

  const Options options_;
  const std::vector<std::shared_ptr<ChannelQueue>> channels_;
  std::vector<uint32_t> channel_of_key_group_;
  std::vector<std::unique_ptr<BatchBuilder>>
      builders_;  // One per channel, made at first use; kHash only.
  std::vector<std::vector<uint32_t>>
      rows_;                      // Scratch: the rows of a batch that go to each channel.
  std::vector<uint64_t> hashes_;  // Scratch.
  std::optional<Watermark> pending_watermark_;
  std::optional<int64_t> pending_since_;
  size_t next_channel_ = 0;
  uint64_t bytes_out_ = 0;
  uint64_t batches_out_ = 0;
};

}  // namespace weir
