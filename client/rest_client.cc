#include "client/rest_client.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "client/rest_error.h"
#include "runtime/base/ids.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr auto kAwaitable = asio::as_tuple(asio::use_awaitable);
constexpr uint64_t kMaxAnswerBytes = uint64_t{256} << 20;
constexpr size_t kPieceBytes = 64 * 1024;
constexpr int kMaxRedirects = 3;

/// A file on its way as a form of one field.
struct FormFile {
  std::ifstream stream;
  std::string head;
  std::string tail;
  std::string content_type;
  uint64_t size = 0;  // Of the whole form.
};

/// One request and everything it needs until its answer is there.
struct Transfer {
  std::string host;
  std::string port;
  absl::Duration timeout;
  http::request<http::string_body> request;
  FormFile* form = nullptr;
};

absl::Status ConnectionError(const Transfer& transfer, const error_code& error) {
  const std::string where = StrCat(transfer.host, ":", transfer.port);
  if (error == asio::error::connection_refused) {
    return absl::UnavailableError(
        StrCat("nothing listens at ", where,
               "; is the JobManager running, and is this its REST address?"));
  }
  if (error == beast::error::timeout) {
    return absl::DeadlineExceededError(StrCat("no answer in time: address=", where,
                                              " timeout=", absl::FormatDuration(transfer.timeout)));
  }
  if (error == asio::error::host_not_found || error == asio::error::host_not_found_try_again) {
    return absl::UnavailableError(StrCat("cannot find the host of the REST address: ", where));
  }
  return absl::UnavailableError(StrCat("the connection to the JobManager broke: address=", where,
                                       " error=", error.message()));
}

class Connection {
 public:
  Connection(const Transfer& transfer, asio::io_context* io_context)
      : transfer_(transfer), resolver_(*io_context), stream_(*io_context) {}

  asio::awaitable<absl::StatusOr<RestAnswer>> Run() {
    const error_code connect_error = co_await Connect();
    if (connect_error) co_return ConnectionError(transfer_, connect_error);
    const error_code write_error = co_await Write();
    // A server that refuses an upload half-way stops reading, but has answered.
    RestAnswer answer;
    const error_code read_error = co_await Read(&answer);
    if (read_error) co_return ConnectionError(transfer_, write_error ? write_error : read_error);
    co_return answer;
  }

 private:
  asio::awaitable<error_code> Connect() {
    auto [resolve_error, endpoints] =
        co_await resolver_.async_resolve(transfer_.host, transfer_.port, kAwaitable);
    if (resolve_error) co_return resolve_error;
    ExpireLater();
    auto [error, endpoint] = co_await stream_.async_connect(endpoints, kAwaitable);
    co_return error;
  }

  asio::awaitable<error_code> Write() {
    ExpireLater();
    if (transfer_.form == nullptr) {
      auto [error, size] = co_await http::async_write(stream_, transfer_.request, kAwaitable);
      co_return error;
    }
    http::request_serializer<http::string_body> head(transfer_.request);
    auto [head_error, head_size] = co_await http::async_write_header(stream_, head, kAwaitable);
    if (head_error) co_return head_error;
    error_code error = co_await WritePiece(transfer_.form->head);
    std::string piece(kPieceBytes, '\0');
    while (!error && transfer_.form->stream) {
      transfer_.form->stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      const auto size = static_cast<size_t>(transfer_.form->stream.gcount());
      error = co_await WritePiece(std::string_view(piece).substr(0, size));
    }
    if (error) co_return error;
    error = co_await WritePiece(transfer_.form->tail);
    co_return error;
  }

  asio::awaitable<error_code> WritePiece(std::string_view piece) {
    ExpireLater();
    auto [error, size] =
        co_await asio::async_write(stream_, asio::buffer(piece.data(), piece.size()), kAwaitable);
    co_return error;
  }

  asio::awaitable<error_code> Read(RestAnswer* answer) {
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMaxAnswerBytes);
    ExpireLater();
    auto [error, size] = co_await http::async_read(stream_, buffer, parser, kAwaitable);
    if (error) co_return error;
    answer->status = static_cast<int>(parser.get().result_int());
    const beast::string_view location = parser.get()[http::field::location];
    answer->location.assign(location.data(), location.size());
    answer->body = std::move(parser.get().body());
    co_return error_code();
  }

  void ExpireLater() { stream_.expires_after(absl::ToChronoNanoseconds(transfer_.timeout)); }

  const Transfer& transfer_;
  asio::ip::tcp::resolver resolver_;
  beast::tcp_stream stream_;
};

absl::StatusOr<RestAnswer> PerformOnce(const Transfer& transfer) {
  asio::io_context io_context(1);
  Connection connection(transfer, &io_context);
  std::optional<absl::StatusOr<RestAnswer>> answer;
  asio::co_spawn(io_context, connection.Run(),
                 [&answer](const std::exception_ptr& exception, absl::StatusOr<RestAnswer> result) {
                   if (exception == nullptr) answer = std::move(result);
                 });
  io_context.run();
  if (!answer.has_value()) return absl::InternalError("the REST call ended with an exception");
  return *std::move(answer);
}

