#include "operators/formats/evtx/internal/value_text.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>

#include "operators/formats/evtx/internal/byte_reader.h"
#include "runtime/base/json_writer.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace weir::evtx {
namespace {

constexpr std::string_view kLowerDigits = "0123456789abcdef";
constexpr std::string_view kUpperDigits = "0123456789ABCDEF";
constexpr char32_t kReplacement = 0xFFFD;

void AppendCodePoint(char32_t code, std::string* out) {
  const auto add = [out](char32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xC0 | (code >> 6));
    add(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    add(0xE0 | (code >> 12));
    add(0x80 | ((code >> 6) & 0x3F));
    add(0x80 | (code & 0x3F));
  } else {
    add(0xF0 | (code >> 18));
    add(0x80 | ((code >> 12) & 0x3F));
    add(0x80 | ((code >> 6) & 0x3F));
    add(0x80 | (code & 0x3F));
  }
}

void AppendEscaped(char32_t code, std::string* out) {
  switch (code) {
    case '"':
      out->append("\\\"");
      return;
    case '\\':
      out->append("\\\\");
      return;
    case '\n':
      out->append("\\n");
      return;
    case '\r':
      out->append("\\r");
      return;
    case '\t':
      out->append("\\t");
      return;
    default:
      break;
  }
  if (code >= 0x20) return AppendCodePoint(code, out);
  out->append("\\u00");
  out->push_back(kLowerDigits[code >> 4]);
  out->push_back(kLowerDigits[code & 0xF]);
}

// Returns how many units from the beginning on are ASCII that JSON takes as it is, and appends
// them. Looks at eight units a step, since nearly all text of event logs is of this kind.
size_t AppendPlainUnits(std::string_view text, std::string* out) {
  size_t units = 0;
#if defined(__SSE2__)
  const __m128i high = _mm_set1_epi16(static_cast<int16_t>(0xFF80));
  const __m128i space = _mm_set1_epi16(0x20);
  const __m128i quote = _mm_set1_epi16('"');
  const __m128i backslash = _mm_set1_epi16('\\');
  while (text.size() - units * 2 >= 16) {
    const __m128i block =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + units * 2));
    const __m128i not_ascii = _mm_xor_si128(
        _mm_cmpeq_epi16(_mm_and_si128(block, high), _mm_setzero_si128()), _mm_set1_epi16(-1));
    const __m128i special = _mm_or_si128(
        _mm_or_si128(not_ascii, _mm_cmplt_epi16(block, space)),
        _mm_or_si128(_mm_cmpeq_epi16(block, quote), _mm_cmpeq_epi16(block, backslash)));
    if (_mm_movemask_epi8(special) != 0) break;
    char bytes[16];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), _mm_packus_epi16(block, block));
    out->append(bytes, 8);
    units += 8;
  }
#endif
  return units;
}

template <bool kJson>
void AppendUnits(std::string_view text, std::string* out) {
  const size_t size = text.size() / 2;
  size_t i = 0;
  while (i < size) {
    if constexpr (kJson) {
      i += AppendPlainUnits(text.substr(i * 2), out);
      if (i == size) return;
    }
    // After a special unit eight more are taken one by one, so that texts full of them are not
    // looked at twice.
    for (const size_t stop = std::min(size, i + 8); i < stop;) {
      char32_t code = ReadAt<uint16_t>(text, i * 2);
      ++i;
      if (code == 0) return;  // Strings end here, though their size may count more.
      if (code >= 0xD800 && code < 0xE000) {
        const char32_t low = i < size && code < 0xDC00 ? ReadAt<uint16_t>(text, i * 2) : 0;
        if (low >= 0xDC00 && low < 0xE000) {
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
          ++i;
        } else {
          code = kReplacement;
        }
      }
      if constexpr (kJson) {
        AppendEscaped(code, out);
      } else {
        AppendCodePoint(code, out);
      }
    }
  }
}

