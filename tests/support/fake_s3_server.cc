#include "tests/support/fake_s3_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <list>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/s3/aws_signature.h"
#include "runtime/checkpoint/s3/s3_xml.h"
#include "runtime/graph/content_hash.h"

namespace weir {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;

constexpr std::string_view kBucket = "bucket";

struct Request {
  std::string method;
  std::string target;
  std::string path;                          // Of the target, encoded.
  std::map<std::string, std::string> query;  // Decoded.
  std::map<std::string, std::string> headers;
  std::string body;
  std::string bucket;
  std::string key;
};

struct Answer {
  int status = 200;
  std::string body = {};
  std::map<std::string, std::string> headers = {};
};

Answer Error(int status, std::string_view code) {
  return {status, StrCat("<?xml version=\"1.0\"?><Error><Code>", code,
                         "</Code><Message>as told</Message></Error>")};
}

Request Parse(const http::request<http::string_body>& message) {
  Request request;
  request.method = std::string(message.method_string().data(), message.method_string().size());
  request.target = std::string(message.target().data(), message.target().size());
  request.body = message.body();
  for (const auto& field : message) {
    std::string name(field.name_string().data(), field.name_string().size());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.headers[name] = std::string(field.value().data(), field.value().size());
  }
  const size_t question = std::min(request.target.find('?'), request.target.size());
  request.path = request.target.substr(0, question);
  if (question < request.target.size()) {
    for (const std::string_view part :
         StrSplit(std::string_view(request.target).substr(question + 1), '&')) {
      const size_t equals = std::min(part.find('='), part.size());
      request.query[UriDecode(part.substr(0, equals))] =
          UriDecode(part.substr(std::min(equals + 1, part.size())));
    }
  }
  const std::string decoded = UriDecode(request.path).substr(1);
  const size_t slash = std::min(decoded.find('/'), decoded.size());
  request.bucket = decoded.substr(0, slash);
  request.key = decoded.substr(std::min(slash + 1, decoded.size()));
  return request;
}

std::string EtagOf(const std::string& content) {
  return StrCat("\"", ContentHash(content).substr(0, 32), "\"");
}

}  // namespace

class FakeS3Server::Impl {
 public:
  Impl() : acceptor_(io_context_, Tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
    port_ = acceptor_.local_endpoint().port();
    listener_ = std::jthread([this] { Listen(); });
  }
  ~Impl() { Stop(); }

  void Stop() {
    std::list<std::jthread> threads;
    {
      const MutexLock lock(&mutex_);
      if (stopped_) return;
      stopped_ = true;
      boost::system::error_code ignored;
      // Wakes accept, which close alone does not.
      acceptor_.cancel(ignored);
      ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
      for (Tcp::socket* const socket : sockets_) ::shutdown(socket->native_handle(), SHUT_RDWR);
      threads.swap(threads_);
      changed_.SignalAll();
    }
    listener_.join();
    for (std::jthread& thread : threads) thread.join();
    const MutexLock lock(&mutex_);
    for (std::jthread& thread : threads_) thread.join();
    threads_.clear();
    boost::system::error_code ignored;
    acceptor_.close(ignored);
  }

  uint16_t port() const { return port_; }

  void FailNext(const std::string& pattern, Fault fault, int times) {
    const MutexLock lock(&mutex_);
    faults_.push_back({pattern, fault, times});
  }
  void SetPageSize(size_t entries) {
    const MutexLock lock(&mutex_);
    page_size_ = entries;
  }
  void ListTwice(bool twice) {
    const MutexLock lock(&mutex_);
    lists_twice_ = twice;
  }
  std::map<std::string, std::string> objects() {
    const MutexLock lock(&mutex_);
    return objects_;
  }
  void Put(const std::string& key, const std::string& content) {
    const MutexLock lock(&mutex_);
    objects_[key] = content;
  }
  size_t num_uploads() {
    const MutexLock lock(&mutex_);
    return uploads_.size();
  }
  std::vector<std::string> requests() {
    const MutexLock lock(&mutex_);
    return requests_;
  }
  void CloseIdleConnections() {
    const MutexLock lock(&mutex_);
    for (Tcp::socket* const socket : idle_) ::shutdown(socket->native_handle(), SHUT_RDWR);
  }

