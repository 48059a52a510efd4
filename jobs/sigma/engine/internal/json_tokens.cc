#include "jobs/sigma/engine/internal/json_tokens.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "simdjson.h"

namespace weir::sigma {
namespace {

constexpr size_t kLeastCapacity = 4096;

// Returns the value of four hexadecimal digits, if they are.
std::optional<uint32_t> HexFour(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    const char c = text[i];
    uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0');
    } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
      digit = static_cast<uint32_t>((c | 0x20) - 'a' + 10);
    } else {
      return std::nullopt;
    }
    value = value * 16 + digit;
  }
  return value;
}

struct Character {
  uint32_t code = 0;
  size_t size = 0;  // Of the escape behind its backslash; 0 if it is none.
};

// Reads `uXXXX`, and the second half of a pair behind it.
Character ReadUnicodeEscape(std::string_view text) {
  const std::optional<uint32_t> first = HexFour(text.substr(1));
  if (!first || (*first >= 0xdc00 && *first <= 0xdfff)) return {};
  if (*first < 0xd800 || *first > 0xdbff) return {*first, 5};
  if (text.size() < 11 || text[5] != '\\' || text[6] != 'u') return {};
  const std::optional<uint32_t> second = HexFour(text.substr(7));
  if (!second || *second < 0xdc00 || *second > 0xdfff) return {};
  return {0x10000 + ((*first - 0xd800) << 10) + (*second - 0xdc00), 11};
}

// Reads an escape; `text` begins behind its backslash.
Character ReadEscape(std::string_view text) {
  if (text.empty()) return {};
  switch (text.front()) {
    case '"':
    case '\\':
    case '/':
      return {static_cast<uint32_t>(text.front()), 1};
    case 'b':
      return {'\b', 1};
    case 'f':
      return {'\f', 1};
    case 'n':
      return {'\n', 1};
    case 'r':
      return {'\r', 1};
    case 't':
      return {'\t', 1};
    case 'u':
      return ReadUnicodeEscape(text);
    default:
      return {};
  }
}

char* WriteUtf8(uint32_t code, char* target) {
  const auto tail = [code](unsigned shift) {
    return static_cast<char>(0x80u | ((code >> shift) & 0x3fu));
  };
  if (code < 0x80) {
    *target++ = static_cast<char>(code);
  } else if (code < 0x800) {
    *target++ = static_cast<char>(0xc0u | (code >> 6));
    *target++ = tail(0);
  } else if (code < 0x10000) {
    *target++ = static_cast<char>(0xe0u | (code >> 12));
    *target++ = tail(6);
    *target++ = tail(0);
  } else {
    *target++ = static_cast<char>(0xf0u | (code >> 18));
    *target++ = tail(12);
    *target++ = tail(6);
    *target++ = tail(0);
  }
  return target;
}

}  // namespace

struct JsonTokens::Scanner {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> implementation;
};

JsonTokens::JsonTokens() : scanner_(std::make_unique<Scanner>()) {}
JsonTokens::~JsonTokens() = default;

std::string_view JsonTokens::Read(std::string_view json) {
  size_ = 0;
  text_size_ = json.size();
  auto& implementation = scanner_->implementation;
  if (implementation == nullptr || padded_.size() < json.size() + simdjson::SIMDJSON_PADDING) {
    const size_t capacity = std::max(kLeastCapacity, json.size() * 2);
    padded_.resize(capacity + simdjson::SIMDJSON_PADDING);
    const simdjson::error_code error =
        simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 1,
                                                                                implementation);
    if (error != simdjson::SUCCESS) {
      implementation = nullptr;
      return simdjson::error_message(error);
    }
  }
  text_ = padded_.data();
  std::memcpy(padded_.data(), json.data(), json.size());
  std::memset(padded_.data() + json.size(), 0, simdjson::SIMDJSON_PADDING);
  const simdjson::error_code error =
      implementation->stage1(reinterpret_cast<const uint8_t*>(padded_.data()), json.size(),
                             simdjson::stage1_mode::regular);
  if (error != simdjson::SUCCESS) return simdjson::error_message(error);
  starts_ = implementation->structural_indexes.get();
  size_ = implementation->n_structural_indexes;
  return {};
}

bool IsJsonNumber(std::string_view token) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < token.size() && token[i] >= '0' && token[i] <= '9') ++i;
    return i - begin;
  };
  if (i < token.size() && token[i] == '-') ++i;
  const bool zero = i < token.size() && token[i] == '0';
  const size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (i < token.size() && token[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
    ++i;
    if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == token.size();
}

bool HasGoodEscapes(std::string_view inner) {
  const char* at = inner.data();
  const char* const end = at + inner.size();
  while (at != end) {
    at = static_cast<const char*>(std::memchr(at, '\\', static_cast<size_t>(end - at)));
    if (at == nullptr) return true;
    ++at;
    const size_t size = ReadEscape({at, static_cast<size_t>(end - at)}).size;
    if (size == 0) return false;
    at += size;
  }
  return true;
}

size_t UnescapeJson(std::string_view inner, char* target) {
  char* out = target;
  const char* at = inner.data();
  const char* const end = at + inner.size();
  while (at != end) {
    if (*at != '\\') {
      *out++ = *at++;
      continue;
    }
    ++at;
    const Character character = ReadEscape({at, static_cast<size_t>(end - at)});
    out = WriteUtf8(character.code, out);
    at += character.size;
  }
  return static_cast<size_t>(out - target);
}

}  // namespace weir::sigma