// Windows-1252, where its upper control range differs from Unicode.
constexpr char16_t kWindows1252[32] = {
    0x20AC, 0xFFFD, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0xFFFD, 0x017D, 0xFFFD, 0xFFFD, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0xFFFD, 0x017E, 0x0178};

void AppendAnsi(std::string_view text, std::string* out) {
  for (const char byte : text) {
    const auto code = static_cast<uint8_t>(byte);
    if (code == 0) continue;
    AppendEscaped(code >= 0x80 && code < 0xA0 ? kWindows1252[code - 0x80] : code, out);
  }
}

template <class Number>
void AppendDecimal(Number value, std::string* out) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  out->append(digits, end);
}

template <class Real>
void AppendReal(Real value, std::string* out) {
  const size_t begin = out->size();
  AppendDecimal(value, out);
  if (std::isfinite(value) && out->find_first_of(".e", begin) == out->npos) out->append(".0");
}

void AppendPadded(uint32_t value, size_t width, std::string* out) {
  char digits[10];
  for (size_t i = width; i > 0; --i, value /= 10)
    digits[i - 1] = static_cast<char>('0' + value % 10);
  out->append(digits, width);
}

void AppendHexNumber(uint64_t value, std::string* out) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value, 16).ptr;
  out->append("0x").append(digits, end);
}

void AppendHexBytes(std::string_view bytes, std::string* out) {
  for (const char byte : bytes) {
    out->push_back(kUpperDigits[static_cast<uint8_t>(byte) >> 4]);
    out->push_back(kUpperDigits[static_cast<uint8_t>(byte) & 0xF]);
  }
}

void AppendGuid(std::string_view bytes, std::string* out) {
  // The first three fields are little-endian numbers.
  constexpr uint8_t kOrder[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  for (size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out->push_back('-');
    AppendHexBytes(bytes.substr(kOrder[i], 1), out);
  }
}

void AppendSid(std::string_view bytes, std::string* out) {
  uint64_t authority = 0;
  for (size_t i = 2; i < 8; ++i) authority = authority << 8 | static_cast<uint8_t>(bytes[i]);
  out->append("S-");
  AppendDecimal(static_cast<uint8_t>(bytes[0]), out);
  out->push_back('-');
  AppendDecimal(authority, out);
  const size_t parts = static_cast<uint8_t>(bytes[1]);
  for (size_t i = 0; i < parts && 12 + i * 4 <= bytes.size(); ++i) {
    out->push_back('-');
    AppendDecimal(ReadAt<uint32_t>(bytes, 8 + i * 4), out);
  }
}

void AppendTime(int64_t year, uint32_t month, uint32_t day, uint64_t microseconds_of_day,
                std::string* out) {
  const auto seconds = static_cast<uint32_t>(microseconds_of_day / 1'000'000);
  AppendPadded(static_cast<uint32_t>(year), 4, out);
  out->push_back('-');
  AppendPadded(month, 2, out);
  out->push_back('-');
  AppendPadded(day, 2, out);
  out->push_back('T');
  AppendPadded(seconds / 3600, 2, out);
  out->push_back(':');
  AppendPadded(seconds / 60 % 60, 2, out);
  out->push_back(':');
  AppendPadded(seconds % 60, 2, out);
  out->push_back('.');
  AppendPadded(static_cast<uint32_t>(microseconds_of_day % 1'000'000), 6, out);
  out->push_back('Z');
}

void AppendFileTime(uint64_t ticks, std::string* out) {
  constexpr uint64_t kTicksPerDay = 864'000'000'000;
  constexpr int64_t kDaysFrom1601To1970 = 134'774;
  constexpr int64_t kLastDayOf9999 = 2'932'896;
  const auto days = static_cast<int64_t>(ticks / kTicksPerDay) - kDaysFrom1601To1970;
  // Later years are garbage; the number itself says more.
  if (days > kLastDayOf9999) return AppendHexNumber(ticks, out);
  const std::chrono::year_month_day date{
      std::chrono::sys_days{std::chrono::days{static_cast<int>(days)}}};
  AppendTime(static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
             static_cast<unsigned>(date.day()), ticks % kTicksPerDay / 10, out);
}

void AppendSystemTime(std::string_view bytes, std::string* out) {
  uint16_t part[8];  // Year, month, day of week, day, hour, minute, second, millisecond.
  for (size_t i = 0; i < 8; ++i) part[i] = ReadAt<uint16_t>(bytes, i * 2);
  const bool unset = bytes.substr(0, 16).find_first_not_of('\0') == bytes.npos;
  if (unset) return AppendFileTime(0, out);
  if (part[0] > 9999 || part[1] > 99 || part[3] > 99 || part[4] > 23 || part[5] > 59 ||
      part[6] > 60 || part[7] > 999) {
    return AppendHexBytes(bytes.substr(0, 16), out);
  }
  const uint64_t milliseconds = ((part[4] * 60ULL + part[5]) * 60 + part[6]) * 1000 + part[7];
  AppendTime(part[0], part[1], part[3], milliseconds * 1000, out);
}

bool BoolOf(std::string_view bytes) {
  return bytes.substr(0, 4).find_first_not_of('\0') != bytes.npos;
}

void SplitTerminated(std::string_view bytes, size_t unit, ValueType type,
                     std::vector<Value>* items) {
  size_t begin = 0;
  for (size_t i = 0; i + unit <= bytes.size(); i += unit) {
    if (bytes.substr(i, unit).find_first_not_of('\0') != bytes.npos) continue;
    items->push_back({type, bytes.substr(begin, i - begin)});
    begin = i + unit;
  }
  if (begin + unit <= bytes.size()) items->push_back({type, bytes.substr(begin)});
}

void SplitSids(std::string_view bytes, std::vector<Value>* items) {
  while (bytes.size() >= 8) {
    const size_t size = std::min(bytes.size(), 8 + size_t{static_cast<uint8_t>(bytes[1])} * 4);
    items->push_back({ValueType::kSid, bytes.substr(0, size)});
    bytes.remove_prefix(size);
  }
}

}  // namespace