// Turns the transfer to the server that `location` names; returns whether it names one.
bool Redirect(std::string_view location, Transfer* transfer) {
  constexpr std::string_view kScheme = "http://";
  if (!location.starts_with(kScheme)) return false;
  location.remove_prefix(kScheme.size());
  const std::string_view authority = location.substr(0, location.find('/'));
  const size_t colon = authority.rfind(':');
  if (colon == authority.npos) return false;
  std::string_view host = authority.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  transfer->host = host;
  transfer->port = authority.substr(colon + 1);
  transfer->request.set(http::field::host, beast::string_view(authority.data(), authority.size()));
  if (transfer->form != nullptr) {
    transfer->form->stream.clear();
    transfer->form->stream.seekg(0);
  }
  return true;
}

// Follows a standby JobManager to the leader.
absl::StatusOr<std::string> Perform(Transfer transfer) {
  for (int redirects = 0;; ++redirects) {
    absl::StatusOr<RestAnswer> answer = PerformOnce(transfer);
    if (!answer.ok()) return answer.status();
    if (answer->status != 307 || redirects == kMaxRedirects ||
        !Redirect(answer->location, &transfer)) {
      return BodyOrError(*std::move(answer));
    }
  }
}

http::request<http::string_body> MakeRequest(std::string_view method, std::string_view path,
                                             const std::string& address) {
  http::request<http::string_body> request;
  request.version(11);
  request.method_string(beast::string_view(method.data(), method.size()));
  request.target(beast::string_view(path.data(), path.size()));
  request.set(http::field::host, address);
  request.set(http::field::accept, "application/json");
  request.keep_alive(false);
  return request;
}

absl::StatusOr<FormFile> OpenForm(const std::string& file) {
  FormFile form;
  std::error_code error;
  const uint64_t file_size = std::filesystem::file_size(file, error);
  if (!error) form.stream.open(file, std::ios::binary);
  if (error || !form.stream) return absl::NotFoundError(StrCat("cannot open the file: ", file));
  const std::string boundary = StrCat("weir-", ToString(RandomId<JobId>()));
  std::string name = std::filesystem::path(file).filename().string();
  for (char& c : name) {
    if (c == '"' || c == '\\' || c == '\r' || c == '\n') c = '_';
  }
  form.head =
      StrCat("--", boundary, "\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"",
             name, "\"\r\nContent-Type: application/octet-stream\r\n\r\n");
  form.tail = StrCat("\r\n--", boundary, "--\r\n");
  form.content_type = StrCat("multipart/form-data; boundary=", boundary);
  form.size = form.head.size() + file_size + form.tail.size();
  return form;
}

}  // namespace

absl::StatusOr<RestClient> RestClient::Create(std::string_view address, absl::Duration timeout) {
  std::string_view rest = StripWhitespace(address);
  if (constexpr std::string_view kScheme = "http://"; rest.starts_with(kScheme)) {
    rest.remove_prefix(kScheme.size());
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const size_t colon = rest.rfind(':');
  std::string_view host = rest.substr(0, colon);
  const std::string_view port = colon == rest.npos ? "" : rest.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const bool digits = port.find_first_not_of("0123456789") == port.npos;
  if (host.empty() || port.empty() || port.size() > 5 || !digits) {
    return absl::InvalidArgumentError(
        StrCat("not a REST address; give HOST:PORT: \"", address, "\""));
  }
  return RestClient(std::string(host), std::string(port), timeout);
}

RestClient::RestClient(std::string host, std::string port, absl::Duration timeout)
    : host_(std::move(host)), port_(std::move(port)), timeout_(timeout) {}

absl::StatusOr<std::string> RestClient::Get(std::string_view path) const {
  return Call("GET", path, "");
}

absl::StatusOr<std::string> RestClient::Post(std::string_view path, std::string_view json) const {
  return Call("POST", path, json);
}

absl::StatusOr<std::string> RestClient::Put(std::string_view path, std::string_view json) const {
  return Call("PUT", path, json);
}

absl::StatusOr<std::string> RestClient::Patch(std::string_view path, std::string_view json) const {
  return Call("PATCH", path, json);
}

absl::StatusOr<std::string> RestClient::Delete(std::string_view path) const {
  return Call("DELETE", path, "");
}

absl::StatusOr<std::string> RestClient::Call(std::string_view method, std::string_view path,
                                             std::string_view body) const {
  Transfer transfer{.host = host_,
                    .port = port_,
                    .timeout = timeout_,
                    .request = MakeRequest(method, path, address())};
  if (!body.empty()) transfer.request.set(http::field::content_type, "application/json");
  transfer.request.body() = body;
  if (method != "GET") transfer.request.prepare_payload();
  return Perform(std::move(transfer));
}

absl::StatusOr<std::string> RestClient::Upload(std::string_view path,
                                               const std::string& file) const {
  absl::StatusOr<FormFile> form = OpenForm(file);
  if (!form.ok()) return form.status();
  Transfer transfer{.host = host_,
                    .port = port_,
                    .timeout = timeout_,
                    .request = MakeRequest("POST", path, address()),
                    .form = &*form};
  transfer.request.set(http::field::content_type, form->content_type);
  transfer.request.content_length(form->size);
  return Perform(std::move(transfer));
}

std::string RestClient::address() const {
  const bool is_ipv6 = host_.find(':') != std::string::npos;
  return is_ipv6 ? StrCat("[", host_, "]:", port_) : StrCat(host_, ":", port_);
}

std::string PercentEncode(std::string_view text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (kPlain.find(c) != kPlain.npos) {
      encoded.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded.push_back('%');
    encoded.push_back(kHex[byte >> 4]);
    encoded.push_back(kHex[byte & 15]);
  }
  return encoded;
}

}  // namespace weir
