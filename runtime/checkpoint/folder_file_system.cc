#include "runtime/checkpoint/folder_file_system.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "runtime/base/ids.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlockBytes = size_t{1} << 20;
constexpr std::string_view kUnfinished = ".tmp";

using UnfinishedId = HexId<struct UnfinishedIdTag>;

absl::Status SystemError(int error, std::string_view what, std::string_view path) {
  const std::string message =
      StrCat(what, ": path=", path, " error=", std::generic_category().message(error));
  if (error == ENOENT) return absl::NotFoundError(message);
  if (error == EEXIST) return absl::AlreadyExistsError(message);
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(message);
  return absl::UnavailableError(message);
}

// An open file that is closed with its owner.
class FileDescriptor {
 public:
  FileDescriptor(const std::string& path, int flags)
      : fd_(::open(path.c_str(), flags, 0644)), error_(fd_ < 0 ? errno : 0) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() { static_cast<void>(Close()); }
  [[nodiscard]] bool ok() const { return error_ == 0; }
  /// Why it could not be opened.
  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int Close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 ? 0 : ::close(fd);
  }

 private:
  int fd_;
  const int error_;
};

absl::Status Synchronise(const std::string& path, int flags) {
  const FileDescriptor file(path, flags | O_CLOEXEC);
  if (!file.ok()) return SystemError(file.error(), "cannot open a file to synchronise it", path);
  // Some file systems cannot synchronise a folder (EINVAL); there is nothing better to do on them.
  if (::fsync(file.get()) != 0 && errno != EINVAL) {
    return SystemError(errno, "cannot synchronise a file", path);
  }
  return absl::OkStatus();
}

// Makes the folder of `path` if need be; returns the folders whose entries have changed once there
// is such a file: its own, and those of folders that were made.
absl::StatusOr<std::vector<std::string>> MakeFolderOf(const std::string& path) {
  std::vector<std::string> changed = {ParentFolder(path)};
  std::error_code error;
  while (changed.back() != "/" && !changed.back().empty() && !fs::exists(changed.back(), error)) {
    changed.push_back(ParentFolder(changed.back()));
  }
  if (changed.size() > 1) fs::create_directories(changed.front(), error);
  if (error) return SystemError(error.value(), "cannot make a folder", changed.front());
  return changed;
}

absl::Status SynchroniseFolders(const std::vector<std::string>& folders) {
  for (const std::string& folder : folders) {
    RETURN_IF_ERROR(Synchronise(folder, O_RDONLY | O_DIRECTORY));
  }
  return absl::OkStatus();
}

class FolderReader final : public FileSystem::Reader {
 public:
  explicit FolderReader(const std::string& path)
      : path_(path), file_(path, O_RDONLY | O_CLOEXEC), block_(new char[kBlockBytes]) {}

  [[nodiscard]] absl::Status status() const {
    return file_.ok() ? absl::OkStatus() : SystemError(file_.error(), "cannot open a file", path_);
  }

  absl::StatusOr<std::string_view> Next() override {
    while (true) {
      const ssize_t size = ::read(file_.get(), block_.get(), kBlockBytes);
      if (size >= 0) return std::string_view(block_.get(), static_cast<size_t>(size));
      if (errno != EINTR) return SystemError(errno, "cannot read a file", path_);
    }
  }

 private:
  const std::string path_;
  const FileDescriptor file_;
  const std::unique_ptr<char[]> block_;
};

class FolderWriter final : public FileSystem::Writer {
 public:
  FolderWriter(const std::string& path, FileWriteMode mode, FileDurability durability,
               std::vector<std::string> changed_folders)
      : path_(path),
        aside_(StrCat(path, ".", ToString(RandomId<UnfinishedId>()), kUnfinished)),
        mode_(mode),
        durable_(durability == FileDurability::kDurable),
        changed_folders_(std::move(changed_folders)),
        file_(aside_, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC) {}
  ~FolderWriter() override {
    if (!renamed_) ::unlink(aside_.c_str());
  }

  [[nodiscard]] absl::Status status() const {
    return file_.ok() ? absl::OkStatus() : SystemError(file_.error(), "cannot make a file", aside_);
  }

  absl::Status Append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        return SystemError(errno, "cannot write a file", path_);
      }
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }

  absl::Status Commit() override {
    if (durable_ && ::fsync(file_.get()) != 0) {
      return SystemError(errno, "cannot synchronise a file", path_);
    }
    if (file_.Close() != 0) return SystemError(errno, "cannot write a file", path_);
    if (mode_ == FileWriteMode::kCreateNew) {
      // What rename would replace, a link does not.
      if (::link(aside_.c_str(), path_.c_str()) != 0) {
        return SystemError(errno, "cannot make a file", path_);
      }
    } else {
      if (::rename(aside_.c_str(), path_.c_str()) != 0) {
        return SystemError(errno, "cannot rename a file", aside_);
      }
      renamed_ = true;
    }
    return durable_ ? SynchroniseFolders(changed_folders_) : absl::OkStatus();
  }

 private:
  const std::string path_;
  const std::string aside_;
  const FileWriteMode mode_;
  const bool durable_;
  const std::vector<std::string> changed_folders_;
  FileDescriptor file_;
  bool renamed_ = false;
};

