#include "taskmanager/working_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kPrefix = "weir-taskmanager-";
constexpr std::string_view kLockName = "lock";
constexpr int kMaxAttempts = 100;

// Returns the open lock file of `folder`, or -1 if its owner lives or there is none.
int LockFolder(const std::filesystem::path& folder, int flags) {
  const int descriptor = open((folder / kLockName).c_str(), flags | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor < 0) return -1;
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  close(descriptor);
  return -1;
}

// Whether the open file still has a name.
bool IsLinked(int descriptor) {
  struct stat status = {};
  return fstat(descriptor, &status) == 0 && status.st_nlink > 0;
}

// Whether `folder` is empty and has been for long: its owner died between the last file and the
// folder. A younger one may be just being made.
bool IsLeftEmpty(const std::filesystem::path& folder) {
  std::error_code error;
  const auto changed = std::filesystem::last_write_time(folder, error);
  return !error && std::filesystem::is_empty(folder, error) && !error &&
         std::filesystem::file_time_type::clock::now() - changed > std::chrono::minutes(1);
}

void RemoveAbandoned(const std::filesystem::path& parent) {
  std::error_code error;
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    if (entry.path().filename().string().starts_with(kPrefix)) folders.push_back(entry.path());
  }
  for (const std::filesystem::path& folder : folders) {
    const int descriptor = LockFolder(folder, 0);
    if (descriptor >= 0 || IsLeftEmpty(folder)) std::filesystem::remove_all(folder, error);
    if (descriptor >= 0) close(descriptor);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<WorkingFolder>> WorkingFolder::Create(const std::string& parent) {
  std::error_code error;
  const std::filesystem::path place =
      parent.empty() ? std::filesystem::temp_directory_path(error) : std::filesystem::path(parent);
  if (!error) std::filesystem::create_directories(place, error);
  if (error) {
    return absl::UnavailableError(StrCat("cannot make a working folder: parent=", place.string(),
                                         " error=", error.message()));
  }
  RemoveAbandoned(place);
  // Another process that starts now may take the new folder for an abandoned one before it is
  // locked, and remove it; then another one is made.
  for (int attempt = 1;; ++attempt) {
    std::string path = (place / StrCat(kPrefix, "XXXXXX")).string();
    const bool made = mkdtemp(path.data()) != nullptr;
    const int descriptor = made ? LockFolder(path, O_CREAT) : -1;
    if (descriptor >= 0 && IsLinked(descriptor)) {
      return std::unique_ptr<WorkingFolder>(new WorkingFolder(std::move(path), descriptor));
    }
    const int reason = errno;
    if (descriptor >= 0) close(descriptor);
    if (!made || attempt == kMaxAttempts) {
      return absl::UnavailableError(
          StrCat("cannot make a working folder: path=", path, " error=", std::strerror(reason)));
    }
  }
}

WorkingFolder::WorkingFolder(std::string path, int lock_descriptor)
    : path_(std::move(path)), lock_descriptor_(lock_descriptor) {}

WorkingFolder::~WorkingFolder() {
  std::error_code error;  // What stays is removed by the next process.
  std::filesystem::remove_all(path_, error);
  close(lock_descriptor_);
}

}  // namespace weir
