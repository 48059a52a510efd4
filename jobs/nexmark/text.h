#pragma once

#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/record/byte_io.h"
#include "runtime/record/key_codec.h"
#include "runtime/record/schema.h"
#include "runtime/record/serde.h"

namespace weir::nexmark {

/// Immutable text in 16 bytes: up to 15 characters lie inside, longer ones outside, where copies
/// share them by a count.
///
/// A field of a record that is made a few million times a second: making one of letters that stay
/// takes no allocation (OfStatic), moving one is 16 bytes, copying one at most an atomic increment.
/// Threads: as int; the shared characters are constant and their count is atomic.
class Text {
 public:
  static constexpr size_t kMaxInlineBytes = 15;

  Text() = default;
  /// Copies `text`: inside, or into a block of its own. Up to 4 GiB.
  explicit Text(std::string_view text);
  /// Refers to characters that live as long as the process.
  [[nodiscard]] static Text OfStatic(std::string_view text);

  Text(const Text& other) : words_{other.words_[0], other.words_[1]} {
    if (IsCounted()) Acquire();
  }
  Text(Text&& other) noexcept : words_{other.words_[0], other.words_[1]} { other.Forget(); }
  Text& operator=(const Text& other) {
    if (this != &other) *this = Text(other);
    return *this;
  }
  Text& operator=(Text&& other) noexcept {
    std::swap(words_[0], other.words_[0]);
    std::swap(words_[1], other.words_[1]);
    return *this;
  }
  ~Text() {
    if (IsCounted()) Release();
  }

  [[nodiscard]] std::string_view view() const {
    const uint64_t tag = Tag();
    if (tag <= kMaxInlineBytes) return {reinterpret_cast<const char*>(words_), tag};
    return {reinterpret_cast<const char*>(words_[0]), static_cast<uint32_t>(words_[1])};
  }
  // NOLINTNEXTLINE(google-explicit-constructor): text is a string wherever one is read.
  operator std::string_view() const { return view(); }
  [[nodiscard]] size_t size() const { return view().size(); }
  [[nodiscard]] bool empty() const { return words_[1] == 0; }
  [[nodiscard]] std::string ToString() const { return std::string(view()); }

  /// Returns the same text with characters of its own: for what goes into state, as what came from
  /// elsewhere would have to be copied too.
  [[nodiscard]] Text Detached() const;

  friend bool operator==(const Text& a, const Text& b) { return a.view() == b.view(); }
  friend auto operator<=>(const Text& a, const Text& b) { return a.view() <=> b.view(); }

 private:
  // The last byte: the size of inline text, or one of these. The others: the characters, or pointer
  // and 32 bits of size.
  static constexpr uint64_t kStatic = 0x40;
  static constexpr uint64_t kCounted = 0x80;  // A block with a count before the characters.

  Text(const char* data, size_t size, uint64_t tag)
      : words_{reinterpret_cast<uint64_t>(data), uint64_t{size} | (tag << 56)} {}

  [[nodiscard]] uint64_t Tag() const { return words_[1] >> 56; }
  [[nodiscard]] bool IsCounted() const { return static_cast<int64_t>(words_[1]) < 0; }
  void Forget() { words_[0] = words_[1] = 0; }
  [[nodiscard]] std::atomic<int64_t>* Count() const {
    return reinterpret_cast<std::atomic<int64_t>*>(words_[0] - sizeof(int64_t));
  }
  void Acquire() const { Count()->fetch_add(1, std::memory_order_relaxed); }
  void Release() const;

  uint64_t words_[2] = {0, 0};
};

/// For the memory budget and batch limits; found by argument-dependent lookup.
[[nodiscard]] inline size_t OwnedBytes(const Text& text) {
  return text.size() > Text::kMaxInlineBytes ? text.size() : 0;
}

}  // namespace weir::nexmark

template <>
struct weir::Serde<weir::nexmark::Text> {
  static void Write(ByteWriter& writer, const nexmark::Text& value) {
    writer.WriteString(value.view());
  }
  static bool Read(ByteReader& reader, nexmark::Text& value) {
    std::string_view text;
    if (!reader.ReadStringView(&text)) return false;
    value = nexmark::Text(text);
    return true;
  }
  static Schema GetSchema() { return {Schema::Kind::kString, "", {}}; }
};

/// A text is placed as the same string is.
template <>
struct weir::KeyCodec<weir::nexmark::Text> {
  template <class Sink>
  static void Encode(Sink& sink, const nexmark::Text& key) {
    KeyCodec<std::string_view>::Encode(sink, key.view());
  }
  static bool Decode(ByteReader& reader, nexmark::Text& key) {
    std::string text;
    if (!KeyCodec<std::string>::Decode(reader, text)) return false;
    key = nexmark::Text(text);
    return true;
  }
};
