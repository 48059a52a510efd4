#include "operators/connectors/kafka/internal/kafka_enumerator.h"

#include <librdkafka/rdkafka.h>
#include <xxhash.h>

#include <algorithm>

#include "operators/connectors/kafka/internal/kafka_client.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/byte_io.h"

namespace weir::internal {

namespace {

constexpr uint8_t kVersion = 1;
constexpr int kAnswerTimeoutMs = 4000;
constexpr absl::Duration kRetryInterval = absl::Seconds(1);
constexpr uint64_t kLogEveryNthFailure = 10;

using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                      decltype(&rd_kafka_topic_partition_list_destroy)>;

PartitionList NewPartitionList() {
  return {rd_kafka_topic_partition_list_new(8), &rd_kafka_topic_partition_list_destroy};
}

// Returns a failed call's error; what was refused for good rather than that it timed out.
absl::Status CallError(const KafkaClient& client, std::string_view what,
                       rd_kafka_resp_err_t error) {
  rd_kafka_poll(client.get(), 0);
  RETURN_IF_ERROR(client.status());
  return KafkaError(what, error);
}

bool IsUnknownTopic(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
         error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

// Adds the partitions of `topic` to `*partitions`; returns whether the topic is known.
absl::StatusOr<bool> ListPartitions(const KafkaClient& client, const std::string& topic,
                                    std::vector<std::pair<std::string, int32_t>>* partitions) {
  rd_kafka_topic_t* handle = rd_kafka_topic_new(client.get(), topic.c_str(), nullptr);
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t error =
      rd_kafka_metadata(client.get(), 0, handle, &metadata, kAnswerTimeoutMs);
  rd_kafka_topic_destroy(handle);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return CallError(client, "cannot ask Kafka for its topics", error);
  }
  absl::StatusOr<bool> known = false;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& found = metadata->topics[i];
    if (IsUnknownTopic(found.err)) continue;
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      known = KafkaError(StrCat("cannot read a topic (topic=", topic, ")"), found.err);
      break;
    }
    for (int j = 0; j < found.partition_cnt; ++j) {
      partitions->emplace_back(topic, found.partitions[j].id);
    }
    known = found.partition_cnt > 0;
  }
  rd_kafka_metadata_destroy(metadata);
  return known;
}

// Sets the offsets in `list` to those that `start` asks for; negative where there is none.
absl::Status LookUpOffsets(const KafkaClient& client, const KafkaSourceOptions& options,
                           rd_kafka_topic_partition_list_t* list) {
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  if (options.start == KafkaStart::kCommitted) {
    error = rd_kafka_committed(client.get(), list, kAnswerTimeoutMs);
  } else if (options.start == KafkaStart::kTimestamp) {
    const int64_t millis = std::max<int64_t>(0, absl::ToUnixMillis(options.start_time));
    for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = millis;
    error = rd_kafka_offsets_for_times(client.get(), list, kAnswerTimeoutMs);
  }
  for (int i = 0; i < list->cnt && error == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    error = list->elems[i].err;
  }
  return error == RD_KAFKA_RESP_ERR_NO_ERROR
             ? absl::OkStatus()
             : CallError(client, "cannot look up where to begin in Kafka", error);
}

int64_t BeginOffset(const rd_kafka_topic_partition_t& partition, KafkaStart start, int64_t low,
                    int64_t high) {
  switch (start) {
    case KafkaStart::kEarliest:
      return low;
    case KafkaStart::kLatest:
      return high;
    case KafkaStart::kTimestamp:
      return partition.offset < 0 ? high : partition.offset;
    case KafkaStart::kCommitted:
      break;
  }
  if (partition.offset >= low && partition.offset <= high) return partition.offset;
  if (partition.offset >= 0) {
    LogWarning("kafka-source",
               StrCat("the group's committed offset is no longer there, reading begins with the "
                      "earliest one: topic=",
                      partition.topic, " partition=", partition.partition,
                      " committed=", partition.offset, " earliest=", low, " end=", high));
  }
  return low;
}

}  // namespace

struct KafkaEnumerator::Look {
  std::shared_ptr<const KafkaSourceOptions> options;
  std::set<Partition> known;
  bool initial = false;  // `options->start` counts.
};

struct KafkaEnumerator::Found {
  std::vector<KafkaSplit> new_splits;
  std::vector<std::string> unknown_topics;
};

