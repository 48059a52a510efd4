#include "operators/connectors/file/internal/file_enumerator.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "operators/connectors/file/internal/record_scanner.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace fs = std::filesystem;

namespace {

constexpr uint8_t kVersion = 1;

bool IsHidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

bool HasExtension(const FileSourceOptions& options, const fs::path& path) {
  const std::string name = path.filename().string();
  return std::any_of(options.extensions.begin(), options.extensions.end(),
                     [&](const std::string& extension) { return name.ends_with(extension); });
}

absl::Status ListError(const std::string& path, const std::error_code& error) {
  const std::string message =
      StrCat("cannot read a file source's path: path=", path, " error=", error.message());
  return error == std::errc::permission_denied ? absl::PermissionDeniedError(message)
                                               : absl::UnavailableError(message);
}

}  // namespace

FileEnumerator::FileEnumerator(FileSourceOptions options)
    : options_(std::make_shared<const FileSourceOptions>(std::move(options))) {}

FileEnumerator::~FileEnumerator() { FileEnumerator::Close(); }

absl::Status FileEnumerator::Start(SplitEnumeratorContext& context, const std::string* restored) {
  context_ = &context;
  link_ = std::make_shared<EnumeratorLink>(&context);
  unassigned_splits_ = context.metrics()->AddGauge("unassignedSplits");
  if (restored != nullptr) RETURN_IF_ERROR(Restore(*restored));
  ShowUnassigned();
  if (!listed_ || options_->follow) PostListing();
  return absl::OkStatus();
}

void FileEnumerator::Close() {
  if (link_ != nullptr) link_->Close();
}

void FileEnumerator::PostListing() {
  // A pool that shuts down runs nothing more; the job ends with it.
  (void)context_->io_pool()->Post([this, link = link_, options = options_] {
    if (link->closed()) return;
    EnumeratorLink::Post(
        link, [this, listing = List(*options)]() mutable { return OnListed(std::move(listing)); });
  });
}

FileEnumerator::Listing FileEnumerator::List(const FileSourceOptions& options) {
  std::error_code error;
  const fs::file_status root = fs::status(options.path, error);
  if (!fs::exists(root)) {
    if (error && error != std::errc::no_such_file_or_directory) {
      return ListError(options.path, error);
    }
    return absl::NotFoundError(
        StrCat("there is no such file or folder to read; check the path of the file source: path=",
               options.path));
  }
  std::vector<FoundFile> files;
  const auto add = [&](const fs::path& path) {
    std::error_code size_error;
    const auto size = fs::file_size(path, size_error);
    if (!size_error) files.push_back({path.string(), size, options.format});
  };
  if (!fs::is_directory(root)) {
    add(options.path);
  } else {
    fs::recursive_directory_iterator entry(options.path, error);
    for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
      std::error_code type_error;
      const fs::path& path = entry->path();
      if (entry->is_directory(type_error)) {
        if (!options.recursive || IsHidden(path)) entry.disable_recursion_pending();
      } else if (entry->is_regular_file(type_error) && !IsHidden(path) &&
                 HasExtension(options, path)) {
        add(path);
      }
    }
    if (error) return ListError(options.path, error);
  }
  std::sort(files.begin(), files.end(),
            [](const FoundFile& left, const FoundFile& right) { return left.path < right.path; });
  for (FoundFile& file : files) RETURN_IF_ERROR(DetectFormat(options, file));
  return files;
}

// Small and followed files are detected by their readers.
absl::Status FileEnumerator::DetectFormat(const FileSourceOptions& options, FoundFile& file) {
  if (options.follow || file.format != FileFormat::kAuto || file.size <= options.range_bytes) {
    return absl::OkStatus();
  }
  std::ifstream stream(file.path, std::ios::binary);
  RecordScanner scanner({.path = file.path, .max_record_bytes = 0});
  std::string chunk(size_t{64} << 10, '\0');
  std::string record;
  while (scanner.format() == FileFormat::kAuto && stream) {
    stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    scanner.Feed({chunk.data(), static_cast<size_t>(stream.gcount())});
    (void)scanner.Next(&record);
  }
  if (stream.bad() || !stream.is_open()) {
    return absl::UnavailableError(StrCat("cannot read a file: file=", file.path));
  }
  file.format = scanner.format();
  return absl::OkStatus();
}

void FileEnumerator::AddRanges(const FoundFile& file) {
  const bool whole = file.format != FileFormat::kLines || file.size <= options_->range_bytes;
  const uint64_t step = whole ? file.size : std::max<uint64_t>(options_->range_bytes, 1);
  for (uint64_t begin = 0; begin < file.size; begin += step) {
    FileSplit split;
    split.path = file.path;
    split.begin = split.offset = begin;
    split.end =
        file.format == FileFormat::kArray ? FileSplit::kNoEnd : std::min(begin + step, file.size);
    split.format = file.format;
    unassigned_.push_back(std::move(split));
  }
}

