#include "jobmanager/rest/internal/http_session.h"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "jobmanager/rest/internal/upload_receiver.h"
#include "jobmanager/rest/multipart.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr auto kAwaitable = asio::as_tuple(asio::use_awaitable);
constexpr uint32_t kMaxHeaderBytes = 32 * 1024;
constexpr size_t kChunkBytes = 64 * 1024;
constexpr std::chrono::seconds kLinger(2);

std::chrono::nanoseconds ToChrono(absl::Duration duration) {
  return absl::ToChronoNanoseconds(duration);
}

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

/// Returns whether the peer sent something that is no HTTP, rather than went away.
bool IsProtocolError(const error_code& error) {
  return error.category() == http::make_error_code(http::error::bad_method).category() &&
         error != http::error::end_of_stream && error != http::error::partial_message;
}

std::optional<HttpMethod> ToMethod(http::verb verb) {
  switch (verb) {
    case http::verb::get:
      return HttpMethod::kGet;
    case http::verb::head:
      return HttpMethod::kHead;
    case http::verb::post:
      return HttpMethod::kPost;
    case http::verb::put:
      return HttpMethod::kPut;
    case http::verb::patch:
      return HttpMethod::kPatch;
    case http::verb::delete_:
      return HttpMethod::kDelete;
    case http::verb::options:
      return HttpMethod::kOptions;
    default:
      return std::nullopt;
  }
}

std::string AllowHeader(const std::vector<HttpMethod>& methods) {
  std::vector<std::string> names = {"OPTIONS"};
  for (const HttpMethod method : methods) {
    names.emplace_back(HttpMethodName(method));
    if (method == HttpMethod::kGet) names.emplace_back("HEAD");
  }
  return StrJoin(names, ", ");
}

HttpResponse OptionsResponse(const std::vector<HttpMethod>& allowed) {
  const std::string allow = AllowHeader(allowed);
  HttpResponse response;
  response.headers = {{"Allow", allow},
                      {"Access-Control-Allow-Methods", allow},
                      {"Access-Control-Allow-Headers", "Content-Type"}};
  return response;
}

HttpResponse Render(const std::function<HttpResponse()>& render) {
  try {
    return render();
  } catch (const std::exception& e) {
    return ErrorResponse(500, StrCat("the answer could not be made: ", e.what()));
  } catch (...) {
    return ErrorResponse(500, "the answer could not be made: unknown exception");
  }
}

}  // namespace

struct HttpSession::Incoming {
  http::request_parser<http::buffer_body> parser;
  HttpRequest request;
  const Route* route = nullptr;
  /// Set when the answer is known without a handler.
  std::optional<HttpResponse> early_answer;
  BodyPolicy body = BodyPolicy::kIgnore;
  bool keep_alive = false;
  bool head_only = false;
};

/// Ties an answer to its request; may outlive the session and the server.
class HttpSession::Exchange : public HttpExchange {
 public:
  Exchange(std::shared_ptr<void> event_loop, std::weak_ptr<HttpSession> session, uint64_t sequence)
      : event_loop_(std::move(event_loop)), session_(std::move(session)), sequence_(sequence) {}

  void Deliver(std::function<HttpResponse()> render) override {
    const std::shared_ptr<HttpSession> session = session_.lock();
    if (session == nullptr) return;
    asio::post(session->stream_.get_executor(),
               [target = session_, sequence = sequence_, render = std::move(render)]() mutable {
                 const std::shared_ptr<HttpSession> alive = target.lock();
                 if (alive != nullptr) alive->OnAnswer(sequence, std::move(render));
               });
  }

 private:
  const std::shared_ptr<void> event_loop_;  // First, so that it goes last.
  const std::weak_ptr<HttpSession> session_;
  const uint64_t sequence_;
};

HttpSession::HttpSession(asio::ip::tcp::socket socket, const HttpSessionContext* context)
    : context_(context), stream_(std::move(socket)), answer_timer_(stream_.get_executor()) {}

void HttpSession::Start(std::function<void()> on_closed) {
  asio::co_spawn(
      stream_.get_executor(),
      [self = shared_from_this(), on_closed = std::move(on_closed)]() -> asio::awaitable<void> {
        try {
          co_await self->Serve();
        } catch (const std::exception&) {
          // Out of memory, or a bug in a body's parse: this connection ends, the others go on.
        }
        self->stream_.close();
        on_closed();
      },
      asio::detached);
}

void HttpSession::Shutdown() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] {
    self->stopping_ = true;
    if (self->idle_) self->stream_.close();
  });
}

asio::awaitable<void> HttpSession::Serve() {
  error_code ignored;
  stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  bool alive = true;
  while (alive) alive = co_await ServeOne();
}

asio::awaitable<bool> HttpSession::ServeOne() {
  const bool arrived = co_await AwaitRequest();
  if (!arrived) co_return false;
  Incoming incoming;
  const bool has_header = co_await ReadHeader(&incoming);
  if (!has_header) co_return false;
  ResolveRoute(&incoming);
  const bool has_body = co_await ReadBody(&incoming);
  if (!has_body) co_return false;
  HttpResponse response = co_await Answer(&incoming);
  const bool alive = co_await Write(incoming, std::move(response));
  co_return alive;
}

