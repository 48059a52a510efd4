#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace weir::evtx {

inline constexpr size_t kChunkSize = 65536;
inline constexpr size_t kChunkHeaderSize = 512;
inline constexpr size_t kRecordHeaderSize = 24;

/// A record as it lies in its chunk.
struct RawRecord {
  size_t position = 0;  ///< Of its header.
  size_t size = 0;      ///< With header and the copy of its size at the end.
  uint64_t id = 0;
  uint64_t file_time = 0;  ///< 100 ns since 1601.

  [[nodiscard]] size_t xml_begin() const { return position + kRecordHeaderSize; }
  [[nodiscard]] size_t xml_end() const { return position + size - sizeof(uint32_t); }
};

/// Walks over the records of one chunk and past what is damaged.
///
/// Lifecycle: Begin for each chunk, then Next until it gives nothing. Threads: one at a time.
class ChunkWalk {
 public:
  /// Reports damage: where in the chunk, whether records may be missing, and what it is.
  using Report = std::function<void(size_t position, bool skipped, std::string reason)>;

  explicit ChunkWalk(Report report) : report_(std::move(report)) {}

  /// Takes up `chunk`, which is at most kChunkSize bytes (fewer where a file was cut off) and must
  /// outlive the walk. Checks header and checksums. Returns whether there is anything to walk
  /// over: a chunk of zeros is empty.
  [[nodiscard]] bool Begin(std::string_view chunk);

  [[nodiscard]] std::optional<RawRecord> Next();

 private:
  void CheckHeader();
  void CheckRecords();
  [[nodiscard]] std::optional<RawRecord> RecordAt(size_t position) const;
  [[nodiscard]] std::optional<RawRecord> Search(size_t from) const;
  [[nodiscard]] bool IsStale(const RawRecord& record) const;

  Report report_;
  std::string_view chunk_;
  size_t stated_end_ = 0;  // Where the header says that records end; 0 if it is not to be trusted.
  size_t position_ = 0;
  std::optional<uint64_t> last_id_;
};

}  // namespace weir::evtx