KafkaConfiguration ConsumerConfiguration(const KafkaSourceOptions& options) {
  KafkaConfiguration configuration;
  configuration.defaults = {
      {"client.id", "weir"},
      {"auto.offset.reset", "earliest"},
      {"queued.max.messages.kbytes", "16384"},
      {"fetch.wait.max.ms", "100"},
      {"reconnect.backoff.max.ms", "2000"},
  };
  configuration.user = options.properties;
  configuration.fixed = {
      {"bootstrap.servers", options.brokers},
      // A consumer must have one. It never joins the group; without a name nothing is committed.
      {"group.id", options.group_id.empty() ? "weir" : options.group_id},
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"enable.partition.eof", "true"},
  };
  return configuration;
}

absl::Status ValidateKafkaSource(const KafkaSourceOptions& options) {
  if (options.brokers.empty()) {
    return absl::InvalidArgumentError("a Kafka source needs brokers, like host:9092");
  }
  if (options.topics.empty()) {
    return absl::InvalidArgumentError("a Kafka source needs at least one topic");
  }
  if (options.start == KafkaStart::kCommitted && options.group_id.empty()) {
    return absl::InvalidArgumentError(
        "a Kafka source that begins with committed offsets needs a group id");
  }
  return ValidateKafkaConfiguration(ConsumerConfiguration(options));
}

KafkaEnumerator::KafkaEnumerator(KafkaSourceOptions options)
    : options_(std::make_shared<const KafkaSourceOptions>(std::move(options))) {}

KafkaEnumerator::~KafkaEnumerator() { KafkaEnumerator::Close(); }

absl::Status KafkaEnumerator::Start(SplitEnumeratorContext& context, const std::string* restored) {
  RETURN_IF_ERROR(ValidateKafkaSource(*options_));
  context_ = &context;
  link_ = std::make_shared<EnumeratorLink>(&context);
  unassigned_splits_ = context.metrics()->AddGauge("unassignedSplits");
  if (restored != nullptr) RETURN_IF_ERROR(Restore(*restored));
  ShowUnassigned();
  if (!discovered_ || !options_->bounded) PostLook();
  return absl::OkStatus();
}

void KafkaEnumerator::Close() {
  if (link_ != nullptr) link_->Close();
}

void KafkaEnumerator::PostLook() {
  Look look{options_, known_, !discovered_};
  // A pool that shuts down runs nothing more; the job ends with it.
  (void)context_->io_pool()->Post([this, link = link_, look = std::move(look)] {
    if (link->closed()) return;
    EnumeratorLink::Post(
        link, [this, found = Discover(look)]() mutable { return OnFound(std::move(found)); });
  });
}

void KafkaEnumerator::LookAgainIn(absl::Duration delay) {
  EnumeratorLink::PostAfter(link_, delay, [this] {
    PostLook();
    return absl::OkStatus();
  });
}

absl::StatusOr<KafkaEnumerator::Found> KafkaEnumerator::Discover(const Look& look) {
  ASSIGN_OR_RETURN(const std::unique_ptr<KafkaClient> client,
                   KafkaClient::Create(ConsumerConfiguration(*look.options)));
  Found found;
  std::vector<Partition> partitions;
  for (const std::string& topic : look.options->topics) {
    ASSIGN_OR_RETURN(const bool known, ListPartitions(*client, topic, &partitions));
    if (!known) found.unknown_topics.push_back(topic);
  }
  std::erase_if(partitions,
                [&](const Partition& partition) { return look.known.contains(partition); });
  if (partitions.empty() || (look.initial && !found.unknown_topics.empty())) return found;

  const KafkaStart start = look.initial ? look.options->start : KafkaStart::kEarliest;
  const PartitionList list = NewPartitionList();
  for (const auto& [topic, partition] : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
  }
  if (look.initial) RETURN_IF_ERROR(LookUpOffsets(*client, *look.options, list.get()));
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& partition = list->elems[i];
    int64_t low = 0;
    int64_t high = 0;
    const rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(
        client->get(), partition.topic, partition.partition, &low, &high, kAnswerTimeoutMs);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return CallError(*client, "cannot ask Kafka where a partition ends", error);
    }
    found.new_splits.push_back(
        {partition.topic, partition.partition, BeginOffset(partition, start, low, high), high});
  }
  return found;
}

