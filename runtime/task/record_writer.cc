#include "runtime/task/record_writer.h"

#include <algorithm>
#include <span>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/state/key_groups.h"

namespace weir {

RecordWriter::RecordWriter(Options options, std::vector<std::shared_ptr<ChannelQueue>> channels)
    : options_(std::move(options)),
      channels_(std::move(channels)),
      next_channel_(channels_.empty() ? 0 : options_.subtask % channels_.size()) {
  if (options_.strategy != ShipStrategy::kHash) return;
  const auto num_channels = static_cast<uint32_t>(channels_.size());
  for (uint32_t group = 0; group < options_.max_parallelism; ++group) {
    channel_of_key_group_.push_back(
        SubtaskOfKeyGroup(KeyGroup(group), options_.max_parallelism, num_channels));
  }
  builders_.resize(channels_.size());
  rows_.resize(channels_.size());
}

void RecordWriter::SetSpaceListener(const ChannelQueue::Listener& listener) {
  for (const auto& channel : channels_) channel->SetSpaceListener(listener);
}

bool RecordWriter::Full() const {
  return std::any_of(channels_.begin(), channels_.end(),
                     [](const auto& channel) { return channel->Full(); });
}

void RecordWriter::Accept(StreamElement element) {
  if (auto* batch = std::get_if<BatchPtr>(&element)) {
    AcceptBatch(std::move(*batch));
  } else if (const auto* watermark = std::get_if<Watermark>(&element)) {
    pending_watermark_ = *watermark;
    NotePending();
  } else {
    Flush();
    for (const auto& channel : channels_) channel->Push(element);
  }
}

void RecordWriter::AcceptBatch(BatchPtr batch) {
  switch (options_.strategy) {
    case ShipStrategy::kForward:
      Send(channels_.size() == 1 ? 0 : options_.subtask, std::move(batch));
      break;
    case ShipStrategy::kRebalance: {
      // Passes over channels that are full, so that a slow subtask gets less.
      for (size_t tried = 0; tried < channels_.size() && channels_[next_channel_]->Full();
           ++tried) {
        next_channel_ = (next_channel_ + 1) % channels_.size();
      }
      Send(next_channel_, std::move(batch));
      next_channel_ = (next_channel_ + 1) % channels_.size();
      break;
    }
    case ShipStrategy::kBroadcast:
      for (size_t channel = 0; channel < channels_.size(); ++channel) Send(channel, batch);
      break;
    case ShipStrategy::kHash:
      PartitionByKey(std::move(batch));
      break;
  }
}

void RecordWriter::PartitionByKey(BatchPtr batch) {
  options_.key_hasher->HashKeys(*batch, &hashes_);
  for (std::vector<uint32_t>& rows : rows_) rows.clear();
  const uint64_t num_groups = options_.max_parallelism;
  for (uint32_t row = 0; row < hashes_.size(); ++row) {
    const uint64_t group = ((hashes_[row] >> 32) * num_groups) >> 32;
    rows_[channel_of_key_group_[group]].push_back(row);
  }
  for (size_t channel = 0; channel < channels_.size(); ++channel) {
    std::span<const uint32_t> rows = rows_[channel];
    if (rows.empty()) continue;
    std::unique_ptr<BatchBuilder>& builder = builders_[channel];
    if (builder == nullptr) builder = batch->NewBuilder();
    while (!rows.empty()) {
      const size_t count =
          std::min(rows.size(), kMaxBatchRecords - std::min(kMaxBatchRecords - 1, builder->size()));
      builder->AppendRows(batch, rows.first(count), hashes_);
      rows = rows.subspan(count);
      if (builder->IsBatchFull()) Send(channel, builder->Finish());
    }
    if (builder->size() > 0) NotePending();
  }
}

void RecordWriter::Send(size_t channel, BatchPtr batch) {
  bytes_out_ += batch->SizeBytes();
  ++batches_out_;
  channels_[channel]->Push(std::move(batch));
}

QueueUsage RecordWriter::Usage() const {
  return MeasureQueues(channels_.size(),
                       [this](size_t index) -> const ChannelQueue& { return *channels_[index]; });
}

void RecordWriter::NotePending() {
  if (!pending_since_.has_value()) pending_since_ = MonotonicNanos();
}

void RecordWriter::Flush() {
  if (!pending_since_.has_value()) return;
  pending_since_.reset();
  for (size_t channel = 0; channel < builders_.size(); ++channel) {
    if (builders_[channel] != nullptr && builders_[channel]->size() > 0) {
      Send(channel, builders_[channel]->Finish());
    }
  }
  if (pending_watermark_.has_value()) {
    for (const auto& channel : channels_) channel->Push(*pending_watermark_);
    pending_watermark_.reset();
  }
}

}  // namespace weir
