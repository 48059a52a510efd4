#include "jobmanager/rest/multipart.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr size_t kMaxHeaderBytes = 16 * 1024;
constexpr size_t kMaxBoundaryLength = 70;

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

/// Takes a token or a quoted string off the front of `*text`.
std::string TakeValue(std::string_view* text) {
  std::string value;
  if (!text->empty() && text->front() == '"') {
    size_t i = 1;
    for (; i < text->size() && (*text)[i] != '"'; ++i) {
      const bool escaped = (*text)[i] == '\\' && i + 1 < text->size() &&
                           ((*text)[i + 1] == '"' || (*text)[i + 1] == '\\');
      if (escaped) ++i;
      value.push_back((*text)[i]);
    }
    text->remove_prefix(std::min(i + 1, text->size()));
    return value;
  }
  const size_t end = std::min(text->find(';'), text->size());
  value = StripWhitespace(text->substr(0, end));
  text->remove_prefix(end);
  return value;
}

/// Returns parameter `name` of a header value such as `form-data; name="x"; filename="y"`.
std::optional<std::string> HeaderParameter(std::string_view value, std::string_view name) {
  value.remove_prefix(std::min(value.find(';'), value.size()));
  while (!value.empty()) {
    value.remove_prefix(1);
    const size_t equals = value.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = StripWhitespace(value.substr(0, equals));
    value.remove_prefix(equals + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    std::string parameter = TakeValue(&value);
    if (EqualsIgnoreCase(key, name)) return parameter;
    value.remove_prefix(std::min(value.find(';'), value.size()));
  }
  return std::nullopt;
}

bool IsPadding(char c) { return c == ' ' || c == '\t'; }

}  // namespace

absl::StatusOr<std::string> MultipartBoundary(std::string_view content_type) {
  const std::string_view type = StripWhitespace(
      content_type.substr(0, std::min(content_type.find(';'), content_type.size())));
  if (!EqualsIgnoreCase(type, "multipart/form-data")) {
    return absl::InvalidArgumentError(
        StrCat("expected a form; send Content-Type multipart/form-data: got=\"", type, "\""));
  }
  std::optional<std::string> boundary = HeaderParameter(content_type, "boundary");
  if (!boundary.has_value() || boundary->empty() || boundary->size() > kMaxBoundaryLength) {
    return absl::InvalidArgumentError(
        "malformed form: the Content-Type names no boundary of 1 to 70 characters");
  }
  return *std::move(boundary);
}

MultipartParser::MultipartParser(std::string_view boundary, MultipartSink* sink)
    : delimiter_(StrCat("\r\n--", boundary)), sink_(sink) {}

absl::Status MultipartParser::Consume(std::string_view bytes) {
  if (state_ == State::kEpilogue) return absl::OkStatus();
  buffer_.append(bytes);
  while (true) {
    ASSIGN_OR_RETURN(const bool progress, ParseMore());
    if (!progress) break;
  }
  buffer_.erase(0, position_);
  position_ = 0;
  return absl::OkStatus();
}

absl::Status MultipartParser::Finish() const {
  if (state_ == State::kEpilogue) return absl::OkStatus();
  return absl::InvalidArgumentError("malformed form: it ends before its closing boundary");
}

absl::StatusOr<bool> MultipartParser::ParseMore() {
  switch (state_) {
    case State::kPreamble:
    case State::kData:
      return ParseUntilDelimiter();
    case State::kHeaders:
      return ParseHeaderLine();
    case State::kEpilogue:
      position_ = buffer_.size();
      return false;
  }
  return false;
}

absl::StatusOr<bool> MultipartParser::ParseUntilDelimiter() {
  const std::string_view rest = std::string_view(buffer_).substr(position_);
  const size_t found = rest.find(delimiter_);
  if (found == std::string_view::npos) {
    // The end may be the beginning of a delimiter: keep what could be, from its CR on.
    size_t keep = std::min(rest.size(), delimiter_.size() - 1);
    while (keep > 0 && !delimiter_.starts_with(rest.substr(rest.size() - keep))) --keep;
    RETURN_IF_ERROR(Emit(rest.substr(0, rest.size() - keep)));
    position_ += rest.size() - keep;
    return false;
  }
  RETURN_IF_ERROR(Emit(rest.substr(0, found)));
  position_ += found;
  const std::string_view tail = rest.substr(found + delimiter_.size());
  size_t tail_length = 0;
  switch (InspectTail(tail, &tail_length)) {
    case BoundaryTail::kNeedMore:
      if (tail.size() > kMaxHeaderBytes) {
        return absl::InvalidArgumentError("malformed form: a boundary line is too long");
      }
      return false;
    case BoundaryTail::kNotABoundary:
      // Another delimiter may begin within this one's text only at its next CR, and it has just the
      // first.
      RETURN_IF_ERROR(Emit(rest.substr(found, delimiter_.size())));
      position_ += delimiter_.size();
      return true;
    case BoundaryTail::kNextPart:
    case BoundaryTail::kEnd:
      break;
  }
  if (state_ == State::kData) RETURN_IF_ERROR(sink_->OnPartEnd());
  const bool end = tail.starts_with("--");
  state_ = end ? State::kEpilogue : State::kHeaders;
  position_ += delimiter_.size() + tail_length;
  header_ = MultipartHeader();
  header_bytes_ = 0;
  return true;
}

MultipartParser::BoundaryTail MultipartParser::InspectTail(std::string_view tail,
                                                           size_t* tail_length) const {
  if (tail.empty() || tail == "-") return BoundaryTail::kNeedMore;
  if (tail.starts_with("--")) {
    *tail_length = 2;
    return BoundaryTail::kEnd;
  }
  size_t padding = 0;
  while (padding < tail.size() && IsPadding(tail[padding])) ++padding;
  const std::string_view after = tail.substr(padding);
  if (after.empty() || after == "\r") return BoundaryTail::kNeedMore;
  if (!after.starts_with("\r\n")) return BoundaryTail::kNotABoundary;
  *tail_length = padding + 2;
  return BoundaryTail::kNextPart;
}

absl::StatusOr<bool> MultipartParser::ParseHeaderLine() {
  const std::string_view rest = std::string_view(buffer_).substr(position_);
  const size_t end = rest.find("\r\n");
  const size_t line_bytes = end == std::string_view::npos ? rest.size() : end + 2;
  if (header_bytes_ + line_bytes > kMaxHeaderBytes) {
    return absl::InvalidArgumentError("malformed form: the headers of a part are too long");
  }
  if (end == std::string_view::npos) return false;
  header_bytes_ += line_bytes;
  position_ += line_bytes;
  const std::string_view line = rest.substr(0, end);
  if (line.empty()) {
    RETURN_IF_ERROR(sink_->OnPartBegin(header_));
    state_ = State::kData;
    return true;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) {
    return absl::InvalidArgumentError("malformed form: a part's header line has no colon");
  }
  const std::string_view key = StripWhitespace(line.substr(0, colon));
  const std::string_view value = StripWhitespace(line.substr(colon + 1));
  if (EqualsIgnoreCase(key, "Content-Disposition")) {
    header_.name = HeaderParameter(value, "name").value_or("");
    header_.file_name = HeaderParameter(value, "filename").value_or("");
  } else if (EqualsIgnoreCase(key, "Content-Type")) {
    header_.content_type = value;
  }
  return true;
}

absl::Status MultipartParser::Emit(std::string_view bytes) {
  if (state_ != State::kData || bytes.empty()) return absl::OkStatus();
  return sink_->OnPartData(bytes);
}

}  // namespace weir
