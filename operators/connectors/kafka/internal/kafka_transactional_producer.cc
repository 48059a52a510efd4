#include "operators/connectors/kafka/internal/kafka_transactional_producer.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "operators/connectors/kafka/internal/kafka_message.h"
#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

constexpr int kTurnMs = 100;       // A wait that looks whether it was closed.
constexpr int kRequestMs = 5'000;  // One try of a request.
constexpr absl::Duration kInitTimeout = absl::Seconds(60);
// How long a commit that has begun is waited for after the close.
constexpr absl::Duration kCloseTimeout = absl::Seconds(10);
constexpr int kAbortMs = 2'000;  // One try of an abort.
constexpr absl::Duration kAbortTimeout = absl::Seconds(5);
constexpr int64_t kMaxQueuedMessages = 200'000;

KafkaConfiguration Configuration(const KafkaSinkOptions& options, const std::string& id) {
  KafkaConfiguration configuration = ProducerConfiguration(options.brokers, options.properties);
  configuration.defaults["transaction.timeout.ms"] = "300000";
  configuration.defaults["queue.buffering.max.messages"] = std::to_string(kMaxQueuedMessages);
  configuration.defaults["queue.buffering.max.kbytes"] = "65536";
  configuration.fixed["transactional.id"] = id;
  configuration.fixed["enable.idempotence"] = "true";
  configuration.fixed["acks"] = "all";
  return configuration;
}

// Whether another producer has the transactional id now, or the brokers gave the transaction up.
bool IsFenced(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
         code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

}  // namespace

absl::StatusOr<int64_t> KafkaProducerProperty(const KafkaSinkOptions& options,
                                              const std::string& name) {
  ASSIGN_OR_RETURN(rd_kafka_conf_t* const conf,
                   MakeKafkaConfiguration(Configuration(options, "weir")));
  char value[64] = "";
  size_t size = sizeof(value);
  rd_kafka_conf_get(conf, name.c_str(), value, &size);
  rd_kafka_conf_destroy(conf);
  return std::strtoll(value, nullptr, 10);
}

absl::Status ValidateTransactionalProducer(const KafkaSinkOptions& options) {
  return ValidateKafkaConfiguration(Configuration(options, "weir"));
}

KafkaTransactionalProducer::KafkaTransactionalProducer(const KafkaSinkOptions& options,
                                                       std::string transactional_id,
                                                       const std::atomic<bool>* closed)
    : options_(options), transactional_id_(std::move(transactional_id)), closed_(closed) {}

