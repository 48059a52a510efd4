#include "operators/connectors/kafka/internal/kafka_client.h"

#include <librdkafka/rdkafka.h>

#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

constexpr int64_t kSameErrorEveryNanos = int64_t{10} * 1'000'000'000;

void OnLog(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  const LogLevel log_level = level <= 4   ? LogLevel::kWarning
                             : level <= 6 ? LogLevel::kInfo
                                          : LogLevel::kDebug;
  if (!LogEnabled(log_level)) return;
  const char* name = client == nullptr ? "" : rd_kafka_name(client);
  Log(log_level, "kafka", StrCat(name, " ", facility, ": ", text));
}

}  // namespace

absl::Status KafkaError(std::string_view what, int code) {
  const auto error = static_cast<rd_kafka_resp_err_t>(code);
  const std::string message =
      StrCat(what, ": code=", rd_kafka_err2name(error), " reason=", rd_kafka_err2str(error));
  switch (error) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
      return absl::UnauthenticatedError(message);
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return absl::PermissionDeniedError(message);
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return absl::NotFoundError(message);
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return absl::DataLossError(message);
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
      return absl::InvalidArgumentError(message);
    case RD_KAFKA_RESP_ERR__FATAL:
      return absl::InternalError(message);
    default:
      return absl::UnavailableError(message);
  }
}

absl::StatusOr<std::unique_ptr<KafkaClient>> KafkaClient::Create(
    const KafkaConfiguration& configuration) {
  ASSIGN_OR_RETURN(rd_kafka_conf_t* const conf, MakeKafkaConfiguration(configuration));
  auto client = std::unique_ptr<KafkaClient>(new KafkaClient());
  rd_kafka_conf_set_opaque(conf, client.get());
  rd_kafka_conf_set_log_cb(conf, OnLog);
  rd_kafka_conf_set_error_cb(conf, [](rd_kafka_t*, int code, const char* reason, void* opaque) {
    static_cast<KafkaClient*>(opaque)->OnError(code, reason);
  });
  if (!configuration.producer) {
    rd_kafka_conf_set_offset_commit_cb(conf, [](rd_kafka_t*, rd_kafka_resp_err_t error,
                                                rd_kafka_topic_partition_list_t*, void* opaque) {
      static_cast<KafkaClient*>(opaque)->commits_under_way_.fetch_sub(1, std::memory_order_relaxed);
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR && error != RD_KAFKA_RESP_ERR__NO_OFFSET) {
        LogWarning("kafka", StrCat("offsets were not committed to the group; the job does not need "
                                   "them: reason=",
                                   rd_kafka_err2str(error)));
      }
    });
  }
  if (configuration.on_delivery != nullptr) {
    client->on_delivery_ = configuration.on_delivery;
    rd_kafka_conf_set_dr_msg_cb(conf,
                                [](rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
                                  static_cast<KafkaClient*>(opaque)->on_delivery_(message);
                                });
  }
  char reason[512];
  client->client_ = rd_kafka_new(configuration.producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER,
                                 conf, reason, sizeof(reason));
  if (client->client_ == nullptr) {
    rd_kafka_conf_destroy(conf);
    return absl::InvalidArgumentError(
        StrCat("cannot make a Kafka client: reason=", std::string_view(reason)));
  }
  return client;
}

KafkaClient::~KafkaClient() {
  if (client_ != nullptr) {
    rd_kafka_destroy_flags(client_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }
}

absl::Status KafkaClient::CommitOffsets(const rd_kafka_topic_partition_list_s* offsets) {
  commits_under_way_.fetch_add(1, std::memory_order_relaxed);
  const rd_kafka_resp_err_t error = rd_kafka_commit(client_, offsets, /*async=*/1);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return absl::OkStatus();
  commits_under_way_.fetch_sub(1, std::memory_order_relaxed);
  return KafkaError("offsets were not committed to the group", error);
}

absl::Status KafkaClient::status() const {
  const MutexLock lock(&mutex_);
  return status_;
}

void KafkaClient::OnError(int code, std::string_view reason) {
  absl::Status status;
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    char text[512];
    const rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(client_, text, sizeof(text));
    status = absl::InternalError(
        StrCat("the Kafka client met a fatal error: code=", rd_kafka_err2name(fatal),
               " reason=", std::string_view(text)));
  } else if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
             code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED) {
    status = KafkaError(StrCat("Kafka refuses our credentials (", reason, ")"), code);
  }
  {
    const MutexLock lock(&mutex_);
    if (status_.ok()) status_ = status;
    const int64_t now = MonotonicNanos();
    if (code == last_code_ && now - last_logged_nanos_ < kSameErrorEveryNanos) return;
    last_code_ = code;
    last_logged_nanos_ = now;
  }
  LogWarning("kafka",
             StrCat("Kafka has a problem, the client goes on trying: code=",
                    rd_kafka_err2name(static_cast<rd_kafka_resp_err_t>(code)), " reason=", reason));
}

}  // namespace weir::internal
