#include "taskmanager/blob_cache.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/graph/content_hash.h"

namespace weir {
namespace {

bool IsContentHash(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

BlobCache::BlobCache(std::string folder, Fetch fetch)
    : folder_(std::move(folder)), fetch_(std::move(fetch)) {}

absl::StatusOr<std::string> BlobCache::Get(const std::string& hash) {
  // A hash becomes part of a path, so it must be nothing else.
  if (!IsContentHash(hash)) {
    return absl::InvalidArgumentError(StrCat("not the hash of a blob: \"", hash, "\""));
  }
  const std::string path = (std::filesystem::path(folder_) / hash).string();
  {
    const MutexLock lock(&mutex_);
    while (fetching_.contains(hash)) fetched_.Wait(&mutex_);
    if (present_.contains(hash)) return path;
    fetching_.insert(hash);
  }
  // Another process may have fetched it.
  std::error_code error;
  const absl::Status status =
      std::filesystem::exists(path, error) ? absl::OkStatus() : FetchTo(hash, path);
  const MutexLock lock(&mutex_);
  fetching_.erase(hash);
  if (status.ok()) present_.insert(hash);
  fetched_.SignalAll();
  if (!status.ok()) return status;
  return path;
}

absl::StatusOr<std::string> BlobCache::Read(const std::string& hash) {
  ASSIGN_OR_RETURN(const std::string path, Get(hash));
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file) return absl::UnavailableError(StrCat("cannot read blob: path=", path));
  return std::move(content).str();
}

absl::Status BlobCache::FetchTo(const std::string& hash, const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  const std::string partial = StrCat(path, ".", ::getpid(), ".partial");
  std::ofstream file(partial, std::ios::binary | std::ios::trunc);
  const auto sink = [&](std::string_view piece) {
    file.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    return file ? absl::OkStatus()
                : absl::UnavailableError(
                      StrCat("cannot write blob; is the disk full? path=", partial));
  };
  absl::Status status = fetch_(hash, sink);
  file.close();
  if (status.ok() && !file) status = sink({});
  if (status.ok()) {
    const absl::StatusOr<std::string> found = ContentHashOfFile(partial);
    if (!found.ok()) {
      status = found.status();
    } else if (*found != hash) {
      status = absl::DataLossError(
          StrCat("a blob is not what its name says: expected_hash=", hash, " hash=", *found));
    }
  }
  if (status.ok()) std::filesystem::rename(partial, path, error);
  if (status.ok() && error) {
    status =
        absl::UnavailableError(StrCat("cannot keep blob: path=", path, " error=", error.message()));
  }
  if (!status.ok()) std::filesystem::remove(partial, error);
  return status;
}

}  // namespace weir
