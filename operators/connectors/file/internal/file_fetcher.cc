#include "operators/connectors/file/internal/file_fetcher.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

constexpr size_t kChunksAhead = 2;
// Beyond a range's end only the rest of one line is wanted.
constexpr uint64_t kTailBytes = uint64_t{64} << 10;
// Followed files stay open, so that a rotated one can be read to its end, as long as they are few.
constexpr size_t kMaxOpenFollowed = 256;

}  // namespace

struct FileFetcher::OpenFile {
  explicit OpenFile(Target target_in) : target(std::move(target_in)) {}
  ~OpenFile() { Close(); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  void Close() {
    if (descriptor >= 0) ::close(descriptor);
    descriptor = -1;
  }
  // Returns false with errno on failure. Learns the inode and, at the first time, the size.
  bool Open() {
    descriptor = ::open(target.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return false;
    struct stat info{};
    if (::fstat(descriptor, &info) != 0) return false;
    inode = static_cast<uint64_t>(info.st_ino);
    size = static_cast<uint64_t>(info.st_size);
    if (!initial_size_known) initial_size = size;
    initial_size_known = true;
    (void)::posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
    return true;
  }
  void Restart() {
    target.offset = 0;
    target.inode = inode;
    restarts = true;
  }
  ssize_t ReadAt(char* data, size_t bytes) const {
    ssize_t got = 0;
    do {
      got = ::pread(descriptor, data, bytes, static_cast<off_t>(target.offset));
    } while (got < 0 && errno == EINTR);
    return got;
  }
  absl::Status Error(std::string_view what) const {
    const int error = errno;
    const std::string message = StrCat(what, ": file=", target.path, " error=", strerror(error));
    if (error == ENOENT) return absl::NotFoundError(message);
    if (error == EACCES) return absl::PermissionDeniedError(message);
    return absl::UnavailableError(message);
  }

  Target target;
  int descriptor = -1;
  uint64_t inode = 0;
  uint64_t size = 0;  // When opened.
  uint64_t initial_size = 0;
  bool initial_size_known = false;
  bool told_caught_up = false;
  bool restarts = false;  // To be told with the next chunk.
};

std::shared_ptr<FileFetcher> FileFetcher::Create(IoPool* pool, std::shared_ptr<TaskHandle> handle,
                                                 size_t chunk_bytes) {
  return std::shared_ptr<FileFetcher>(new FileFetcher(pool, std::move(handle), chunk_bytes));
}

FileFetcher::FileFetcher(IoPool* pool, std::shared_ptr<TaskHandle> handle, size_t chunk_bytes)
    : pool_(pool), handle_(std::move(handle)), chunk_bytes_(std::max<size_t>(chunk_bytes, 1)) {}

void FileFetcher::Add(Target target) {
  const MutexLock lock(&mutex_);
  active_.push_back(std::make_unique<OpenFile>(std::move(target)));
  StartIfNeeded();
}

std::optional<FileChunk> FileFetcher::Take() {
  const MutexLock lock(&mutex_);
  if (chunks_.empty()) return std::nullopt;
  FileChunk chunk = std::move(chunks_.front());
  chunks_.pop_front();
  StartIfNeeded();
  return chunk;
}

void FileFetcher::SetPaused(uint64_t target, bool paused) {
  const MutexLock lock(&mutex_);
  if (paused) {
    paused_.insert(target);
  } else {
    paused_.erase(target);
    StartIfNeeded();
  }
}

FileFetcher::FilePtr FileFetcher::TakeActive() {
  for (auto file = active_.begin(); file != active_.end(); ++file) {
    if (paused_.contains((*file)->target.id)) continue;
    FilePtr taken = std::move(*file);
    active_.erase(file);
    return taken;
  }
  return nullptr;
}

void FileFetcher::Recycle(std::unique_ptr<char[]> data) {
  const MutexLock lock(&mutex_);
  if (data != nullptr && free_.size() <= kChunksAhead) free_.push_back(std::move(data));
}

void FileFetcher::LookAgain() {
  const MutexLock lock(&mutex_);
  for (FilePtr& file : at_end_) active_.push_back(std::move(file));
  at_end_.clear();
  StartIfNeeded();
}

void FileFetcher::Close() {
  const MutexLock lock(&mutex_);
  closed_ = true;
  active_.clear();
  at_end_.clear();
  chunks_.clear();
  free_.clear();
}

void FileFetcher::StartIfNeeded() {
  bool runnable = false;
  for (const FilePtr& file : active_) runnable |= !paused_.contains(file->target.id);
  if (running_ || closed_ || !runnable || chunks_.size() >= kChunksAhead) return;
  running_ = pool_->Post([self = shared_from_this()] { self->FetchOne(); });
}

void FileFetcher::FetchOne() {
  FilePtr file;
  FileChunk chunk;
  {
    const MutexLock lock(&mutex_);
    if (!closed_) file = TakeActive();
    if (file == nullptr) {
      running_ = false;
      return;
    }
    if (!free_.empty()) {
      chunk.data = std::move(free_.back());
      free_.pop_back();
    }
    if (file->target.follow && file->descriptor >= 0) --num_open_followed_;
  }
  if (chunk.data == nullptr) chunk.data = std::make_unique_for_overwrite<char[]>(chunk_bytes_);
  chunk.target = file->target.id;
  const bool tell = Read(*file, chunk);
  bool wake = false;
  {
    const MutexLock lock(&mutex_);
    running_ = false;
    if (closed_) return;
    const bool end_for_now = chunk.size == 0;
    if (file->target.follow && file->descriptor >= 0) {
      if (end_for_now && num_open_followed_ >= kMaxOpenFollowed) {
        file->Close();
      } else {
        ++num_open_followed_;
      }
    }
    if (!chunk.status.ok() || chunk.last) {
      file.reset();
    } else if (!file->target.follow) {
      active_.push_front(std::move(file));
    } else if (end_for_now) {
      at_end_.push_back(std::move(file));
    } else {
      active_.push_back(std::move(file));
    }
    if (tell) {
      wake = chunks_.empty();
      chunks_.push_back(std::move(chunk));
    } else {
      free_.push_back(std::move(chunk.data));
    }
    StartIfNeeded();
  }
  if (wake) handle_->Wake();
}

bool FileFetcher::Read(OpenFile& file, FileChunk& chunk) const {
  if (!(file.target.follow ? ReadFollowed(file, chunk) : ReadBounded(file, chunk))) return false;
  chunk.inode = file.inode;
  chunk.restarts = std::exchange(file.restarts, false);
  file.target.offset += chunk.size;
  file.target.inode = file.inode;
  return true;
}

bool FileFetcher::ReadBounded(OpenFile& file, FileChunk& chunk) const {
  Target& target = file.target;
  if (file.descriptor < 0) {
    if (!file.Open()) {
      chunk.status = file.Error("cannot open a file to read");
      return true;
    }
    if (file.size < target.offset) {
      chunk.status = absl::DataLossError(
          StrCat("a file became shorter than what was read of it before: file=", target.path,
                 " offset=", target.offset, " size=", file.size));
      return true;
    }
    // A restored position behind the last line of its range.
    chunk.last = target.offset >= target.end;
    if (chunk.last) return true;
  }
  const uint64_t left = target.end > target.offset ? target.end - target.offset : 0;
  const size_t wanted =
      static_cast<size_t>(std::min<uint64_t>(chunk_bytes_, std::max(left, kTailBytes)));
  const ssize_t got = file.ReadAt(chunk.data.get(), wanted);
  if (got < 0) {
    chunk.status = file.Error("cannot read a file");
    return true;
  }
  chunk.size = static_cast<size_t>(got);
  chunk.last = got == 0;
  const uint64_t last_byte = target.end - 1;  // Its line is the last one.
  if (target.offset + chunk.size > last_byte) {
    const size_t skipped =
        last_byte > target.offset ? static_cast<size_t>(last_byte - target.offset) : 0;
    const void* line_end = std::memchr(chunk.data.get() + skipped, '\n', chunk.size - skipped);
    if (line_end != nullptr) {
      chunk.size = static_cast<size_t>(static_cast<const char*>(line_end) - chunk.data.get()) + 1;
      chunk.last = true;
    }
  }
  return true;
}

bool FileFetcher::ReadFollowed(OpenFile& file, FileChunk& chunk) const {
  Target& target = file.target;
  if (file.descriptor < 0) {
    if (!file.Open()) {
      if (errno != ENOENT) {
        chunk.status = file.Error("cannot open a followed file");
        return true;
      }
      // Removed for now. Nothing is there to catch up with.
      chunk.caught_up = true;
      return !std::exchange(file.told_caught_up, true);
    }
    if (target.inode != 0 && (file.inode != target.inode || file.size < target.offset)) {
      LogWarning("file-source", StrCat("a followed file was replaced or cut, it is read from its "
                                       "beginning: file=",
                                       target.path, " offset=", target.offset));
      file.Restart();
    }
  }
  ssize_t got = file.ReadAt(chunk.data.get(), chunk_bytes_);
  if (got == 0) {
    struct stat open_file{};
    struct stat named_file{};
    if (::fstat(file.descriptor, &open_file) == 0 &&
        static_cast<uint64_t>(open_file.st_size) < target.offset) {
      LogInfo("file-source",
              StrCat("a followed file was cut, it is read from its beginning: file=", target.path));
      file.Restart();
      got = file.ReadAt(chunk.data.get(), chunk_bytes_);
    } else if (::stat(target.path.c_str(), &named_file) == 0 &&
               static_cast<uint64_t>(named_file.st_ino) != file.inode) {
      // What was written between the last read and the replacement is still there.
      got = file.ReadAt(chunk.data.get(), chunk_bytes_);
      if (got == 0) {
        LogInfo("file-source",
                StrCat("a followed file was replaced, the new one is read: file=", target.path));
        file.Close();
        if (!file.Open()) return false;  // Replaced once more: the next look finds it.
        file.Restart();
        got = file.ReadAt(chunk.data.get(), chunk_bytes_);
      }
    }
  }
  if (got < 0) {
    chunk.status = file.Error("cannot read a followed file");
    return true;
  }
  chunk.size = static_cast<size_t>(got);
  if (!file.told_caught_up && (got == 0 || target.offset + chunk.size >= file.initial_size)) {
    chunk.caught_up = file.told_caught_up = true;
  }
  return chunk.size > 0 || chunk.caught_up || file.restarts;
}

}  // namespace weir::internal