KafkaTransactionalProducer::~KafkaTransactionalProducer() {
  if (client_ != nullptr) {
    rd_kafka_purge(client_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  }
}

absl::StatusOr<std::unique_ptr<KafkaTransactionalProducer>> KafkaTransactionalProducer::Create(
    const KafkaSinkOptions& options, const std::string& transactional_id,
    const std::atomic<bool>* closed) {
  auto producer = std::unique_ptr<KafkaTransactionalProducer>(
      new KafkaTransactionalProducer(options, transactional_id, closed));
  RETURN_IF_ERROR(producer->Init());
  return producer;
}

absl::Status KafkaTransactionalProducer::Init() {
  KafkaConfiguration configuration = Configuration(options_, transactional_id_);
  configuration.on_delivery = [](const rd_kafka_message_t* message) {
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    static_cast<KafkaTransactionalProducer*>(message->_private)
        ->OnFailure(message->err, rd_kafka_topic_name(message->rkt));
  };
  ASSIGN_OR_RETURN(transaction_timeout_ms_,
                   KafkaProducerProperty(options_, "transaction.timeout.ms"));
  ASSIGN_OR_RETURN(client_, KafkaClient::Create(configuration));
  const Stopwatch stopwatch;
  while (true) {
    rd_kafka_error_t* const error = rd_kafka_init_transactions(client_->get(), kRequestMs);
    if (error == nullptr) return absl::OkStatus();
    const bool retriable = rd_kafka_error_is_retriable(error) != 0;
    absl::Status status = TakeError("cannot begin to write transactions to Kafka", error);
    if (!retriable) return status;
    rd_kafka_poll(client_->get(), 0);
    RETURN_IF_ERROR(client_->status());  // Refused credentials are tried again for ever.
    if (stopwatch.Elapsed() > kInitTimeout) return status;
    if (closed()) return absl::CancelledError("the sink was closed");
  }
}

absl::Status KafkaTransactionalProducer::TakeError(std::string_view what,
                                                   rd_kafka_error_t* error) const {
  const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  const std::string reason = rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
  const std::string where =
      StrCat(" transactional.id=", transactional_id_, " brokers=", options_.brokers,
             " code=", rd_kafka_err2name(code), " reason=", reason);
  if (code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT) {
    return absl::InvalidArgumentError(StrCat(
        "the brokers do not allow transactions as long as the Kafka sink's; lower "
        "transaction.timeout.ms in the sink's properties, or raise transaction.max.timeout.ms of "
        "the brokers: transaction.timeout.ms=",
        transaction_timeout_ms_, where));
  }
  if (IsFenced(code)) {
    return absl::AbortedError(StrCat(
        what,
        ": a newer producer has its transactional id (a newer attempt of the job, or another job "
        "with the same ids), or the transaction took longer than transaction.timeout.ms:",
        " transaction.timeout.ms=", transaction_timeout_ms_, where));
  }
  if (code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED) {
    return absl::PermissionDeniedError(
        StrCat(what,
               ": the brokers do not allow us this transactional id; set "
               "transactional_id_prefix to one they do:",
               where));
  }
  const absl::Status status = KafkaError(what, code);
  return absl::Status(status.code(), ToAbsl(StrCat(what, ":", where)));
}

void KafkaTransactionalProducer::OnFailure(int code, const char* topic) {
  const MutexLock lock(&mutex_);
  // A purge is the consequence of another error.
  if (!failure_.ok() || code == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
      code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
    return;
  }
  failure_ = IsFenced(static_cast<rd_kafka_resp_err_t>(code))
                 ? absl::AbortedError(StrCat("a newer producer has the transactional id: ",
                                             "transactional.id=", transactional_id_))
                 : KafkaError(StrCat("Kafka did not take a record (topic=", topic, ")"), code);
}

absl::Status KafkaTransactionalProducer::failure() const {
  char reason[512];
  const rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(client_->get(), reason, sizeof(reason));
  if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
    // Fatal to this producer: the next one may fare better.
    const std::string message =
        StrCat("a transactional producer has failed: transactional.id=", transactional_id_,
               " code=", rd_kafka_err2name(fatal), " reason=", std::string_view(reason));
    return IsFenced(fatal) ? absl::AbortedError(message) : absl::UnavailableError(message);
  }
  RETURN_IF_ERROR(client_->status());
  const MutexLock lock(&mutex_);
  return failure_;
}

absl::StatusOr<bool> KafkaTransactionalProducer::IsWritten(const KafkaEpoch& epoch) {
  const std::string key = StrCat(epoch.group, "\n", epoch.offset_topic);
  auto known = written_.find(key);
  if (known == written_.end()) {
    // A coordinator that has just started reads its groups first.
    const Stopwatch stopwatch;
    absl::StatusOr<int64_t> offset = ReadOffset(epoch.group, epoch.offset_topic);
    while (absl::IsUnavailable(offset.status()) && stopwatch.Elapsed() < kInitTimeout) {
      if (closed()) return absl::CancelledError("the sink was closed");
      rd_kafka_poll(client_->get(), kTurnMs);
      RETURN_IF_ERROR(failure());
      offset = ReadOffset(epoch.group, epoch.offset_topic);
    }
    if (!offset.ok()) return offset.status();
    known = written_.emplace(key, *offset).first;
  }
  return known->second >= static_cast<int64_t>(epoch.checkpoint);
}