 private:
  struct PlannedFault {
    std::string pattern;
    Fault fault;
    int times;
  };
  struct Upload {
    std::string key;
    std::map<int, std::string> parts;
  };

  void Listen() {
    while (true) {
      auto socket = std::make_unique<Tcp::socket>(io_context_);
      boost::system::error_code error;
      acceptor_.accept(*socket, error);
      const MutexLock lock(&mutex_);
      if (error || stopped_) return;
      sockets_.insert(socket.get());
      threads_.emplace_back([this, owned = std::move(socket)] {
        Serve(*owned);
        const MutexLock done(&mutex_);
        sockets_.erase(owned.get());
        idle_.erase(owned.get());
      });
    }
  }

  void Serve(Tcp::socket& socket) {
    beast::flat_buffer buffer;
    while (true) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(uint64_t{1} << 30);
      boost::system::error_code error;
      SetIdle(socket, true);
      http::read_header(socket, buffer, parser, error);
      SetIdle(socket, false);
      if (error) return;
      http::read(socket, buffer, parser, error);
      if (error) return;
      const Request request = Parse(parser.get());
      if (!Respond(socket, request)) return;
    }
  }

  void SetIdle(Tcp::socket& socket, bool idle) {
    const MutexLock lock(&mutex_);
    if (idle) {
      idle_.insert(&socket);
    } else {
      idle_.erase(&socket);
    }
  }

  // Returns whether the connection goes on.
  bool Respond(Tcp::socket& socket, const Request& request) {
    const std::optional<Fault> fault = TakeFault(StrCat(request.method, " ", request.target));
    if (fault == Fault::kResetBeforeAnswer) return Reset(socket);
    if (fault == Fault::kNoAnswer) return Wait();
    const Answer answer =
        fault.has_value() && !DoesAll(*fault) ? AnswerOf(*fault) : Handle(request);
    if (fault == Fault::kLostAnswer) return Reset(socket);
    std::string text = StrCat("HTTP/1.1 ", answer.status, " As told\r\n");
    for (const auto& [name, value] : answer.headers) StrAppend(&text, name, ": ", value, "\r\n");
    if (!answer.headers.contains("content-length")) {
      StrAppend(&text, "content-length: ", answer.body.size(), "\r\n");
    }
    text += "\r\n";
    if (request.method != "HEAD") text += answer.body;
    const bool is_cut = fault == Fault::kResetInAnswer || fault == Fault::kTruncatedAnswer;
    if (is_cut) text.resize(text.size() - std::max<size_t>(answer.body.size() / 2, 1));
    boost::system::error_code error;
    asio::write(socket, asio::buffer(text), error);
    if (fault == Fault::kResetInAnswer) return Reset(socket);
    return !error && !is_cut;
  }

  static bool DoesAll(Fault fault) {
    return fault == Fault::kLostAnswer || fault == Fault::kResetInAnswer ||
           fault == Fault::kTruncatedAnswer;
  }

  static Answer AnswerOf(Fault fault) {
    switch (fault) {
      case Fault::kSlowDown:
        return Error(503, "SlowDown");
      case Fault::kTooManyRequests:
        return Error(429, "TooManyRequests");
      case Fault::kErrorInSuccess:
        return Error(200, "InternalError");
      case Fault::kAccessDenied:
        return Error(403, "AccessDenied");
      case Fault::kClockSkew:
        return Error(403, "RequestTimeTooSkewed");
      case Fault::kOtherRegion:
        return {400,
                "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-north-7</Region>"
                "</Error>"};
      case Fault::kFull:
        return Error(507, "XMinioStorageFull");
      default:
        return Error(500, "InternalError");
    }
  }

  static bool Reset(Tcp::socket& socket) {
    boost::system::error_code ignored;
    socket.set_option(asio::socket_base::linger(true, 0), ignored);
    socket.close(ignored);
    return false;
  }

  bool Wait() {
    const MutexLock lock(&mutex_);
    while (!stopped_) changed_.Wait(&mutex_);
    return false;
  }

  std::optional<Fault> TakeFault(const std::string& line) {
    const MutexLock lock(&mutex_);
    requests_.push_back(line);
    for (auto it = faults_.begin(); it != faults_.end(); ++it) {
      if (line.find(it->pattern) == std::string::npos) continue;
      const Fault fault = it->fault;
      if (--it->times == 0) faults_.erase(it);
      return fault;
    }
    return std::nullopt;
  }

  // Checks the signature by what came over the wire.
  static bool IsSigned(const Request& request) {
    SignedRequest to_sign;
    to_sign.method = request.method;
    to_sign.path = request.path;
    for (const auto& [name, value] : request.query) to_sign.query.emplace_back(name, value);
    to_sign.payload_hash = ContentHash(request.body);
    const auto authorization = request.headers.find("authorization");
    const auto hash = request.headers.find("x-amz-content-sha256");
    const auto date = request.headers.find("x-amz-date");
    if (authorization == request.headers.end() || hash == request.headers.end() ||
        date == request.headers.end() || hash->second != to_sign.payload_hash) {
      return false;
    }
    for (const auto& [name, value] : request.headers) {
      if (name != "authorization" && name != "content-length") {
        to_sign.headers.emplace_back(name, value);
      }
    }
    absl::Time time;
    std::string error;
    std::string text = date->second;  // "20130524T000000Z"
    for (const size_t at : {size_t{4}, size_t{7}}) text.insert(std::min(at, text.size()), "-");
    for (const size_t at : {size_t{13}, size_t{16}}) text.insert(std::min(at, text.size()), ":");
    if (!absl::ParseTime(absl::RFC3339_sec, text, &time, &error)) return false;
    return authorization->second ==
           SignatureV4(to_sign, {"test", "test-secret", ""}, "us-east-1", "s3", time);
  }

  Answer Handle(const Request& request) {
    if (!IsSigned(request)) return Error(403, "SignatureDoesNotMatch");
    const MutexLock lock(&mutex_);
    if (request.bucket != kBucket) return Error(404, "NoSuchBucket");
    if (request.query.contains("uploads")) return HandleUploads(request);
    if (request.query.contains("uploadId")) return HandleUpload(request);
    if (request.query.contains("delete")) return HandleDelete(request);
    if (request.query.contains("list-type")) return List(request);
    if (request.method == "PUT") return HandlePut(request);
    if (request.method == "DELETE") {
      objects_.erase(request.key);
      return {204};
    }
    return HandleGet(request);
  }

  Answer HandlePut(const Request& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (request.headers.contains("if-none-match") && objects_.contains(request.key)) {
      return Error(412, "PreconditionFailed");
    }
    if (const auto match = request.headers.find("if-match"); match != request.headers.end()) {
      const auto present = objects_.find(request.key);
      if (present == objects_.end()) return Error(404, "NoSuchKey");
      if (match->second != EtagOf(present->second)) return Error(412, "PreconditionFailed");
    }
    std::string content = request.body;
    if (const auto source = request.headers.find("x-amz-copy-source");
        source != request.headers.end()) {
      const auto found = objects_.find(UriDecode(source->second).substr(kBucket.size() + 2));
      if (found == objects_.end()) return Error(404, "NoSuchKey");
      content = found->second;
    }
    objects_[request.key] = content;
    return {200, "", {{"etag", EtagOf(content)}}};
  }

  Answer HandleGet(const Request& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = objects_.find(request.key);
    if (found == objects_.end()) return Error(404, "NoSuchKey");
    const std::string& content = found->second;
    if (const auto match = request.headers.find("if-match");
        match != request.headers.end() && match->second != EtagOf(content)) {
      return Error(412, "PreconditionFailed");
    }
    if (request.method == "HEAD") {
      return {200, "", {{"content-length", StrCat(content.size())}, {"etag", EtagOf(content)}}};
    }
    const auto range = request.headers.find("range");
    if (range == request.headers.end()) return {200, content, {{"etag", EtagOf(content)}}};
    size_t first = 0;
    size_t last = 0;
    const std::string text = range->second.substr(6);
    if (!absl::SimpleAtoi(text.substr(0, text.find('-')), &first) ||
        !absl::SimpleAtoi(text.substr(text.find('-') + 1), &last) || first >= content.size()) {
      return Error(416, "InvalidRange");
    }
    const std::string part = content.substr(first, last - first + 1);
    return {206,
            part,
            {{"etag", EtagOf(content)},
             {"content-range",
              StrCat("bytes ", first, "-", first + part.size() - 1, "/", content.size())}}};
  }

  Answer List(const Request& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const std::string prefix = Find(request, "prefix");
    const std::string delimiter = Find(request, "delimiter");
    std::vector<std::pair<std::string, bool>> entries;  // Whether each is a prefix.
    for (const auto& [key, content] : objects_) {
      if (!key.starts_with(prefix)) continue;
      const size_t end = delimiter.empty() ? key.npos : key.find(delimiter, prefix.size());
      std::pair<std::string, bool> entry{end == key.npos ? key : key.substr(0, end + 1),
                                         end != key.npos};
      if (entries.empty() || entries.back() != entry) entries.push_back(std::move(entry));
      if (lists_twice_) entries.push_back(entries.back());
    }
    // Keys may be deleted between pages: a token is the last key before it.
    const std::string token = Find(request, "continuation-token");
    size_t begin = 0;
    while (!token.empty() && begin < entries.size() && entries[begin].first <= token) ++begin;
    if (lists_twice_ && begin > 0) --begin;
    const size_t end = std::min(entries.size(), begin + page_size_);
    std::string xml = "<?xml version=\"1.0\"?><ListBucketResult>";
    for (size_t i = begin; i < end; ++i) {
      const auto& [name, is_prefix] = entries[i];
      StrAppend(&xml, is_prefix ? "<CommonPrefixes><Prefix>" : "<Contents><Key>",
                UriEncode(name, true),
                is_prefix ? "</Prefix></CommonPrefixes>" : "</Key><Size>1</Size></Contents>");
    }
    StrAppend(&xml, "<IsTruncated>", end < entries.size() ? "true" : "false", "</IsTruncated>");
    if (end < entries.size()) {
      StrAppend(&xml, "<NextContinuationToken>", internal::XmlEscape(entries[end - 1].first),
                "</NextContinuationToken>");
    }
    return {200, xml + "</ListBucketResult>"};
  }

  static std::string Find(const Request& request, const std::string& name) {
    const auto found = request.query.find(name);
    return found == request.query.end() ? "" : found->second;
  }

  Answer HandleDelete(const Request& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto md5 = request.headers.find("content-md5");
    if (md5 == request.headers.end() || md5->second != ContentMd5(request.body)) {
      return Error(400, "InvalidDigest");
    }
    for (const std::string& object : internal::XmlElements(request.body, "Object")) {
      objects_.erase(internal::XmlElement(object, "Key"));
    }
    return {200, "<DeleteResult></DeleteResult>"};
  }

  Answer HandleUploads(const Request& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (request.method == "POST") {
      const std::string id = StrCat("upload-", ++num_begun_);
      uploads_[id] = {request.key, {}};
      return {200, StrCat("<InitiateMultipartUploadResult><UploadId>", id,
                          "</UploadId></InitiateMultipartUploadResult>")};
    }
    std::string xml = "<ListMultipartUploadsResult>";
    for (const auto& [id, upload] : uploads_) {
      if (!upload.key.starts_with(Find(request, "prefix"))) continue;
      StrAppend(&xml, "<Upload><Key>", UriEncode(upload.key, true), "</Key><UploadId>", id,
                "</UploadId></Upload>");
    }
    return {200, xml + "<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"};
  }

  Answer HandleUpload(const Request& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = uploads_.find(Find(request, "uploadId"));
    if (found == uploads_.end()) return Error(404, "NoSuchUpload");
    Upload& upload = found->second;
    if (request.method == "DELETE") {
      uploads_.erase(found);
      return {204};
    }
    if (request.method == "PUT") {
      int number = 0;
      if (!absl::SimpleAtoi(Find(request, "partNumber"), &number)) return Error(400, "InvalidPart");
      upload.parts[number] = request.body;
      return {200, "", {{"etag", EtagOf(request.body)}}};
    }
    std::string content;
    int number = 0;
    const std::vector<std::string> parts = internal::XmlElements(request.body, "Part");
    for (const std::string& part : parts) {
      const bool is_last = static_cast<size_t>(++number) == parts.size();
      const std::string& bytes = upload.parts[number];
      if (internal::XmlElement(part, "PartNumber") != StrCat(number) ||
          internal::XmlElement(part, "ETag") != EtagOf(bytes)) {
        return Error(400, "InvalidPart");
      }
      if (!is_last && bytes.size() < (size_t{5} << 20)) return Error(400, "EntityTooSmall");
      content += bytes;
    }
    objects_[upload.key] = content;
    uploads_.erase(found);
    return {200, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"};
  }

  asio::io_context io_context_;
  Tcp::acceptor acceptor_;
  uint16_t port_ = 0;
  Mutex mutex_;
  CondVar changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<Tcp::socket*> sockets_ ABSL_GUARDED_BY(mutex_);
  std::set<Tcp::socket*> idle_ ABSL_GUARDED_BY(mutex_);
  std::list<std::jthread> threads_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> objects_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Upload> uploads_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<PlannedFault> faults_ ABSL_GUARDED_BY(mutex_);
  size_t page_size_ ABSL_GUARDED_BY(mutex_) = 1000;
  bool lists_twice_ ABSL_GUARDED_BY(mutex_) = false;
  int num_begun_ ABSL_GUARDED_BY(mutex_) = 0;
  std::jthread listener_;
};