size_t FixedSize(ValueType type) {
  switch (type) {
    case ValueType::kInt8:
    case ValueType::kUint8:
      return 1;
    case ValueType::kInt16:
    case ValueType::kUint16:
      return 2;
    case ValueType::kInt32:
    case ValueType::kUint32:
    case ValueType::kReal32:
    case ValueType::kHexInt32:
    case ValueType::kBool:
      return 4;
    case ValueType::kInt64:
    case ValueType::kUint64:
    case ValueType::kReal64:
    case ValueType::kHexInt64:
    case ValueType::kFileTime:
      return 8;
    case ValueType::kGuid:
    case ValueType::kSystemTime:
      return 16;
    default:
      return 0;
  }
}

void AppendUtf16(std::string_view text, std::string* out) { AppendUnits<false>(text, out); }

void AppendUtf16AsJson(std::string_view text, std::string* out) { AppendUnits<true>(text, out); }

void AppendUtf8AsJson(std::string_view text, std::string* out) {
  const size_t begin = out->size();
  AppendJsonString(out, text);
  out->erase(begin, 1);
  out->pop_back();
}

bool IsEmpty(const Value& value) {
  switch (value.type) {
    case ValueType::kNull:
      return true;
    case ValueType::kString:
      return value.bytes.size() < 2 || ReadAt<uint16_t>(value.bytes, 0) == 0;
    case ValueType::kAnsiString:
      return value.bytes.find_first_not_of('\0') == value.bytes.npos;
    default:
      return value.bytes.empty();
  }
}

