#include "runtime/checkpoint/s3/s3_file_system.h"

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/numbers.h"
#include "runtime/base/failpoint.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/s3/s3_client.h"
#include "runtime/checkpoint/s3/s3_xml.h"

namespace weir {
namespace {

using internal::XmlElement;
using internal::XmlElements;

constexpr uint64_t kRangeBytes = uint64_t{8} << 20;
// An upload has at most 10,000 parts: after each thousand they grow to twice the size.
constexpr int kPartsOfOneSize = 1000;
constexpr size_t kMaxDeletedAtOnce = 1000;
// A store copies larger objects only in parts.
constexpr uint64_t kMaxCopiedBytes = uint64_t{5} << 30;

struct ObjectName {
  std::string bucket;
  std::string key;
};

// Of "s3://bucket/key". Errors: kInvalidArgument without a bucket.
absl::StatusOr<ObjectName> ParseObject(std::string_view path) {
  constexpr std::string_view kScheme = "s3://";
  const std::string_view rest =
      path.substr(path.starts_with(kScheme) ? kScheme.size() : path.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  ObjectName name{std::string(rest.substr(0, slash)),
                  std::string(rest.substr(std::min(slash + 1, rest.size())))};
  if (!name.bucket.empty()) return name;
  return absl::InvalidArgumentError(
      StrCat("a path in an object store is s3://bucket/key; this one names no bucket: ", path));
}

// Whether a conditional write found something else than it wants.
bool IsPreconditionFailed(const absl::Status& status) { return absl::IsAlreadyExists(status); }

// The prefix of all keys in a folder.
std::string PrefixOf(const std::string& key) { return key.empty() ? "" : StrCat(key, "/"); }

// Reads an object in ranges.
class S3Reader final : public FileSystem::Reader {
 public:
  S3Reader(S3Client* client, ObjectName name) : client_(client), name_(std::move(name)) {}

  // Reads the first range, so that what is missing is found at once.
  absl::Status Open() { return Fetch(); }

  absl::StatusOr<std::string_view> Next() override {
    if (is_fresh_) {
      is_fresh_ = false;
      return std::string_view(block_);
    }
    block_.clear();
    if (offset_ < size_) RETURN_IF_ERROR(Fetch());
    is_fresh_ = false;
    return std::string_view(block_);
  }

 private:
  absl::Status Fetch() {
    S3Request request{.method = "GET", .bucket = name_.bucket, .key = name_.key};
    request.headers.emplace_back("range",
                                 StrCat("bytes=", offset_, "-", offset_ + kRangeBytes - 1));
    // All ranges are to be of one object.
    if (!etag_.empty()) request.headers.emplace_back("if-match", etag_);
    absl::StatusOr<HttpConnectionAnswer> answer = client_->Perform(request);
    is_fresh_ = true;
    if (absl::IsOutOfRange(answer.status()) && offset_ == 0) return absl::OkStatus();  // Empty.
    RETURN_IF_ERROR(answer.status());
    block_ = std::move(answer->body);
    etag_ = std::string(answer->Header("etag"));
    if (answer->status == 200) {  // The store knows no ranges.
      size_ = block_.size();
    } else {
      const std::string_view range = answer->Header("content-range");
      const std::string_view total = range.substr(std::min(range.rfind('/') + 1, range.size()));
      if (!absl::SimpleAtoi(ToAbsl(total), &size_) ||
          block_.size() != std::min(kRangeBytes, size_ - offset_)) {
        return absl::UnavailableError(StrCat(
            "the object store did not answer with the range it was asked for: s3://", name_.bucket,
            "/", name_.key, " content-range=\"", range, "\" size_bytes=", block_.size()));
      }
    }
    offset_ += block_.size();
    return absl::OkStatus();
  }

  S3Client* const client_;
  const ObjectName name_;
  std::string block_;
  std::string etag_;
  uint64_t offset_ = 0;
  uint64_t size_ = 0;
  bool is_fresh_ = false;
};

// Writes an object: at once if it is small, else in parts.
class S3Writer final : public FileSystem::Writer {
 public:
  S3Writer(S3Client* client, ObjectName name, FileWriteMode mode)
      : client_(client),
        name_(std::move(name)),
        mode_(mode),
        part_bytes_(client->options().part_bytes) {}
  ~S3Writer() override {
    if (upload_id_.empty()) return;
    // Once: if the store is gone, clean-up finds the upload later.
    S3Request request = UploadRequest("DELETE");
    request.max_attempts = 1;
    if (const auto aborted = client_->Perform(request);
        !aborted.ok() && !absl::IsNotFound(aborted.status())) {
      LogWarning("s3",
                 StrCat("an unfinished upload stays behind: ", ToStd(aborted.status().message())));
    }
  }

  absl::Status Append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const size_t taken = std::min<size_t>(bytes.size(), part_bytes_ - part_.size());
      part_ += bytes.substr(0, taken);
      bytes.remove_prefix(taken);
      // The last part goes with the commit, whatever its size.
      if (part_.size() == part_bytes_ && !bytes.empty()) RETURN_IF_ERROR(UploadPart());
    }
    return absl::OkStatus();
  }

