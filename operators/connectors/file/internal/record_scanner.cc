#include "operators/connectors/file/internal/record_scanner.h"

#include <array>
#include <cstring>
#include <utility>

#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// The bytes of a UTF-8 byte order mark, which may stand before the first record.
bool IsMark(char c) { return c == '\xEF' || c == '\xBB' || c == '\xBF'; }

// A line without its line end is worth a record if anything but blanks is in it.
bool IsBlankLine(std::string_view line) {
  for (const char c : line) {
    if (!IsBlank(c)) return false;
  }
  return true;
}

void StripCarriageReturn(std::string* line) {
  if (!line->empty() && line->back() == '\r') line->pop_back();
}

enum ByteClass : uint8_t { kOther, kQuote, kOpen, kClose };

constexpr std::array<ByteClass, 256> kByteClasses = [] {
  std::array<ByteClass, 256> classes{};
  classes['"'] = kQuote;
  classes['{'] = classes['['] = kOpen;
  classes['}'] = classes[']'] = kClose;
  return classes;
}();

}  // namespace

RecordScanner::RecordScanner(Begin begin)
    : path_(std::move(begin.path)),
      requested_format_(begin.format),
      max_record_bytes_(begin.max_record_bytes),
      format_(begin.format),
      detecting_(begin.offset == 0 && !begin.skip_first_line),
      skip_first_line_(begin.skip_first_line),
      offset_(begin.offset),
      chunk_offset_(begin.offset),
      array_state_(begin.offset == 0 ? ArrayState::kOutside : ArrayState::kBetween) {
  // Only lines are begun in the middle before their format is known.
  if (!detecting_ && format_ == FileFormat::kAuto) format_ = FileFormat::kLines;
}

void RecordScanner::Feed(std::string_view chunk) {
  chunk_offset_ += static_cast<uint64_t>(chunk_end_ - chunk_begin_);
  chunk_begin_ = cursor_ = chunk.data();
  chunk_end_ = chunk.data() + chunk.size();
}

bool RecordScanner::Next(std::string* record) {
  if (!status_.ok() || cursor_ == chunk_end_) return false;
  if (detecting_ && !Detect()) return false;
  return format_ == FileFormat::kArray ? NextElement(record) : NextLine(record);
}

bool RecordScanner::Detect() {
  while (cursor_ < chunk_end_ && (IsBlank(*cursor_) || IsMark(*cursor_))) ++cursor_;
  if (cursor_ == chunk_end_) return false;
  detecting_ = false;
  if (format_ == FileFormat::kAuto) {
    format_ = *cursor_ == '[' ? FileFormat::kArray : FileFormat::kLines;
  }
  // A reader that goes on in an array at any place but 0 expects to be within it.
  if (format_ == FileFormat::kLines) offset_ = OffsetOf(cursor_);
  return true;
}

bool RecordScanner::NextLine(std::string* record) {
  while (cursor_ < chunk_end_) {
    const char* begin = cursor_;
    const auto length = static_cast<size_t>(chunk_end_ - cursor_);
    const auto* line_end = static_cast<const char*>(std::memchr(begin, '\n', length));
    if (line_end == nullptr) {
      cursor_ = chunk_end_;
      return skip_first_line_ ? false : Keep(begin);
    }
    cursor_ = line_end + 1;
    if (skip_first_line_) {
      skip_first_line_ = false;
      offset_ = OffsetOf(cursor_);
      continue;
    }
    if (static_cast<size_t>(line_end - begin) + kept_.size() > max_record_bytes_) {
      return Fail("a record is longer than max_record_bytes allows", offset_);
    }
    record_offset_ = offset_;
    offset_ = OffsetOf(cursor_);
    if (kept_.empty()) {
      if (line_end > begin && line_end[-1] == '\r') --line_end;
      const std::string_view line(begin, static_cast<size_t>(line_end - begin));
      if (IsBlankLine(line)) continue;
      record->assign(line);
    } else {
      kept_.append(begin, line_end);
      StripCarriageReturn(&kept_);
      *record = std::exchange(kept_, {});
      if (IsBlankLine(*record)) continue;
    }
    return true;
  }
  return false;
}