bool NeedsCopy(int link_error) {
  return link_error == EXDEV || link_error == EPERM || link_error == EMLINK ||
         link_error == EOPNOTSUPP;
}

// Whether a writer that did not return has left a file of this name.
bool IsUnfinished(std::string_view name) {
  constexpr size_t kIdSize = 32;
  if (!name.ends_with(kUnfinished)) return false;
  name.remove_suffix(kUnfinished.size());
  if (name.size() <= kIdSize || name[name.size() - kIdSize - 1] != '.') return false;
  return name.substr(name.size() - kIdSize).find_first_not_of("0123456789abcdef") == name.npos;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileSystem::Reader>> FolderFileSystem::OpenReader(
    const std::string& path) {
  auto reader = std::make_unique<FolderReader>(path);
  RETURN_IF_ERROR(reader->status());
  return reader;
}

absl::StatusOr<std::unique_ptr<FileSystem::Writer>> FolderFileSystem::OpenWriter(
    const std::string& path, FileWriteMode mode, FileDurability durability) {
  ASSIGN_OR_RETURN(std::vector<std::string> changed, MakeFolderOf(path));
  auto writer = std::make_unique<FolderWriter>(path, mode, durability, std::move(changed));
  RETURN_IF_ERROR(writer->status());
  return writer;
}

absl::Status FolderFileSystem::Link(const std::string& from, const std::string& to,
                                    FileDurability durability) {
  ASSIGN_OR_RETURN(const std::vector<std::string> changed, MakeFolderOf(to));
  if (::link(from.c_str(), to.c_str()) != 0) {
    if (NeedsCopy(errno)) return absl::UnimplementedError(StrCat("cannot link a file: path=", to));
    return SystemError(errno, "cannot link a file", errno == ENOENT ? from : to);
  }
  if (durability == FileDurability::kScratch) return absl::OkStatus();
  absl::Status status = Synchronise(to, O_RDONLY);
  if (status.ok()) status = SynchroniseFolders(changed);
  if (!status.ok()) ::unlink(to.c_str());
  return status;
}

absl::StatusOr<std::string> FolderFileSystem::ReadRange(const std::string& path, uint64_t offset,
                                                        uint64_t size) {
  const FileDescriptor file(path, O_RDONLY | O_CLOEXEC);
  if (!file.ok()) return SystemError(file.error(), "cannot open a file", path);
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got =
        ::pread(file.get(), bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(errno, "cannot read a file", path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

absl::StatusOr<uint64_t> FolderFileSystem::Size(const std::string& path) {
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  if (error) return SystemError(error.value(), "cannot look at a file", path);
  return size;
}

absl::StatusOr<std::vector<FileEntry>> FolderFileSystem::List(const std::string& folder) {
  std::vector<FileEntry> entries;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
    std::string name = entry->path().filename();
    std::error_code ignored;
    if (!IsUnfinished(name)) entries.push_back({std::move(name), entry->is_directory(ignored)});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return SystemError(error.value(), "cannot list a folder", folder);
  }
  std::sort(entries.begin(), entries.end(),
            [](const FileEntry& a, const FileEntry& b) { return a.name < b.name; });
  return entries;
}

absl::Status FolderFileSystem::Delete(const std::vector<std::string>& paths) {
  absl::Status status;
  for (const std::string& path : paths) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      status.Update(SystemError(errno, "cannot delete a file", path));
    }
  }
  return status;
}

absl::Status FolderFileSystem::DeleteFolder(const std::string& folder) {
  std::error_code error;
  // What else is removed at the same time, such as the checkpoints in a job's folder, ends
  // remove_all early.
  for (int tries = 0; tries < 100; ++tries) {
    fs::remove_all(folder, error);
    if (error != std::errc::no_such_file_or_directory) break;
  }
  return error ? SystemError(error.value(), "cannot delete a folder", folder) : absl::OkStatus();
}

void FolderFileSystem::DeleteFolderIfEmpty(const std::string& folder) { ::rmdir(folder.c_str()); }

absl::StatusOr<size_t> FolderFileSystem::DeleteUnfinished(const std::string& folder) {
  size_t count = 0;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (IsUnfinished(name) && ::unlink(entry->path().c_str()) == 0) ++count;
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return SystemError(error.value(), "cannot list a folder", folder);
  }
  return count;
}

}  // namespace weir
