#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "operators/connectors/file/internal/file_split.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/mutex.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// A piece of a file, in the order of the file.
struct FileChunk {
  uint64_t target = 0;
  std::unique_ptr<char[]> data;
  size_t size = 0;
  uint64_t inode = 0;
  bool restarts = false;   // The file was replaced or cut: this is its text from the beginning.
  bool caught_up = false;  // What was there when the file was first opened is read.
  bool last = false;       // Nothing more will come of this target.
  absl::Status status;     // If not OK, there is no data.
};

/// Reads files on the I/O pool, a few chunks ahead of the one who takes them.
///
/// A target that ends is read before the next one is begun; followed ones, which have no end, take
/// turns. Threads: any; the task is woken when a chunk is there and none was before.
class FileFetcher : public std::enable_shared_from_this<FileFetcher> {
 public:
  struct Target {
    uint64_t id = 0;
    std::string path;
    uint64_t offset = 0;  // Of the next byte to be read.
    /// Reading stops behind the line that the byte before `end` belongs to, or at the end of file.
    uint64_t end = FileSplit::kNoEnd;
    uint64_t inode = 0;
    bool follow = false;
  };

  [[nodiscard]] static std::shared_ptr<FileFetcher> Create(IoPool* pool,
                                                           std::shared_ptr<TaskHandle> handle,
                                                           size_t chunk_bytes);

  void Add(Target target);
  /// Returns the next chunk, if one was read.
  [[nodiscard]] std::optional<FileChunk> Take();
  /// A paused target is not read on; chunks that were read before still come.
  void SetPaused(uint64_t target, bool paused);
  /// Gives a chunk's memory back.
  void Recycle(std::unique_ptr<char[]> data);
  /// Looks for what was appended to the followed files that are read to their ends.
  void LookAgain();
  void Close();

 private:
  struct OpenFile;
  using FilePtr = std::unique_ptr<OpenFile>;

  FileFetcher(IoPool* pool, std::shared_ptr<TaskHandle> handle, size_t chunk_bytes);
  void StartIfNeeded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Returns the next file to be read, or null.
  FilePtr TakeActive() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FetchOne();
  // Whether there is a chunk, be it an empty one, to tell.
  bool Read(OpenFile& file, FileChunk& chunk) const;
  bool ReadBounded(OpenFile& file, FileChunk& chunk) const;
  bool ReadFollowed(OpenFile& file, FileChunk& chunk) const;

  IoPool* const pool_;
  const std::shared_ptr<TaskHandle> handle_;
  const size_t chunk_bytes_;
  Mutex mutex_;
  std::deque<FilePtr> active_ ABSL_GUARDED_BY(mutex_);   // To be read, in this order.
  std::vector<FilePtr> at_end_ ABSL_GUARDED_BY(mutex_);  // Followed, with nothing to read for now.
  std::deque<FileChunk> chunks_ ABSL_GUARDED_BY(mutex_);
  std::set<uint64_t> paused_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<char[]>> free_ ABSL_GUARDED_BY(mutex_);
  size_t num_open_followed_ ABSL_GUARDED_BY(mutex_) = 0;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;  // A FetchOne is queued or running.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace weir::internal