bool RecordScanner::NextElement(std::string* record) {
  while (cursor_ < chunk_end_) {
    const char c = *cursor_;
    if (array_state_ >= ArrayState::kInContainer) {  // It began in an earlier chunk.
      const char* begin = cursor_;
      return SkipElement() ? EndElement(begin, record) : Keep(begin);
    }
    if (IsBlank(c)) {
      ++cursor_;
    } else if (array_state_ == ArrayState::kOutside) {
      if (c != '[') return Fail("there is text outside of the JSON array", OffsetOf(cursor_));
      array_state_ = ArrayState::kBetween;
      ++cursor_;
    } else if (c == ',' || c == ']') {
      if (c == ']') array_state_ = ArrayState::kOutside;
      ++cursor_;
    } else {
      const char* begin = cursor_;
      element_offset_ = OffsetOf(cursor_);
      array_state_ = c == '{' || c == '[' ? ArrayState::kInContainer
                     : c == '"'           ? ArrayState::kInString
                                          : ArrayState::kInScalar;
      depth_ = 0;
      in_string_ = escaped_ = false;
      if (array_state_ == ArrayState::kInString) ++cursor_;
      return SkipElement() ? EndElement(begin, record) : Keep(begin);
    }
  }
  return false;
}

bool RecordScanner::EndElement(const char* begin, std::string* record) {
  if (static_cast<size_t>(cursor_ - begin) + kept_.size() > max_record_bytes_) {
    return Fail("a record is longer than max_record_bytes allows", element_offset_);
  }
  if (kept_.empty()) {
    record->assign(begin, cursor_);
  } else {
    kept_.append(begin, cursor_);
    *record = std::exchange(kept_, {});
  }
  record_offset_ = element_offset_;
  offset_ = OffsetOf(cursor_);
  array_state_ = ArrayState::kBetween;
  return true;
}

bool RecordScanner::SkipElement() {
  if (array_state_ == ArrayState::kInContainer) return SkipContainer();
  if (array_state_ == ArrayState::kInString) return SkipString();
  for (; cursor_ < chunk_end_; ++cursor_) {
    if (IsBlank(*cursor_) || *cursor_ == ',' || *cursor_ == ']') return true;
  }
  return false;
}

bool RecordScanner::SkipContainer() {
  while (cursor_ < chunk_end_) {
    if (in_string_) {
      if (!SkipString()) return false;
      in_string_ = false;
      continue;
    }
    switch (kByteClasses[static_cast<unsigned char>(*cursor_++)]) {
      case kOther:
        break;
      case kQuote:
        in_string_ = true;
        break;
      case kOpen:
        ++depth_;
        break;
      case kClose:
        if (--depth_ == 0) return true;
        break;
    }
  }
  return false;
}

bool RecordScanner::SkipString() {
  while (cursor_ < chunk_end_) {
    const char c = *cursor_++;
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      return true;
    }
  }
  return false;
}

bool RecordScanner::Keep(const char* begin) {
  kept_.append(begin, cursor_);
  if (kept_.size() <= max_record_bytes_) return false;
  return Fail("a record is longer than max_record_bytes allows",
              format_ == FileFormat::kArray ? element_offset_ : offset_);
}

bool RecordScanner::Finish(std::string* record) {
  if (!status_.ok() || detecting_) return false;
  if (format_ == FileFormat::kArray) {
    return array_state_ == ArrayState::kOutside
               ? false
               : Fail("the JSON array is cut off at the end of the file", OffsetOf(cursor_));
  }
  StripCarriageReturn(&kept_);
  if (IsBlankLine(kept_)) return false;
  record_offset_ = offset_;
  offset_ = OffsetOf(cursor_);
  *record = std::exchange(kept_, {});
  return true;
}

bool RecordScanner::Fail(std::string_view what, uint64_t offset) {
  status_ = absl::InvalidArgumentError(
      StrCat(what, ": file=", path_, " offset=", offset, " max_record_bytes=", max_record_bytes_));
  return false;
}

}  // namespace weir::internal