absl::Status FileEnumerator::OnListed(Listing listing) {
  if (!listing.ok()) {
    if (!options_->follow || (!listed_ && !restored_)) {
      context_->Fail(listing.status());
      return absl::OkStatus();
    }
    LogWarning("file-source", listing.status().message().empty()
                                  ? "cannot list files"
                                  : ToStd(listing.status().message()));
    listing = std::vector<FoundFile>();
  }
  const bool first = !listed_;
  listed_ = true;
  if (!options_->follow) {
    if (listing->empty()) {
      LogWarning("file-source", StrCat("there are no files to read: path=", options_->path));
    }
    for (const FoundFile& file : *listing) AddRanges(file);
    ShowUnassigned();
    for (const uint32_t subtask : std::exchange(waiting_, {})) AssignNext(subtask);
    return absl::OkStatus();
  }
  for (FoundFile& file : *listing) {
    if (!seen_.insert(file.path).second) continue;
    FileSplit split;
    split.path = std::move(file.path);
    split.format = options_->format;
    unassigned_.push_back(std::move(split));
  }
  ShowUnassigned();
  for (const uint32_t subtask : readers_) {
    AssignFollowed(subtask);
    if (first) context_->SignalInitialSplitsAssigned(subtask);
  }
  EnumeratorLink::PostAfter(link_, options_->poll_interval, [this] {
    PostListing();
    return absl::OkStatus();
  });
  return absl::OkStatus();
}

absl::Status FileEnumerator::AddReader(uint32_t subtask,
                                       const std::vector<std::string>& /*split_ids*/) {
  readers_.insert(subtask);
  if (options_->follow && listed_) {
    AssignFollowed(subtask);
    context_->SignalInitialSplitsAssigned(subtask);
  }
  return absl::OkStatus();
}

absl::Status FileEnumerator::HandleSplitRequest(uint32_t subtask) {
  if (options_->follow) return absl::OkStatus();
  if (listed_) {
    AssignNext(subtask);
  } else {
    waiting_.push_back(subtask);
  }
  return absl::OkStatus();
}

void FileEnumerator::AssignNext(uint32_t subtask) {
  if (unassigned_.empty()) {
    context_->SignalInitialSplitsAssigned(subtask);
    context_->SignalNoMoreSplits(subtask);
    return;
  }
  const SourceSplit split = ToSourceSplit(unassigned_.front());
  unassigned_.pop_front();
  ShowUnassigned();
  context_->AssignSplits(subtask, {split});
}

void FileEnumerator::AssignFollowed(uint32_t subtask) {
  std::vector<SourceSplit> splits;
  std::erase_if(unassigned_, [&](const FileSplit& split) {
    const uint64_t hash = XXH3_64bits(split.path.data(), split.path.size());
    if (hash % context_->parallelism() != subtask) return false;
    splits.push_back(ToSourceSplit(split));
    return true;
  });
  ShowUnassigned();
  if (!splits.empty()) context_->AssignSplits(subtask, std::move(splits));
}

absl::StatusOr<std::string> FileEnumerator::Snapshot(CheckpointId /*checkpoint*/) {
  std::string bytes;
  ByteWriter writer(&bytes);
  writer.WriteFixed(kVersion);
  writer.WriteFixed(listed_);
  writer.WriteVarint(seen_.size());
  for (const std::string& path : seen_) writer.WriteString(path);
  writer.WriteVarint(unassigned_.size());
  for (const FileSplit& split : unassigned_) writer.WriteString(ToSourceSplit(split).bytes);
  return bytes;
}

absl::Status FileEnumerator::Restore(const std::string& bytes) {
  ByteReader reader(bytes);
  uint8_t version = 0;
  uint64_t num_seen = 0;
  uint64_t num_unassigned = 0;
  reader.ReadFixed(&version);
  reader.ReadFixed(&listed_);
  reader.ReadCount(&num_seen);
  for (uint64_t i = 0; reader.ok() && i < num_seen; ++i) {
    std::string path;
    reader.ReadString(&path);
    seen_.insert(std::move(path));
  }
  reader.ReadCount(&num_unassigned);
  for (uint64_t i = 0; reader.ok() && i < num_unassigned; ++i) {
    std::string_view split_bytes;
    reader.ReadStringView(&split_bytes);
    if (!reader.ok()) break;
    ASSIGN_OR_RETURN(FileSplit split, ParseFileSplit(split_bytes));
    unassigned_.push_back(std::move(split));
  }
  if (!reader.ok() || version != kVersion) {
    return absl::DataLossError("the state of a file enumerator is malformed or of another version");
  }
  restored_ = true;
  return absl::OkStatus();
}

}  // namespace weir::internal