absl::Status KafkaEnumerator::OnFound(absl::StatusOr<Found> found) {
  if (!found.ok()) {
    const bool for_now = absl::IsUnavailable(found.status()) || absl::IsNotFound(found.status());
    if (!for_now) {
      context_->Fail(found.status());
      return absl::OkStatus();
    }
    if (num_failed_looks_++ % kLogEveryNthFailure == 0) {
      LogWarning("kafka-source",
                 StrCat("cannot reach Kafka, the source goes on trying: brokers=",
                        options_->brokers, " error=", ToStd(found.status().message())));
    }
    LookAgainIn(kRetryInterval);
    return absl::OkStatus();
  }
  num_failed_looks_ = 0;
  const int64_t now = context_->clock()->MonotonicNanos();
  if (!first_answer_nanos_.has_value()) first_answer_nanos_ = now;
  if (!discovered_ && !found->unknown_topics.empty()) {
    if (absl::Nanoseconds(now - *first_answer_nanos_) >= options_->topic_timeout) {
      context_->Fail(absl::NotFoundError(
          StrCat("Kafka does not know a topic; create it or correct its name: topics=",
                 StrJoin(found->unknown_topics, ","), " brokers=", options_->brokers,
                 " waited=", absl::FormatDuration(options_->topic_timeout))));
      return absl::OkStatus();
    }
    LookAgainIn(kRetryInterval);
    return absl::OkStatus();
  }
  const bool first = !discovered_;
  discovered_ = true;
  for (KafkaSplit& split : found->new_splits) {
    if (!first) {
      LogInfo("kafka-source",
              StrCat("found a new partition: topic=", split.topic, " partition=", split.partition));
    }
    known_.insert({split.topic, split.partition});
    unassigned_.push_back(std::move(split));
  }
  ShowUnassigned();
  for (const uint32_t subtask : readers_) {
    Assign(subtask);
    if (first) SignalAssigned(subtask);
  }
  if (!options_->bounded) LookAgainIn(options_->discovery_interval);
  return absl::OkStatus();
}

absl::Status KafkaEnumerator::AddReader(uint32_t subtask,
                                        const std::vector<std::string>& /*split_ids*/) {
  readers_.insert(subtask);
  if (discovered_) {
    Assign(subtask);
    SignalAssigned(subtask);
  }
  return absl::OkStatus();
}

void KafkaEnumerator::Assign(uint32_t subtask) {
  std::vector<SourceSplit> splits;
  std::erase_if(unassigned_, [&](const KafkaSplit& split) {
    const uint64_t hash = XXH3_64bits(split.topic.data(), split.topic.size());
    if ((hash + static_cast<uint64_t>(split.partition)) % context_->parallelism() != subtask) {
      return false;
    }
    splits.push_back(ToSourceSplit(split));
    return true;
  });
  ShowUnassigned();
  if (!splits.empty()) context_->AssignSplits(subtask, std::move(splits));
}

void KafkaEnumerator::SignalAssigned(uint32_t subtask) {
  context_->SignalInitialSplitsAssigned(subtask);
  if (options_->bounded) context_->SignalNoMoreSplits(subtask);
}

absl::StatusOr<std::string> KafkaEnumerator::Snapshot(CheckpointId /*checkpoint*/) {
  std::string bytes;
  ByteWriter writer(&bytes);
  writer.WriteFixed(kVersion);
  writer.WriteFixed(discovered_);
  writer.WriteVarint(known_.size());
  for (const auto& [topic, partition] : known_) {
    writer.WriteString(topic);
    writer.WriteFixed(partition);
  }
  writer.WriteVarint(unassigned_.size());
  for (const KafkaSplit& split : unassigned_) writer.WriteString(ToSourceSplit(split).bytes);
  return bytes;
}

absl::Status KafkaEnumerator::Restore(const std::string& bytes) {
  ByteReader reader(bytes);
  uint8_t version = 0;
  uint64_t num_known = 0;
  uint64_t num_unassigned = 0;
  reader.ReadFixed(&version);
  reader.ReadFixed(&discovered_);
  reader.ReadCount(&num_known);
  for (uint64_t i = 0; reader.ok() && i < num_known; ++i) {
    Partition partition;
    reader.ReadString(&partition.first);
    reader.ReadFixed(&partition.second);
    known_.insert(std::move(partition));
  }
  reader.ReadCount(&num_unassigned);
  for (uint64_t i = 0; reader.ok() && i < num_unassigned; ++i) {
    std::string_view split_bytes;
    if (!reader.ReadStringView(&split_bytes)) break;
    ASSIGN_OR_RETURN(KafkaSplit split, ParseKafkaSplit(split_bytes));
    unassigned_.push_back(std::move(split));
  }
  if (!reader.ok() || version != kVersion) {
    return absl::DataLossError(
        "the state of a Kafka enumerator is malformed or of another version");
  }
  return absl::OkStatus();
}

}  // namespace weir::internal
