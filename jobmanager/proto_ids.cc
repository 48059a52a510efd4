#include "jobmanager/proto_ids.h"

#include "runtime/base/strings.h"

namespace weir {
namespace internal {
namespace {

void AppendLittleEndian(std::string* out, uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) {
    out->push_back(static_cast<char>((value >> shift) & 0xff));
  }
}

uint64_t ReadLittleEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) {
    value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return value;
}

}  // namespace

std::string EncodeIdBytes(uint64_t high, uint64_t low) {
  std::string bytes;
  bytes.reserve(16);
  AppendLittleEndian(&bytes, high);
  AppendLittleEndian(&bytes, low);
  return bytes;
}

bool DecodeIdBytes(std::string_view bytes, uint64_t* high, uint64_t* low) {
  if (bytes.size() != 16) return false;
  *high = ReadLittleEndian(bytes.substr(0, 8));
  *low = ReadLittleEndian(bytes.substr(8, 8));
  return true;
}

}  // namespace internal

absl::Status StatusFromWire(int code, std::string_view text) {
  if (code <= 0 || code > static_cast<int>(absl::StatusCode::kUnauthenticated)) {
    return absl::UnknownError(ToAbsl(text));
  }
  return absl::Status(static_cast<absl::StatusCode>(code), ToAbsl(text));
}

}  // namespace weir
