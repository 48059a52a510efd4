#include "operators/connectors/kafka/internal/kafka_reader.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>

#include "operators/connectors/kafka/internal/kafka_client.h"
#include "operators/connectors/kafka/internal/kafka_enumerator.h"
#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

constexpr size_t kMessagesPerPoll = 1024;
constexpr absl::Duration kCommitTimeout = absl::Seconds(5);

using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                      decltype(&rd_kafka_topic_partition_list_destroy)>;

PartitionList NewPartitionList() {
  return {rd_kafka_topic_partition_list_new(8), &rd_kafka_topic_partition_list_destroy};
}

void AddPartition(rd_kafka_topic_partition_list_t* list, const KafkaSplit& split) {
  rd_kafka_topic_partition_list_add(list, split.topic.c_str(), split.partition)->offset =
      split.offset;
}

absl::Status ToStatus(std::string_view what, rd_kafka_error_t* error) {
  if (error == nullptr) return absl::OkStatus();
  absl::Status status =
      KafkaError(StrCat(what, " (", rd_kafka_error_string(error), ")"), rd_kafka_error_code(error));
  rd_kafka_error_destroy(error);
  return status;
}

bool EndsReading(const absl::Status& error) { return !absl::IsUnavailable(error); }

std::string_view ToView(const void* data, size_t size) {
  return data == nullptr ? std::string_view()
                         : std::string_view(static_cast<const char*>(data), size);
}

}  // namespace

/// The consumer, its queue and the messages taken from that. Destroying it blocks.
class KafkaReader::Consumer {
 public:
  static absl::StatusOr<std::unique_ptr<Consumer>> Create(const KafkaSourceOptions& options,
                                                          std::shared_ptr<TaskHandle> handle) {
    ASSIGN_OR_RETURN(std::unique_ptr<KafkaClient> client,
                     KafkaClient::Create(ConsumerConfiguration(options)));
    auto consumer = std::unique_ptr<Consumer>(new Consumer(std::move(client), std::move(handle)));
    const rd_kafka_resp_err_t error = rd_kafka_poll_set_consumer(consumer->client_->get());
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return KafkaError("cannot consume", error);
    consumer->queue_ = rd_kafka_queue_get_consumer(consumer->client_->get());
    rd_kafka_queue_cb_event_enable(
        consumer->queue_,
        [](rd_kafka_t*, void* opaque) { static_cast<TaskHandle*>(opaque)->Wake(); },
        consumer->handle_.get());
    return consumer;
  }

  ~Consumer() {
    while (next_ < size_) rd_kafka_message_destroy(messages_[next_++]);
    if (queue_ == nullptr) return;
    rd_kafka_queue_cb_event_enable(queue_, nullptr, nullptr);
    rd_kafka_queue_destroy(queue_);
    // The commit of a job's last checkpoint should get through.
    const Stopwatch stopwatch;
    while (client_->num_commits_under_way() > 0 && stopwatch.Elapsed() < kCommitTimeout) {
      rd_kafka_message_t* message = rd_kafka_consumer_poll(client_->get(), 50);
      if (message != nullptr) rd_kafka_message_destroy(message);
    }
  }
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  [[nodiscard]] KafkaClient& client() const { return *client_; }

  // The message is valid until Pop; null if there is none for now.
  [[nodiscard]] const rd_kafka_message_t* Front() {
    if (next_ == size_) {
      next_ = 0;
      const ssize_t got =
          rd_kafka_consume_batch_queue(queue_, 0, messages_.data(), messages_.size());
      size_ = got > 0 ? static_cast<size_t>(got) : 0;
    }
    return next_ < size_ ? messages_[next_] : nullptr;
  }
  void Pop() { rd_kafka_message_destroy(messages_[next_++]); }
  // Drops what was taken from the queue of a partition that is no longer assigned.
  void Discard(const std::string& topic, int32_t partition) {
    size_t kept = next_;
    for (size_t i = next_; i < size_; ++i) {
      rd_kafka_message_t* const message = messages_[i];
      if (message->rkt != nullptr && message->partition == partition &&
          topic == rd_kafka_topic_name(message->rkt)) {
        rd_kafka_message_destroy(message);
      } else {
        messages_[kept++] = message;
      }
    }
    size_ = kept;
  }

