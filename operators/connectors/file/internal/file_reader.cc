#include "operators/connectors/file/internal/file_reader.h"

#include <algorithm>
#include <utility>

#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

constexpr int kRecordsPerPoll = 1024;
// One is read, the other one waits, so that reading does not stop for the enumerator's answer.
constexpr size_t kSplitsAhead = 2;

// The line that begins before a range belongs to the range before, which is told from the byte
// before the range.
bool BeginsWithinLine(const FileSplit& split) {
  return split.begin > 0 && split.offset == split.begin;
}

}  // namespace

FileReader::FileReader(FileSourceOptions options) : options_(std::move(options)) {}

FileReader::~FileReader() { FileReader::Close(); }

absl::Status FileReader::Start(SourceReaderContext& context) {
  context_ = &context;
  fetcher_ = FileFetcher::Create(context.io_pool(), context.handle(), options_.chunk_bytes);
  return absl::OkStatus();
}

absl::Status FileReader::AddSplits(std::vector<SourceSplit> splits) {
  split_requested_ = false;
  for (const SourceSplit& source_split : splits) {
    ASSIGN_OR_RETURN(FileSplit split, ParseFileSplit(source_split.bytes));
    FileFetcher::Target target;
    target.id = next_split_;
    target.path = split.path;
    target.offset = BeginsWithinLine(split) ? split.offset - 1 : split.offset;
    target.end = split.end;
    target.inode = split.inode;
    target.follow = options_.follow;
    splits_.emplace(next_split_++, HeldSplit{std::move(split), source_split.id, std::nullopt});
    fetcher_->Add(std::move(target));
  }
  return absl::OkStatus();
}

RecordScanner FileReader::NewScanner(const FileSplit& split) const {
  const bool within_line = BeginsWithinLine(split);
  return RecordScanner({.path = split.path,
                        .format = split.format,
                        .offset = within_line ? split.offset - 1 : split.offset,
                        .skip_first_line = within_line,
                        .max_record_bytes = options_.max_record_bytes});
}

void FileReader::BeginChunk(HeldSplit& held, SourceOutput<std::string>& output) {
  if (chunk_->restarts) {
    if (held.scanner.has_value() && held.scanner->Finish(&record_)) {
      Emit(held, output);
    }
    held.split.offset = 0;
    held.split.format = options_.format;
    held.scanner.reset();
  }
  held.split.inode = chunk_->inode;
  if (!held.scanner.has_value()) held.scanner.emplace(NewScanner(held.split));
  held.scanner->Feed({chunk_->data.get(), chunk_->size});
}

void FileReader::Emit(const HeldSplit& held, SourceOutput<std::string>& output) {
  output.CollectAt(std::move(record_), EventTime::Min(), held.id, held.scanner->record_offset());
}

absl::StatusOr<bool> FileReader::NextChunk(SourceOutput<std::string>& output) {
  while (!resumed_.empty()) {
    const auto found = splits_.find(resumed_.back());
    if (found != splits_.end() && !found->second.paused) {
      HeldSplit& held = found->second;
      chunk_ = std::exchange(held.begun, std::nullopt);
      if (chunk_.has_value()) return true;
      if (!held.parked.empty()) {
        chunk_ = std::move(held.parked.front());
        held.parked.pop_front();
        break;
      }
    }
    resumed_.pop_back();
  }
  while (!chunk_.has_value()) {
    std::optional<FileChunk> taken = fetcher_->Take();
    if (!taken.has_value()) return false;
    RETURN_IF_ERROR(taken->status);
    HeldSplit& held = splits_.at(taken->target);
    if (held.paused) {
      held.parked.push_back(*std::move(taken));
    } else {
      chunk_ = std::move(taken);
    }
  }
  BeginChunk(splits_.at(chunk_->target), output);
  return true;
}

absl::Status FileReader::PauseOrResumeSplits(const std::vector<std::string>& to_pause,
                                             const std::vector<std::string>& to_resume) {
  const auto set_paused = [&](const std::vector<std::string>& ids, bool paused) {
    for (auto& [number, held] : splits_) {
      if (held.paused == paused || std::find(ids.begin(), ids.end(), held.id) == ids.end())
        continue;
      held.paused = paused;
      fetcher_->SetPaused(number, paused);
      if (paused && chunk_.has_value() && chunk_->target == number)
        held.begun = std::exchange(chunk_, std::nullopt);
      if (!paused) resumed_.push_back(number);
    }
  };
  set_paused(to_pause, true);
  set_paused(to_resume, false);
  if (!to_resume.empty()) context_->handle()->Wake();
  return absl::OkStatus();
}

absl::StatusOr<ReadStatus> FileReader::Poll(SourceOutput<std::string>& output) {
  int budget = kRecordsPerPoll;
  while (true) {
    if (!chunk_.has_value()) {
      ASSIGN_OR_RETURN(const bool found, NextChunk(output));
      if (!found) return NothingToEmit();
    }
    HeldSplit& held = splits_.at(chunk_->target);
    while (budget > 0 && !output.Full() && held.scanner->Next(&record_)) {
      Emit(held, output);
      --budget;
    }
    RETURN_IF_ERROR(held.scanner->status());
    if (budget == 0 || output.Full()) return ReadStatus::kMore;
    if (chunk_->last) {
      if (held.scanner->Finish(&record_)) {
        Emit(held, output);
      }
      RETURN_IF_ERROR(held.scanner->status());
    }
    held.caught_up = held.caught_up || chunk_->caught_up;
    if (chunk_->last) {
      output.SplitFinished(held.id);
      splits_.erase(chunk_->target);
    }
    fetcher_->Recycle(std::move(chunk_->data));
    chunk_.reset();
  }
}

ReadStatus FileReader::NothingToEmit() {
  if (options_.follow) {
    const absl::Time now = context_->clock()->Now();
    if (now >= next_look_) {
      next_look_ = now + options_.poll_interval;
      fetcher_->LookAgain();
    }
    context_->handle()->WakeAt(next_look_);
    return ReadStatus::kNothing;
  }
  if (no_more_splits_) return splits_.empty() ? ReadStatus::kEnd : ReadStatus::kNothing;
  if (!split_requested_ && splits_.size() < kSplitsAhead) {
    split_requested_ = true;
    context_->RequestSplit();
  }
  return ReadStatus::kNothing;
}

FileSplit FileReader::Position(const HeldSplit& held) {
  FileSplit split = held.split;
  if (held.scanner.has_value()) {
    split.offset = std::max(split.begin, held.scanner->offset());
    split.format = held.scanner->format();
  }
  return split;
}

std::vector<SourceSplit> FileReader::Snapshot(CheckpointId /*checkpoint*/) {
  std::vector<SourceSplit> splits;
  splits.reserve(splits_.size());
  for (const auto& [number, held] : splits_) splits.push_back(ToSourceSplit(Position(held)));
  return splits;
}

bool FileReader::IsCaughtUp() const {
  return options_.follow ? std::all_of(splits_.begin(), splits_.end(),
                                       [](const auto& entry) { return entry.second.caught_up; })
                         : splits_.empty();
}

void FileReader::Close() {
  if (fetcher_ != nullptr) fetcher_->Close();
  chunk_.reset();
}

}  // namespace weir::internal
