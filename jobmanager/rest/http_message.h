#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "jobmanager/rest/temporary_file.h"

namespace weir {

enum class HttpMethod : uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete, kOptions };

[[nodiscard]] std::string_view HttpMethodName(HttpMethod method);

/// A file that came in a form. It is deleted with the last reference.
struct UploadedFile {
  std::string field_name;
  /// The last component of the name that the client gave; never empty, "." or "..".
  std::string file_name;
  std::shared_ptr<TemporaryFile> file;
};

/// A request with its whole body. Parameters are percent-decoded, the path is not.
struct HttpRequest {
  HttpMethod method = HttpMethod::kGet;
  /// As the client sent it, without the query.
  std::string path;
  /// The values of the route's `:parameters`, by name.
  std::map<std::string, std::string, std::less<>> path_parameters;
  std::vector<std::pair<std::string, std::string>> query;
  /// The Host header, or the server's own address without one.
  std::string host;
  std::string body;
  /// The parts of a form: files, and the values of its other fields.
  std::vector<UploadedFile> files;
  std::map<std::string, std::string, std::less<>> form_fields;

  /// Returns the path parameter, which the route must have.
  [[nodiscard]] const std::string& Parameter(std::string_view name) const;
  /// Returns the first value of a query parameter, or null.
  [[nodiscard]] const std::string* Query(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json; charset=UTF-8";
  /// Extra headers.
  std::vector<std::pair<std::string, std::string>> headers;
};

/// Returns `{"errors": [message]}`.
[[nodiscard]] HttpResponse ErrorResponse(int status, std::string_view message);
/// The same with the status code that fits: 400 for kInvalidArgument, 404 for kNotFound, 409 for
/// kFailedPrecondition and kAlreadyExists, 503 for kUnavailable, and so on; else 500. `status` is
/// not OK.
[[nodiscard]] HttpResponse ErrorResponse(const absl::Status& status);

/// Where the answer to one request goes: implemented by the server, and by tests.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  /// Runs `render` on a thread of the server and sends what it returns. Called at most once, from
  /// any thread.
  virtual void Deliver(std::function<HttpResponse()> render) = 0;
};

/// Answers one request, once, from any thread, at any time; copies answer the same request. Later
/// answers are dropped. If the last copy goes without an answer, the client gets a 500.
class HttpResponder {
 public:
  explicit HttpResponder(std::shared_ptr<HttpExchange> exchange);

  /// Answers with what `render` returns, which runs on a thread of the server. It may throw: that
  /// is a 500.
  void Send(std::function<HttpResponse()> render) const;
  void Send(HttpResponse response) const;

 private:
  struct Once;
  std::shared_ptr<Once> once_;
};

}  // namespace weir
