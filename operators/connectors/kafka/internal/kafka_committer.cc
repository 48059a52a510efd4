#include "operators/connectors/kafka/internal/kafka_committer.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

KafkaCommitter::KafkaCommitter(SinkContext& context, KafkaSinkOptions options, std::string own_id)
    : options_(std::move(options)),
      own_id_(std::move(own_id)),
      folder_(context.place().local_dir),
      store_(context.state_store()) {}

KafkaCommitter::~KafkaCommitter() = default;

absl::Status KafkaCommitter::Open(bool restored, const std::vector<std::string>& predecessors) {
  for (const std::string& id : predecessors) {
    RETURN_IF_ERROR(ProducerOf(id).status());
    if (id != own_id_) producers_.erase(id);
  }
  // The check of transaction.timeout.ms, before the first record. After a change of parallelism
  // another subtask may have our id in its hands until it has opened: ours waits for the first
  // commit, which comes after that.
  if (!own_id_.empty() && !restored) RETURN_IF_ERROR(ProducerOf(own_id_).status());
  return absl::OkStatus();
}

absl::StatusOr<KafkaTransactionalProducer*> KafkaCommitter::ProducerOf(
    const std::string& transactional_id) {
  std::unique_ptr<KafkaTransactionalProducer>& producer = producers_[transactional_id];
  if (producer == nullptr) {
    auto made = KafkaTransactionalProducer::Create(options_, transactional_id, &closed_);
    if (!made.ok()) {
      producers_.erase(transactional_id);
      return made.status();
    }
    producer = *std::move(made);
  }
  return producer.get();
}

absl::Status KafkaCommitter::Commit(const std::vector<Committable>& committables) {
  for (const Committable& committable : committables) {
    ASSIGN_OR_RETURN(const KafkaEpoch epoch, ParseKafkaEpoch(committable.bytes));
    absl::Status status = CommitEpoch(epoch);
    if (!status.ok()) {
      producers_.erase(epoch.transactional_id);
      return status;
    }
  }
  // Foreign ids come from the restored checkpoint alone, and are done with.
  std::erase_if(producers_, [this](const auto& entry) { return entry.first != own_id_; });
  return absl::OkStatus();
}

absl::Status KafkaCommitter::CommitEpoch(const KafkaEpoch& epoch) {
  if (closed_.load(std::memory_order_relaxed)) {
    return absl::CancelledError("the sink was closed before its commit");
  }
  ASSIGN_OR_RETURN(KafkaTransactionalProducer* const producer, ProducerOf(epoch.transactional_id));
  ASSIGN_OR_RETURN(const bool written, producer->IsWritten(epoch));
  if (written) {
    LogInfo("kafka", StrCat("records are in Kafka already: checkpoint=", epoch.checkpoint,
                            " group=", epoch.group, " records=", epoch.num_messages));
    return absl::OkStatus();
  }
  return Write(*producer, epoch);
}

absl::Status KafkaCommitter::Write(KafkaTransactionalProducer& producer, const KafkaEpoch& epoch) {
  std::string path;
  const absl::Cleanup remove = [&] {
    if (!path.empty()) ::unlink(path.c_str());
  };
  if (!epoch.file.path.empty()) {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    path = StrCat(folder_, "/kafka-commit");
    ::unlink(path.c_str());  // What a process that died in the middle left.
    RETURN_IF_ERROR(store_->Fetch(epoch.file, path));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<KafkaSpoolReader> messages,
                   KafkaSpoolReader::Open(epoch.messages, path));
  return producer.Write(epoch, *messages);
}

}  // namespace weir::internal
