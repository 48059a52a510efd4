#include "runtime/network/internal/frame_compression.h"

#include <lz4.h>

#include <cstdint>
#include <cstring>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/network/internal/frame.h"

namespace weir::internal {
namespace {

// Below it, headers and the call cost more than is saved.
constexpr size_t kMinPayloadBytes = 512;
constexpr size_t kSizeBytes = sizeof(uint32_t);

}  // namespace

bool CompressPayload(size_t begin, std::string* out, std::string* scratch) {
  const size_t size = out->size() - begin;
  if (size < kMinPayloadBytes || size > LZ4_MAX_INPUT_SIZE) return false;
  const size_t worth_bytes = size - size / 8 - kSizeBytes;
  if (scratch->size() < worth_bytes) scratch->resize(worth_bytes);
  // LZ4 gives up, with 0, as soon as the result would not fit.
  const int compressed = LZ4_compress_default(
      out->data() + begin, scratch->data(), static_cast<int>(size), static_cast<int>(worth_bytes));
  if (compressed <= 0) return false;
  const auto raw_bytes = static_cast<uint32_t>(size);
  std::memcpy(out->data() + begin, &raw_bytes, kSizeBytes);
  std::memcpy(out->data() + begin + kSizeBytes, scratch->data(), static_cast<size_t>(compressed));
  out->resize(begin + kSizeBytes + static_cast<size_t>(compressed));
  return true;
}

absl::StatusOr<size_t> DecompressedBytes(std::string_view payload) {
  uint32_t raw_bytes = 0;
  if (payload.size() >= kSizeBytes) std::memcpy(&raw_bytes, payload.data(), kSizeBytes);
  if (raw_bytes == 0 || raw_bytes > kMaxPayloadBytes) {
    return absl::DataLossError(
        StrCat("a compressed frame of the data connection is malformed: bytes=", raw_bytes));
  }
  return raw_bytes;
}

absl::StatusOr<std::string_view> DecompressPayload(std::string_view payload, std::string* scratch) {
  ASSIGN_OR_RETURN(const size_t raw_bytes, DecompressedBytes(payload));
  payload.remove_prefix(kSizeBytes);
  // A block of LZ4 grows at most 255-fold: a small frame cannot make this process reserve much.
  if (raw_bytes / 255 > payload.size()) {
    return absl::DataLossError(
        StrCat("a compressed frame of the data connection is malformed: bytes=", raw_bytes,
               " compressed_bytes=", payload.size()));
  }
  if (scratch->size() < raw_bytes) scratch->resize(raw_bytes);
  const int decompressed =
      LZ4_decompress_safe(payload.data(), scratch->data(), static_cast<int>(payload.size()),
                          static_cast<int>(raw_bytes));
  if (decompressed < 0 || static_cast<size_t>(decompressed) != raw_bytes) {
    return absl::DataLossError("a compressed frame of the data connection cannot be read");
  }
  return std::string_view(*scratch).substr(0, raw_bytes);
}

}  // namespace weir::internal