asio::awaitable<bool> HttpSession::AwaitRequest() {
  if (stopping_) co_return false;
  if (buffer_.size() > 0) co_return true;  // The next request of a pipeline.
  idle_ = true;
  stream_.expires_after(ToChrono(context_->options->idle_timeout));
  const auto [error, size] =
      co_await stream_.async_read_some(buffer_.prepare(kChunkBytes), kAwaitable);
  idle_ = false;
  if (error) co_return false;
  buffer_.commit(size);
  co_return true;
}

asio::awaitable<bool> HttpSession::ReadHeader(Incoming* incoming) {
  incoming->parser.header_limit(kMaxHeaderBytes);
  incoming->parser.body_limit(boost::none);  // Counted in ReadBody, where the route is known.
  stream_.expires_after(ToChrono(context_->options->header_timeout));
  const auto [error, size] =
      co_await http::async_read_header(stream_, buffer_, incoming->parser, kAwaitable);
  if (!error) co_return true;
  if (!IsProtocolError(error)) co_return false;
  const bool too_large =
      error == http::error::header_limit || error == http::error::buffer_overflow;
  HttpResponse response = ErrorResponse(
      too_large ? 431 : 400, StrCat("Bad request, could not parse it as HTTP: ", error.message()));
  co_return co_await Refuse(incoming, std::move(response));
}

absl::Status HttpSession::ParseTarget(std::string_view target, HttpRequest* request) const {
  if (const size_t scheme = target.find("://"); !target.starts_with('/') && scheme != target.npos) {
    target.remove_prefix(std::min(target.find('/', scheme + 3), target.size()));
  }
  const size_t question = std::min(target.find('?'), target.size());
  request->path = target.substr(0, question);
  if (!request->path.starts_with('/')) {
    return absl::InvalidArgumentError(StrCat("Bad request, no path in the URL: \"", target, "\""));
  }
  if (question == target.size()) return absl::OkStatus();
  ASSIGN_OR_RETURN(request->query, ParseQuery(target.substr(question + 1)));
  return absl::OkStatus();
}

void HttpSession::ResolveRoute(Incoming* incoming) const {
  const auto& message = incoming->parser.get();
  HttpRequest& request = incoming->request;
  incoming->keep_alive = message.keep_alive();
  incoming->head_only = message.method() == http::verb::head;
  const std::string_view host = View(message[http::field::host]);
  request.host = host.empty() ? context_->address : host;
  const std::string_view target = View(message.target());
  const std::optional<HttpMethod> method = ToMethod(message.method());
  if (method == HttpMethod::kOptions && target == "*") {
    incoming->early_answer = OptionsResponse({HttpMethod::kGet, HttpMethod::kPost, HttpMethod::kPut,
                                              HttpMethod::kPatch, HttpMethod::kDelete});
    return;
  }
  if (const absl::Status status = ParseTarget(target, &request); !status.ok()) {
    incoming->early_answer = ErrorResponse(status);
    return;
  }
  if (context_->options->intercept) {
    incoming->early_answer = context_->options->intercept(target);
    if (incoming->early_answer.has_value()) return;
  }
  request.method = method.value_or(HttpMethod::kOptions);
  Router::Match match = context_->router->Find(request.method, request.path);
  if (match.allowed.empty()) {
    incoming->early_answer =
        ErrorResponse(404, StrCat("Unable to load requested file ", request.path, "."));
  } else if (method == HttpMethod::kOptions) {
    incoming->early_answer = OptionsResponse(match.allowed);
  } else if (match.route == nullptr || !method.has_value()) {
    incoming->early_answer =
        ErrorResponse(405, StrCat("the path does not take this method: path=", request.path,
                                  " method=", View(message.method_string()),
                                  " allowed=", AllowHeader(match.allowed)));
    incoming->early_answer->headers.emplace_back("Allow", AllowHeader(match.allowed));
  } else {
    incoming->route = match.route;
    incoming->body = match.route->body;
    request.path_parameters = std::move(match.parameters);
  }
}

