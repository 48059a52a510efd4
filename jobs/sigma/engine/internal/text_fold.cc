#include "jobs/sigma/engine/internal/text_fold.h"

#include <cstdint>
#include <cstring>

#include "jobs/sigma/engine/internal/case_folding.h"

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

struct FoldStep {
  size_t read;
  size_t written;
};

// Returns how many bytes a well-formed character takes that begins with `lead`; 0 if none does.
size_t LengthOf(uint8_t lead) {
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

size_t Encode(char32_t character, char* target) {
  const auto tail = [character](unsigned shift) {
    return static_cast<char>(0x80u | ((character >> shift) & 0x3fu));
  };
  if (character < 0x80) {
    target[0] = static_cast<char>(character);
    return 1;
  }
  if (character < 0x800) {
    target[0] = static_cast<char>(0xc0u | (character >> 6));
    target[1] = tail(0);
    return 2;
  }
  if (character < 0x10000) {
    target[0] = static_cast<char>(0xe0u | (character >> 12));
    target[1] = tail(6);
    target[2] = tail(0);
    return 3;
  }
  target[0] = static_cast<char>(0xf0u | (character >> 18));
  target[1] = tail(12);
  target[2] = tail(6);
  target[3] = tail(0);
  return 4;
}

// Folds the character that begins with the non-ASCII byte text[0]. Bytes that form no character are
// copied one by one.
FoldStep FoldNonAscii(std::string_view text, char* target) {
  const auto lead = static_cast<uint8_t>(text[0]);
  const size_t length = LengthOf(lead);
  bool whole = length > 0 && text.size() >= length;
  char32_t character = lead & (0xffu >> (length + 1));
  for (size_t i = 1; whole && i < length; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    whole = (byte & 0xc0u) == 0x80u;
    character = (character << 6) | (byte & 0x3fu);
  }
  // The scripts of lead bytes e3 to e9 (Chinese, Japanese, most of Korean) know no case.
  if (!whole || (lead >= 0xe3 && lead <= 0xe9)) {
    const size_t copied = whole ? length : 1;
    std::memcpy(target, text.data(), copied);
    return {copied, copied};
  }
  const char32_t folded = FoldCharacter(character);
  if (folded != character) return {length, Encode(folded, target)};
  std::memcpy(target, text.data(), length);
  return {length, length};
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