  absl::Status Commit() override {
    if (etags_.empty()) return Put();
    RETURN_IF_ERROR(UploadPart());
    return Complete();
  }

 private:
  [[nodiscard]] S3Request UploadRequest(std::string method) const {
    return {.method = std::move(method),
            .bucket = name_.bucket,
            .key = name_.key,
            .query = {{"uploadId", upload_id_}}};
  }

  absl::Status Put() {
    S3Request request{.method = "PUT", .bucket = name_.bucket, .key = name_.key, .body = part_};
    if (mode_ == FileWriteMode::kReplace) return client_->Perform(request).status();
    request.headers.emplace_back("if-none-match", "*");
    bool was_retried = false;
    const absl::Status status = client_->Perform(request, &was_retried).status();
    if (!IsPreconditionFailed(status)) return status;
    // An earlier attempt whose answer was lost may have written it.
    if (was_retried) {
      const auto present =
          client_->Perform({.method = "GET", .bucket = name_.bucket, .key = name_.key});
      if (present.ok() && present->body == part_) return absl::OkStatus();
    }
    return absl::AlreadyExistsError(
        StrCat("there is such an object already: s3://", name_.bucket, "/", name_.key));
  }

  absl::Status UploadPart() {
    WEIR_FAILPOINT_RETURN("s3/before_part");
    if (upload_id_.empty()) RETURN_IF_ERROR(Begin());
    S3Request request = UploadRequest("PUT");
    request.query.emplace_back("partNumber", StrCat(etags_.size() + 1));
    request.body = part_;
    ASSIGN_OR_RETURN(const HttpConnectionAnswer answer, client_->Perform(request));
    etags_.emplace_back(answer.Header("etag"));
    size_bytes_ += part_.size();
    part_.clear();
    if (etags_.size() % kPartsOfOneSize == 0) part_bytes_ *= 2;
    return absl::OkStatus();
  }

  absl::Status Begin() {
    if (mode_ == FileWriteMode::kCreateNew) {
      return absl::InvalidArgumentError(
          StrCat("a file that must be new is too large for one request: s3://", name_.bucket, "/",
                 name_.key));
    }
    ASSIGN_OR_RETURN(const HttpConnectionAnswer answer,
                     client_->Perform({.method = "POST",
                                       .bucket = name_.bucket,
                                       .key = name_.key,
                                       .query = {{"uploads", ""}}}));
    upload_id_ = XmlElement(answer.body, "UploadId");
    if (!upload_id_.empty()) return absl::OkStatus();
    return absl::UnavailableError(
        StrCat("the object store began no upload: s3://", name_.bucket, "/", name_.key));
  }

  absl::Status Complete() {
    std::string body = "<CompleteMultipartUpload>";
    for (size_t i = 0; i < etags_.size(); ++i) {
      StrAppend(&body, "<Part><PartNumber>", i + 1, "</PartNumber><ETag>",
                internal::XmlEscape(etags_[i]), "</ETag></Part>");
    }
    body += "</CompleteMultipartUpload>";
    S3Request request = UploadRequest("POST");
    request.body = body;
    WEIR_FAILPOINT_RETURN("s3/before_complete");
    bool was_retried = false;
    absl::Status status = client_->Perform(request, &was_retried).status();
    // An earlier attempt whose answer was lost may have completed it: then the upload is gone, and
    // the object is there.
    if (absl::IsNotFound(status) && was_retried && IsComplete()) status = absl::OkStatus();
    if (status.ok()) upload_id_.clear();
    return status;
  }

