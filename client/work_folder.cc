#include "client/work_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

absl::Status FolderError(const std::string& path, const std::string& why) {
  return absl::UnavailableError(StrCat("cannot make a folder to work in: ", path, ": ", why));
}

absl::StatusOr<std::string> MakeTemporary(std::string parent) {
  std::error_code error;
  if (parent.empty()) parent = fs::temp_directory_path(error);
  fs::create_directories(parent, error);
  std::string path = StrCat(fs::absolute(parent, error).string(), "/weir-XXXXXX");
  if (mkdtemp(path.data()) == nullptr) return FolderError(path, std::strerror(errno));
  return path;
}

absl::StatusOr<int> Lock(const std::string& folder) {
  const std::string path = folder + "/.lock";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return FolderError(path, std::strerror(errno));
  if (flock(file, LOCK_EX | LOCK_NB) == 0) return file;
  close(file);
  return absl::FailedPreconditionError(
      StrCat("another weir local works in this folder; stop it or choose another: ", folder));
}

}  // namespace

absl::StatusOr<WorkFolder> WorkFolder::Open(const std::string& path, const std::string& parent) {
  const bool temporary = path.empty();
  std::string absolute;
  std::error_code error;
  if (temporary) {
    ASSIGN_OR_RETURN(absolute, MakeTemporary(parent));
  } else {
    fs::create_directories(path, error);
    if (error) return FolderError(path, error.message());
    absolute = fs::canonical(path, error).string();
    if (error) return FolderError(path, error.message());
  }
  WorkFolder folder(std::move(absolute), temporary);
  absl::StatusOr<int> lock = Lock(folder.path_);
  if (!lock.ok()) {
    folder.path_.clear();  // It is the other's: leave all of it alone.
    return lock.status();
  }
  folder.lock_ = *lock;
  fs::remove_all(folder.Below("tmp"), error);
  for (const std::string_view name : {"tmp", "logs"}) {
    fs::create_directories(folder.Below(name), error);
    if (error) return FolderError(folder.Below(name), error.message());
  }
  return folder;
}

WorkFolder::WorkFolder(WorkFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      temporary_(other.temporary_),
      lock_(std::exchange(other.lock_, -1)) {}

WorkFolder::~WorkFolder() {
  if (path_.empty()) return;
  std::error_code ignored;
  fs::remove_all(Below("tmp"), ignored);
  if (temporary_) fs::remove_all(path_, ignored);
  if (lock_ >= 0) close(lock_);
}

std::string WorkFolder::Below(std::string_view name) const { return StrCat(path_, "/", name); }

}  // namespace weir
