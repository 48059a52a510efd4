#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/mutex.h"

namespace weir {

/// The blobs (job libraries, files that Build reads) that this TaskManager has fetched, as files
/// named by the hash of their content; shared by all jobs, and with the processes of jobs.
///
/// Threads: any; a blob that several of a process ask for at once is fetched once. Lifecycle: ends
/// before its folder is removed. Invariant: a file in the folder is whole and is what its name
/// says.
class BlobCache {
 public:
  using Sink = std::function<absl::Status(std::string_view)>;
  /// Hands the blob of `hash` to the sink, piece by piece. Blocks.
  using Fetch = std::function<absl::Status(const std::string& hash, const Sink& sink)>;

  /// `folder` is made when the first blob comes.
  BlobCache(std::string folder, Fetch fetch);

  /// Returns the path of the blob's file, which is not to be changed; fetches it if need be.
  /// Blocks. Errors: kInvalidArgument if `hash` is none, kDataLoss if something else came,
  /// kUnavailable if the folder cannot be written, and those of the fetch.
  [[nodiscard]] absl::StatusOr<std::string> Get(const std::string& hash);
  /// Returns the blob's content. Errors: as Get.
  [[nodiscard]] absl::StatusOr<std::string> Read(const std::string& hash);

 private:
  absl::Status FetchTo(const std::string& hash, const std::string& path);

  const std::string folder_;
  const Fetch fetch_;
  Mutex mutex_;
  CondVar fetched_;
  std::set<std::string> present_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> fetching_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
