#include "operators/connectors/file/internal/part_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/byte_io.h"

namespace weir::internal {

namespace {
constexpr uint8_t kVersion = 2;
}  // namespace

std::string SerializePendingFile(const PendingFile& file) {
  std::string bytes;
  ByteWriter writer(&bytes);
  writer.WriteFixed(kVersion);
  writer.WriteString(file.pending_path);
  writer.WriteString(file.final_path);
  writer.WriteFixed(file.size_bytes);
  writer.WriteFixed(file.open);
  writer.WriteString(file.attempt);
  return bytes;
}

absl::StatusOr<PendingFile> ParsePendingFile(std::string_view bytes) {
  ByteReader reader(bytes);
  PendingFile file;
  uint8_t version = 0;
  if (!reader.ReadFixed(&version) || !reader.ReadString(&file.pending_path) ||
      !reader.ReadString(&file.final_path) || !reader.ReadFixed(&file.size_bytes) ||
      !reader.ReadFixed(&file.open) || !reader.ReadString(&file.attempt) || version != kVersion) {
    return absl::DataLossError("a committable of a file sink is malformed or of another version");
  }
  return file;
}

absl::Status FileError(std::string_view what, const std::string& path) {
  const int error = errno;
  const std::string message = StrCat(what, ": path=", path, " error=", strerror(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOENT:
      return absl::NotFoundError(message);
    case ESTALE:
    case EAGAIN:
      return absl::UnavailableError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::Status SyncFolder(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return FileError("cannot open a file sink's folder", folder);
  absl::Status status;
  if (::fsync(descriptor) != 0) status = FileError("cannot sync a file sink's folder", folder);
  ::close(descriptor);
  return status;
}

PartFile::PartFile(std::string in_progress_path, PendingFile file)
    : in_progress_path_(std::move(in_progress_path)), file_(std::move(file)) {}

PartFile::~PartFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (made_ && !renamed_) ::unlink(in_progress_path_.c_str());
}

absl::Status PartFile::Append(std::string_view block) {
  if (descriptor_ < 0) {
    descriptor_ = ::open(in_progress_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor_ < 0) return FileError("cannot make a file sink's file", in_progress_path_);
    made_ = true;
  }
  while (!block.empty()) {
    const ssize_t written = ::write(descriptor_, block.data(), block.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("cannot write a file sink's file", in_progress_path_);
    block.remove_prefix(static_cast<size_t>(written));
    file_.size_bytes += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::StatusOr<PendingFile> PartFile::Sync(bool end) {
  if (::fsync(descriptor_) != 0) {
    return FileError("cannot sync a file sink's file", in_progress_path_);
  }
  if (end && ::close(std::exchange(descriptor_, -1)) != 0) {
    return FileError("cannot close a file sink's file", in_progress_path_);
  }
  file_.open = !end;
  if (renamed_) return file_;
  if (::rename(in_progress_path_.c_str(), file_.pending_path.c_str()) != 0) {
    return FileError("cannot rename a file sink's file", in_progress_path_);
  }
  renamed_ = true;
  RETURN_IF_ERROR(SyncFolder(std::filesystem::path(file_.pending_path).parent_path().string()));
  return file_;
}

}  // namespace weir::internal
