#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "operators/api/source.h"
#include "operators/connectors/file/internal/file_split.h"
#include "operators/connectors/internal/enumerator_link.h"

namespace weir::internal {

/// Finds files. Bounded: lists them once and hands out splits as readers ask. Followed: looks again
/// each poll interval, and each file belongs to the reader that the hash of its path names.
class FileEnumerator final : public SplitEnumerator {
 public:
  explicit FileEnumerator(FileSourceOptions options);
  ~FileEnumerator() override;

  [[nodiscard]] absl::Status Start(SplitEnumeratorContext& context,
                                   const std::string* restored) override;
  [[nodiscard]] absl::Status AddReader(uint32_t subtask,
                                       const std::vector<std::string>& split_ids) override;
  [[nodiscard]] absl::Status HandleSplitRequest(uint32_t subtask) override;
  [[nodiscard]] absl::StatusOr<std::string> Snapshot(CheckpointId checkpoint) override;
  void Close() override;

 private:
  struct FoundFile {
    std::string path;
    uint64_t size = 0;
    FileFormat format = FileFormat::kAuto;
  };
  using Listing = absl::StatusOr<std::vector<FoundFile>>;

  static Listing List(const FileSourceOptions& options);
  static absl::Status DetectFormat(const FileSourceOptions& options, FoundFile& file);
  void PostListing();
  absl::Status OnListed(Listing listing);
  void AddRanges(const FoundFile& file);
  void AssignNext(uint32_t subtask);
  void AssignFollowed(uint32_t subtask);
  void ShowUnassigned() { unassigned_splits_->Set(static_cast<double>(unassigned_.size())); }
  absl::Status Restore(const std::string& bytes);

  const std::shared_ptr<const FileSourceOptions> options_;
  SplitEnumeratorContext* context_ = nullptr;
  std::shared_ptr<EnumeratorLink> link_;
  bool listed_ = false;  // At least once, in this attempt or an earlier one.
  bool restored_ = false;
  std::set<std::string> seen_;  // Followed only: files that are assigned or in unassigned_.
  std::deque<FileSplit> unassigned_;
  Gauge* unassigned_splits_ = nullptr;
  std::set<uint32_t> readers_;
  std::deque<uint32_t> waiting_;  // Readers that asked before files were listed.
};

}  // namespace weir::internal
