#include "jobmanager/rest/temporary_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "runtime/base/strings.h"

namespace weir {
namespace {

absl::Status FileError(std::string_view what, const std::string& path, int error) {
  const std::string message = StrCat(what, ": path=", path, " error=", strerror(error));
  return error == ENOSPC || error == EDQUOT ? absl::ResourceExhaustedError(message)
                                            : absl::UnavailableError(message);
}

}  // namespace

absl::StatusOr<TemporaryFile> TemporaryFile::Create(std::string_view directory) {
  std::string path = StrCat(directory, "/upload-XXXXXX");
  const int descriptor = mkostemp(path.data(), O_CLOEXEC);
  if (descriptor < 0) return FileError("cannot create a file for the upload", path, errno);
  return TemporaryFile(std::move(path), descriptor);
}

TemporaryFile::TemporaryFile(std::string path, int descriptor)
    : path_(std::move(path)), descriptor_(descriptor) {}

TemporaryFile::TemporaryFile(TemporaryFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), descriptor_(std::exchange(other.descriptor_, -1)) {}

TemporaryFile& TemporaryFile::operator=(TemporaryFile&& other) noexcept {
  if (this != &other) {
    Remove();
    path_ = std::exchange(other.path_, {});
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}

TemporaryFile::~TemporaryFile() { Remove(); }

absl::Status TemporaryFile::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("cannot write the upload", path_, errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status TemporaryFile::Close() {
  const int descriptor = std::exchange(descriptor_, -1);
  if (descriptor >= 0 && close(descriptor) != 0) {
    return FileError("cannot write the upload", path_, errno);
  }
  return absl::OkStatus();
}

void TemporaryFile::Remove() {
  if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
  if (!path_.empty()) unlink(path_.c_str());  // The gateway may have moved it away already.
}

}  // namespace weir
