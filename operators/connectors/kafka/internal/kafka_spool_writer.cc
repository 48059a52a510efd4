#include "operators/connectors/kafka/internal/kafka_spool_writer.h"

#include <cctype>
#include <utility>
#include <vector>

#include "operators/connectors/kafka/internal/kafka_message.h"
#include "operators/connectors/kafka/internal/kafka_spool.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

constexpr size_t kBlockBytes = size_t{256} << 10;
// More than librdkafka counts for a message beyond key, value and headers.
constexpr size_t kMessageOverheadBytes = 128;
// Of the attempt, in names of stored files: unique, so that a file is found when a snapshot was
// moved.
constexpr size_t kIdDigits = 16;

std::string AsFileName(std::string text) {
  for (char& c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '.') c = '_';
  }
  return text;
}

}  // namespace

KafkaSpoolWriter::KafkaSpoolWriter(SinkContext& context, Options options)
    : options_(std::move(options)),
      folder_(context.place().local_dir),
      stored_name_(StrCat(AsFileName(context.place().uid), ".", context.place().subtask, ".",
                          ToString(context.place().attempt).substr(0, kIdDigits), ".")),
      queue_(
          SinkIoQueue::Create(context.io_pool(), context.handle(), options_.max_buffered_bytes)) {}

KafkaSpoolWriter::~KafkaSpoolWriter() { queue_->Close(); }

absl::Status KafkaSpoolWriter::Write(const KafkaMessage& message, EventTime time) {
  // Here, and not when its checkpoint has completed and the record cannot be done without.
  const size_t bytes = SizeOf(message);
  if (bytes + kMessageOverheadBytes > options_.max_message_bytes) {
    return absl::InvalidArgumentError(StrCat(
        "a record is too large for Kafka; raise message.max.bytes in the sink's properties and on "
        "the brokers: topic=",
        message.topic.empty() ? options_.topic : message.topic, " size_bytes=", bytes,
        " message.max.bytes=", options_.max_message_bytes));
  }
  AppendKafkaMessage(message, time, &block_);
  if (num_messages_++ == 0) first_topic_ = message.topic.empty() ? options_.topic : message.topic;
  if (block_.size() < (file_ == nullptr ? kMaxInlineBytes : kBlockBytes)) return absl::OkStatus();
  PushBlock();
  return queue_->status();
}

void KafkaSpoolWriter::PushBlock() {
  if (file_ == nullptr) {
    file_ = std::make_shared<KafkaSpoolFile>(StrCat(folder_, "/kafka-epoch-", num_files_++));
  }
  const size_t bytes = block_.size();
  queue_->Push(bytes,
               [file = file_, block = std::exchange(block_, {})] { return file->Append(block); });
}

absl::StatusOr<PrepareCommit> KafkaSpoolWriter::BeginCommit(CheckpointId checkpoint) {
  RETURN_IF_ERROR(queue_->status());
  if (num_messages_ == 0) {
    return PrepareCommit([](StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
      return std::vector<Committable>();
    });
  }
  KafkaEpoch epoch{.transactional_id = options_.transactional_id,
                   .group = options_.group,
                   .offset_topic = first_topic_,
                   .topic = options_.topic,
                   .checkpoint = checkpoint.value(),
                   .num_messages = std::exchange(num_messages_, 0),
                   .messages = {},
                   .file = {}};
  if (file_ == nullptr) {
    epoch.messages = std::exchange(block_, {});
    return PrepareCommit(
        [epoch = std::move(epoch)](StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
          return std::vector<Committable>{{SerializeKafkaEpoch(epoch), {}}};
        });
  }
  if (!block_.empty()) PushBlock();
  return PrepareCommit(
      [epoch = std::move(epoch), queue = queue_, ticket = queue_->last_ticket(),
       file = std::exchange(file_, nullptr),
       name = StrCat(stored_name_, checkpoint.value(), ".epoch")](
          StateFileStore& store) mutable -> absl::StatusOr<std::vector<Committable>> {
        RETURN_IF_ERROR(queue->WaitFor(ticket));
        ASSIGN_OR_RETURN(epoch.file, file->Store(store, name));
        return std::vector<Committable>{{SerializeKafkaEpoch(epoch), {epoch.file}}};
      });
}

}  // namespace weir::internal
