#include "operators/connectors/file/internal/line_file_writer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>
#include <vector>

#include "operators/connectors/file/internal/epoch_file.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace fs = std::filesystem;

namespace {

constexpr size_t kBlockBytes = size_t{256} << 10;
constexpr size_t kIdDigits =
    16;  // Of ids in file names: enough to be unique, short enough to read.
constexpr std::string_view kInProgress = ".inprogress";
constexpr std::string_view kPending = ".pending";

std::string AsFileName(std::string text) {
  for (char& c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '.') c = '_';
  }
  return text;
}

// The files of earlier attempts at this subtask, of the same job: in no committable, because a file
// is pending by then.
void RemoveLeftovers(const std::string& folder, const std::string& beginning,
                     const std::string& own_beginning, const std::string& ending) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(beginning) || name.starts_with(own_beginning) ||
        !name.ends_with(ending)) {
      continue;
    }
    std::error_code remove_error;
    if (fs::remove(entry->path(), remove_error)) {
      LogInfo("file-sink", StrCat("removed what an earlier attempt left unfinished: file=",
                                  entry->path().string()));
    }
  }
}

/// Renames pending files; knows nothing but the committables, so it commits those of any subtask.
class LineFileCommitter final : public Committer {
 public:
  [[nodiscard]] absl::Status Commit(const std::vector<std::string>& committables) override {
    std::set<std::string> folders;
    for (const std::string& committable : committables) {
      ASSIGN_OR_RETURN(const PendingFile file, ParsePendingFile(committable));
      RETURN_IF_ERROR(CommitFile(file));
      folders.insert(fs::path(file.final_path).parent_path().string());
    }
    for (const std::string& folder : folders) RETURN_IF_ERROR(SyncFolder(folder));
    return absl::OkStatus();
  }

 private:
  static absl::Status CommitFile(const PendingFile& file) {
    struct stat info{};
    if (::stat(file.pending_path.c_str(), &info) == 0) {
      if (static_cast<uint64_t>(info.st_size) != file.size_bytes) {
        return absl::DataLossError(
            StrCat("a file to be committed was changed: file=", file.pending_path,
                   " size=", info.st_size, " expected=", file.size_bytes));
      }
      if (::rename(file.pending_path.c_str(), file.final_path.c_str()) == 0) {
        return absl::OkStatus();
      }
      return Retryable(FileError("cannot commit a file", file.pending_path));
    }
    if (errno != ENOENT) return Retryable(FileError("cannot commit a file", file.pending_path));
    // Committed before, in this attempt or an earlier one?
    if (::stat(file.final_path.c_str(), &info) == 0) return absl::OkStatus();
    if (errno != ENOENT) return Retryable(FileError("cannot commit a file", file.final_path));
    return absl::DataLossError(StrCat(
        "a file to be committed is gone; was it deleted or moved? pending=", file.pending_path,
        " final=", file.final_path));
  }

  // A disk may get room and a network file system come back.
  static absl::Status Retryable(const absl::Status& status) {
    return absl::IsResourceExhausted(status) ? absl::UnavailableError(status.message()) : status;
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<LineFileWriter>> LineFileWriter::Create(SinkContext& context,
                                                                       const Options& options) {
  std::error_code error;
  fs::create_directories(options.folder, error);
  if (error) {
    return absl::FailedPreconditionError(StrCat(
        "cannot make a file sink's folder: folder=", options.folder, " error=", error.message()));
  }
  if (::access(options.folder.c_str(), W_OK | X_OK) != 0) {
    return absl::FailedPreconditionError(StrCat("cannot write into a file sink's folder: folder=",
                                                options.folder, " error=", strerror(errno)));
  }
  const OperatorContext::Place& place = context.place();
  const std::string subtask_part =
      StrCat("part-", AsFileName(options.prefix.empty() ? place.uid : options.prefix), "-",
             place.subtask, "-");
  const std::string name = StrCat(subtask_part, ToString(place.attempt).substr(0, kIdDigits), "-");
  const std::string owner = ToString(place.job).substr(0, kIdDigits);
  RemoveLeftovers(options.folder, StrCat(".", subtask_part), StrCat(".", name),
                  StrCat(".", owner, kInProgress));
  return std::unique_ptr<LineFileWriter>(new LineFileWriter(
      options.folder, name, owner,
      SinkIoQueue::Create(context.io_pool(), context.handle(), options.max_buffered_bytes)));
}

LineFileWriter::LineFileWriter(std::string folder, std::string name, std::string owner,
                               std::shared_ptr<SinkIoQueue> queue)
    : folder_(std::move(folder)),
      name_(std::move(name)),
      owner_(std::move(owner)),
      queue_(std::move(queue)) {}

LineFileWriter::~LineFileWriter() { Close(); }

void LineFileWriter::Close() { queue_->Close(); }

absl::Status LineFileWriter::Append(std::string_view line) {
  if (block_.capacity() == 0) block_.reserve(kBlockBytes + line.size() + 1);
  const size_t begin = block_.size();
  block_.append(line);
  // In JSON, line ends stand between tokens only.
  if (std::memchr(line.data(), '\n', line.size()) != nullptr) {
    std::replace(block_.begin() + static_cast<std::ptrdiff_t>(begin), block_.end(), '\n', ' ');
  }
  block_.push_back('\n');
  if (block_.size() < kBlockBytes) return absl::OkStatus();
  PushBlock();
  return queue_->status();
}

void LineFileWriter::PushBlock() {
  if (block_.empty()) return;
  if (file_ == nullptr) {
    const std::string final_name = StrCat(name_, num_files_++, ".ndjson");
    const std::string hidden_path = StrCat(folder_, "/.", final_name, ".", owner_);
    file_ =
        std::make_shared<EpochFile>(StrCat(hidden_path, kInProgress), StrCat(hidden_path, kPending),
                                    StrCat(folder_, "/", final_name));
  }
  const size_t bytes = block_.size();
  queue_->Push(bytes,
               [file = file_, block = std::exchange(block_, {})] { return file->Append(block); });
}

absl::StatusOr<PrepareCommit> LineFileWriter::BeginCommit(CheckpointId /*checkpoint*/) {
  PushBlock();
  RETURN_IF_ERROR(queue_->status());
  if (file_ == nullptr) {
    return PrepareCommit(
        []() -> absl::StatusOr<std::vector<std::string>> { return std::vector<std::string>(); });
  }
  return PrepareCommit(
      [queue = queue_, ticket = queue_->last_ticket(),
       file = std::exchange(file_, nullptr)]() mutable -> absl::StatusOr<std::vector<std::string>> {
        RETURN_IF_ERROR(queue->WaitFor(ticket));
        ASSIGN_OR_RETURN(const PendingFile pending, file->Finish());
        return std::vector<std::string>{SerializePendingFile(pending)};
      });
}

std::unique_ptr<Committer> CreateLineFileCommitter() {
  return std::make_unique<LineFileCommitter>();
}

}  // namespace weir::internal
