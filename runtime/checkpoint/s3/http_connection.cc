#include "runtime/checkpoint/s3/http_connection.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <exception>
#include <optional>

#include "runtime/base/strings.h"

namespace weir {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr auto kAwaitable = asio::as_tuple(asio::use_awaitable);
constexpr uint64_t kMaxAnswerBytes = uint64_t{256} << 20;
// The time limit begins anew with each.
constexpr size_t kPieceBytes = size_t{256} << 10;

std::string HeadOf(const HttpConnectionRequest& request) {
  std::string head = StrCat(request.method, " ", request.target, " HTTP/1.1\r\n");
  for (const auto& [name, value] : request.headers) StrAppend(&head, name, ": ", value, "\r\n");
  StrAppend(&head, "content-length: ", request.body.size(), "\r\n\r\n");
  return head;
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

std::string_view HttpConnectionAnswer::Header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

class HttpConnection::Impl {
 public:
  Impl(HttpServerAddress address, absl::Duration timeout)
      : address_(std::move(address)), timeout_(timeout) {}

  absl::StatusOr<HttpConnectionAnswer> Perform(const HttpConnectionRequest& request) {
    const bool is_first = !connected_;
    reusable_ = false;
    was_idle_too_long_ = false;
    answer_began_ = false;
    error_code error;
    bool ended = false;
    HttpConnectionAnswer answer;
    io_context_.restart();
    asio::co_spawn(io_context_, Run(request, &answer),
                   [&](const std::exception_ptr& exception, error_code result) {
                     ended = exception == nullptr;
                     error = result;
                   });
    io_context_.run();
    if (!ended) {
      return absl::InternalError(
          StrCat("a request to the object store ended with an exception: address=", Name()));
    }
    if (error) {
      was_idle_too_long_ = !is_first && !answer_began_ && error != beast::error::timeout;
      return ToStatus(error);
    }
    return answer;
  }

  [[nodiscard]] bool reusable() const { return reusable_; }
  [[nodiscard]] bool was_idle_too_long() const { return was_idle_too_long_; }

 private:
  [[nodiscard]] std::string Name() const { return StrCat(address_.host, ":", address_.port); }

  absl::Status ToStatus(const error_code& error) const {
    const std::string where = StrCat("address=", Name(), " error=", error.message());
    if (error == beast::error::timeout) {
      return absl::DeadlineExceededError(
          StrCat("the object store does not answer in time: address=", Name(),
                 " s3.connection.timeout=", absl::FormatDuration(timeout_)));
    }
    if (error == asio::error::connection_refused) {
      return absl::UnavailableError(StrCat(
          "no object store listens there; is it running, and is s3.endpoint right? ", where));
    }
    if (error == asio::error::host_not_found || error == asio::error::host_not_found_try_again) {
      return absl::UnavailableError(StrCat(
          "cannot find the host of the object store; is s3.endpoint right? A store that does "
          "not know buckets as hosts needs s3.path.style.access: true: ",
          where));
    }
    if (error.category() == asio::error::get_ssl_category()) {
      return absl::FailedPreconditionError(StrCat(
          "no secure connection to the object store; is s3.endpoint one of https, and does its "
          "certificate lead to one of s3.ssl.ca-file? ",
          where));
    }
    return absl::UnavailableError(StrCat("the connection to the object store broke: ", where));
  }

  asio::awaitable<error_code> Run(const HttpConnectionRequest& request,
                                  HttpConnectionAnswer* answer) {
    if (!connected_) {
      const error_code error = co_await Connect();
      if (error) co_return error;
      connected_ = true;
    }
    error_code error;
    if (secure_.has_value()) {
      error = co_await Exchange(*secure_, request, answer);
    } else {
      error = co_await Exchange(*plain_, request, answer);
    }
    co_return error;
  }

  asio::awaitable<error_code> Connect() {
    asio::ip::tcp::resolver resolver(io_context_);
    auto [resolve_error, endpoints] =
        co_await resolver.async_resolve(address_.host, address_.port, kAwaitable);
    if (resolve_error) co_return resolve_error;
    if (address_.is_tls) {
      const error_code error = PrepareTls();
      if (error) co_return error;
    } else {
      plain_.emplace(io_context_);
    }
    ExpireLater();
    auto [error, endpoint] = co_await Lowest().async_connect(endpoints, kAwaitable);
    if (error) co_return error;
    error_code ignored;
    Lowest().socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    if (!secure_.has_value()) co_return error_code();
    ExpireLater();
    auto [handshake_error] =
        co_await secure_->async_handshake(asio::ssl::stream_base::client, kAwaitable);
    co_return handshake_error;
  }

  error_code PrepareTls() {
    error_code error;
    tls_.emplace(asio::ssl::context::tls_client);
    if (address_.ca_file.empty()) {
      tls_->set_default_verify_paths(error);
    } else {
      tls_->load_verify_file(address_.ca_file, error);
    }
    if (error) return error;
    secure_.emplace(io_context_, *tls_);
    secure_->set_verify_mode(asio::ssl::verify_peer);
    secure_->set_verify_callback(asio::ssl::host_name_verification(address_.host));
    if (SSL_set_tlsext_host_name(secure_->native_handle(), address_.host.c_str()) != 1) {
      return asio::error::invalid_argument;
    }
    return {};
  }

  template <class Stream>
  asio::awaitable<error_code> Exchange(Stream& stream, const HttpConnectionRequest& request,
                                       HttpConnectionAnswer* answer) {
    const error_code write_error = co_await Send(stream, request);
    // A server that refuses an upload half-way stops reading, but has answered.
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMaxAnswerBytes);
    if (request.method == "HEAD") parser.skip(true);
    ExpireLater();
    auto [head_error, head_size] =
        co_await http::async_read_header(stream, buffer, parser, kAwaitable);
    answer_began_ = buffer.size() > 0 || parser.got_some();
    if (head_error) co_return write_error ? write_error : head_error;
    while (!parser.is_done()) {
      ExpireLater();
      auto [error, size] = co_await http::async_read_some(stream, buffer, parser, kAwaitable);
      if (error) co_return error;
    }
    reusable_ = !write_error && parser.keep_alive();
    answer->status = static_cast<int>(parser.get().result_int());
    for (const auto& field : parser.get()) {
      const beast::string_view name = field.name_string();
      const beast::string_view value = field.value();
      answer->headers[LowerCase({name.data(), name.size()})] =
          std::string(value.data(), value.size());
    }
    answer->body = std::move(parser.get().body());
    co_return error_code();
  }

  template <class Stream>
  asio::awaitable<error_code> Send(Stream& stream, const HttpConnectionRequest& request) {
    std::string head = HeadOf(request);
    std::string_view rest = request.body;
    if (rest.size() <= kPieceBytes) {  // In one go.
      head += rest;
      rest = {};
    }
    ExpireLater();
    auto [head_error, head_size] =
        co_await asio::async_write(stream, asio::buffer(head), kAwaitable);
    if (head_error) co_return head_error;
    while (!rest.empty()) {
      const std::string_view piece = rest.substr(0, kPieceBytes);
      ExpireLater();
      auto [error, size] =
          co_await asio::async_write(stream, asio::buffer(piece.data(), piece.size()), kAwaitable);
      if (error) co_return error;
      rest.remove_prefix(piece.size());
    }
    co_return error_code();
  }

  beast::tcp_stream& Lowest() { return secure_.has_value() ? secure_->next_layer() : *plain_; }
  void ExpireLater() { Lowest().expires_after(absl::ToChronoNanoseconds(timeout_)); }

  const HttpServerAddress address_;
  const absl::Duration timeout_;
  asio::io_context io_context_{1};
  std::optional<asio::ssl::context> tls_;
  std::optional<beast::tcp_stream> plain_;
  std::optional<beast::ssl_stream<beast::tcp_stream>> secure_;
  bool connected_ = false;
  bool reusable_ = false;
  bool answer_began_ = false;
  bool was_idle_too_long_ = false;
};

HttpConnection::HttpConnection(HttpServerAddress address, absl::Duration timeout)
    : impl_(std::make_unique<Impl>(std::move(address), timeout)) {}

HttpConnection::~HttpConnection() = default;

absl::StatusOr<HttpConnectionAnswer> HttpConnection::Perform(const HttpConnectionRequest& request) {
  return impl_->Perform(request);
}

bool HttpConnection::reusable() const { return impl_->reusable(); }

bool HttpConnection::was_idle_too_long() const { return impl_->was_idle_too_long(); }

}  // namespace weir
