#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
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
/// the buffer timeout, and before control elements. Where a channel's limit is below its capacity a
/// batch is full with half of the limit. Watermarks wait for the next Flush, at most one a flush.
/// Threads: within a step only.
class RecordWriter final : public OutputTarget {
 public:
  struct Options {
    /// Its `key_hasher` and `partitioner` are user code and may throw out of Accept.
    Partitioning partitioning = {};
    /// Key groups of the target; for kHash.
    uint32_t max_parallelism = 128;
    /// This producer's subtask index: where it begins to take turns.
    uint32_t subtask = 0;
  };
  /// `channels` are those of ConsumersOf this producer, in order.
  RecordWriter(Options options, std::vector<std::shared_ptr<ChannelQueue>> channels);

  void Accept(StreamElement element) override;
  [[nodiscard]] bool Full() const override;

  /// Lets each channel hold `bytes` more before it counts as full: for an unaligned barrier, which
  /// need not wait for room.
  void set_overdraft_bytes(size_t bytes) { overdraft_bytes_ = bytes; }

  /// Sends everything that is held back.
  void Flush();
  /// Since when something is held back, in monotonic nanoseconds; nothing if nothing is.
  [[nodiscard]] std::optional<int64_t> pending_since() const { return pending_since_; }
  [[nodiscard]] uint64_t bytes_out() const { return bytes_out_; }
  [[nodiscard]] uint64_t batches_out() const { return batches_out_; }
  /// How many records a batch that it is given should have at most, so that it is not more than
  /// the channels' limits have room for.
  [[nodiscard]] size_t MaxBatchRecords() const;
  /// How full the channels are. Any thread.
  [[nodiscard]] QueueUsage Usage() const;
  /// Calls `listener`, on any thread, when a full channel has room again.
  void SetSpaceListener(const ChannelQueue::Listener& listener);

 private:
  void AcceptBatch(BatchPtr batch);
  void PartitionByKey(BatchPtr batch);
  void Shuffle(BatchPtr batch);
  void SpreadEvenly(BatchPtr batch);
  void Scatter(BatchPtr batch, std::vector<uint64_t> hashes);
  void Append(size_t channel, BatchPtr& batch, std::span<const uint32_t> rows,
              std::span<const uint64_t> hashes);
  void Send(size_t channel, BatchPtr batch);
  void SendPending(size_t channel);
  void NotePending();

  const Options options_;
  const std::vector<std::shared_ptr<ChannelQueue>> channels_;
  std::vector<uint32_t> channel_of_key_group_;  // For kHash.
  // One per channel, made at first use; for strategies that divide batches.
  std::vector<std::unique_ptr<BatchBuilder>> builders_;
  std::vector<uint64_t> num_sent_;  // Records per channel; for strategies that take turns.
  size_t next_channel_ = 0;         // Whose turn it is among equals.
  size_t next_marker_channel_ = 0;
  uint64_t random_;  // State of kShuffle's generator.
  // Scratch of one batch: each row's channel, the rows in the order of their channels, and where
  // each channel's rows begin.
  std::vector<uint32_t> channel_of_row_;
  std::vector<uint32_t> rows_;
  std::vector<uint32_t> first_row_;
  size_t overdraft_bytes_ = 0;
  std::optional<Watermark> pending_watermark_;
  std::optional<int64_t> pending_since_;
  uint64_t bytes_out_ = 0;
  uint64_t batches_out_ = 0;
  uint64_t records_out_ = 0;
};

}  // namespace weir