asio::awaitable<bool> HttpSession::ReadBody(Incoming* incoming) {
  const HttpServerOptions& options = *context_->options;
  auto& parser = incoming->parser;
  HttpRequest& request = incoming->request;
  const uint64_t limit =
      incoming->body == BodyPolicy::kKeep ? options.max_body_bytes : options.max_upload_bytes;
  const HttpResponse too_large =
      ErrorResponse(413, StrCat("the body is too large: limit_bytes=", limit));
  if (parser.content_length().value_or(0) > limit) co_return co_await Refuse(incoming, too_large);

  std::optional<UploadReceiver> receiver;
  std::optional<MultipartParser> form;
  if (incoming->body == BodyPolicy::kForm) {
    const absl::StatusOr<std::string> boundary =
        MultipartBoundary(View(parser.get()[http::field::content_type]));
    if (!boundary.ok()) co_return co_await Refuse(incoming, ErrorResponse(boundary.status()));
    receiver.emplace(options.upload_directory, &request);
    form.emplace(*boundary, &*receiver);
  }
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    stream_.expires_after(ToChrono(options.header_timeout));
    const auto [error, size] = co_await asio::async_write(
        stream_, asio::buffer(kContinue.data(), kContinue.size()), kAwaitable);
    if (error) co_return false;
  }
  std::vector<char> chunk(parser.is_done() ? 0 : kChunkBytes);
  uint64_t received = 0;
  const auto start = std::chrono::steady_clock::now();
  while (!parser.is_done()) {
    auto& body = parser.get().body();
    body.data = chunk.data();
    body.size = chunk.size();
    stream_.expires_at(
        start + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                    ToChrono(options.body_timeout) + std::chrono::seconds(received / kChunkBytes)));
    auto [error, size] = co_await http::async_read(stream_, buffer_, parser, kAwaitable);
    if (error == http::error::need_buffer) error = {};
    if (error && !IsProtocolError(error)) co_return false;  // It went away, or was too slow.
    if (error) {
      HttpResponse response = ErrorResponse(400, StrCat("malformed body: ", error.message()));
      co_return co_await Refuse(incoming, std::move(response));
    }
    const std::string_view piece(chunk.data(), chunk.size() - parser.get().body().size);
    received += piece.size();
    if (received > limit) co_return co_await Refuse(incoming, too_large);
    if (incoming->body == BodyPolicy::kKeep) request.body.append(piece);
    if (!form.has_value()) continue;
    const absl::Status status = form->Consume(piece);
    if (!status.ok()) co_return co_await Refuse(incoming, ErrorResponse(status));
  }
  if (form.has_value()) {
    const absl::Status status = form->Finish();
    if (!status.ok()) incoming->early_answer = ErrorResponse(status);
  }
  co_return true;
}

asio::awaitable<HttpResponse> HttpSession::Answer(Incoming* incoming) {
  if (incoming->early_answer.has_value()) co_return *std::move(incoming->early_answer);
  const uint64_t sequence = ++sequence_;
  answer_ = nullptr;
  answer_timer_.expires_after(ToChrono(context_->options->answer_timeout));
  std::optional<HttpResponse> failure;
  try {
    incoming->route->handler(std::move(incoming->request),
                             HttpResponder(std::make_shared<Exchange>(context_->event_loop.lock(),
                                                                      weak_from_this(), sequence)));
  } catch (const std::exception& e) {
    failure = ErrorResponse(500, StrCat("the request failed: ", e.what()));
  } catch (...) {
    failure = ErrorResponse(500, "the request failed: unknown exception");
  }
  // Answers are posted to this strand, so none can come between here and the wait.
  if (!failure.has_value()) {
    co_await answer_timer_.async_wait(kAwaitable);
    if (answer_ == nullptr) failure = ErrorResponse(503, "the JobManager did not answer in time");
  }
  ++sequence_;  // Whatever comes now is too late.
  const std::function<HttpResponse()> render = std::exchange(answer_, nullptr);
  co_return failure.has_value() ? *std::move(failure) : Render(render);
}

void HttpSession::OnAnswer(uint64_t sequence, std::function<HttpResponse()> render) {
  if (sequence != sequence_) return;
  answer_ = std::move(render);
  answer_timer_.cancel();
}

asio::awaitable<bool> HttpSession::Write(const Incoming& incoming, HttpResponse response) {
  const bool keep_alive = incoming.keep_alive && !stopping_;
  http::response<http::string_body> message;
  message.version(incoming.parser.get().version() == 10 ? 10 : 11);
  message.result(static_cast<unsigned>(response.status));
  message.set(http::field::content_type, response.content_type);
  message.set(http::field::access_control_allow_origin, "*");
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.keep_alive(keep_alive);
  message.content_length(response.body.size());
  const size_t body_size = response.body.size();
  if (!incoming.head_only) message.body() = std::move(response.body);
  stream_.expires_after(ToChrono(context_->options->body_timeout) +
                        std::chrono::seconds(body_size / kChunkBytes));
  const auto [error, size] = co_await http::async_write(stream_, message, kAwaitable);
  if (error || !keep_alive) {
    error_code ignored;
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    co_return false;
  }
  co_return true;
}

asio::awaitable<bool> HttpSession::Refuse(Incoming* incoming, HttpResponse response) {
  incoming->keep_alive = false;
  incoming->request.files.clear();
  const bool alive = co_await Write(*incoming, std::move(response));
  // Closing with unread input would reset the connection and take the answer back from the client.
  stream_.expires_after(kLinger);
  std::array<char, 4096> discarded;
  while (true) {
    const auto [error, size] =
        co_await stream_.async_read_some(asio::buffer(discarded), kAwaitable);
    if (error) break;
  }
  co_return alive;
}

}  // namespace weir::internal
