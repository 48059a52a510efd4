#include "operators/formats/evtx/internal/chunk.h"

#include <algorithm>
#include <utility>

#include "operators/formats/evtx/internal/byte_reader.h"
#include "operators/formats/evtx/internal/crc32.h"
#include "runtime/base/strings.h"

namespace weir::evtx {
namespace {

constexpr std::string_view kChunkSignature("ElfChnk\0", 8);
constexpr std::string_view kRecordSignature("**\0\0", 4);
constexpr uint32_t kNoChecksumsFlag = 4;
constexpr size_t kMinRecordSize = kRecordHeaderSize + sizeof(uint32_t);

}  // namespace

bool ChunkWalk::Begin(std::string_view chunk) {
  chunk_ = chunk.substr(0, kChunkSize);
  last_id_.reset();
  position_ = kChunkHeaderSize;
  stated_end_ = 0;
  if (chunk_.find_first_not_of('\0') == chunk_.npos) return false;
  if (chunk_.size() < kChunkHeaderSize) {
    report_(0, true, "the file ends inside of a chunk's header");
    return false;
  }
  CheckHeader();
  return true;
}

void ChunkWalk::CheckHeader() {
  if (!chunk_.starts_with(kChunkSignature)) {
    report_(0, true, "the chunk has no valid header; it is searched for records");
    return;
  }
  const bool has_checksums = (ReadAt<uint32_t>(chunk_, 120) & kNoChecksumsFlag) == 0;
  const uint32_t header_crc =
      Crc32(chunk_.substr(128, kChunkHeaderSize - 128), Crc32(chunk_.substr(0, 120)));
  if (has_checksums && header_crc != ReadAt<uint32_t>(chunk_, 124)) {
    report_(0, false, "the checksum of the chunk's header does not fit");
  }
  const size_t end = ReadAt<uint32_t>(chunk_, 48);
  if (end < kChunkHeaderSize || end > kChunkSize) {
    report_(48, false, StrCat("the chunk's header gives no valid end of records: ", end));
    return;
  }
  stated_end_ = end;
  if (chunk_.size() < stated_end_) {
    report_(chunk_.size(), true, "the file ends inside of a chunk");
  } else if (has_checksums &&
             Crc32(chunk_.substr(kChunkHeaderSize, stated_end_ - kChunkHeaderSize)) !=
                 ReadAt<uint32_t>(chunk_, 52)) {
    report_(kChunkHeaderSize, false, "the checksum of the chunk's records does not fit");
  }
}

std::optional<RawRecord> ChunkWalk::RecordAt(size_t position) const {
  if (chunk_.size() - std::min(position, chunk_.size()) < kMinRecordSize) return std::nullopt;
  if (!chunk_.substr(position).starts_with(kRecordSignature)) return std::nullopt;
  RawRecord record;
  record.position = position;
  record.size = ReadAt<uint32_t>(chunk_, position + 4);
  if (record.size < kMinRecordSize || record.size > chunk_.size() - position) return std::nullopt;
  if (ReadAt<uint32_t>(chunk_, position + record.size - 4) != record.size) {
    // The copy of the size at its end may be what is damaged.
    const size_t end = position + record.size;
    if (end != stated_end_ && !chunk_.substr(end).starts_with(kRecordSignature)) {
      return std::nullopt;
    }
  }
  record.id = ReadAt<uint64_t>(chunk_, position + 8);
  record.file_time = ReadAt<uint64_t>(chunk_, position + 16);
  return record;
}

std::optional<RawRecord> ChunkWalk::Search(size_t from) const {
  for (size_t i = from; (i = chunk_.find(kRecordSignature, i)) != chunk_.npos; ++i) {
    if (const auto record = RecordAt(i)) return record;
  }
  return std::nullopt;
}

// Past the stated end only records whose ids go on belong to the log as it is.
bool ChunkWalk::IsStale(const RawRecord& record) const {
  if (record.position < stated_end_) return false;
  if (stated_end_ == 0) return last_id_ && record.id <= *last_id_;
  return !last_id_ || record.id != *last_id_ + 1;
}

std::optional<RawRecord> ChunkWalk::Next() {
  std::optional<RawRecord> record = RecordAt(position_);
  if (!record) {
    // Behind the last record there are zeros, or what the chunk held before.
    const bool expects_more = position_ < std::min(stated_end_, chunk_.size());
    if (!expects_more && stated_end_ != 0) return std::nullopt;
    record = Search(position_);
    const bool lost = expects_more || (record && !IsStale(*record) && last_id_);
    const bool is_cut_off = !record && chunk_.size() < stated_end_;  // Begin has said so.
    if (lost && !is_cut_off) {
      const size_t end = record ? record->position : std::min(stated_end_, chunk_.size());
      report_(position_, true, StrCat("no record can be read in ", end - position_, " bytes"));
    }
  }
  if (!record || IsStale(*record)) {
    position_ = chunk_.size();
    return std::nullopt;
  }
  position_ = record->position + record->size;
  last_id_ = record->id;
  return record;
}

}  // namespace weir::evtx
