#include "jobs/sigma/tools/event_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "operators/formats/evtx/evtx_reader.h"
#include "operators/formats/json/json_value_splitter.h"
#include "operators/formats/zeek/zeek_log_reader.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlockSize = size_t{1} << 20;

/// A file read from its beginning to its end, in blocks.
class BlockSource {
 public:
  static absl::StatusOr<BlockSource> Open(const std::string& path) {
    if (path == "-") return BlockSource(path, stdin);
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) {
      return absl::InvalidArgumentError(StrCat(path, ": is a folder; name one file"));
    }
    std::FILE* const file = std::fopen(path.c_str(), "rbe");
    if (file != nullptr) return BlockSource(path, file);
    const std::string message =
        StrCat(path, ": cannot be opened: ", std::string_view(std::strerror(errno)));
    if (errno == ENOENT) return absl::NotFoundError(message);
    return absl::UnavailableError(message);
  }

  BlockSource(BlockSource&& other) noexcept
      : path_(std::move(other.path_)), file_(std::exchange(other.file_, nullptr)) {}
  BlockSource& operator=(BlockSource&&) = delete;
  ~BlockSource() {
    if (file_ != nullptr && file_ != stdin) std::fclose(file_);
  }

  /// Replaces `*block` by the next bytes; empty at the end.
  absl::Status Read(std::string* block) {
    block->resize(kBlockSize);
    block->resize(std::fread(block->data(), 1, kBlockSize, file_));
    if (std::ferror(file_) == 0) return absl::OkStatus();
    return absl::UnavailableError(StrCat(path_, ": cannot be read"));
  }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  BlockSource(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  std::FILE* file_;
};

class JsonEventReader final : public EventReader {
 public:
  JsonEventReader(BlockSource source, std::string_view first_block, bool flattens)
      : source_(std::move(source)), flattens_(flattens) {
    splitter_.Append(first_block);
    if (first_block.empty()) Finish();
  }

  absl::StatusOr<bool> Next(Event* event) override {
    std::optional<JsonValueText> value;
    while (!(value = splitter_.Next())) {
      if (finished_) return false;
      RETURN_IF_ERROR(source_.Read(&block_));
      splitter_.Append(block_);
      if (block_.empty()) Finish();
    }
    flat_.clear();
    const bool flattened = flattens_ && AppendFlatWindowsEvent(value->text, &flat_);
    *event = {flattened ? std::string_view(flat_) : value->text, index_++, value->line,
              std::nullopt};
    return true;
  }

 private:
  void Finish() {
    splitter_.Finish();
    finished_ = true;
  }

  BlockSource source_;
  const bool flattens_;
  JsonValueSplitter splitter_;
  std::string block_;
  std::string flat_;
  bool finished_ = false;
  uint64_t index_ = 0;
};

class ZeekEventReader final : public EventReader {
 public:
  ZeekEventReader(BlockSource source, std::string_view first_block)
      : source_(std::move(source)), text_(first_block), finished_(first_block.empty()) {}

  absl::StatusOr<bool> Next(Event* event) override {
    while (true) {
      ASSIGN_OR_RETURN(const bool has_line, FillLine());
      if (!has_line) return false;
      const size_t end = std::min(text_.find('\n', begin_), text_.size());
      const std::string_view line = std::string_view(text_).substr(begin_, end - begin_);
      begin_ = std::min(end + 1, text_.size());
      ++line_;
      json_.clear();
      const absl::StatusOr<bool> record = log_.ReadLine(line, &json_);
      if (!record.ok()) {
        ++index_;
        return absl::DataLossError(
            StrCat(source_.path(), ":", line_, ": ", ToStd(record.status().message())));
      }
      if (!*record) continue;
      *event = {json_, index_++, line_, std::nullopt};
      return true;
    }
  }

 private:
  // Reads on until a line is whole; false at the end.
  absl::StatusOr<bool> FillLine() {
    while (!finished_ && text_.find('\n', begin_) == std::string::npos) {
      RETURN_IF_ERROR(source_.Read(&block_));
      finished_ = block_.empty();
      text_.erase(0, begin_);
      begin_ = 0;
      text_ += block_;
    }
    return begin_ < text_.size();
  }

  BlockSource source_;
  ZeekLogReader log_;
  std::string text_;
  std::string block_;
  std::string json_;
  size_t begin_ = 0;
  uint64_t line_ = 0;
  uint64_t index_ = 0;
  bool finished_;
};

