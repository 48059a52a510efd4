#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace weir::evtx {

/// Reads little-endian numbers of `bytes` from a position on. Reading past the end gives zero and
/// makes the reader fail for good, so that callers may check once for several reads.
///
/// Threads: one. Ownership: views the bytes.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes, size_t position = 0)
      : bytes_(bytes), position_(position), failed_(position > bytes.size()) {}

  template <class Number>
  Number Read() {
    Number value{};
    if (failed_ || bytes_.size() - position_ < sizeof(Number)) {
      failed_ = true;
      return value;
    }
    std::memcpy(&value, bytes_.data() + position_, sizeof(Number));
    position_ += sizeof(Number);
    return value;
  }

  /// Returns the next `size` bytes; empty, and failed, if there are fewer.
  std::string_view Take(size_t size) {
    if (failed_ || bytes_.size() - position_ < size) {
      failed_ = true;
      return {};
    }
    const std::string_view taken = bytes_.substr(position_, size);
    position_ += size;
    return taken;
  }

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool at_end() const { return failed_ || position_ == bytes_.size(); }
  [[nodiscard]] size_t position() const { return position_; }

 private:
  std::string_view bytes_;
  size_t position_;
  bool failed_;
};

/// Returns the little-endian number at `position`, which must lie within `bytes` with all its
/// bytes.
template <class Number>
Number ReadAt(std::string_view bytes, size_t position) {
  Number value;
  std::memcpy(&value, bytes.data() + position, sizeof(Number));
  return value;
}

}  // namespace weir::evtx