absl::StatusOr<int64_t> KafkaTransactionalProducer::ReadOffset(const std::string& group,
                                                               const std::string& topic) {
  rd_kafka_topic_partition_list_t* const partitions = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(partitions, topic.c_str(), 0);
  rd_kafka_ListConsumerGroupOffsets_t* request =
      rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), partitions);
  rd_kafka_topic_partition_list_destroy(partitions);
  rd_kafka_AdminOptions_t* const admin =
      rd_kafka_AdminOptions_new(client_->get(), RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
  char reason[256];
  rd_kafka_AdminOptions_set_request_timeout(admin, 4 * kRequestMs, reason, sizeof(reason));
  rd_kafka_error_t* const unstable = rd_kafka_AdminOptions_set_require_stable_offsets(admin, 1);
  if (unstable != nullptr) rd_kafka_error_destroy(unstable);
  rd_kafka_queue_t* const queue = rd_kafka_queue_new(client_->get());
  rd_kafka_ListConsumerGroupOffsets(client_->get(), &request, 1, admin, queue);
  rd_kafka_event_t* const event = rd_kafka_queue_poll(queue, 6 * kRequestMs);
  const absl::Cleanup cleanup = [&] {
    if (event != nullptr) rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(admin);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
  };
  const std::string what =
      StrCat("cannot read which checkpoint's records were written to Kafka (group=", group, ")");
  if (event == nullptr) return absl::UnavailableError(what);
  if (const rd_kafka_resp_err_t error = rd_kafka_event_error(event)) {
    return KafkaError(StrCat(what, ": ", rd_kafka_event_error_string(event)), error);
  }
  size_t num_groups = 0;
  const rd_kafka_group_result_t** const groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
      rd_kafka_event_ListConsumerGroupOffsets_result(event), &num_groups);
  if (num_groups != 1) return absl::UnavailableError(what);
  if (const rd_kafka_error_t* const error = rd_kafka_group_result_error(groups[0])) {
    return KafkaError(what, rd_kafka_error_code(error));
  }
  const rd_kafka_topic_partition_list_t* const offsets =
      rd_kafka_group_result_partitions(groups[0]);
  if (offsets == nullptr || offsets->cnt == 0) return -1;
  if (offsets->elems[0].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return KafkaError(what, offsets->elems[0].err);
  }
  return std::max<int64_t>(offsets->elems[0].offset, -1);  // Negative: there is none.
}

absl::Status KafkaTransactionalProducer::Write(const KafkaEpoch& epoch,
                                               KafkaSpoolReader& messages) {
  if (rd_kafka_error_t* const error = rd_kafka_begin_transaction(client_->get())) {
    return TakeError("cannot begin a transaction", error);
  }
  absl::Status status = ProduceAll(epoch, messages);
  if (status.ok()) status = FlushAll();
  if (status.ok()) status = SendOffset(epoch);
  if (status.ok()) status = CommitTransaction();
  if (!status.ok()) {
    Abort();
    if (absl::IsAborted(status)) return status;
    // The record that the brokers refused says more than what came of it.
    const absl::Status first = failure();
    return first.ok() ? status : first;
  }
  written_[StrCat(epoch.group, "\n", epoch.offset_topic)] = static_cast<int64_t>(epoch.checkpoint);
  return absl::OkStatus();
}

absl::Status KafkaTransactionalProducer::ProduceAll(const KafkaEpoch& epoch,
                                                    KafkaSpoolReader& messages) {
  KafkaMessage message;
  uint64_t num_messages = 0;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, messages.Next(&message));
    if (!more) break;
    ++num_messages;
    RETURN_IF_ERROR(Produce(epoch, message));
  }
  if (num_messages != epoch.num_messages) {
    return absl::DataLossError(
        StrCat("the spooled records of a Kafka sink are not all there: "
               "checkpoint=",
               epoch.checkpoint, " records=", num_messages, " expected=", epoch.num_messages));
  }
  return absl::OkStatus();
}