 private:
  Consumer(std::unique_ptr<KafkaClient> client, std::shared_ptr<TaskHandle> handle)
      : handle_(std::move(handle)), client_(std::move(client)) {}

  const std::shared_ptr<TaskHandle> handle_;  // Outlives the client, whose threads use it.
  const std::unique_ptr<KafkaClient> client_;
  rd_kafka_queue_t* queue_ = nullptr;
  std::array<rd_kafka_message_t*, 512> messages_{};
  size_t next_ = 0;
  size_t size_ = 0;
};

KafkaReader::KafkaReader(KafkaSourceOptions options) : options_(std::move(options)) {}

KafkaReader::~KafkaReader() { KafkaReader::Close(); }

absl::Status KafkaReader::Start(SourceReaderContext& context) {
  context_ = &context;
  pending_records_ = context.metrics()->AddGauge("pendingRecords");
  group_ = context.metrics()->AddGroup("KafkaSourceReader");
  return ValidateKafkaSource(options_);
}

absl::Status KafkaReader::AddSplits(std::vector<SourceSplit> splits) {
  last_topic_ = nullptr;
  const PartitionList list = NewPartitionList();
  for (const SourceSplit& source_split : splits) {
    ASSIGN_OR_RETURN(KafkaSplit split, ParseKafkaSplit(source_split.bytes));
    const bool caught_up = split.offset >= split.end;
    if (options_.bounded && caught_up) {
      finished_ids_.push_back(source_split.id);
      continue;
    }
    AddPartition(list.get(), split);
    const Partition partition(split.topic, split.partition);
    splits_.insert_or_assign(partition, Hold(std::move(split), source_split.id, caught_up));
  }
  if (list->cnt == 0) return absl::OkStatus();
  if (consumer_ == nullptr) {
    ASSIGN_OR_RETURN(consumer_, Consumer::Create(options_, context_->handle()));
  }
  return ToStatus("cannot assign partitions to the consumer",
                  rd_kafka_incremental_assign(consumer_->client().get(), list.get()));
}

absl::StatusOr<ReadStatus> KafkaReader::Poll(SourceOutput<KafkaRecord>& output) {
  TellFinished(output);
  if (consumer_ == nullptr) return no_more_splits_ ? ReadStatus::kEnd : ReadStatus::kNothing;
  RETURN_IF_ERROR(consumer_->client().status());
  UpdateMetrics();
  bool more = true;
  for (size_t i = 0; i < kMessagesPerPoll && !output.Full(); ++i) {
    const rd_kafka_message_t* message = consumer_->Front();
    if (message == nullptr) {
      more = false;
      break;
    }
    const absl::Status status = HandleMessage(*message, output);
    consumer_->Pop();
    RETURN_IF_ERROR(status);
  }
  RETURN_IF_ERROR(ReleaseFinished());
  TellFinished(output);
  if (splits_.empty() && options_.bounded && no_more_splits_) return ReadStatus::kEnd;
  return more ? ReadStatus::kMore : ReadStatus::kNothing;
}

KafkaReader::HeldSplit* KafkaReader::FindSplit(const rd_kafka_message_t& message) {
  if (message.rkt == nullptr) return nullptr;
  if (message.rkt != last_topic_ || message.partition != last_partition_) {
    last_topic_ = message.rkt;
    last_partition_ = message.partition;
    const auto found = splits_.find({rd_kafka_topic_name(message.rkt), message.partition});
    last_split_ = found == splits_.end() ? nullptr : &found->second;
  }
  return last_split_;
}

