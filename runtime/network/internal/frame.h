#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/network/channel_queue.h"

namespace weir::internal {

/// The wire format of a data connection. A frame is a header (payload size as u32, type as u8,
/// channel number as u32) and a payload; numbers are little-endian. The consumer's side opens the
/// connection, sends kHello and chooses the channel numbers: 1, 2, 3 and so on. A frame of channel
/// 0 concerns the whole connection.
enum class FrameType : uint8_t {
  kHello = 1,           // Both ways, first: magic, version, cluster id.
  kRequestChannel = 2,  // To the producer: channel key, initial credit in bytes.
  kData = 3,            // To the consumer: one stream element.
  kAnnouncement = 4,    // To the consumer: a barrier's id and time, ahead of the data before it.
  kCredit = 5,          // To the producer: bytes of data frames consumed.
  kBreak = 6,           // To the consumer: the channel ended, with status code and message.
  kCancelChannel = 7,   // To the producer: the consumer closed the channel.
  kError = 8,           // Both ways, last: why the connection is refused or given up.
  kCompressedData = 9,  // To the consumer: one stream element, compressed; costs its full size.
  kLimit = 10,          // To the producer: bytes that its queue may hold from now on.
  kAwait = 11,          // To the producer: a checkpoint id; what is queued ahead of its barrier
                        // is to be sent without credit, as soon as the barrier is queued.
};

struct FrameHeader {
  uint32_t payload_bytes = 0;
  FrameType type = FrameType::kError;
  uint32_t channel = 0;
};

inline constexpr size_t kFrameHeaderBytes = 9;
/// No element is larger than this on the wire.
inline constexpr size_t kMaxPayloadBytes = size_t{1} << 30;
/// What a consumer may send: requests and credit are small.
inline constexpr size_t kMaxRequestPayloadBytes = 4096;

/// Appends a frame's header with the size left open; returns where the frame begins.
[[nodiscard]] size_t BeginFrame(FrameType type, uint32_t channel, std::string* out);
/// Changes the type of the frame that began at `begin`.
void SetFrameType(size_t begin, FrameType type, std::string* out);
/// Fills in the size of the frame that began at `begin` and ends where `out` does.
void EndFrame(size_t begin, std::string* out);

/// Reads the header from the first kFrameHeaderBytes of `bytes`.
[[nodiscard]] FrameHeader ReadFrameHeader(const char* bytes);

/// What a consumer asks for.
struct ChannelRequest {
  ChannelKey key;
  uint64_t credit_bytes = 0;
};

void AppendHello(std::string_view cluster_id, std::string* out);
void AppendRequest(uint32_t channel, const ChannelRequest& request, std::string* out);
void AppendAnnouncement(uint32_t channel, const ChannelQueue::Announcement& announcement,
                        std::string* out);
/// For kCredit, kLimit and kAwait.
void AppendNumber(FrameType type, uint32_t channel, uint64_t value, std::string* out);
/// For kBreak and kError.
void AppendStatus(FrameType type, uint32_t channel, const absl::Status& status, std::string* out);
void AppendCancel(uint32_t channel, std::string* out);

/// Reads a hello and compares it with this process. Errors: kDataLoss if it is none, kUnavailable
/// if the peer speaks another version or belongs to another cluster.
[[nodiscard]] absl::Status CheckHello(std::string_view payload, std::string_view cluster_id);
/// The parsers return kDataLoss for a payload that does not hold exactly what it should.
[[nodiscard]] absl::StatusOr<ChannelRequest> ParseRequest(std::string_view payload);
[[nodiscard]] absl::StatusOr<uint64_t> ParseNumber(std::string_view payload);
[[nodiscard]] absl::StatusOr<ChannelQueue::Announcement> ParseAnnouncement(
    std::string_view payload);
/// Returns the status carried, never OK: a malformed one is kDataLoss.
[[nodiscard]] absl::Status ParseStatus(std::string_view payload);

}  // namespace weir::internal
