#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/checkpoint/file_system.h"
#include "runtime/checkpoint/s3/s3_options.h"

namespace weir {

class S3Client;

/// An object store that speaks S3: paths are "s3://bucket/key".
///
/// A small file is one PUT; a larger one is uploaded in parts and completed at the end, which is as
/// atomic. Files are read in ranges, each of which is tried again by itself, so that a broken
/// connection costs one range. Each body that is sent is signed by its SHA-256, which the store
/// checks. A folder is what has objects below it. Copies within a store (Link) are made by the
/// store. Unfinished writes are unfinished multipart uploads. kCreateNew is a conditional PUT
/// (If-None-Match), and files written so must not be larger than a part.
///
/// Needs: GetObject, PutObject, DeleteObject, ListBucket, AbortMultipartUpload and
/// ListBucketMultipartUploads.
class S3FileSystem final : public FileSystem {
 public:
  explicit S3FileSystem(S3Options options);
  ~S3FileSystem() override;

  [[nodiscard]] absl::StatusOr<std::unique_ptr<Reader>> OpenReader(
      const std::string& path) override;
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Writer>> OpenWriter(
      const std::string& path, FileWriteMode mode, FileDurability durability) override;
  [[nodiscard]] absl::Status Link(const std::string& from, const std::string& to,
                                  FileDurability durability) override;
  [[nodiscard]] absl::StatusOr<std::string> ReadRange(const std::string& path, uint64_t offset,
                                                      uint64_t size) override;
  [[nodiscard]] absl::StatusOr<uint64_t> Size(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<std::vector<FileEntry>> List(const std::string& folder) override;
  [[nodiscard]] absl::Status Delete(const std::vector<std::string>& paths) override;
  [[nodiscard]] absl::Status DeleteFolder(const std::string& folder) override;
  /// There are no empty folders.
  void DeleteFolderIfEmpty(const std::string&) override {}
  [[nodiscard]] absl::StatusOr<size_t> DeleteUnfinished(const std::string& folder) override;

  /// An object, and what tells it from what was there before and will be after it.
  struct Version {
    std::string content;
    std::string etag;
  };
  /// Errors: kNotFound.
  [[nodiscard]] absl::StatusOr<Version> ReadVersion(const std::string& path);
  /// Returns the etag of what is there. Errors: kNotFound.
  [[nodiscard]] absl::StatusOr<std::string> ReadEtag(const std::string& path);
  /// Replaces the object if what is there still has `etag`, or with an empty one if there is none;
  /// returns the new etag. `content` has to be like no other's, so that one whose answer was lost
  /// is known again. Errors: kAborted if there is something else.
  [[nodiscard]] absl::StatusOr<std::string> WriteVersion(const std::string& path,
                                                         const std::string& content,
                                                         const std::string& etag);

 private:
  const std::unique_ptr<S3Client> client_;
};

}  // namespace weir
