#include "runtime/checkpoint/file_state_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "runtime/base/ids.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "xxhash.h"

namespace weir {

namespace {

constexpr size_t kBlockBytes = size_t{1} << 20;

using FileId = HexId<struct FileIdTag>;

absl::Status SystemError(int error, std::string_view what, std::string_view path) {
  const std::string message =
      StrCat(what, ": path=", path, " error=", std::generic_category().message(error));
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(message);
  return absl::UnavailableError(message);
}

// An open file that is closed with its owner.
class FileDescriptor {
 public:
  FileDescriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags, 0644)) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] bool ok() const { return fd_ >= 0; }
  [[nodiscard]] int get() const { return fd_; }

 private:
  const int fd_;
};

struct Content {
  uint64_t size_bytes = 0;
  uint64_t checksum = 0;
};

absl::Status WriteAll(int fd, const char* data, size_t size, const std::string& path) {
  while (size > 0) {
    const ssize_t written = ::write(fd, data, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      return SystemError(errno, "cannot write a state file", path);
    }
    data += written;
    size -= static_cast<size_t>(written);
  }
  return absl::OkStatus();
}

// Reads `path` to its end, and copies it to `target` unless that is null.
absl::StatusOr<Content> ReadContent(const std::string& path, const FileDescriptor* target,
                                    const std::string& target_path) {
  const FileDescriptor source(path, O_RDONLY | O_CLOEXEC);
  if (!source.ok()) {
    if (errno == ENOENT) return absl::NotFoundError(StrCat("file is missing: path=", path));
    return SystemError(errno, "cannot open a state file", path);
  }
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> hash(XXH3_createState(),
                                                                      &XXH3_freeState);
  XXH3_64bits_reset(hash.get());
  const std::unique_ptr<char[]> block(new char[kBlockBytes]);
  Content content;
  while (true) {
    const ssize_t size = ::read(source.get(), block.get(), kBlockBytes);
    if (size < 0) {
      if (errno == EINTR) continue;
      return SystemError(errno, "cannot read a state file", path);
    }
    if (size == 0) break;
    content.size_bytes += static_cast<uint64_t>(size);
    XXH3_64bits_update(hash.get(), block.get(), static_cast<size_t>(size));
    if (target != nullptr) {
      RETURN_IF_ERROR(WriteAll(target->get(), block.get(), static_cast<size_t>(size), target_path));
    }
  }
  content.checksum = XXH3_64bits_digest(hash.get());
  return content;
}

absl::Status Synchronise(const std::string& path, int flags) {
  const FileDescriptor file(path, flags | O_CLOEXEC);
  if (!file.ok() || ::fsync(file.get()) != 0) {
    return SystemError(errno, "cannot synchronise a state file", path);
  }
  return absl::OkStatus();
}

// Copies `from` to a new file `to`, durably; leaves nothing behind if it fails.
absl::StatusOr<Content> Copy(const std::string& from, const std::string& to) {
  const std::string temporary = to + ".tmp";
  absl::StatusOr<Content> content = [&]() -> absl::StatusOr<Content> {
    const FileDescriptor target(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC);
    if (!target.ok()) return SystemError(errno, "cannot make a state file", temporary);
    ASSIGN_OR_RETURN(const Content copied, ReadContent(from, &target, temporary));
    if (::fsync(target.get()) != 0) {
      return SystemError(errno, "cannot synchronise a state file", temporary);
    }
    return copied;
  }();
  if (content.ok() && ::rename(temporary.c_str(), to.c_str()) != 0) {
    content = SystemError(errno, "cannot rename a state file", temporary);
  }
  if (!content.ok()) ::unlink(temporary.c_str());
  return content;
}

bool NeedsCopy(int link_error) {
  return link_error == EXDEV || link_error == EPERM || link_error == EMLINK ||
         link_error == EOPNOTSUPP;
}

