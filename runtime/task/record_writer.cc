#include "runtime/task/record_writer.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/state/key_groups.h"

namespace weir {
namespace {

// A batch goes whole to one channel as soon as it makes no more than 1 / kFairness of what each
// channel has got; smaller totals are divided record by record.
constexpr uint64_t kFairness = 100;

// A smaller batch costs more than it is worth, however low the channel's limit.
constexpr size_t kMinBatchBytes = 256;

// With how many bytes a batch for the channel is full.
size_t FullBatchBytes(const ChannelQueue& channel) {
  const size_t limit = channel.limit_bytes();
  if (limit >= channel.capacity_bytes()) return kMaxBatchBytes;
  return std::clamp(limit / 2, kMinBatchBytes, kMaxBatchBytes);
}

// How many records have `bytes`, if so many have `total_bytes`; at least one.
size_t RecordsIn(size_t bytes, size_t num_records, size_t total_bytes) {
  const uint64_t records = uint64_t{bytes} * num_records / std::max<size_t>(total_bytes, 1);
  return std::clamp<size_t>(records, 1, kMaxBatchRecords);
}

// xorshift64*: passes for random where records are spread, and costs a few cycles.
uint64_t NextRandom(uint64_t* state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * 0x2545F4914F6CDD1DULL;
}

}  // namespace

RecordWriter::RecordWriter(Options options, std::vector<std::shared_ptr<ChannelQueue>> channels)
    : options_(std::move(options)),
      channels_(std::move(channels)),
      next_channel_(channels_.empty() ? 0 : options_.subtask % channels_.size()),
      next_marker_channel_(next_channel_),
      random_(0x9E3779B97F4A7C15ULL * (options_.subtask + 1)) {
  builders_.resize(channels_.size());
  num_sent_.resize(channels_.size());
  first_row_.resize(channels_.size() + 1);
  if (options_.partitioning.strategy != ShipStrategy::kHash) return;
  const auto num_channels = static_cast<uint32_t>(channels_.size());
  for (uint32_t group = 0; group < options_.max_parallelism; ++group) {
    channel_of_key_group_.push_back(
        SubtaskOfKeyGroup(KeyGroup(group), options_.max_parallelism, num_channels));
  }
}

void RecordWriter::SetSpaceListener(const ChannelQueue::Listener& listener) {
  for (const auto& channel : channels_) channel->SetSpaceListener(listener);
}

bool RecordWriter::Full() const {
  return std::any_of(channels_.begin(), channels_.end(), [this](const auto& channel) {
    if (!channel->Full()) return false;
    return overdraft_bytes_ == 0 ||
           channel->queued_bytes() >= channel->limit_bytes() + overdraft_bytes_;
  });
}

void RecordWriter::Accept(StreamElement element) {
  if (auto* batch = std::get_if<BatchPtr>(&element)) {
    AcceptBatch(std::move(*batch));
  } else if (const auto* watermark = std::get_if<Watermark>(&element)) {
    pending_watermark_ = *watermark;
    NotePending();
  } else if (std::holds_alternative<LatencyMarker>(element)) {
    // To one channel, or they would multiply with every exchange.
    Flush();
    channels_[next_marker_channel_]->Push(std::move(element));
    next_marker_channel_ = (next_marker_channel_ + 1) % channels_.size();
  } else {
    Flush();
    for (const auto& channel : channels_) channel->Push(element);
  }
}

void RecordWriter::AcceptBatch(BatchPtr batch) {
  const ShipStrategy strategy = options_.partitioning.strategy;
  if (strategy == ShipStrategy::kHash) return PartitionByKey(std::move(batch));
  if (channels_.size() == 1) return Send(0, std::move(batch));
  switch (strategy) {
    case ShipStrategy::kForward:
      return Send(options_.subtask, std::move(batch));
    case ShipStrategy::kGlobal:
      return Send(0, std::move(batch));
    case ShipStrategy::kBroadcast:
      for (size_t channel = 0; channel < channels_.size(); ++channel) Send(channel, batch);
      return;
    case ShipStrategy::kRebalance:
    case ShipStrategy::kRescale:
      return SpreadEvenly(std::move(batch));
    case ShipStrategy::kShuffle:
      return Shuffle(std::move(batch));
    case ShipStrategy::kCustom:
      options_.partitioning.partitioner->Partition(*batch, static_cast<uint32_t>(channels_.size()),
                                                   &channel_of_row_);
      return Scatter(std::move(batch), {});
    case ShipStrategy::kHash:
      return;  // Above.
  }
}

void RecordWriter::PartitionByKey(BatchPtr batch) {
  std::vector<uint64_t> hashes;
  options_.partitioning.key_hasher->HashKeys(*batch, &hashes);
  if (channels_.size() == 1) {
    batch.MakeUnique().SetKeyHashes(std::move(hashes));
    return Send(0, std::move(batch));
  }
  const uint64_t num_groups = options_.max_parallelism;
  channel_of_row_.resize(hashes.size());
  for (size_t row = 0; row < hashes.size(); ++row) {
    channel_of_row_[row] = channel_of_key_group_[((hashes[row] >> 32) * num_groups) >> 32];
  }
  Scatter(std::move(batch), std::move(hashes));
}

void RecordWriter::Shuffle(BatchPtr batch) {
  const uint64_t num_channels = channels_.size();
  channel_of_row_.resize(batch->size());
  for (uint32_t& channel : channel_of_row_) {
    channel = static_cast<uint32_t>(((NextRandom(&random_) >> 32) * num_channels) >> 32);
  }
  Scatter(std::move(batch), {});
}

void RecordWriter::SpreadEvenly(BatchPtr batch) {
  const size_t num_channels = channels_.size();
  const uint64_t num_rows = batch->size();
  const size_t first = std::exchange(next_channel_, (next_channel_ + 1) % num_channels);
  size_t least = first;
  for (size_t i = 0; i < num_channels; ++i) {
    const size_t channel = (first + i) % num_channels;
    if (num_sent_[channel] < num_sent_[least]) least = channel;
  }
  if (num_rows <= num_sent_[least] / kFairness || num_rows == 1) {
    num_sent_[least] += num_rows;
    SendPending(least);
    return Send(least, std::move(batch));
  }
  // Fills up the channels to one level, neighbouring rows together.
  const uint64_t total = std::accumulate(num_sent_.begin(), num_sent_.end(), num_rows);
  uint64_t above_level = total % num_channels;  // So many channels get one more.
  channel_of_row_.clear();
  for (size_t i = 0; i < num_channels; ++i) {
    const size_t channel = (first + i) % num_channels;
    uint64_t level = total / num_channels;
    if (above_level > 0 && num_sent_[channel] <= level) {
      ++level;
      --above_level;
    }
    if (num_sent_[channel] >= level) continue;
    const uint64_t count = std::min(level - num_sent_[channel], num_rows - channel_of_row_.size());
    channel_of_row_.insert(channel_of_row_.end(), count, static_cast<uint32_t>(channel));
    num_sent_[channel] += count;
  }
  Scatter(std::move(batch), {});
}

// Appends each row to the batch of its channel, channel_of_row_.
void RecordWriter::Scatter(BatchPtr batch, std::vector<uint64_t> hashes) {
  const size_t num_channels = channels_.size();
  // A counting sort of the rows by channel.
  std::fill(first_row_.begin(), first_row_.end(), 0);
  for (const uint32_t channel : channel_of_row_) ++first_row_[channel];
  uint32_t begin = 0;
  for (size_t channel = 0; channel < num_channels; ++channel) {
    const uint32_t count = first_row_[channel];
    if (count == channel_of_row_.size() && 2 * count >= kMaxBatchRecords) {
      // All of a large batch goes one way: as it is.
      if (!hashes.empty()) batch.MakeUnique().SetKeyHashes(std::move(hashes));
      SendPending(channel);
      return Send(channel, std::move(batch));
    }
    first_row_[channel] = begin;
    begin += count;
  }
  rows_.resize(channel_of_row_.size());
  for (uint32_t row = 0; row < channel_of_row_.size(); ++row) {
    rows_[first_row_[channel_of_row_[row]]++] = row;
  }
  // Each entry has moved on to where the next channel's rows begin.
  begin = 0;
  for (size_t channel = 0; channel < num_channels; ++channel) {
    const uint32_t end = first_row_[channel];
    if (begin < end) Append(channel, batch, std::span(rows_).subspan(begin, end - begin), hashes);
    begin = end;
  }
}

void RecordWriter::Append(size_t channel, BatchPtr& batch, std::span<const uint32_t> rows,
                          std::span<const uint64_t> hashes) {
  std::unique_ptr<BatchBuilder>& builder = builders_[channel];
  if (builder == nullptr) builder = batch->NewBuilder();
  const size_t full_bytes = FullBatchBytes(*channels_[channel]);
  const size_t most = full_bytes >= kMaxBatchBytes
                          ? kMaxBatchRecords
                          : RecordsIn(full_bytes, batch->size(),
                                      batch->SizeBytes() + hashes.size() * sizeof(uint64_t));
  while (!rows.empty()) {
    const size_t count = std::min(rows.size(), most - std::min(most - 1, builder->size()));
    builder->AppendRows(batch, rows.first(count), hashes);
    rows = rows.subspan(count);
    if (builder->size() >= most || builder->SizeBytes() >= full_bytes) {
      Send(channel, builder->Finish());
    }
  }
  if (builder->size() > 0) NotePending();
}

void RecordWriter::Send(size_t channel, BatchPtr batch) {
  bytes_out_ += batch->SizeBytes();
  ++batches_out_;
  records_out_ += batch->size();
  channels_[channel]->Push(std::move(batch));
}

size_t RecordWriter::MaxBatchRecords() const {
  size_t least_bytes = kMaxBatchBytes;
  size_t sum_bytes = 0;
  for (const auto& channel : channels_) {
    const size_t bytes = FullBatchBytes(*channel);
    least_bytes = std::min(least_bytes, bytes);
    sum_bytes += bytes;
  }
  if (least_bytes >= kMaxBatchBytes || records_out_ == 0) return kMaxBatchRecords;
  const ShipStrategy strategy = options_.partitioning.strategy;
  const bool divides = strategy == ShipStrategy::kHash || strategy == ShipStrategy::kShuffle ||
                       strategy == ShipStrategy::kCustom;
  return RecordsIn(divides ? sum_bytes : least_bytes, records_out_, bytes_out_);
}

QueueUsage RecordWriter::Usage() const {
  return MeasureQueues(channels_.size(),
                       [this](size_t index) -> const ChannelQueue& { return *channels_[index]; });
}

// What was divided before goes ahead of a batch that is sent whole.
void RecordWriter::SendPending(size_t channel) {
  if (builders_[channel] != nullptr && builders_[channel]->size() > 0) {
    Send(channel, builders_[channel]->Finish());
  }
}

void RecordWriter::NotePending() {
  if (!pending_since_.has_value()) pending_since_ = MonotonicNanos();
}

void RecordWriter::Flush() {
  if (!pending_since_.has_value()) return;
  pending_since_.reset();
  for (size_t channel = 0; channel < builders_.size(); ++channel) SendPending(channel);
  if (pending_watermark_.has_value()) {
    for (const auto& channel : channels_) channel->Push(*pending_watermark_);
    pending_watermark_.reset();
  }
}

}  // namespace weir