  bool IsComplete() {
    const auto present =
        client_->Perform({.method = "HEAD", .bucket = name_.bucket, .key = name_.key});
    return present.ok() && present->Header("content-length") == StrCat(size_bytes_);
  }

  S3Client* const client_;
  const ObjectName name_;
  const FileWriteMode mode_;
  uint64_t part_bytes_;
  std::string part_;
  std::string upload_id_;  // While there is an upload to complete or to give up.
  std::vector<std::string> etags_;
  uint64_t size_bytes_ = 0;  // Of the parts uploaded.
};

// Deletes up to kMaxDeletedAtOnce objects of one bucket.
absl::Status DeleteKeys(S3Client& client, const std::string& bucket,
                        std::span<const std::string> keys) {
  if (keys.empty()) return absl::OkStatus();
  if (keys.size() == 1) {
    const absl::Status status =
        client.Perform({.method = "DELETE", .bucket = bucket, .key = keys.front()}).status();
    return absl::IsNotFound(status) ? absl::OkStatus() : status;
  }
  std::string body = "<Delete><Quiet>true</Quiet>";
  for (const std::string& key : keys) {
    StrAppend(&body, "<Object><Key>", internal::XmlEscape(key), "</Key></Object>");
  }
  body += "</Delete>";
  ASSIGN_OR_RETURN(const HttpConnectionAnswer answer,
                   client.Perform({.method = "POST",
                                   .bucket = bucket,
                                   .query = {{"delete", ""}},
                                   .headers = {{"content-md5", ContentMd5(body)}},
                                   .body = body}));
  for (const std::string& error : XmlElements(answer.body, "Error")) {
    if (XmlElement(error, "Code") == "NoSuchKey") continue;
    return absl::UnavailableError(StrCat(
        "the object store did not delete an object: s3://", bucket, "/", XmlElement(error, "Key"),
        " code=", XmlElement(error, "Code"), " message=", XmlElement(error, "Message")));
  }
  return absl::OkStatus();
}

absl::Status DeleteAllKeys(S3Client& client, const std::string& bucket,
                           const std::vector<std::string>& keys) {
  absl::Status status;
  std::span<const std::string> rest(keys);
  while (!rest.empty()) {
    const size_t count = std::min(rest.size(), kMaxDeletedAtOnce);
    status.Update(DeleteKeys(client, bucket, rest.first(count)));
    rest = rest.subspan(count);
  }
  return status;
}

// Calls `visit` with each page of the keys that begin with `prefix`; with `delimiter` "/" only of
// those directly in it.
template <class Visit>
absl::Status ListPages(S3Client& client, const std::string& bucket, const std::string& prefix,
                       const std::string& delimiter, Visit visit) {
  std::string token;
  while (true) {
    S3Request request{.method = "GET",
                      .bucket = bucket,
                      .query = {{"list-type", "2"}, {"prefix", prefix}, {"encoding-type", "url"}}};
    if (!delimiter.empty()) request.query.emplace_back("delimiter", delimiter);
    if (!token.empty()) request.query.emplace_back("continuation-token", token);
    ASSIGN_OR_RETURN(const HttpConnectionAnswer answer, client.Perform(request));
    const std::string& xml = answer.body;
    RETURN_IF_ERROR(visit(xml));
    if (XmlElement(xml, "IsTruncated") != "true") return absl::OkStatus();
    std::string next = XmlElement(xml, "NextContinuationToken");
    if (next.empty() || next == token) {
      return absl::UnavailableError(
          StrCat("the object store's listing does not go on where it says it does: s3://", bucket,
                 "/", prefix));
    }
    token = std::move(next);
  }
}

// The key of an element of a listing, which is URL-encoded: blanks may be '+'.
std::string KeyOf(std::string_view element, std::string_view name) {
  std::string key = XmlElement(element, name);
  std::replace(key.begin(), key.end(), '+', ' ');
  return UriDecode(key);
}

}  // namespace

S3FileSystem::S3FileSystem(S3Options options)
    : client_(std::make_unique<S3Client>(std::move(options))) {}

S3FileSystem::~S3FileSystem() = default;

absl::StatusOr<std::unique_ptr<FileSystem::Reader>> S3FileSystem::OpenReader(
    const std::string& path) {
  ASSIGN_OR_RETURN(ObjectName name, ParseObject(path));
  auto reader = std::make_unique<S3Reader>(client_.get(), std::move(name));
  RETURN_IF_ERROR(reader->Open());
  return reader;
}

