#include "jobmanager/rest/router.h"

#include <algorithm>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> segments;
  for (const std::string_view segment : StrSplit(path, '/')) {
    if (!segment.empty()) segments.push_back(segment);
  }
  return segments;
}

}  // namespace

/// One path segment of the tree of patterns.
struct Router::Node {
  struct Endpoint {
    Route route;
    std::vector<std::string> parameter_names;
  };

  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
  std::unique_ptr<Node> parameter;
  std::vector<std::unique_ptr<Endpoint>> endpoints;

  /// Returns the node at `segments` from `index` on that has endpoints, the literal way first, and
  /// collects the parameters' values.
  const Node* Find(const std::vector<std::string_view>& segments, size_t index,
                   std::vector<std::string>* values) const {
    if (index == segments.size()) return endpoints.empty() ? nullptr : this;
    if (const auto literal = literals.find(segments[index]); literal != literals.end()) {
      const Node* found = literal->second->Find(segments, index + 1, values);
      if (found != nullptr) return found;
    }
    if (parameter == nullptr) return nullptr;
    absl::StatusOr<std::string> value = PercentDecode(segments[index], /*plus_is_space=*/false);
    if (!value.ok()) return nullptr;
    values->push_back(*std::move(value));
    const Node* found = parameter->Find(segments, index + 1, values);
    if (found == nullptr) values->pop_back();
    return found;
  }
};

Router::Router() : root_(std::make_unique<Node>()) {}
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;
Router::~Router() = default;

void Router::Add(HttpMethod method, std::string_view pattern, BodyPolicy body,
                 HttpHandler handler) {
  Node* node = root_.get();
  auto endpoint = std::make_unique<Node::Endpoint>();
  for (const std::string_view segment : Segments(pattern)) {
    const bool is_parameter = segment.front() == ':';
    if (is_parameter) endpoint->parameter_names.emplace_back(segment.substr(1));
    std::unique_ptr<Node>& next =
        is_parameter ? node->parameter : node->literals[std::string(segment)];
    if (next == nullptr) next = std::make_unique<Node>();
    node = next.get();
  }
  endpoint->route = Route{.method = method, .body = body, .handler = std::move(handler)};
  std::erase_if(node->endpoints, [&](const auto& other) { return other->route.method == method; });
  node->endpoints.push_back(std::move(endpoint));
}

Router::Match Router::Find(HttpMethod method, std::string_view path) const {
  Match match;
  std::vector<std::string_view> segments = Segments(path);
  if (!segments.empty() && segments.front() == "v1") segments.erase(segments.begin());
  std::vector<std::string> values;
  const Node* node = root_->Find(segments, 0, &values);
  if (node == nullptr) return match;
  const HttpMethod wanted = method == HttpMethod::kHead ? HttpMethod::kGet : method;
  for (const std::unique_ptr<Node::Endpoint>& endpoint : node->endpoints) {
    match.allowed.push_back(endpoint->route.method);
    if (endpoint->route.method != wanted) continue;
    match.route = &endpoint->route;
    for (size_t i = 0; i < values.size(); ++i) {
      match.parameters[endpoint->parameter_names[i]] = values[i];
    }
  }
  return match;
}

absl::StatusOr<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      decoded.push_back(' ');
      continue;
    }
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
    if (high < 0 || low < 0 || high + low == 0) {
      return absl::InvalidArgumentError(
          StrCat("malformed percent escape in the URL: \"", text, "\""));
    }
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded;
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseQuery(
    std::string_view query) {
  std::vector<std::pair<std::string, std::string>> parameters;
  for (const std::string_view pair : StrSplit(query, '&')) {
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    ASSIGN_OR_RETURN(std::string key,
                     PercentDecode(pair.substr(0, equals), /*plus_is_space=*/true));
    ASSIGN_OR_RETURN(
        std::string value,
        PercentDecode(pair.substr(std::min(equals + 1, pair.size())), /*plus_is_space=*/true));
    parameters.emplace_back(std::move(key), std::move(value));
  }
  return parameters;
}

}  // namespace weir