bool AppendNumber(const Value& value, std::string* out) {
  const std::string_view bytes = value.bytes;
  if (value.type == ValueType::kBool && !bytes.empty()) {
    out->append(BoolOf(bytes) ? "true" : "false");
    return true;
  }
  if (bytes.size() < FixedSize(value.type)) return false;
  switch (value.type) {
    case ValueType::kInt8:
      AppendDecimal(ReadAt<int8_t>(bytes, 0), out);
      return true;
    case ValueType::kUint8:
      AppendDecimal(ReadAt<uint8_t>(bytes, 0), out);
      return true;
    case ValueType::kInt16:
      AppendDecimal(ReadAt<int16_t>(bytes, 0), out);
      return true;
    case ValueType::kUint16:
      AppendDecimal(ReadAt<uint16_t>(bytes, 0), out);
      return true;
    case ValueType::kInt32:
      AppendDecimal(ReadAt<int32_t>(bytes, 0), out);
      return true;
    case ValueType::kUint32:
      AppendDecimal(ReadAt<uint32_t>(bytes, 0), out);
      return true;
    case ValueType::kInt64:
      AppendDecimal(ReadAt<int64_t>(bytes, 0), out);
      return true;
    case ValueType::kUint64:
      AppendDecimal(ReadAt<uint64_t>(bytes, 0), out);
      return true;
    default:
      return false;
  }
}

void AppendValueText(const Value& value, std::string* out) {
  const std::string_view bytes = value.bytes;
  if (value.type == ValueType::kNull || AppendNumber(value, out)) return;
  if (value.type == ValueType::kString) return AppendUtf16AsJson(bytes, out);
  if (value.type == ValueType::kAnsiString) return AppendAnsi(bytes, out);
  // A value that is shorter than its type is damaged: its bytes say what is left of it.
  if (bytes.size() < FixedSize(value.type)) return AppendHexBytes(bytes, out);
  switch (value.type) {
    case ValueType::kReal32:
      return AppendReal(ReadAt<float>(bytes, 0), out);
    case ValueType::kReal64:
      return AppendReal(ReadAt<double>(bytes, 0), out);
    case ValueType::kGuid:
      return AppendGuid(bytes, out);
    case ValueType::kFileTime:
      return AppendFileTime(ReadAt<uint64_t>(bytes, 0), out);
    case ValueType::kSystemTime:
      return AppendSystemTime(bytes, out);
    case ValueType::kSid:
      return bytes.size() < 8 ? AppendHexBytes(bytes, out) : AppendSid(bytes, out);
    case ValueType::kHexInt32:
      return AppendHexNumber(ReadAt<uint32_t>(bytes, 0), out);
    case ValueType::kHexInt64:
      return AppendHexNumber(ReadAt<uint64_t>(bytes, 0), out);
    case ValueType::kSizeT:
      if (bytes.size() == 4) return AppendHexNumber(ReadAt<uint32_t>(bytes, 0), out);
      if (bytes.size() == 8) return AppendHexNumber(ReadAt<uint64_t>(bytes, 0), out);
      return AppendHexBytes(bytes, out);
    default:
      return AppendHexBytes(bytes, out);
  }
}

void SplitArray(const Value& array, std::vector<Value>* items) {
  const auto type =
      static_cast<ValueType>(static_cast<uint8_t>(array.type) & static_cast<uint8_t>(~kArrayFlag));
  if (type == ValueType::kString) return SplitTerminated(array.bytes, 2, type, items);
  if (type == ValueType::kAnsiString) return SplitTerminated(array.bytes, 1, type, items);
  if (type == ValueType::kSid) return SplitSids(array.bytes, items);
  const size_t size = FixedSize(type);
  if (size == 0) {
    // Of these types arrays have no defined layout.
    if (!array.bytes.empty()) items->push_back({ValueType::kBinary, array.bytes});
    return;
  }
  for (size_t i = 0; i + size <= array.bytes.size(); i += size) {
    items->push_back({type, array.bytes.substr(i, size)});
  }
}

}  // namespace weir::evtx
