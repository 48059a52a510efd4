#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operators/api/source.h"
#include "operators/connectors/file/internal/file_fetcher.h"
#include "operators/connectors/file/internal/file_split.h"
#include "operators/connectors/file/internal/record_scanner.h"

namespace weir::internal {

/// Reads the files of one subtask: a FileFetcher gets their chunks, Poll cuts them into records.
class FileReader final : public SourceReader<std::string> {
 public:
  explicit FileReader(FileSourceOptions options);
  ~FileReader() override;

  [[nodiscard]] absl::Status Start(SourceReaderContext& context) override;
  [[nodiscard]] absl::Status AddSplits(std::vector<SourceSplit> splits) override;
  void NotifyNoMoreSplits() override { no_more_splits_ = true; }
  [[nodiscard]] absl::StatusOr<ReadStatus> Poll(SourceOutput<std::string>& output) override;
  [[nodiscard]] std::vector<SourceSplit> Snapshot(CheckpointId checkpoint) override;
  [[nodiscard]] bool SupportsPausing() const override { return true; }
  [[nodiscard]] absl::Status PauseOrResumeSplits(
      const std::vector<std::string>& to_pause, const std::vector<std::string>& to_resume) override;
  [[nodiscard]] bool IsCaughtUp() const override;
  void Close() override;

 private:
  struct HeldSplit {
    FileSplit split;
    std::string id;
    std::optional<RecordScanner> scanner;  // Once its first chunk is there.
    bool caught_up = false;
    bool paused = false;
    std::optional<FileChunk> begun =
        std::nullopt;                   // What was being cut into records when it was paused.
    std::deque<FileChunk> parked = {};  // Came while it was paused; a few at most.
  };

  [[nodiscard]] RecordScanner NewScanner(const FileSplit& split) const;
  [[nodiscard]] static FileSplit Position(const HeldSplit& held);
  void BeginChunk(HeldSplit& held, SourceOutput<std::string>& output);
  // Emits record_, which the split's scanner has just found.
  void Emit(const HeldSplit& held, SourceOutput<std::string>& output);
  // Gets chunk_ from a split that is not paused. Returns whether there is one.
  [[nodiscard]] absl::StatusOr<bool> NextChunk(SourceOutput<std::string>& output);
  ReadStatus NothingToEmit();

  const FileSourceOptions options_;
  SourceReaderContext* context_ = nullptr;
  std::shared_ptr<FileFetcher> fetcher_;
  std::map<uint64_t, HeldSplit> splits_;  // In the order they came.
  uint64_t next_split_ = 0;
  std::vector<uint64_t> resumed_;   // Splits that may have chunks from before they were paused.
  std::optional<FileChunk> chunk_;  // Being cut into records.
  std::string record_;
  bool no_more_splits_ = false;
  bool split_requested_ = false;
  absl::Time next_look_ = absl::InfinitePast();
};

}  // namespace weir::internal
