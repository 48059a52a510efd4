#include "runtime/network/internal/frame.h"

#include <cstring>

#include "runtime/base/strings.h"
#include "runtime/record/byte_io.h"

namespace weir::internal {
namespace {

constexpr uint32_t kMagic = 0x52494557;  // "WEIR".
constexpr uint16_t kVersion = 4;
// A message is for people; a longer one is cut.
constexpr size_t kMaxMessageBytes = 3000;

absl::Status Malformed(std::string_view what) {
  return absl::DataLossError(StrCat("a frame of the data connection is malformed: frame=", what));
}

}  // namespace

size_t BeginFrame(FrameType type, uint32_t channel, std::string* out) {
  const size_t begin = out->size();
  ByteWriter writer(out);
  writer.WriteFixed(uint32_t{0});
  writer.WriteFixed(static_cast<uint8_t>(type));
  writer.WriteFixed(channel);
  return begin;
}

void SetFrameType(size_t begin, FrameType type, std::string* out) {
  (*out)[begin + sizeof(uint32_t)] = static_cast<char>(type);
}

void EndFrame(size_t begin, std::string* out) {
  const auto payload_bytes = static_cast<uint32_t>(out->size() - begin - kFrameHeaderBytes);
  std::memcpy(out->data() + begin, &payload_bytes, sizeof(payload_bytes));
}

FrameHeader ReadFrameHeader(const char* bytes) {
  FrameHeader header;
  std::memcpy(&header.payload_bytes, bytes, sizeof(header.payload_bytes));
  header.type = static_cast<FrameType>(bytes[4]);
  std::memcpy(&header.channel, bytes + 5, sizeof(header.channel));
  return header;
}

void AppendHello(std::string_view cluster_id, std::string* out) {
  const size_t begin = BeginFrame(FrameType::kHello, 0, out);
  ByteWriter writer(out);
  writer.WriteFixed(kMagic);
  writer.WriteFixed(kVersion);
  writer.WriteString(cluster_id);
  EndFrame(begin, out);
}

void AppendRequest(uint32_t channel, const ChannelRequest& request, std::string* out) {
  const size_t begin = BeginFrame(FrameType::kRequestChannel, channel, out);
  ByteWriter writer(out);
  writer.WriteFixed(request.key.producer.high());
  writer.WriteFixed(request.key.producer.low());
  writer.WriteFixed(request.key.edge);
  writer.WriteFixed(request.key.subpartition);
  writer.WriteFixed(request.credit_bytes);
  EndFrame(begin, out);
}

void AppendNumber(FrameType type, uint32_t channel, uint64_t value, std::string* out) {
  const size_t begin = BeginFrame(type, channel, out);
  ByteWriter(out).WriteFixed(value);
  EndFrame(begin, out);
}

void AppendAnnouncement(uint32_t channel, const ChannelQueue::Announcement& announcement,
                        std::string* out) {
  const size_t begin = BeginFrame(FrameType::kAnnouncement, channel, out);
  ByteWriter writer(out);
  writer.WriteFixed(announcement.id.value());
  writer.WriteFixed(announcement.trigger_time_ms);
  EndFrame(begin, out);
}

void AppendStatus(FrameType type, uint32_t channel, const absl::Status& status, std::string* out) {
  const size_t begin = BeginFrame(type, channel, out);
  ByteWriter writer(out);
  writer.WriteFixed(static_cast<uint8_t>(status.code()));
  writer.WriteString(ToStd(status.message()).substr(0, kMaxMessageBytes));
  EndFrame(begin, out);
}

void AppendCancel(uint32_t channel, std::string* out) {
  EndFrame(BeginFrame(FrameType::kCancelChannel, channel, out), out);
}

absl::Status CheckHello(std::string_view payload, std::string_view cluster_id) {
  ByteReader reader(payload);
  uint32_t magic = 0;
  uint16_t version = 0;
  std::string_view peer_cluster;
  if (!reader.ReadFixed(&magic) || magic != kMagic || !reader.ReadFixed(&version)) {
    return absl::DataLossError("the peer does not speak weir's data protocol");
  }
  // What follows the version is the version's own business.
  if (version != kVersion) {
    return absl::UnavailableError(
        StrCat("the peer speaks another version of the data protocol; run one release of weir on "
               "all TaskManagers: version=",
               kVersion, " peer_version=", version));
  }
  if (!reader.ReadStringView(&peer_cluster) || reader.remaining() != 0) return Malformed("hello");
  if (peer_cluster != cluster_id) {
    return absl::UnavailableError(
        StrCat("the peer belongs to another cluster; give each cluster ports of its own: cluster=",
               cluster_id, " peer_cluster=", peer_cluster));
  }
  return absl::OkStatus();
}

absl::StatusOr<ChannelRequest> ParseRequest(std::string_view payload) {
  ByteReader reader(payload);
  ChannelRequest request;
  uint64_t high = 0;
  uint64_t low = 0;
  reader.ReadFixed(&high);
  reader.ReadFixed(&low);
  reader.ReadFixed(&request.key.edge);
  reader.ReadFixed(&request.key.subpartition);
  reader.ReadFixed(&request.credit_bytes);
  // Sums of credit stay far from overflow.
  constexpr uint64_t kMaxCreditBytes = uint64_t{1} << 40;
  if (!reader.ok() || reader.remaining() != 0 || request.credit_bytes == 0 ||
      request.credit_bytes > kMaxCreditBytes) {
    return Malformed("request channel");
  }
  request.key.producer = ExecutionAttemptId(high, low);
  return request;
}

absl::StatusOr<uint64_t> ParseNumber(std::string_view payload) {
  ByteReader reader(payload);
  uint64_t value = 0;
  if (!reader.ReadFixed(&value) || reader.remaining() != 0) return Malformed("number");
  return value;
}

absl::StatusOr<ChannelQueue::Announcement> ParseAnnouncement(std::string_view payload) {
  ByteReader reader(payload);
  uint64_t id = 0;
  ChannelQueue::Announcement announcement;
  reader.ReadFixed(&id);
  reader.ReadFixed(&announcement.trigger_time_ms);
  if (!reader.ok() || reader.remaining() != 0) return Malformed("announcement");
  announcement.id = CheckpointId(id);
  return announcement;
}

absl::Status ParseStatus(std::string_view payload) {
  ByteReader reader(payload);
  uint8_t code = 0;
  std::string_view message;
  if (!reader.ReadFixed(&code) || !reader.ReadStringView(&message) || reader.remaining() != 0 ||
      code == 0 || code > static_cast<uint8_t>(absl::StatusCode::kUnauthenticated)) {
    return Malformed("status");
  }
  return absl::Status(static_cast<absl::StatusCode>(code), ToAbsl(message));
}

}  // namespace weir::internal
