#include "operators/connectors/kafka/internal/kafka_producer.h"

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "operators/connectors/kafka/internal/kafka_client.h"
#include "operators/connectors/kafka/internal/kafka_message.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

constexpr int64_t kMaxMessages = 500'000;  // On their way at once, however small.
constexpr int kFlushTurnMs = 50;
constexpr int kEndFlushMs = 5'000;

// Above what one message may be: librdkafka's queue never gets full, because HasRoom turns false
// before that.
constexpr size_t kMaxMessageBytes = 1'000'000'000;

KafkaConfiguration Configuration(const KafkaSinkOptions& options) {
  KafkaConfiguration configuration = ProducerConfiguration(options.brokers, options.properties);
  const size_t queue_bytes = 2 * options.max_buffered_bytes + kMaxMessageBytes;
  configuration.fixed["queue.buffering.max.messages"] = std::to_string(2 * kMaxMessages);
  configuration.fixed["queue.buffering.max.kbytes"] = std::to_string(queue_bytes >> 10);
  if (options.delivery_guarantee != DeliveryGuarantee::kNone) {
    configuration.fixed["enable.idempotence"] = "true";
    configuration.fixed["acks"] = "all";
  }
  return configuration;
}

}  // namespace

/// The producer and what is on its way. Shared with work on the I/O pool; destroying it blocks.
class KafkaProducer::State : public std::enable_shared_from_this<State> {
 public:
  // The messages between two checkpoints. Each message points to its epoch.
  struct Epoch {
    State* state;
    uint64_t number;
    std::atomic<int64_t> undelivered{0};
  };

