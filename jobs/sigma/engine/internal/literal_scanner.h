#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::sigma {

/// Finds which of many literals occur anywhere in a text, in one pass over it.
///
/// Each literal is known by one window of up to four bytes, the one that texts are least likely to
/// hold by chance. At every position of a text one bit of a small filter says whether a window may
/// begin there; only then it is looked up, and the literals that have it are compared. Building
/// costs microseconds a thousand literals, so that a change of rules is cheap.
///
/// Threads: immutable, may be shared.
class LiteralScanner {
 public:
  /// `literals` are distinct and not empty.
  explicit LiteralScanner(std::vector<std::string> literals);

  /// Calls `found` with the index of each literal that occurs in `text`; may call it again for the
  /// same one. Inline: the hot loop of matching.
  template <class Found>
  void Scan(std::string_view text, const Found& found) const {
    ScanWindows<4>(windows_[3], text, found);
    ScanWindows<3>(windows_[2], text, found);
    ScanWindows<2>(windows_[1], text, found);
    ScanWindows<1>(windows_[0], text, found);
  }

  [[nodiscard]] const std::vector<std::string>& literals() const { return literals_; }

 private:
  /// A literal that has a window, `offset` bytes behind its begin.
  struct Entry {
    uint32_t window;
    uint32_t literal;
    uint32_t offset;
  };

  /// The windows of one width.
  struct Windows {
    uint32_t filter_shift = 0;  // From a hash to a bit of filter.
    uint32_t bucket_shift = 0;  // From a hash to a bucket.
    std::vector<uint64_t> filter;
    std::vector<uint32_t> buckets;  // By bucket: its first entry; one more at the end.
    std::vector<Entry> entries;     // By bucket.
  };

  static uint32_t Hash(uint32_t window) { return window * 0x9e3779b1u; }

  template <size_t kWidth>
  static uint32_t WindowAt(const char* at) {
    uint32_t window = 0;
    std::memcpy(&window, at, kWidth);
    return window;
  }

  template <size_t kWidth, class Found>
  void ScanWindows(const Windows& windows, std::string_view text, const Found& found) const {
    if (windows.entries.empty() || text.size() < kWidth) return;
    const uint64_t* const filter = windows.filter.data();
    const uint32_t shift = windows.filter_shift;
    const size_t last = text.size() - kWidth;
    for (size_t at = 0; at <= last; ++at) {
      const uint32_t window = WindowAt<kWidth>(text.data() + at);
      const uint32_t bit = Hash(window) >> shift;
      if ((filter[bit >> 6] >> (bit & 63) & 1) != 0) LookUp(windows, window, text, at, found);
    }
  }

  template <class Found>
  void LookUp(const Windows& windows, uint32_t window, std::string_view text, size_t at,
              const Found& found) const {
    const uint32_t bucket = Hash(window) >> windows.bucket_shift;
    const Entry* const end = windows.entries.data() + windows.buckets[bucket + 1];
    for (const Entry* entry = windows.entries.data() + windows.buckets[bucket]; entry != end;
         ++entry) {
      if (entry->window != window || entry->offset > at) continue;
      const std::string_view literal = literals_[entry->literal];
      const size_t begin = at - entry->offset;
      if (literal.size() <= text.size() - begin &&
          std::memcmp(text.data() + begin, literal.data(), literal.size()) == 0) {
        found(entry->literal);
      }
    }
  }

  template <size_t kWidth>
  void AddWindows();
  static void Arrange(Windows& windows);

  std::vector<std::string> literals_;
  Windows windows_[4];  // By width - 1.
};

}  // namespace weir::sigma
