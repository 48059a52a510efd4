#include "jobs/sigma/engine/internal/text_fold.h"

#include <cstdint>
#include <cstring>

namespace weir::sigma {
namespace {

constexpr uint64_t kHighBits = 0x8080808080808080u;

// Lower-cases the eight ASCII bytes of `word` at once: bit 7 of each sum tells whether the byte
// passed a bound.
uint64_t FoldAsciiWord(uint64_t word) {
  const uint64_t from_a = word + 0x3f3f3f3f3f3f3f3fu;  // 0x80 - 'A'
  const uint64_t past_z = word + 0x2525252525252525u;  // 0x80 - ('Z' + 1)
  return word | (((from_a & ~past_z) & kHighBits) >> 2);
}

bool InRange(uint32_t c, uint32_t first, uint32_t last) { return c >= first && c <= last; }

// Folds a character that UTF-8 encodes in two bytes; the result needs two bytes, or one for the
// long s.
uint32_t FoldTwoByte(uint32_t c) {
  if (c < 0x100) {
    if (c == 0xb5) return 0x3bc;
    return InRange(c, 0xc0, 0xde) && c != 0xd7 ? c + 0x20 : c;
  }
  if (c < 0x180) {
    if (c == 0x130 || c == 0x131 || c == 0x138 || c == 0x149) return c;
    if (c == 0x178) return 0xff;
    if (c == 0x17f) return 's';
    const bool upper_is_odd = InRange(c, 0x139, 0x148) || InRange(c, 0x179, 0x17e);
    return (c % 2 == 1) == upper_is_odd ? c + 1 : c;
  }
  if (InRange(c, 0x386, 0x3ff)) {
    if (InRange(c, 0x391, 0x3ab) && c != 0x3a2) return c + 0x20;
    if (c == 0x386) return 0x3ac;
    if (InRange(c, 0x388, 0x38a)) return c + 37;
    if (c == 0x38c) return 0x3cc;
    if (c == 0x38e || c == 0x38f) return c + 63;
    return c == 0x3c2 ? 0x3c3 : c;
  }
  if (InRange(c, 0x400, 0x40f)) return c + 0x50;
  if (InRange(c, 0x410, 0x42f)) return c + 0x20;
  if (InRange(c, 0x460, 0x481) || InRange(c, 0x48a, 0x4bf) || InRange(c, 0x4d0, 0x52f))
    return c | 1;
  if (InRange(c, 0x531, 0x556)) return c + 0x30;
  return c;
}

struct FoldStep {
  size_t read;
  size_t written;
};

// Folds the character that begins with the non-ASCII byte text[0].
FoldStep FoldNonAscii(std::string_view text, char* target) {
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead >= 0xc2 && lead <= 0xdf && text.size() >= 2) {
    const uint32_t folded = FoldTwoByte(((lead & 0x1fu) << 6) | (byte(1) & 0x3fu));
    if (folded < 0x80) {
      target[0] = static_cast<char>(folded);
      return {2, 1};
    }
    target[0] = static_cast<char>(0xc0 | (folded >> 6));
    target[1] = static_cast<char>(0x80 | (folded & 0x3f));
    return {2, 2};
  }
  if (lead == 0xe2 && text.size() >= 3 && byte(1) == 0x84 && byte(2) == 0xaa) {  // Kelvin sign
    target[0] = 'k';
    return {3, 1};
  }
  if (lead == 0xe2 && text.size() >= 3 && byte(1) == 0x84 && byte(2) == 0xab) {  // Angstrom sign
    std::memcpy(target, "\xc3\xa5", 2);
    return {3, 2};
  }
  if (lead == 0xef && text.size() >= 3 && byte(1) == 0xbc &&
      InRange(byte(2), 0xa1, 0xba)) {  // Full width
    target[0] = text[0];
    target[1] = static_cast<char>(0xbd);
    target[2] = static_cast<char>(byte(2) - 0x20);
    return {3, 3};
  }
  target[0] = text[0];
  return {1, 1};
}

}  // namespace

size_t FoldCase(std::string_view text, char* target) {
  size_t in = 0;
  size_t out = 0;
  while (in < text.size()) {
    while (in + 8 <= text.size()) {
      uint64_t word;
      std::memcpy(&word, text.data() + in, 8);
      if ((word & kHighBits) != 0) break;
      word = FoldAsciiWord(word);
      std::memcpy(target + out, &word, 8);
      in += 8;
      out += 8;
    }
    if (in >= text.size()) break;
    const char c = text[in];
    if (static_cast<uint8_t>(c) < 0x80) {
      target[out++] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 0x20) : c;
      ++in;
    } else {
      const FoldStep step = FoldNonAscii(text.substr(in), target + out);
      in += step.read;
      out += step.written;
    }
  }
  return out;
}

std::string FoldCase(std::string_view text) {
  std::string folded(text.size(), '\0');
  folded.resize(FoldCase(text, folded.data()));
  return folded;
}

}  // namespace weir::sigma