FakeS3Server::FakeS3Server() : impl_(std::make_unique<Impl>()) {}
FakeS3Server::~FakeS3Server() = default;

S3Options FakeS3Server::Options() const {
  S3Options options;
  options.address = {"127.0.0.1", StrCat(impl_->port()), false};
  options.credentials = {"test", "test-secret", ""};
  options.path_style = true;
  options.max_attempts = 4;
  options.part_bytes = uint64_t{5} << 20;
  options.pause = [](absl::Duration) {};
  return options;
}

void FakeS3Server::FailNext(const std::string& pattern, Fault fault, int times) {
  impl_->FailNext(pattern, fault, times);
}
void FakeS3Server::SetPageSize(size_t entries) { impl_->SetPageSize(entries); }
void FakeS3Server::ListTwice(bool twice) { impl_->ListTwice(twice); }
std::map<std::string, std::string> FakeS3Server::objects() const { return impl_->objects(); }
void FakeS3Server::Put(const std::string& key, const std::string& content) {
  impl_->Put(key, content);
}
size_t FakeS3Server::num_uploads() const { return impl_->num_uploads(); }
std::vector<std::string> FakeS3Server::requests() const { return impl_->requests(); }
void FakeS3Server::CloseIdleConnections() { impl_->CloseIdleConnections(); }
void FakeS3Server::Stop() { impl_->Stop(); }

}  // namespace weir
