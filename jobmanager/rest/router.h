#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "jobmanager/rest/http_message.h"

namespace weir {

/// Answers a request through the responder, then or later. Runs on a thread of the server, so it
/// must not block; called for many requests at once.
using HttpHandler = std::function<void(HttpRequest, HttpResponder)>;

/// What the server does with a request's body before the handler runs.
enum class BodyPolicy : uint8_t {
  /// Reads it and throws it away (Flink's Java client sends `{}` with a GET).
  kIgnore,
  /// Keeps it in memory, up to the limit for JSON.
  kKeep,
  /// Takes it as a form: files go to temporary files, up to the limit for uploads.
  kForm,
};

struct Route {
  HttpMethod method = HttpMethod::kGet;
  BodyPolicy body = BodyPolicy::kIgnore;
  HttpHandler handler;
};

/// Maps methods and paths to handlers. Built once, then read from any thread.
class Router {
 public:
  struct Match {
    /// Null if the path is unknown or does not take the method.
    const Route* route = nullptr;
    std::map<std::string, std::string, std::less<>> parameters;
    /// The methods that the path takes; empty if the path is unknown.
    std::vector<HttpMethod> allowed;
  };

  Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;
  ~Router();

  /// Adds a route for paths such as "/jobs/:jobid/plan", where `:name` stands for one segment. A
  /// literal segment wins over a parameter. Adding a method twice replaces the first.
  void Add(HttpMethod method, std::string_view pattern, BodyPolicy body, HttpHandler handler);

  /// Finds the route for `path`, still percent-encoded and without query, with or without the
  /// prefix /v1. HEAD takes the route of GET.
  [[nodiscard]] Match Find(HttpMethod method, std::string_view path) const;

 private:
  struct Node;
  std::unique_ptr<Node> root_;
};

/// Decodes %XX (and, in a query, + for a space). Errors: kInvalidArgument for a broken escape or a
/// NUL.
[[nodiscard]] absl::StatusOr<std::string> PercentDecode(std::string_view text, bool plus_is_space);

/// Parses "a=1&b=2". Errors: as PercentDecode.
[[nodiscard]] absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseQuery(
    std::string_view query);

}  // namespace weir
