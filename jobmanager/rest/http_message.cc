#include "jobmanager/rest/http_message.h"

#include <array>
#include <atomic>
#include <cstdio>

#include "runtime/base/strings.h"

namespace weir {
namespace {

/// Returns the length of the well-formed UTF-8 sequence at the front of `text`, or 0.
size_t Utf8SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const size_t length = first < 0x80   ? 1
                        : first < 0xC2 ? 0
                        : first < 0xE0 ? 2
                        : first < 0xF0 ? 3
                        : first < 0xF5 ? 4
                                       : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool surrogate = first == 0xED && byte(1) >= 0xA0;
  const bool too_large = first == 0xF4 && byte(1) >= 0x90;
  return overlong || surrogate || too_large ? 0 : length;
}

void AppendEscapedAscii(char c, std::string* out) {
  switch (c) {
    case '"':
      out->append("\\\"");
      return;
    case '\\':
      out->append("\\\\");
      return;
    case '\n':
      out->append("\\n");
      return;
    default:
      break;
  }
  if (static_cast<unsigned char>(c) >= 0x20) {
    out->push_back(c);
    return;
  }
  std::array<char, 8> escaped{};
  std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(c));
  out->append(escaped.data());
}

std::string JsonEscape(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 8);
  while (!text.empty()) {
    const size_t length = Utf8SequenceLength(text);
    if (length == 1) {
      AppendEscapedAscii(text.front(), &out);
    } else if (length == 0) {
      out.append("\\ufffd");
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

int HttpStatusOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDeadlineExceeded:
      return 503;
    default:
      return 500;
  }
}

}  // namespace

std::string_view HttpMethodName(HttpMethod method) {
  constexpr std::array<std::string_view, 7> kNames = {"GET",   "HEAD",   "POST",   "PUT",
                                                      "PATCH", "DELETE", "OPTIONS"};
  return kNames[static_cast<size_t>(method)];
}

const std::string& HttpRequest::Parameter(std::string_view name) const {
  static const std::string kEmpty;
  const auto found = path_parameters.find(name);
  return found == path_parameters.end() ? kEmpty : found->second;
}

const std::string* HttpRequest::Query(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return &value;
  }
  return nullptr;
}

HttpResponse ErrorResponse(int status, std::string_view message) {
  HttpResponse response;
  response.status = status;
  response.body = StrCat("{\"errors\":[\"", JsonEscape(message), "\"]}");
  return response;
}

HttpResponse ErrorResponse(const absl::Status& status) {
  const std::string_view message = ToStd(status.message());
  const std::string name = absl::StatusCodeToString(status.code());
  return ErrorResponse(HttpStatusOf(status.code()), message.empty() ? name : message);
}

struct HttpResponder::Once {
  explicit Once(std::shared_ptr<HttpExchange> target) : exchange(std::move(target)) {}
  ~Once() {
    Deliver([] { return ErrorResponse(500, "the request was dropped without an answer"); });
  }
  Once(const Once&) = delete;
  Once& operator=(const Once&) = delete;

  void Deliver(std::function<HttpResponse()> render) {
    if (!answered.exchange(true, std::memory_order_relaxed)) exchange->Deliver(std::move(render));
  }

  std::shared_ptr<HttpExchange> exchange;
  std::atomic<bool> answered = false;
};

HttpResponder::HttpResponder(std::shared_ptr<HttpExchange> exchange)
    : once_(std::make_shared<Once>(std::move(exchange))) {}

void HttpResponder::Send(std::function<HttpResponse()> render) const {
  once_->Deliver(std::move(render));
}

void HttpResponder::Send(HttpResponse response) const {
  once_->Deliver([response = std::move(response)] { return response; });
}

}  // namespace weir