class EvtxEventReader final : public EventReader {
 public:
  EvtxEventReader(std::string path, std::unique_ptr<std::string> bytes, evtx::EvtxReader reader)
      : path_(std::move(path)), bytes_(std::move(bytes)), reader_(std::move(reader)) {}

  absl::StatusOr<bool> Next(Event* event) override {
    if (!reader_.Next()) return false;
    json_.clear();
    const absl::Status appended = reader_.AppendFlat(&json_);
    const uint64_t index = index_++;
    if (!appended.ok()) {
      return absl::DataLossError(StrCat(path_, ": ", ToStd(appended.message())));
    }
    *event = {json_, index, std::nullopt, reader_.record().id};
    return true;
  }

  std::vector<std::string> Remarks() const override {
    std::vector<std::string> remarks;
    for (const evtx::EvtxDamage& damage : reader_.damages()) {
      remarks.push_back(StrCat(path_, ": ", damage.ToString()));
    }
    return remarks;
  }

 private:
  std::string path_;
  std::unique_ptr<std::string> bytes_;  // Of a log from stdin, else null.
  evtx::EvtxReader reader_;
  std::string json_;
  uint64_t index_ = 0;
};

absl::StatusOr<std::unique_ptr<EventReader>> OpenEvtx(BlockSource source, std::string first_block) {
  const std::string path = source.path();
  std::unique_ptr<std::string> bytes;
  if (path == "-") {
    bytes = std::make_unique<std::string>(std::move(first_block));
    std::string block;
    do {
      RETURN_IF_ERROR(source.Read(&block));
      *bytes += block;
    } while (!block.empty());
  }
  absl::StatusOr<evtx::EvtxReader> reader =
      bytes != nullptr ? evtx::EvtxReader::FromBytes(*bytes) : evtx::EvtxReader::Open(path);
  if (!reader.ok()) {
    return absl::Status(reader.status().code(),
                        ToAbsl(StrCat(path, ": ", ToStd(reader.status().message()))));
  }
  return std::make_unique<EvtxEventReader>(path, std::move(bytes), *std::move(reader));
}

EventFormat FormatOf(std::string_view bytes) {
  if (evtx::EvtxReader::IsEvtx(bytes)) return EventFormat::kEvtx;
  return ZeekLogReader::IsZeekLog(bytes) ? EventFormat::kZeek : EventFormat::kJson;
}

bool HasEventExtension(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".evtx" || extension == ".json" || extension == ".jsonl" ||
         extension == ".ndjson" || extension == ".log";
}

absl::Status AddFolder(const std::string& folder, std::vector<std::string>* files) {
  std::error_code error;
  const size_t before = files->size();
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (HasEventExtension(it->path()) && !it->is_directory(error)) {
      files->push_back(it->path().string());
    }
  }
  if (error) {
    return absl::UnavailableError(
        StrCat(folder, ": the folder cannot be listed: ", error.message()));
  }
  if (files->size() == before) {
    return absl::NotFoundError(
        StrCat(folder, ": the folder has no event files (.evtx, .json, .jsonl, .ndjson, .log)"));
  }
  std::sort(files->begin() + static_cast<std::ptrdiff_t>(before), files->end());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventReader>> EventReader::Open(const std::string& path,
                                                               const EventOptions& options) {
  const EventFormat format = options.format;
  ASSIGN_OR_RETURN(BlockSource source, BlockSource::Open(path));
  std::string block;
  RETURN_IF_ERROR(source.Read(&block));
  const EventFormat found = FormatOf(block);
  if (format == EventFormat::kEvtx ||
      (format == EventFormat::kAuto && found == EventFormat::kEvtx)) {
    return OpenEvtx(std::move(source), std::move(block));
  }
  if (found == EventFormat::kEvtx) {
    return absl::InvalidArgumentError(
        StrCat(path, ": is a Windows event log; give --format evtx or auto"));
  }
  // Zeek writes JSON too.
  if (format != EventFormat::kJson && found == EventFormat::kZeek) {
    return std::make_unique<ZeekEventReader>(std::move(source), block);
  }
  return std::make_unique<JsonEventReader>(std::move(source), block, options.pipelines.empty());
}

absl::StatusOr<std::vector<std::string>> FindEventFiles(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (path != "-" && !fs::exists(path, error)) {
      return absl::NotFoundError(StrCat(path, ": there is no such file or folder"));
    }
    if (path != "-" && fs::is_directory(path, error)) {
      RETURN_IF_ERROR(AddFolder(path, &files));
    } else {
      files.push_back(path);
    }
  }
  return files;
}

}  // namespace weir::sigma
