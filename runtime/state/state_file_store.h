#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {

/// A file as a StateFileStore keeps it. Plain data.
struct StoredFile {
  std::string path;
  uint64_t size_bytes = 0;
  uint64_t checksum = 0;  ///< XXH3_64 of the content.

  friend bool operator==(const StoredFile&, const StoredFile&) = default;
};

/// Where the files of checkpoints are kept: a folder, or object storage.
///
/// Threads: any. All methods block; never called from a step. Files are immutable once stored, and
/// a failed Store leaves no file under a name it returns.
class StateFileStore {
 public:
  virtual ~StateFileStore() = default;

  /// Keeps a copy of `local_path` that outlives it, under a fresh name that contains
  /// `suggested_name`. The local file does not change afterwards. Durable on return.
  /// Errors: kUnavailable, kResourceExhausted.
  [[nodiscard]] virtual absl::StatusOr<StoredFile> Store(const std::string& local_path,
                                                         const std::string& suggested_name) = 0;

  /// Makes `local_path`, which must not exist, a copy of the stored file.
  /// Errors: kDataLoss if it is missing or is not what was stored; names it. kUnavailable.
  [[nodiscard]] virtual absl::Status Fetch(const StoredFile& file,
                                           const std::string& local_path) = 0;

  /// Removes a file that no checkpoint will refer to. A missing one is no error.
  [[nodiscard]] virtual absl::Status Delete(const std::string& path) = 0;
};

}  // namespace weir
