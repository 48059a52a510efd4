#include "jobs/sigma/engine/internal/encoding.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

struct Character {
  uint32_t code;
  size_t length;
};

// Decodes the character at the front of `text`; a malformed byte stands for itself.
Character Decode(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text.front());
  size_t length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (length == 1 || text.size() < length) return {lead, 1};
  uint32_t code = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) code = (code << 6) | (static_cast<uint8_t>(text[i]) & 0x3fu);
  return {code, length};
}

}  // namespace

std::string Base64Encode(std::string_view bytes) {
  std::string encoded;
  absl::Base64Escape(ToAbsl(bytes), &encoded);
  return encoded;
}

std::array<std::string, 3> Base64OffsetForms(std::string_view bytes) {
  // Leading characters that also encode bytes before, and trailing ones that also encode bytes
  // behind.
  constexpr std::array<size_t, 3> kLeading = {0, 2, 3};
  constexpr std::array<size_t, 3> kTrailing = {0, 3, 2};
  std::array<std::string, 3> forms;
  for (size_t offset = 0; offset < 3; ++offset) {
    const std::string encoded = Base64Encode(std::string(offset, ' ').append(bytes));
    const size_t cut = kLeading[offset] + kTrailing[(bytes.size() + offset) % 3];
    forms[offset] = encoded.size() > cut ? encoded.substr(kLeading[offset], encoded.size() - cut)
                                         : std::string();
  }
  return forms;
}

std::string EncodeUtf16(std::string_view text, bool big_endian) {
  std::string bytes;
  const auto append = [&](uint32_t unit) {
    const char high = static_cast<char>(unit >> 8);
    const char low = static_cast<char>(unit & 0xff);
    bytes.push_back(big_endian ? high : low);
    bytes.push_back(big_endian ? low : high);
  };
  while (!text.empty()) {
    const Character character = Decode(text);
    text.remove_prefix(character.length);
    if (character.code < 0x10000) {
      append(character.code);
    } else {
      append(0xd800 + ((character.code - 0x10000) >> 10));
      append(0xdc00 + ((character.code - 0x10000) & 0x3ff));
    }
  }
  return bytes;
}

}  // namespace weir::sigma
