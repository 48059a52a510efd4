#include "operators/formats/json/json_value_splitter.h"

#include <algorithm>
#include <cstring>

namespace weir {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

void JsonValueSplitter::Append(std::string_view bytes) {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  buffer_.append(bytes);
}

// Goes to the beginning of the next value; false if it is not there yet.
bool JsonValueSplitter::SkipToValue() {
  if (at_start_) {
    const std::string_view text(buffer_);
    if (!finished_ && text.size() < kByteOrderMark.size()) return false;
    const size_t begin = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
    const size_t first = text.find_first_not_of(" \t\r\n", begin);
    if (!finished_ && first == text.npos) return false;
    at_start_ = false;
    begin_ = scanned_ = begin;
    // An array around all: its elements are the values.
    if (first != text.npos && text[first] == '[') mode_ = Mode::kFree;
  }
  for (; begin_ < buffer_.size(); ++begin_) {
    const char c = buffer_[begin_];
    if (c == '\n') {
      ++line_;
    } else if (!IsSpace(c) && !(mode_ == Mode::kFree && (c == ',' || c == '[' || c == ']'))) {
      scanned_ = std::max(scanned_, begin_);
      return true;
    }
  }
  scanned_ = begin_;
  return false;
}

// Returns the position behind the string that begins at `position`, or npos if it does not end.
size_t JsonValueSplitter::SkipString(size_t position) const {
  for (size_t i = position + 1; i < buffer_.size(); ++i) {
    const void* const quote = std::memchr(buffer_.data() + i, '"', buffer_.size() - i);
    if (quote == nullptr) return std::string::npos;
    i = static_cast<size_t>(static_cast<const char*>(quote) - buffer_.data());
    size_t backslashes = 0;
    while (buffer_[i - 1 - backslashes] == '\\') ++backslashes;
    if (backslashes % 2 == 0) return i + 1;
  }
  return std::string::npos;
}

// Returns where the value at begin_ ends, as far as is known.
std::optional<size_t> JsonValueSplitter::FindEnd() {
  if (mode_ == Mode::kLines) {
    const size_t end = buffer_.find('\n', scanned_);
    if (end != std::string::npos) return end;
    scanned_ = buffer_.size();
    return std::nullopt;
  }
  while (scanned_ < buffer_.size()) {
    const char c = buffer_[scanned_];
    if (mode_ == Mode::kUnknown && c == '\n' && depth_ > 0) {
      // The first value goes on behind its line. If another begins there, it is a broken line.
      if (scanned_ + 1 == buffer_.size() && !finished_) return std::nullopt;
      if (scanned_ + 1 < buffer_.size() && buffer_[scanned_ + 1] == '{') return scanned_;
    }
    if (c == '"') {
      const size_t end = SkipString(scanned_);
      const size_t line_end = buffer_.find('\n', scanned_);
      // No string goes on behind a line, so this one does not end.
      if (mode_ == Mode::kUnknown && line_end < end) return line_end;
      if (end == std::string::npos) return std::nullopt;  // Looked at again with more text.
      scanned_ = end;
      if (depth_ == 0) return scanned_;
      continue;
    }
    if (depth_ == 0 && scanned_ > begin_ && (IsSpace(c) || c == ',' || c == ']')) return scanned_;
    if (c == '{' || c == '[') ++depth_;
    ++scanned_;
    if ((c == '}' || c == ']') && --depth_ <= 0) return scanned_;
  }
  return std::nullopt;
}

void JsonValueSplitter::DecideMode(size_t end) {
  if (mode_ != Mode::kUnknown) return;
  const std::string_view value = std::string_view(buffer_).substr(begin_, end - begin_);
  const size_t behind = buffer_.find_first_not_of(" \t\r", end);
  const bool alone = behind == std::string::npos || buffer_[behind] == '\n';
  mode_ = alone && value.find('\n') == value.npos ? Mode::kLines : Mode::kFree;
}

std::optional<JsonValueText> JsonValueSplitter::Next() {
  if (!SkipToValue()) return std::nullopt;
  std::optional<size_t> end = FindEnd();
  if (!end && finished_) end = buffer_.size();
  if (!end) return std::nullopt;
  const bool knows_what_follows = buffer_.find_first_not_of(" \t\r", *end) != std::string::npos;
  if (mode_ == Mode::kUnknown && !knows_what_follows && !finished_) {
    scanned_ = begin_;
    depth_ = 0;
    return std::nullopt;
  }
  DecideMode(*end);
  JsonValueText value{std::string_view(buffer_).substr(begin_, *end - begin_), line_};
  while (!value.text.empty() && IsSpace(value.text.back())) value.text.remove_suffix(1);
  line_ +=
      static_cast<uint64_t>(std::count(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
                                       buffer_.begin() + static_cast<std::ptrdiff_t>(*end), '\n'));
  begin_ = *end;
  scanned_ = *end;
  depth_ = 0;
  return value;
}

}  // namespace weir