absl::Status KafkaReader::HandleMessage(const rd_kafka_message_t& message,
                                        SourceOutput<KafkaRecord>& output) {
  HeldSplit* held = FindSplit(message);
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    if (held != nullptr) {
      AdvanceTo(*held, message.offset);
      held->caught_up = true;
    }
    return absl::OkStatus();
  }
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    const std::string where = held == nullptr ? std::string()
                                              : StrCat(" (topic=", held->split.topic,
                                                       " partition=", held->split.partition,
                                                       " offset=", held->split.offset, ")");
    absl::Status status =
        KafkaError(StrCat("cannot read from Kafka", where, " ", rd_kafka_message_errstr(&message)),
                   message.err);
    if (EndsReading(status)) return status;
    LogWarning("kafka-source", ToStd(status.message()));
    return absl::OkStatus();
  }
  // Behind the end of a bounded split, or fetched once more after an assignment.
  if (held == nullptr || held->paused || message.offset < held->split.offset)
    return absl::OkStatus();
  if (options_.bounded && message.offset >= held->split.end) {
    AdvanceTo(*held, held->split.end);
    return absl::OkStatus();
  }
  KafkaRecord record;
  record.topic = held->split.topic;
  record.partition = message.partition;
  record.offset = message.offset;
  rd_kafka_timestamp_type_t timestamp_type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const int64_t timestamp = rd_kafka_message_timestamp(&message, &timestamp_type);
  if (timestamp_type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) {
    record.timestamp = EventTime::FromMillis(timestamp);
  }
  record.has_key = message.key != nullptr;
  record.key = ToView(message.key, message.key_len);
  record.is_tombstone = message.payload == nullptr;
  record.value = ToView(message.payload, message.len);
  const EventTime time = record.timestamp;
  output.CollectAt(std::move(record), time, held->id, static_cast<uint64_t>(message.offset));
  AdvanceTo(*held, message.offset + 1);
  return absl::OkStatus();
}

void KafkaReader::AdvanceTo(HeldSplit& held, int64_t offset) {
  held.split.offset = std::max(held.split.offset, offset);
  if (held.split.offset < held.split.end) return;
  held.caught_up = true;
  if (options_.bounded) {
    finished_.emplace_back(held.split.topic, held.split.partition);
  }
}

absl::Status KafkaReader::ReleaseFinished() {
  if (finished_.empty()) return absl::OkStatus();
  const PartitionList list = NewPartitionList();
  for (const Partition& partition : finished_) {
    const auto found = splits_.find(partition);
    if (found == splits_.end()) continue;
    AddPartition(list.get(), found->second.split);
    finished_ids_.push_back(std::move(found->second.id));
    splits_.erase(found);
    RemoveMetrics(partition);
  }
  finished_.clear();
  last_topic_ = nullptr;
  if (list->cnt == 0) return absl::OkStatus();
  return ToStatus("cannot take partitions from the consumer",
                  rd_kafka_incremental_unassign(consumer_->client().get(), list.get()));
}

// The names are those by which Flink's autoscaler counts partitions.
KafkaReader::HeldSplit KafkaReader::Hold(KafkaSplit split, std::string id, bool caught_up) {
  MetricGroup* const partition =
      group_->AddGroup("topic", split.topic)->AddGroup("partition", StrCat(split.partition));
  HeldSplit held{std::move(split), std::move(id), caught_up, partition->AddGauge("currentOffset"),
                 partition->AddGauge("committedOffset")};
  held.committed_offset->Set(-1);  // None yet.
  return held;
}

void KafkaReader::RemoveMetrics(const Partition& partition) {
  group_->AddGroup("topic", partition.first)->RemoveGroup("partition", StrCat(partition.second));
}

