#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/checkpoint/file_systems.h"

namespace weir {

/// Files by the hash of their content (runtime/graph/content_hash.h), in one folder: job libraries
/// and the files that builds read.
///
/// Threads: any, also at the same time. Every method blocks, so it is called on the I/O pool.
/// A file appears whole or not at all.
class BlobStore {
 public:
  /// Creates `folder` if need be; it may be in an object store. Then `local_folder` holds copies
  /// for programs that need a file. Errors: kUnavailable.
  [[nodiscard]] static absl::StatusOr<BlobStore> Open(
      std::string folder, std::shared_ptr<const FileSystems> file_systems = FileSystems::Local(),
      std::string local_folder = "");

  /// Keeps `content`, and returns its hash. Errors: kUnavailable, kResourceExhausted.
  [[nodiscard]] absl::StatusOr<std::string> Put(std::string_view content) const;

  /// Keeps a copy of the local file at `path`. Errors: as Put, and kNotFound.
  [[nodiscard]] absl::StatusOr<std::string> PutFile(const std::string& path) const;

  /// Returns the content. Errors: kNotFound; kInvalidArgument if `hash` is none; kDataLoss if the
  /// file is not what was put, naming it.
  [[nodiscard]] absl::StatusOr<std::string> Read(std::string_view hash) const;

  /// Returns where the blob lies, whether it exists or not.
  [[nodiscard]] std::string PathOf(std::string_view hash) const;

  /// Returns a local file with the blob's content. Errors: as Read, if it has to be fetched.
  [[nodiscard]] absl::StatusOr<std::string> LocalPathOf(std::string_view hash) const;

  /// Deletes all blobs but those in `needed`, and those that this process has put less than
  /// `spared` ago, for a job that is about to need them; returns how many. Errors: kUnavailable.
  [[nodiscard]] absl::StatusOr<size_t> RetainOnly(const std::set<std::string>& needed,
                                                  absl::Duration spared = absl::Minutes(15)) const;

 private:
  /// When this process put which blobs.
  class RecentBlobs;

  BlobStore(std::string folder, std::shared_ptr<const FileSystems> file_systems,
            std::string local_folder);

  std::string folder_;
  std::shared_ptr<const FileSystems> file_systems_;
  std::string local_folder_;
  std::shared_ptr<RecentBlobs> recent_;
};

}  // namespace weir
