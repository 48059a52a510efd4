#include "operators/connectors/file/internal/part_file_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "operators/connectors/file/internal/part_file.h"
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

/// Renames files; knows nothing but the committables, so it commits those of any subtask.
class PartFileCommitter final : public Committer {
 public:
  explicit PartFileCommitter(std::string attempt) : attempt_(std::move(attempt)) {}

  [[nodiscard]] absl::Status Commit(const std::vector<Committable>& committables) override {
    // Of a file that several checkpoints know, what the newest one knows.
    std::map<std::string, PendingFile> files;
    for (const Committable& committable : committables) {
      ASSIGN_OR_RETURN(PendingFile file, ParsePendingFile(committable.bytes));
      PendingFile& newest = files[file.pending_path];
      if (newest.pending_path.empty() || file.size_bytes > newest.size_bytes || !file.open) {
        newest = std::move(file);
      }
    }
    std::set<std::string> folders;
    for (const auto& [path, file] : files) {
      if (file.open && file.attempt == attempt_) continue;
      RETURN_IF_ERROR(CommitFile(file, &folders));
    }
    for (const std::string& folder : folders) RETURN_IF_ERROR(SyncFolder(folder));
    return absl::OkStatus();
  }

 private:
  // `folders` gets those whose names change.
  static absl::Status CommitFile(const PendingFile& file, std::set<std::string>* folders) {
    struct stat info{};
    if (::stat(file.pending_path.c_str(), &info) == 0) {
      const auto size = static_cast<uint64_t>(info.st_size);
      if (file.open ? size < file.size_bytes : size != file.size_bytes) {
        return absl::DataLossError(
            StrCat("a file to be committed was changed: file=", file.pending_path, " size=", size,
                   " expected=", file.size_bytes));
      }
      if (size != file.size_bytes) RETURN_IF_ERROR(Cut(file));
      RETURN_IF_ERROR(MakeFolder(file, folders));
      folders->insert(fs::path(file.pending_path).parent_path().string());
      folders->insert(fs::path(file.final_path).parent_path().string());
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

  // Takes away what came after the checkpoint.
  static absl::Status Cut(const PendingFile& file) {
    const int descriptor = ::open(file.pending_path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return Retryable(FileError("cannot commit a file", file.pending_path));
    absl::Status status;
    if (::ftruncate(descriptor, static_cast<off_t>(file.size_bytes)) != 0 ||
        ::fsync(descriptor) != 0) {
      status = Retryable(FileError("cannot cut a file to its checkpoint", file.pending_path));
    }
    ::close(descriptor);
    return status;
  }

  // A bucket is there from its first file on.
  static absl::Status MakeFolder(const PendingFile& file, std::set<std::string>* folders) {
    const fs::path root = fs::path(file.pending_path).parent_path();
    std::error_code error;
    fs::path folder = fs::path(file.final_path).parent_path();
    if (!fs::create_directories(folder, error) && !error) return absl::OkStatus();
    if (error) {
      return absl::FailedPreconditionError(StrCat("cannot make the folder of a bucket: folder=",
                                                  folder.string(), " error=", error.message()));
    }
    for (; folder != root && folder.has_relative_path(); folder = folder.parent_path()) {
      folders->insert(folder.parent_path().string());
    }
    return absl::OkStatus();
  }

  // A disk may get room and a network file system come back.
  static absl::Status Retryable(const absl::Status& status) {
    return absl::IsResourceExhausted(status) ? absl::UnavailableError(status.message()) : status;
  }

  const std::string attempt_;
};

// Errors: kInvalidArgument if the bucket leads out of the folder, or is hidden.
absl::Status CheckBucket(const std::string& bucket) {
  if (bucket.empty()) return absl::OkStatus();
  bool valid = bucket.find('\0') == std::string::npos;
  for (const std::string_view part : StrSplit(bucket, '/')) {
    valid = valid && !part.empty() && part.front() != '.';
  }
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("a bucket of a file sink must be a path below its folder, of parts that are not empty "
             "and do not begin with a dot: bucket=",
             bucket));
}

}  // namespace

absl::StatusOr<std::unique_ptr<PartFileWriter>> PartFileWriter::Create(
    SinkContext& context, const FileSinkOptions& options, std::string header) {
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
  if (options.suffix.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(
        StrCat("a file sink's suffix has a slash in it: suffix=", options.suffix));
  }
  const OperatorContext::Place& place = context.place();
  const std::string subtask_part =
      StrCat("part-", AsFileName(options.prefix.empty() ? place.uid : options.prefix), "-",
             place.subtask, "-");
  const std::string name = StrCat(subtask_part, ToString(place.attempt).substr(0, kIdDigits), "-");
  RemoveLeftovers(options.folder, StrCat(".", subtask_part), StrCat(".", name),
                  StrCat(".", ToString(place.job).substr(0, kIdDigits), kInProgress));
  return std::unique_ptr<PartFileWriter>(
      new PartFileWriter(context, options, std::move(header), name));
}

PartFileWriter::PartFileWriter(SinkContext& context, const FileSinkOptions& options,
                               std::string header, std::string name)
    : options_(options),
      header_(std::move(header)),
      name_(std::move(name)),
      owner_(ToString(context.place().job).substr(0, kIdDigits)),
      attempt_(ToString(context.place().attempt)),
      clock_(context.clock()),
      needs_time_(options.rolling.rollover_interval != absl::InfiniteDuration() ||
                  options.rolling.inactivity_interval != absl::InfiniteDuration()),
      queue_(SinkIoQueue::Create(context.io_pool(), context.handle(), options.max_buffered_bytes)),
      current_(parts_.end()) {}

PartFileWriter::~PartFileWriter() { Close(); }

void PartFileWriter::Close() { queue_->Close(); }

bool PartFileWriter::IsDue(const Part& part, absl::Time now) const {
  return part.size_bytes >= options_.rolling.max_part_bytes ||
         (needs_time_ && (now - part.begun >= options_.rolling.rollover_interval ||
                          now - part.last_record >= options_.rolling.inactivity_interval));
}

absl::StatusOr<std::string*> PartFileWriter::Begin(const std::string& bucket, absl::Time now) {
  if (current_ == parts_.end() || current_->first != bucket) current_ = parts_.find(bucket);
  if (current_ != parts_.end() && IsDue(current_->second, now)) {
    EndPart(current_);
    current_ = parts_.end();
  }
  if (current_ == parts_.end()) {
    ASSIGN_OR_RETURN(current_, NewPart(bucket, now));
  }
  Part& part = current_->second;
  part.last_record = now;
  size_before_ = part.block.size();
  return &part.block;
}

absl::Status PartFileWriter::End() {
  Part& part = current_->second;
  part.size_bytes += part.block.size() - size_before_;
  if (part.block.size() < kBlockBytes) return absl::OkStatus();
  PushBlock(part);
  return queue_->status();
}

absl::StatusOr<PartFileWriter::Parts::iterator> PartFileWriter::NewPart(const std::string& bucket,
                                                                        absl::Time now) {
  RETURN_IF_ERROR(CheckBucket(bucket));
  if (parts_.size() >= std::max<size_t>(options_.max_open_files, 1)) {
    EndPart(std::min_element(parts_.begin(), parts_.end(), [](const auto& a, const auto& b) {
      return a.second.last_record < b.second.last_record;
    }));
  }
  const std::string final_name = StrCat(name_, num_files_++, options_.suffix);
  const std::string hidden_path = StrCat(options_.folder, "/.", final_name, ".", owner_);
  Part part;
  part.file = std::make_shared<PartFile>(
      StrCat(hidden_path, kInProgress),
      PendingFile{
          .pending_path = StrCat(hidden_path, kPending),
          .final_path = StrCat(options_.folder, "/", bucket, bucket.empty() ? "" : "/", final_name),
          .size_bytes = 0,
          .open = true,
          .attempt = attempt_});
  part.block = header_;
  part.size_bytes = header_.size();
  part.begun = now;
  return parts_.emplace(bucket, std::move(part)).first;
}

void PartFileWriter::PushBlock(Part& part) {
  if (part.block.empty()) return;
  const size_t bytes = part.block.size();
  queue_->Push(bytes, [file = part.file, block = std::exchange(part.block, {})] {
    return file->Append(block);
  });
}

PartFileWriter::Parts::iterator PartFileWriter::EndPart(Parts::iterator part) {
  PushBlock(part->second);
  ended_.push_back(std::move(part->second.file));
  return parts_.erase(part);
}

absl::Status PartFileWriter::EndInput() {
  for (auto part = parts_.begin(); part != parts_.end();) part = EndPart(part);
  current_ = parts_.end();
  return queue_->status();
}

absl::StatusOr<PrepareCommit> PartFileWriter::BeginCommit() {
  const absl::Time now = needs_time_ ? clock_->Now() : absl::InfinitePast();
  for (auto part = parts_.begin(); part != parts_.end();) {
    part = options_.rolling.on_checkpoint || IsDue(part->second, now) ? EndPart(part)
                                                                      : std::next(part);
  }
  current_ = parts_.end();
  RETURN_IF_ERROR(queue_->status());
  if (ended_.empty() && parts_.empty()) {
    return PrepareCommit([](StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
      return std::vector<Committable>();
    });
  }
  std::vector<std::shared_ptr<PartFile>> open;
  for (auto& [bucket, part] : parts_) {
    PushBlock(part);
    open.push_back(part.file);
  }
  // In the queue, because the next epoch's records come behind.
  auto committables = std::make_shared<std::vector<Committable>>();
  const uint64_t ticket =
      queue_->Push(0, [committables, ended = std::exchange(ended_, {}), open = std::move(open)] {
        for (const auto& [files, end] : {std::pair{&ended, true}, std::pair{&open, false}}) {
          for (const std::shared_ptr<PartFile>& file : *files) {
            ASSIGN_OR_RETURN(const PendingFile pending, file->Sync(end));
            committables->push_back({SerializePendingFile(pending), {}});
          }
        }
        return absl::OkStatus();
      });
  return PrepareCommit([queue = queue_, ticket,
                        committables](StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
    RETURN_IF_ERROR(queue->WaitFor(ticket));
    return std::move(*committables);
  });
}

std::unique_ptr<Committer> CreatePartFileCommitter(SinkContext& context) {
  return std::make_unique<PartFileCommitter>(ToString(context.place().attempt));
}

}  // namespace weir::internal
