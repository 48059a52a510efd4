#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {

/// Files by the hash of their content (runtime/graph/content_hash.h), in one folder: job libraries
/// and the files that builds read.
///
/// Threads: any, also at the same time. Every method blocks, so it is called on the I/O pool.
/// A file appears whole or not at all: it is written aside, synced and renamed.
class BlobStore {
 public:
  /// Creates `folder` if need be. Errors: kUnavailable.
  [[nodiscard]] static absl::StatusOr<BlobStore> Open(std::string folder);

  /// Keeps `content`, and returns its hash. Errors: kUnavailable, kResourceExhausted.
  [[nodiscard]] absl::StatusOr<std::string> Put(std::string_view content) const;

  /// Keeps a copy of the file at `path`. Errors: as Put, and kNotFound.
  [[nodiscard]] absl::StatusOr<std::string> PutFile(const std::string& path) const;

  /// Returns the content. Errors: kNotFound; kInvalidArgument if `hash` is none; kDataLoss if the
  /// file is not what was put, naming it.
  [[nodiscard]] absl::StatusOr<std::string> Read(std::string_view hash) const;

  /// Returns where the blob lies, whether it exists or not.
  [[nodiscard]] std::string PathOf(std::string_view hash) const;

 private:
  explicit BlobStore(std::string folder) : folder_(std::move(folder)) {}

  std::string folder_;
};

}  // namespace weir