absl::StatusOr<std::unique_ptr<FileSystem::Writer>> S3FileSystem::OpenWriter(
    const std::string& path, FileWriteMode mode, FileDurability) {
  ASSIGN_OR_RETURN(ObjectName name, ParseObject(path));
  return std::make_unique<S3Writer>(client_.get(), std::move(name), mode);
}

absl::Status S3FileSystem::Link(const std::string& from, const std::string& to, FileDurability) {
  ASSIGN_OR_RETURN(const uint64_t size, Size(from));
  if (size > kMaxCopiedBytes) return absl::UnimplementedError("too large to be copied at once");
  ASSIGN_OR_RETURN(const ObjectName source, ParseObject(from));
  ASSIGN_OR_RETURN(const ObjectName target, ParseObject(to));
  return client_
      ->Perform({.method = "PUT",
                 .bucket = target.bucket,
                 .key = target.key,
                 .headers = {{"x-amz-copy-source",
                              StrCat("/", source.bucket, "/", UriEncode(source.key, true))}}})
      .status();
}

absl::StatusOr<std::string> S3FileSystem::ReadRange(const std::string& path, uint64_t offset,
                                                    uint64_t size) {
  if (size == 0) return std::string();
  ASSIGN_OR_RETURN(const ObjectName name, ParseObject(path));
  absl::StatusOr<HttpConnectionAnswer> answer =
      client_->Perform({.method = "GET",
                        .bucket = name.bucket,
                        .key = name.key,
                        .headers = {{"range", StrCat("bytes=", offset, "-", offset + size - 1)}}});
  if (absl::IsOutOfRange(answer.status())) return std::string();
  RETURN_IF_ERROR(answer.status());
  std::string bytes = std::move(answer->body);
  if (answer->status == 200) bytes = bytes.substr(std::min<size_t>(offset, bytes.size()), size);
  return bytes;
}

absl::StatusOr<uint64_t> S3FileSystem::Size(const std::string& path) {
  ASSIGN_OR_RETURN(const ObjectName name, ParseObject(path));
  ASSIGN_OR_RETURN(const HttpConnectionAnswer answer,
                   client_->Perform({.method = "HEAD", .bucket = name.bucket, .key = name.key}));
  uint64_t size = 0;
  if (absl::SimpleAtoi(ToAbsl(answer.Header("content-length")), &size)) return size;
  return absl::UnavailableError(
      StrCat("the object store does not say how long an object is: ", path));
}

absl::StatusOr<std::vector<FileEntry>> S3FileSystem::List(const std::string& folder) {
  ASSIGN_OR_RETURN(const ObjectName name, ParseObject(folder));
  const std::string prefix = PrefixOf(name.key);
  std::map<std::string, bool> entries;  // Whether each is a folder.
  RETURN_IF_ERROR(
      ListPages(*client_, name.bucket, prefix, "/", [&](std::string_view xml) -> absl::Status {
        const auto add = [&](std::string key, bool is_folder) {
          if (is_folder && key.ends_with('/')) key.pop_back();
          // The folder's own marker, which some tools make, is no entry of it.
          if (key.starts_with(prefix) && key.size() > prefix.size()) {
            entries[key.substr(prefix.size())] = is_folder;
          }
        };
        for (const std::string& element : XmlElements(xml, "Contents")) {
          add(KeyOf(element, "Key"), false);
        }
        for (const std::string& element : XmlElements(xml, "CommonPrefixes")) {
          add(KeyOf(element, "Prefix"), true);
        }
        return absl::OkStatus();
      }));
  std::vector<FileEntry> list;
  for (const auto& [entry, is_folder] : entries) list.push_back({entry, is_folder});
  return list;
}

absl::Status S3FileSystem::Delete(const std::vector<std::string>& paths) {
  std::map<std::string, std::vector<std::string>> by_bucket;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(ObjectName name, ParseObject(path));
    by_bucket[name.bucket].push_back(std::move(name.key));
  }
  absl::Status status;
  for (const auto& [bucket, keys] : by_bucket) {
    status.Update(DeleteAllKeys(*client_, bucket, keys));
  }
  return status;
}

