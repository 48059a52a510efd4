#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/connectors/kafka/kafka_record.h"
#include "runtime/state/state_file_store.h"

namespace weir::internal {

/// One epoch of one subtask that waits to be written to Kafka: a committable of a KafkaSink.
struct KafkaEpoch {
  std::string transactional_id;  ///< Of the subtask that took the messages.
  std::string group;             ///< Whose committed offset is the last checkpoint written.
  std::string offset_topic;      ///< At its partition 0; one of the epoch's, so that it exists.
  std::string topic;             ///< Of messages that name none.
  uint64_t checkpoint = 0;
  uint64_t num_messages = 0;
  std::string messages;  ///< Of a small epoch, encoded; else they are in `file`.
  StoredFile file;       ///< Its path is empty if there is none.
};

[[nodiscard]] std::string SerializeKafkaEpoch(const KafkaEpoch& epoch);
/// Errors: kDataLoss.
[[nodiscard]] absl::StatusOr<KafkaEpoch> ParseKafkaEpoch(std::string_view bytes);

/// Appends the message's encoding; `time` counts if it has no timestamp.
void AppendKafkaMessage(const KafkaMessage& message, EventTime time, std::string* bytes);

/// A file that messages are written to. All methods block. Threads: one at a time.
class KafkaSpoolFile {
 public:
  /// Nothing is made before the first Append, which makes the folder too.
  explicit KafkaSpoolFile(std::string path) : path_(std::move(path)) {}
  /// Removes the file.
  ~KafkaSpoolFile();
  KafkaSpoolFile(const KafkaSpoolFile&) = delete;
  KafkaSpoolFile& operator=(const KafkaSpoolFile&) = delete;

  /// Errors: kResourceExhausted if the disk is full; kInternal. Both name the file.
  [[nodiscard]] absl::Status Append(std::string_view block);
  /// Ends the file and gives it to `store`.
  [[nodiscard]] absl::StatusOr<StoredFile> Store(StateFileStore& store,
                                                 const std::string& suggested_name);

 private:
  const std::string path_;
  int descriptor_ = -1;
  bool made_ = false;
};

/// Reads messages back, in order. All methods block. Threads: one at a time.
class KafkaSpoolReader {
 public:
  /// Reads encoded messages, which must outlive it, or else the file, if a path is given.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<KafkaSpoolReader>> Open(
      std::string_view messages, const std::string& path);
  ~KafkaSpoolReader();
  KafkaSpoolReader(const KafkaSpoolReader&) = delete;
  KafkaSpoolReader& operator=(const KafkaSpoolReader&) = delete;

  /// Reads the next message. Returns false at the end. Errors: kDataLoss, kInternal.
  [[nodiscard]] absl::StatusOr<bool> Next(KafkaMessage* message);

 private:
  KafkaSpoolReader(std::string_view messages, std::string path, int descriptor)
      : unread_(messages), path_(std::move(path)), descriptor_(descriptor) {}
  // Makes at least `size` bytes unread; false if the file ends before.
  absl::StatusOr<bool> Fill(size_t size);

  std::string_view unread_;  // Into buffer_, or the given messages.
  std::string buffer_;
  const std::string path_;
  const int descriptor_;  // -1: there is no file.
};

}  // namespace weir::internal
