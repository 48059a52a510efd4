#include "jobmanager/blob_store.h"

#include <algorithm>
#include <filesystem>

#include "jobmanager/durable_file.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/graph/content_hash.h"

namespace weir {
namespace {

// A hash comes from peers and becomes a path: nothing but what ContentHash makes may pass.
bool IsBlobHash(std::string_view hash) {
  return hash.size() == 64 && std::all_of(hash.begin(), hash.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

absl::StatusOr<BlobStore> BlobStore::Open(std::string folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::UnavailableError(
        StrCat("cannot create the folder of blobs: ", folder, ": ", error.message()));
  }
  return BlobStore(std::move(folder));
}

absl::StatusOr<std::string> BlobStore::Put(std::string_view content) const {
  std::string hash = ContentHash(content);
  // A file that is there already may be damaged; one that reads back right need not be written.
  if (Read(hash).ok()) return hash;
  RETURN_IF_ERROR(WriteFileDurably(PathOf(hash), content));
  return hash;
}

absl::StatusOr<std::string> BlobStore::PutFile(const std::string& path) const {
  ASSIGN_OR_RETURN(const std::string content, ReadWholeFile(path));
  return Put(content);
}

absl::StatusOr<std::string> BlobStore::Read(std::string_view hash) const {
  if (!IsBlobHash(hash)) {
    return absl::InvalidArgumentError(
        StrCat("a blob is named by the SHA-256 of its content, 64 lower-case hexadecimal digits; "
               "this is none: ",
               hash));
  }
  ASSIGN_OR_RETURN(std::string content, ReadWholeFile(PathOf(hash)));
  if (ContentHash(content) != hash) {
    return absl::DataLossError(
        StrCat("the content of a blob does not match its name, so it is damaged; submit the job "
               "again: ",
               PathOf(hash)));
  }
  return content;
}

std::string BlobStore::PathOf(std::string_view hash) const { return StrCat(folder_, "/", hash); }

}  // namespace weir