  State(IoPool* pool, std::shared_ptr<TaskHandle> handle, KafkaSinkOptions options)
      : pool_(pool), handle_(std::move(handle)), options_(std::move(options)) {
    BeginEpoch();
  }
  ~State() {
    if (waits_at_end_) rd_kafka_flush(client_->get(), kEndFlushMs);
    if (queue_ != nullptr) rd_kafka_queue_destroy(queue_);
    client_.reset();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  absl::Status Connect() {
    KafkaConfiguration configuration = Configuration(options_);
    configuration.on_delivery = &State::OnDelivery;
    ASSIGN_OR_RETURN(client_, KafkaClient::Create(configuration));
    queue_ = rd_kafka_queue_get_main(client_->get());
    rd_kafka_queue_cb_event_enable(
        queue_, [](rd_kafka_t*, void* opaque) { static_cast<State*>(opaque)->PostPoll(); }, this);
    return absl::OkStatus();
  }

  // Relaxed: a stale answer only delays a wake-up that is on its way, or admits one record more.
  [[nodiscard]] bool HasRoom() const {
    return bytes_.load(std::memory_order_relaxed) <
               static_cast<int64_t>(options_.max_buffered_bytes) &&
           messages_.load(std::memory_order_relaxed) < kMaxMessages;
  }

  [[nodiscard]] bool waits_for_deliveries() const {
    return options_.delivery_guarantee != DeliveryGuarantee::kNone;
  }

  absl::Status status() const {
    RETURN_IF_ERROR(client_->status());
    const MutexLock lock(&mutex_);
    return status_;
  }

  // Returns librdkafka's code: 0 if it took the message.
  int Produce(const KafkaMessage& message, EventTime time) {
    const auto bytes = static_cast<int64_t>((message.has_key ? message.key.size() : 0) +
                                            (message.is_tombstone ? 0 : message.value.size()));
    // Counted before: the delivery may be told at once.
    Count(*epoch_, bytes, 1);
    const int code = ProduceKafkaMessage(client_->get(), options_.topic, message, time, epoch_);
    if (code != 0) Count(*epoch_, -bytes, -1);
    return code;
  }

  // Begins a new epoch; returns the number of the one that ends.
  uint64_t BeginEpoch() {
    const MutexLock lock(&mutex_);
    // Relaxed: an epoch that ended only ever counts down.
    epochs_.remove_if([newest = num_epochs_](const Epoch& epoch) {
      return epoch.number < newest && epoch.undelivered.load(std::memory_order_relaxed) == 0;
    });
    epochs_.emplace_back(this, ++num_epochs_);
    epoch_ = &epochs_.back();
    return num_epochs_ - 1;
  }

  // Blocks until all messages of epochs up to `number` are delivered.
  absl::StatusOr<std::vector<Committable>> WaitFor(uint64_t number) {
    while (true) {
      RETURN_IF_ERROR(status());
      {
        const MutexLock lock(&mutex_);
        if (closed_) return absl::CancelledError("the sink's writer was closed");
        bool delivered = true;
        for (const Epoch& epoch : epochs_) {
          delivered = delivered && (epoch.number > number ||
                                    epoch.undelivered.load(std::memory_order_acquire) == 0);
        }
        // An error is set before its message counts as delivered.
        if (delivered) {
          if (!status_.ok()) return status_;
          return std::vector<Committable>();
        }
      }
      rd_kafka_flush(client_->get(), kFlushTurnMs);
    }
  }

  void Close() {
    {
      const MutexLock lock(&mutex_);
      closed_ = true;
    }
    rd_kafka_queue_cb_event_enable(queue_, nullptr, nullptr);
    // No checkpoint has waited for the last messages of a job that has come to its end.
    waits_at_end_ = options_.delivery_guarantee == DeliveryGuarantee::kNone;
    if (waits_at_end_) return;
    rd_kafka_purge(client_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  }

 private:
  void Count(Epoch& epoch, int64_t bytes, int64_t messages) {
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    messages_.fetch_add(messages, std::memory_order_relaxed);
    // Release: pairs with WaitFor's load.
    epoch.undelivered.fetch_add(messages, std::memory_order_release);
  }

  // librdkafka's queue of deliveries is not empty any more.
  void PostPoll() {
    if (poll_posted_.exchange(true, std::memory_order_acq_rel)) return;
    std::shared_ptr<State> self = weak_from_this().lock();
    if (self == nullptr) return;
    (void)pool_->Post([self = std::move(self)] {
      self->poll_posted_.store(false, std::memory_order_release);
      rd_kafka_poll(self->client_->get(), 0);
    });
  }

  static void OnDelivery(const rd_kafka_message_t* message) {
    auto* epoch = static_cast<Epoch*>(message->_private);
    State* state = epoch->state;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      state->OnFailure(message->err, rd_kafka_topic_name(message->rkt));
    }
    const bool had_room = state->HasRoom();
    state->Count(*epoch, -static_cast<int64_t>(message->len + message->key_len), -1);
    if (!had_room && state->HasRoom()) state->handle_->Wake();
  }

  void OnFailure(int code, const char* topic) {
    const absl::Status failure =
        KafkaError(StrCat("Kafka did not take a record (topic=", topic, ")"), code);
    {
      const MutexLock lock(&mutex_);
      if (closed_ || !status_.ok()) return;
      status_ = failure;
    }
    handle_->Fail(failure);
  }

  IoPool* const pool_;
  const std::shared_ptr<TaskHandle> handle_;
  const KafkaSinkOptions options_;
  std::unique_ptr<KafkaClient> client_;
  rd_kafka_queue_t* queue_ = nullptr;
  std::atomic<int64_t> bytes_{0};
  std::atomic<int64_t> messages_{0};
  std::atomic<bool> poll_posted_{false};
  Epoch* epoch_ = nullptr;  // The current one; for the task's steps.
  mutable Mutex mutex_;
  std::list<Epoch> epochs_ ABSL_GUARDED_BY(mutex_);
  uint64_t num_epochs_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool waits_at_end_ = false;  // Set by Close, for the destructor.
};

absl::Status ValidateKafkaProducer(const KafkaSinkOptions& options) {
  return ValidateKafkaConfiguration(Configuration(options));
}

absl::StatusOr<std::unique_ptr<KafkaProducer>> KafkaProducer::Create(
    SinkContext& context, const KafkaSinkOptions& options) {
  auto state = std::make_shared<State>(context.io_pool(), context.handle(), options);
  RETURN_IF_ERROR(state->Connect());
  return std::unique_ptr<KafkaProducer>(new KafkaProducer(context.io_pool(), std::move(state)));
}

KafkaProducer::KafkaProducer(IoPool* pool, std::shared_ptr<State> state)
    : pool_(pool), state_(std::move(state)) {}

KafkaProducer::~KafkaProducer() { Close(); }

void KafkaProducer::Close() {
  if (state_ == nullptr) return;
  state_->Close();
  // If the pool takes nothing more, it goes here.
  (void)pool_->Post([state = std::move(state_)]() mutable { state.reset(); });
  state_ = nullptr;
}

bool KafkaProducer::Ready() const { return state_ == nullptr || state_->HasRoom(); }

absl::Status KafkaProducer::Write(const KafkaMessage& message, EventTime time) {
  if (state_ == nullptr) return absl::FailedPreconditionError("the Kafka sink is closed");
  RETURN_IF_ERROR(state_->status());
  const int code = state_->Produce(message, time);
  return code == 0 ? absl::OkStatus() : KafkaError("cannot write a record to Kafka", code);
}

absl::StatusOr<PrepareCommit> KafkaProducer::BeginCommit(CheckpointId /*checkpoint*/) {
  RETURN_IF_ERROR(state_->status());
  const uint64_t number = state_->BeginEpoch();
  if (!state_->waits_for_deliveries()) {
    return PrepareCommit([](StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
      return std::vector<Committable>();
    });
  }
  return PrepareCommit(
      [state = state_, number](StateFileStore&) { return state->WaitFor(number); });
}

}  // namespace weir::internal