// Once a second: what the broker last said of each partition's end is asked of the client alone.
void KafkaReader::UpdateMetrics() {
  const int64_t now = MonotonicNanos();
  if (now < next_metrics_nanos_) return;
  next_metrics_nanos_ = now + 1'000'000'000;
  double pending = 0;
  for (const auto& [partition, held] : splits_) {
    held.current_offset->Set(static_cast<double>(held.split.offset));
    int64_t low = 0;
    int64_t high = 0;
    if (rd_kafka_get_watermark_offsets(consumer_->client().get(), partition.first.c_str(),
                                       partition.second, &low,
                                       &high) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      continue;
    }
    if (options_.bounded) high = std::min(high, held.split.end);
    if (high > held.split.offset) pending += static_cast<double>(high - held.split.offset);
  }
  pending_records_->Set(pending);
}

// A paused partition is not assigned: whatever was fetched of it is dropped, and is fetched again
// from its position when it goes on.
absl::Status KafkaReader::PauseOrResumeSplits(const std::vector<std::string>& to_pause,
                                              const std::vector<std::string>& to_resume) {
  const PartitionList paused = NewPartitionList();
  const PartitionList resumed = NewPartitionList();
  for (auto& [partition, held] : splits_) {
    const auto is_in = [&held](const std::vector<std::string>& ids) {
      return std::find(ids.begin(), ids.end(), held.id) != ids.end();
    };
    if (!held.paused && is_in(to_pause)) {
      held.paused = true;
      AddPartition(paused.get(), held.split);
      consumer_->Discard(held.split.topic, held.split.partition);
    } else if (held.paused && is_in(to_resume)) {
      held.paused = false;
      AddPartition(resumed.get(), held.split);
    }
  }
  if (paused->cnt > 0) {
    RETURN_IF_ERROR(
        ToStatus("cannot pause partitions",
                 rd_kafka_incremental_unassign(consumer_->client().get(), paused.get())));
  }
  if (resumed->cnt > 0) {
    RETURN_IF_ERROR(
        ToStatus("cannot resume partitions",
                 rd_kafka_incremental_assign(consumer_->client().get(), resumed.get())));
  }
  return absl::OkStatus();
}

void KafkaReader::TellFinished(SourceOutput<KafkaRecord>& output) {
  for (const std::string& id : finished_ids_) output.SplitFinished(id);
  finished_ids_.clear();
}

std::vector<SourceSplit> KafkaReader::Snapshot(CheckpointId checkpoint) {
  std::vector<SourceSplit> splits;
  splits.reserve(splits_.size());
  std::vector<KafkaSplit>& positions = positions_[checkpoint];
  for (const auto& [partition, held] : splits_) {
    splits.push_back(ToSourceSplit(held.split));
    positions.push_back(held.split);
  }
  return splits;
}

absl::Status KafkaReader::NotifyCheckpointComplete(CheckpointId checkpoint) {
  const auto found = positions_.find(checkpoint);
  if (found == positions_.end()) return absl::OkStatus();
  if (consumer_ != nullptr && !options_.group_id.empty() && !found->second.empty()) {
    const PartitionList list = NewPartitionList();
    for (const KafkaSplit& split : found->second) AddPartition(list.get(), split);
    // The job goes on without: it restores positions of its own.
    const absl::Status status = consumer_->client().CommitOffsets(list.get());
    if (!status.ok()) LogWarning("kafka-source", ToStd(status.message()));
    for (const KafkaSplit& split : found->second) {
      const auto held = splits_.find({split.topic, split.partition});
      if (status.ok() && held != splits_.end()) {
        held->second.committed_offset->Set(static_cast<double>(split.offset));
      }
    }
  }
  positions_.erase(positions_.begin(), std::next(found));
  return absl::OkStatus();
}

bool KafkaReader::IsCaughtUp() const {
  return std::all_of(splits_.begin(), splits_.end(),
                     [](const auto& entry) { return entry.second.caught_up; });
}

void KafkaReader::Close() {
  if (consumer_ == nullptr) return;
  // If the pool takes nothing more, it goes here.
  (void)context_->io_pool()->Post([consumer = std::move(consumer_)] {});
  consumer_ = nullptr;
}

}  // namespace weir::internal
