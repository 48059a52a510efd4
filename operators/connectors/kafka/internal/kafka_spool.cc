#include "operators/connectors/kafka/internal/kafka_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/byte_io.h"
#include "runtime/record/serde.h"

namespace weir::internal {

namespace {

constexpr char kVersion = 1;
constexpr size_t kReadBytes = size_t{1} << 20;
// Above what Kafka takes: a longer message is a damaged length.
constexpr uint32_t kMaxMessageBytes = uint32_t{1} << 31;

// What a message has.
enum Flags : uint8_t {
  kHasKey = 1,
  kIsTombstone = 2,
  kHasTimestamp = 4,
  kHasTopic = 8,
  kHasPartition = 16,
  kHasHeaders = 32,
};

absl::Status SpoolError(std::string_view what, const std::string& path) {
  const int error = errno;
  const std::string message = StrCat(what, ": path=", path, " error=", strerror(error));
  return error == ENOSPC || error == EDQUOT ? absl::ResourceExhaustedError(message)
                                            : absl::InternalError(message);
}

bool ReadMessage(std::string_view bytes, KafkaMessage* message) {
  message->Clear();
  ByteReader reader(bytes);
  uint8_t flags = 0;
  reader.ReadFixed(&flags);
  message->has_key = (flags & kHasKey) != 0;
  message->is_tombstone = (flags & kIsTombstone) != 0;
  if (message->has_key) reader.ReadString(&message->key);
  if (!message->is_tombstone) reader.ReadString(&message->value);
  if ((flags & kHasTimestamp) != 0) {
    int64_t millis = 0;
    reader.ReadFixed(&millis);
    message->timestamp = EventTime::FromMillis(millis);
  }
  if ((flags & kHasTopic) != 0) reader.ReadString(&message->topic);
  if ((flags & kHasPartition) != 0) reader.ReadFixed(&message->partition);
  uint64_t num_headers = 0;
  if ((flags & kHasHeaders) != 0) reader.ReadCount(&num_headers);
  for (uint64_t i = 0; reader.ok() && i < num_headers; ++i) {
    KafkaHeader& header = message->headers.emplace_back();
    reader.ReadString(&header.key);
    reader.ReadFixed(&header.is_null);
    reader.ReadString(&header.value);
  }
  return reader.ok() && reader.remaining() == 0;
}

}  // namespace

std::string SerializeKafkaEpoch(const KafkaEpoch& epoch) {
  return StrCat(std::string(1, kVersion), ToBytes(epoch));
}

absl::StatusOr<KafkaEpoch> ParseKafkaEpoch(std::string_view bytes) {
  KafkaEpoch epoch;
  if (bytes.empty() || bytes.front() != kVersion || !FromBytes(bytes.substr(1), epoch)) {
    return absl::DataLossError("a committable of a Kafka sink is malformed or of another version");
  }
  return epoch;
}

void AppendKafkaMessage(const KafkaMessage& message, EventTime time, std::string* bytes) {
  const size_t begin = bytes->size();
  ByteWriter writer(bytes);
  writer.WriteFixed(uint32_t{0});  // The length, known at the end.
  EventTime timestamp = message.timestamp == EventTime::Min() ? time : message.timestamp;
  if (timestamp == EventTime::Max()) timestamp = EventTime::Min();
  uint8_t flags = 0;
  if (message.has_key) flags |= kHasKey;
  if (message.is_tombstone) flags |= kIsTombstone;
  if (timestamp != EventTime::Min()) flags |= kHasTimestamp;
  if (!message.topic.empty()) flags |= kHasTopic;
  if (message.partition >= 0) flags |= kHasPartition;
  if (!message.headers.empty()) flags |= kHasHeaders;
  writer.WriteFixed(flags);
  if (message.has_key) writer.WriteString(message.key);
  if (!message.is_tombstone) writer.WriteString(message.value);
  if ((flags & kHasTimestamp) != 0) writer.WriteFixed(timestamp.millis());
  if ((flags & kHasTopic) != 0) writer.WriteString(message.topic);
  if ((flags & kHasPartition) != 0) writer.WriteFixed(message.partition);
  if ((flags & kHasHeaders) != 0) {
    writer.WriteVarint(message.headers.size());
    for (const KafkaHeader& header : message.headers) {
      writer.WriteString(header.key);
      writer.WriteFixed(header.is_null);
      writer.WriteString(header.value);
    }
  }
  const auto length = static_cast<uint32_t>(bytes->size() - begin - sizeof(uint32_t));
  std::memcpy(bytes->data() + begin, &length, sizeof(length));
}

KafkaSpoolFile::~KafkaSpoolFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (made_) ::unlink(path_.c_str());
}

absl::Status KafkaSpoolFile::Append(std::string_view block) {
  if (descriptor_ < 0) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), error);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor_ < 0) return SpoolError("cannot make a Kafka sink's local file", path_);
    made_ = true;
  }
  while (!block.empty()) {
    const ssize_t written = ::write(descriptor_, block.data(), block.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SpoolError("cannot write a Kafka sink's local file", path_);
    block.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::StatusOr<StoredFile> KafkaSpoolFile::Store(StateFileStore& store,
                                                 const std::string& suggested_name) {
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    return SpoolError("cannot close a Kafka sink's local file", path_);
  }
  return store.Store(path_, suggested_name);
}

absl::StatusOr<std::unique_ptr<KafkaSpoolReader>> KafkaSpoolReader::Open(std::string_view messages,
                                                                         const std::string& path) {
  int descriptor = -1;
  if (!path.empty()) {
    descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return SpoolError("cannot open a Kafka sink's local file", path);
  }
  return std::unique_ptr<KafkaSpoolReader>(new KafkaSpoolReader(messages, path, descriptor));
}

KafkaSpoolReader::~KafkaSpoolReader() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

absl::StatusOr<bool> KafkaSpoolReader::Fill(size_t size) {
  if (unread_.size() >= size) return true;
  if (descriptor_ < 0) return false;
  buffer_.erase(0, buffer_.size() - unread_.size());
  while (buffer_.size() < size) {
    const size_t begin = buffer_.size();
    buffer_.resize(begin + std::max(kReadBytes, size - begin));
    const ssize_t read = ::read(descriptor_, buffer_.data() + begin, buffer_.size() - begin);
    const int error = errno;
    buffer_.resize(begin + static_cast<size_t>(std::max<ssize_t>(read, 0)));
    errno = error;
    if (read < 0 && errno != EINTR) {
      return SpoolError("cannot read a Kafka sink's local file", path_);
    }
    if (read == 0) break;
  }
  unread_ = buffer_;
  return unread_.size() >= size;
}

absl::StatusOr<bool> KafkaSpoolReader::Next(KafkaMessage* message) {
  const auto damaged = [this] {
    return absl::DataLossError(StrCat("the spooled records of a Kafka sink are damaged: file=",
                                      path_.empty() ? std::string("(in the checkpoint)") : path_));
  };
  ASSIGN_OR_RETURN(const bool more, Fill(sizeof(uint32_t)));
  if (!more) {
    if (unread_.empty()) return false;
    return damaged();
  }
  uint32_t length = 0;
  std::memcpy(&length, unread_.data(), sizeof(length));
  if (length > kMaxMessageBytes) return damaged();
  ASSIGN_OR_RETURN(const bool whole, Fill(sizeof(length) + length));
  if (!whole || !ReadMessage(unread_.substr(sizeof(length), length), message)) return damaged();
  unread_.remove_prefix(sizeof(length) + length);
  return true;
}

}  // namespace weir::internal
