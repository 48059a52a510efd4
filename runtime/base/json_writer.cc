#include "runtime/base/json_writer.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "runtime/base/check.h"

namespace weir {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

constexpr uint64_t Repeat(uint8_t byte) { return 0x0101010101010101ULL * byte; }

// Returns a word that is non-zero if one of the eight bytes is below 0x20, a quote, a backslash or
// not ASCII. It may name a wrong byte after a right one, which does not matter for the question
// asked.
uint64_t NeedsCare(uint64_t word) {
  const uint64_t quote = word ^ Repeat('"');
  const uint64_t backslash = word ^ Repeat('\\');
  return ((word - Repeat(0x20)) | word | (quote - Repeat(1)) | (backslash - Repeat(1))) &
         Repeat(0x80);
}

bool IsPlain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

// Returns how many bytes from `begin` on may be copied as they are.
size_t PlainPrefix(std::string_view text, size_t begin) {
  size_t i = begin;
  while (i + sizeof(uint64_t) <= text.size()) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + i, sizeof(word));
    if (NeedsCare(word) != 0) break;
    i += sizeof(word);
  }
  while (i < text.size() && IsPlain(text[i])) ++i;
  return i - begin;
}

struct Utf8Sequence {
  size_t length;  // At least 1; of an invalid sequence, its longest prefix that could have begun a
                  // valid one.
  bool valid;
};

// Reads the sequence at text[at], by the table of well-formed sequences in the Unicode standard
// (table 3-7).
Utf8Sequence ReadUtf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t offset) { return static_cast<unsigned char>(text[at + offset]); };
  const unsigned char lead = byte(0);
  size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;   // Shorter forms exist.
    if (lead == 0xED) high = 0x9F;  // Surrogates.
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;  // Above U+10FFFF.
  } else {
    return {1, false};
  }
  for (size_t i = 1; i < length; ++i) {
    if (at + i >= text.size() || byte(i) < low || byte(i) > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {length, true};
}

void AppendEscape(std::string* out, char c) {
  switch (c) {
    case '"':
      *out += "\\\"";
      return;
    case '\\':
      *out += "\\\\";
      return;
    case '\b':
      *out += "\\b";
      return;
    case '\f':
      *out += "\\f";
      return;
    case '\n':
      *out += "\\n";
      return;
    case '\r':
      *out += "\\r";
      return;
    case '\t':
      *out += "\\t";
      return;
    default: {
      constexpr std::string_view kDigits = "0123456789abcdef";
      *out += "\\u00";
      *out += kDigits[static_cast<unsigned char>(c) >> 4];
      *out += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
}

template <class T>
void AppendNumber(std::string* out, T value) {
  std::array<char, 32> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  out->append(buffer.data(), static_cast<size_t>(result.ptr - buffer.data()));
}

}  // namespace

void AppendJsonString(std::string* out, std::string_view text) {
  out->push_back('"');
  size_t i = 0;
  while (true) {
    const size_t plain = PlainPrefix(text, i);
    out->append(text, i, plain);
    i += plain;
    if (i >= text.size()) break;
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      AppendEscape(out, text[i]);
      ++i;
      continue;
    }
    const Utf8Sequence sequence = ReadUtf8(text, i);
    out->append(sequence.valid ? text.substr(i, sequence.length) : kReplacement);
    i += sequence.length;
  }
  out->push_back('"');
}

JsonWriter& JsonWriter::BeginObject() {
  Separate();
  out_->push_back('{');
  needs_comma_ = false;
  ++depth_;
  return *this;
}

JsonWriter& JsonWriter::EndObject() {
  DCHECK_GT(depth_, 0) << "EndObject without BeginObject";
  out_->push_back('}');
  needs_comma_ = true;
  --depth_;
  return *this;
}

JsonWriter& JsonWriter::BeginArray() {
  Separate();
  out_->push_back('[');
  needs_comma_ = false;
  ++depth_;
  return *this;
}

JsonWriter& JsonWriter::EndArray() {
  DCHECK_GT(depth_, 0) << "EndArray without BeginArray";
  out_->push_back(']');
  needs_comma_ = true;
  --depth_;
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view key) {
  DCHECK_GT(depth_, 0) << "a key outside of an object: " << key;
  Separate();
  AppendJsonString(out_, key);
  out_->push_back(':');
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view text) {
  Separate();
  AppendJsonString(out_, text);
  return *this;
}

JsonWriter& JsonWriter::Int(int64_t value) {
  Separate();
  AppendNumber(out_, value);
  return *this;
}

JsonWriter& JsonWriter::Uint(uint64_t value) {
  Separate();
  AppendNumber(out_, value);
  return *this;
}

JsonWriter& JsonWriter::Double(double value) {
  if (!std::isfinite(value)) return Null();
  Separate();
  const size_t begin = out_->size();
  AppendNumber(out_, value);
  if (out_->find_first_of(".e", begin) == std::string::npos) *out_ += ".0";
  return *this;
}

JsonWriter& JsonWriter::Bool(bool value) { return Raw(value ? "true" : "false"); }

JsonWriter& JsonWriter::Null() { return Raw("null"); }

JsonWriter& JsonWriter::Raw(std::string_view json) {
  Separate();
  out_->append(json);
  return *this;
}

JsonWriter& JsonWriter::EndLine() {
  DCHECK_EQ(depth_, 0) << "a line ended inside a container";
  out_->push_back('\n');
  needs_comma_ = false;
  return *this;
}

}  // namespace weir
