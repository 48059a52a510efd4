#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace weir {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

/// Appends values to a string it borrows. The wire format of batches, state and frames: fixed-width
/// little-endian numbers, lengths as varints.
class ByteWriter {
 public:
  explicit ByteWriter(std::string* out) : out_(out) {}

  void WriteBytes(const void* data, size_t size) {
    out_->append(static_cast<const char*>(data), size);
  }
  template <class T>
    requires std::is_arithmetic_v<T>
  void WriteFixed(T value) {
    WriteBytes(&value, sizeof(value));
  }
  void WriteVarint(uint64_t value) {
    char buffer[10];
    size_t size = 0;
    while (value >= 0x80) {
      buffer[size++] = static_cast<char>(value | 0x80);
      value >>= 7;
    }
    buffer[size++] = static_cast<char>(value);
    WriteBytes(buffer, size);
  }
  void WriteString(std::string_view text) {
    WriteVarint(text.size());
    WriteBytes(text.data(), text.size());
  }
  [[nodiscard]] size_t size() const { return out_->size(); }

 private:
  std::string* out_;
};

/// Reads what ByteWriter wrote from a buffer it borrows. Every read returns false, and all later
/// ones too, once the buffer is too short or malformed: callers may check once at the end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view data) : data_(data) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] size_t remaining() const { return data_.size(); }

  bool ReadBytes(void* target, size_t size) {
    if (!Take(size)) return false;
    // Of no bytes, the target may be null: that of an empty vector.
    if (size > 0) std::memcpy(target, data_.data() - size, size);
    return true;
  }
  template <class T>
    requires std::is_arithmetic_v<T>
  bool ReadFixed(T* value) {
    if constexpr (std::is_same_v<T, bool>) {
      uint8_t byte = 0;
      if (!ReadBytes(&byte, 1)) return false;
      *value = byte != 0;
      return true;
    } else {
      return ReadBytes(value, sizeof(*value));
    }
  }
  bool ReadVarint(uint64_t* value) {
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (!Take(1)) return false;
      const auto byte = static_cast<unsigned char>(data_.data()[-1]);
      result |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        *value = result;
        return true;
      }
    }
    return Fail();
  }
  /// The view borrows from the reader's buffer.
  bool ReadStringView(std::string_view* text) {
    uint64_t size = 0;
    if (!ReadVarint(&size) || !Take(size)) return false;
    *text = std::string_view(data_.data() - size, size);
    return true;
  }
  bool ReadString(std::string* text) {
    std::string_view view;
    if (!ReadStringView(&view)) return false;
    text->assign(view);
    return true;
  }
  /// Reads a count of elements that take at least `min_bytes_each`, so that a damaged count cannot
  /// make the caller allocate more than the buffer could hold.
  bool ReadCount(uint64_t* count, size_t min_bytes_each = 1) {
    if (!ReadVarint(count)) return false;
    if (min_bytes_each > 0 && *count > data_.size() / min_bytes_each) return Fail();
    return true;
  }
  bool Skip(size_t size) { return Take(size); }
  /// The view borrows from the reader's buffer.
  bool ReadView(size_t size, std::string_view* view) {
    if (!Take(size)) return false;
    *view = std::string_view(data_.data() - size, size);
    return true;
  }
  bool Fail() {
    ok_ = false;
    data_ = {};
    return false;
  }

 private:
  bool Take(size_t size) {
    if (!ok_ || size > data_.size()) return Fail();
    data_.remove_prefix(size);
    return true;
  }

  std::string_view data_;
  bool ok_ = true;
};

}  // namespace weir