absl::Status CheckContent(const StoredFile& file, const Content& content) {
  if (content.size_bytes == file.size_bytes && content.checksum == file.checksum) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      StrCat("a state file is damaged; restore from an older checkpoint: path=", file.path,
             " size_bytes=", content.size_bytes, " expected_size_bytes=", file.size_bytes,
             content.size_bytes == file.size_bytes ? " (same size, other content)" : ""));
}

absl::Status Missing(const std::string& path) {
  return absl::DataLossError(
      StrCat("a state file is missing; restore from an older checkpoint: path=", path));
}

}  // namespace

FileStateStore::FileStateStore(std::string directory, std::string name_prefix, Sharing sharing)
    : directory_(std::move(directory)), name_prefix_(std::move(name_prefix)), sharing_(sharing) {}

absl::StatusOr<StoredFile> FileStateStore::Store(const std::string& local_path,
                                                 const std::string& suggested_name) {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) return SystemError(error.value(), "cannot make the folder of state files", directory_);

  StoredFile stored;
  stored.path =
      StrCat(directory_, "/", name_prefix_, "-", ToString(RandomId<FileId>()), "-", suggested_name);
  Content content;
  if (sharing_ == Sharing::kCopy) {
    ASSIGN_OR_RETURN(content, Copy(local_path, stored.path));
  } else if (::link(local_path.c_str(), stored.path.c_str()) == 0) {
    absl::StatusOr<Content> read = ReadContent(stored.path, nullptr, "");
    const absl::Status status =
        read.ok() ? Synchronise(stored.path, O_RDONLY) : std::move(read).status();
    if (!status.ok()) {
      ::unlink(stored.path.c_str());
      return status;
    }
    content = *read;
  } else if (NeedsCopy(errno)) {
    ASSIGN_OR_RETURN(content, Copy(local_path, stored.path));
  } else {
    return SystemError(errno, "cannot link a state file", stored.path);
  }
  stored.size_bytes = content.size_bytes;
  stored.checksum = content.checksum;
  if (absl::Status status = Synchronise(directory_, O_RDONLY | O_DIRECTORY); !status.ok()) {
    ::unlink(stored.path.c_str());
    return status;
  }
  return stored;
}

StoredFile FileStateStore::Find(const StoredFile& file) const {
  std::error_code error;
  if (std::filesystem::exists(file.path, error)) return file;
  const std::string name = std::filesystem::path(file.path).filename();
  const std::string ending = name.substr(std::min(name.rfind('-'), name.size()));
  for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
       entry.increment(error)) {
    const StoredFile moved{entry->path().string(), file.size_bytes, file.checksum};
    if (moved.path.ends_with(ending) && !ending.empty() && Verify(moved).ok()) return moved;
  }
  return file;
}

absl::Status FileStateStore::Fetch(const StoredFile& named, const std::string& local_path) {
  const StoredFile file = Find(named);
  absl::StatusOr<Content> content = Content{};
  if (::link(file.path.c_str(), local_path.c_str()) == 0) {
    content = ReadContent(local_path, nullptr, "");
  } else if (NeedsCopy(errno)) {
    content = Copy(file.path, local_path);
  } else if (errno == ENOENT) {
    content = absl::NotFoundError("");
  } else {
    return SystemError(errno, "cannot fetch a state file", file.path);
  }
  absl::Status status = content.ok() ? CheckContent(file, *content) : std::move(content).status();
  if (absl::IsNotFound(status)) status = Missing(file.path);
  if (!status.ok()) ::unlink(local_path.c_str());
  return status;
}

absl::Status FileStateStore::Verify(const StoredFile& file) {
  const absl::StatusOr<Content> content = ReadContent(file.path, nullptr, "");
  if (absl::IsNotFound(content.status())) return Missing(file.path);
  return content.ok() ? CheckContent(file, *content) : content.status();
}

absl::Status FileStateStore::Delete(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return SystemError(errno, "cannot delete a state file", path);
  }
  return absl::OkStatus();
}

}  // namespace weir