absl::Status KafkaTransactionalProducer::Produce(const KafkaEpoch& epoch,
                                                 const KafkaMessage& message) {
  while (true) {
    const int code =
        ProduceKafkaMessage(client_->get(), epoch.topic, message, EventTime::Min(), this);
    if (code == 0) return absl::OkStatus();
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      RETURN_IF_ERROR(failure());
      return KafkaError(StrCat("cannot write a record to Kafka (topic=",
                               message.topic.empty() ? epoch.topic : message.topic, " partition=",
                               message.partition, " transactional.id=", transactional_id_, ")"),
                        code);
    }
    rd_kafka_poll(client_->get(), kTurnMs);
    RETURN_IF_ERROR(failure());
    if (closed()) return absl::CancelledError("the sink was closed");
  }
}

absl::Status KafkaTransactionalProducer::FlushAll() {
  const Stopwatch stopwatch;
  while (rd_kafka_flush(client_->get(), kTurnMs) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    RETURN_IF_ERROR(failure());
    if (closed()) return absl::CancelledError("the sink was closed");
    if (stopwatch.Elapsed() > absl::Milliseconds(transaction_timeout_ms_)) {
      return absl::UnavailableError(
          StrCat("the records of a transaction were not written within transaction.timeout.ms: "
                 "transactional.id=",
                 transactional_id_, " transaction.timeout.ms=", transaction_timeout_ms_));
    }
  }
  return failure();
}

absl::Status KafkaTransactionalProducer::SendOffset(const KafkaEpoch& epoch) {
  rd_kafka_topic_partition_list_t* const offsets = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(offsets, epoch.offset_topic.c_str(), 0)->offset =
      static_cast<int64_t>(epoch.checkpoint);
  rd_kafka_consumer_group_metadata_t* const group =
      rd_kafka_consumer_group_metadata_new(epoch.group.c_str());
  const absl::Cleanup cleanup = [&] {
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
  };
  const Stopwatch stopwatch;
  while (true) {
    rd_kafka_error_t* const error =
        rd_kafka_send_offsets_to_transaction(client_->get(), offsets, group, kRequestMs);
    if (error == nullptr) return absl::OkStatus();
    const bool retriable =
        rd_kafka_error_is_retriable(error) != 0 && rd_kafka_error_txn_requires_abort(error) == 0;
    absl::Status status = TakeError("cannot add the checkpoint to a transaction", error);
    if (!retriable || stopwatch.Elapsed() > absl::Milliseconds(transaction_timeout_ms_)) {
      return status;
    }
    if (closed()) return absl::CancelledError("the sink was closed");
  }
}

absl::Status KafkaTransactionalProducer::CommitTransaction() {
  const Stopwatch stopwatch;
  while (true) {
    rd_kafka_error_t* const error = rd_kafka_commit_transaction(client_->get(), kRequestMs);
    if (error == nullptr) return absl::OkStatus();
    // A call that may be made again goes on where the last one was.
    const bool retriable =
        rd_kafka_error_is_retriable(error) != 0 && rd_kafka_error_txn_requires_abort(error) == 0;
    absl::Status status = TakeError("cannot commit a transaction", error);
    const absl::Duration timeout =
        closed() ? kCloseTimeout : absl::Milliseconds(transaction_timeout_ms_);
    if (!retriable || stopwatch.Elapsed() > timeout) return status;
  }
}

void KafkaTransactionalProducer::Abort() {
  const Stopwatch stopwatch;
  while (true) {
    rd_kafka_error_t* const error = rd_kafka_abort_transaction(client_->get(), kAbortMs);
    if (error == nullptr) return;
    const bool retriable = rd_kafka_error_is_retriable(error) != 0;
    const absl::Status status = TakeError("cannot abort a transaction", error);
    if (!retriable || stopwatch.Elapsed() > kAbortTimeout) {
      // The next producer of the id aborts it, or the brokers do after transaction.timeout.ms.
      LogWarning("kafka", ToStd(status.message()));
      return;
    }
  }
}

}  // namespace weir::internal