absl::Status S3FileSystem::DeleteFolder(const std::string& folder) {
  ASSIGN_OR_RETURN(const ObjectName name, ParseObject(folder));
  if (name.key.empty()) {
    return absl::InvalidArgumentError(
        StrCat("a whole bucket is not deleted; name a folder in it: ", folder));
  }
  return ListPages(*client_, name.bucket, PrefixOf(name.key), "", [&](std::string_view xml) {
    std::vector<std::string> keys;
    for (const std::string& element : XmlElements(xml, "Contents")) {
      keys.push_back(KeyOf(element, "Key"));
    }
    return DeleteAllKeys(*client_, name.bucket, keys);
  });
}

absl::StatusOr<size_t> S3FileSystem::DeleteUnfinished(const std::string& folder) {
  ASSIGN_OR_RETURN(const ObjectName name, ParseObject(folder));
  const std::string prefix = PrefixOf(name.key);
  size_t count = 0;
  std::string key_marker;
  std::string upload_marker;
  while (true) {
    S3Request request{.method = "GET",
                      .bucket = name.bucket,
                      .query = {{"uploads", ""}, {"prefix", prefix}, {"encoding-type", "url"}}};
    if (!key_marker.empty()) {
      request.query.emplace_back("key-marker", key_marker);
      request.query.emplace_back("upload-id-marker", upload_marker);
    }
    ASSIGN_OR_RETURN(const HttpConnectionAnswer answer, client_->Perform(request));
    const std::string& xml = answer.body;
    for (const std::string& upload : XmlElements(xml, "Upload")) {
      const std::string key = KeyOf(upload, "Key");
      if (!key.starts_with(prefix) || key.find('/', prefix.size()) != key.npos) continue;
      const absl::Status aborted =
          client_
              ->Perform({.method = "DELETE",
                         .bucket = name.bucket,
                         .key = key,
                         .query = {{"uploadId", XmlElement(upload, "UploadId")}}})
              .status();
      if (aborted.ok()) ++count;
      if (!aborted.ok() && !absl::IsNotFound(aborted)) return aborted;
    }
    std::string next_key = KeyOf(xml, "NextKeyMarker");
    std::string next_upload = XmlElement(xml, "NextUploadIdMarker");
    const bool goes_on = XmlElement(xml, "IsTruncated") == "true" && !next_key.empty() &&
                         (next_key != key_marker || next_upload != upload_marker);
    if (!goes_on) return count;
    key_marker = std::move(next_key);
    upload_marker = std::move(next_upload);
  }
}

absl::StatusOr<S3FileSystem::Version> S3FileSystem::ReadVersion(const std::string& path) {
  ASSIGN_OR_RETURN(const ObjectName name, ParseObject(path));
  ASSIGN_OR_RETURN(HttpConnectionAnswer answer,
                   client_->Perform({.method = "GET", .bucket = name.bucket, .key = name.key}));
  std::string etag(answer.Header("etag"));
  return Version{std::move(answer.body), std::move(etag)};
}

absl::StatusOr<std::string> S3FileSystem::ReadEtag(const std::string& path) {
  ASSIGN_OR_RETURN(const ObjectName name, ParseObject(path));
  ASSIGN_OR_RETURN(const HttpConnectionAnswer answer,
                   client_->Perform({.method = "HEAD", .bucket = name.bucket, .key = name.key}));
  return std::string(answer.Header("etag"));
}

absl::StatusOr<std::string> S3FileSystem::WriteVersion(const std::string& path,
                                                       const std::string& content,
                                                       const std::string& etag) {
  ASSIGN_OR_RETURN(const ObjectName name, ParseObject(path));
  S3Request request{.method = "PUT", .bucket = name.bucket, .key = name.key, .body = content};
  request.headers.emplace_back(etag.empty() ? "if-none-match" : "if-match",
                               etag.empty() ? "*" : etag);
  bool was_retried = false;
  const absl::StatusOr<HttpConnectionAnswer> answer = client_->Perform(request, &was_retried);
  if (answer.ok()) return std::string(answer->Header("etag"));
  // With If-Match an object that is gone is not found.
  if (!IsPreconditionFailed(answer.status()) && !absl::IsNotFound(answer.status())) {
    return answer.status();
  }
  if (was_retried) {
    const absl::StatusOr<Version> present = ReadVersion(path);
    if (present.ok() && present->content == content) return present->etag;
    if (!present.ok() && !absl::IsNotFound(present.status())) return present.status();
  }
  return absl::AbortedError(StrCat("somebody else has written the object: ", path));
}

}  // namespace weir
