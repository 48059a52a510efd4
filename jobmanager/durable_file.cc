#include "jobmanager/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "runtime/base/ids.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

absl::Status ErrnoStatus(std::string_view what, const std::string& path, int error) {
  const std::string text = StrCat(what, ": ", path, ": ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(text);
  return absl::UnavailableError(text);
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  int Close() { return close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, const std::string& path, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus("cannot write", path, errno);
    content.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status WriteAndSync(const std::string& path, std::string_view content) {
  FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (file.get() < 0) return ErrnoStatus("cannot create", path, errno);
  RETURN_IF_ERROR(WriteAll(file.get(), path, content));
  if (fsync(file.get()) != 0) return ErrnoStatus("cannot sync", path, errno);
  if (file.Close() != 0) return ErrnoStatus("cannot close", path, errno);
  return absl::OkStatus();
}

absl::Status SyncFolder(const std::string& path) {
  FileDescriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return ErrnoStatus("cannot open folder", path, errno);
  // Some file systems cannot sync a folder (EINVAL); there is nothing better to do on them.
  if (fsync(folder.get()) != 0 && errno != EINVAL) {
    return ErrnoStatus("cannot sync folder", path, errno);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteFileDurably(const std::string& path, std::string_view content) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return ErrnoStatus("cannot create folder", folder, error.value());
  const std::string aside =
      StrCat(path, ".", ToString(RandomId<HexId<struct AsideTag>>()), ".part");
  absl::Status status = WriteAndSync(aside, content);
  if (status.ok() && rename(aside.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus("cannot rename to", path, errno);
  }
  if (!status.ok()) {
    std::filesystem::remove(aside, error);
    return status;
  }
  RETURN_IF_ERROR(SyncFolder(folder));
  // The folder itself may be new as well.
  return folder.has_parent_path() ? SyncFolder(folder.parent_path()) : absl::OkStatus();
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return ErrnoStatus("cannot open", path, errno);
  std::string content;
  size_t size = 0;
  while (true) {
    content.resize(size + std::max<size_t>(size, 64 << 10));
    const ssize_t got = read(file.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("cannot read", path, errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  content.resize(size);
  return content;
}

}  // namespace weir
