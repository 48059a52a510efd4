#include "operators/formats/evtx/evtx_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "operators/formats/evtx/internal/binary_xml.h"
#include "operators/formats/evtx/internal/byte_reader.h"
#include "operators/formats/evtx/internal/chunk.h"
#include "operators/formats/evtx/internal/crc32.h"
#include "operators/formats/evtx/internal/event_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::evtx {
namespace {

constexpr size_t kFileHeaderSize = 4096;
constexpr std::string_view kFileSignature("ElfFile\0", 8);
constexpr std::string_view kChunkSignature("ElfChnk\0", 8);

absl::Time FromFileTime(uint64_t ticks) {
  constexpr int64_t kSecondsFrom1601To1970 = 11'644'473'600;
  const auto seconds = static_cast<int64_t>(ticks / 10'000'000) - kSecondsFrom1601To1970;
  return absl::FromUnixSeconds(seconds) +
         absl::Nanoseconds(static_cast<int64_t>(ticks % 10'000'000) * 100);
}

/// Where a log's bytes come from: a file that it owns, or memory that it borrows.
class ByteSource {
 public:
  explicit ByteSource(int file) : file_(file) {}
  explicit ByteSource(std::string_view bytes) : bytes_(bytes) {}
  ByteSource(ByteSource&& other) noexcept
      : file_(std::exchange(other.file_, -1)), bytes_(other.bytes_) {}
  ByteSource& operator=(ByteSource&&) = delete;
  ~ByteSource() {
    if (file_ >= 0) close(file_);
  }

  /// Replaces `*to` by up to `size` bytes from `offset` on; fewer only at the end.
  absl::Status Read(uint64_t offset, size_t size, std::string* to) const {
    to->clear();
    if (file_ < 0) {
      if (offset < bytes_.size()) to->assign(bytes_.substr(offset, size));
      return absl::OkStatus();
    }
    to->resize(size);
    size_t filled = 0;
    while (filled < size) {
      const ssize_t got =
          pread(file_, to->data() + filled, size - filled, static_cast<off_t>(offset + filled));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        to->clear();
        return absl::UnavailableError(
            StrCat("the file cannot be read: ", std::string_view(std::strerror(errno))));
      }
      if (got == 0) break;
      filled += static_cast<size_t>(got);
    }
    to->resize(filled);
    return absl::OkStatus();
  }

 private:
  int file_ = -1;
  std::string_view bytes_;
};

}  // namespace

std::string EvtxDamage::ToString() const {
  return StrCat(reason, skipped ? " (records may be missing)" : " (records were read all the same)",
                ": offset=", offset, chunk ? StrCat(" chunk=", *chunk) : "");
}

class EvtxReader::Impl {
 public:
  explicit Impl(ByteSource source)
      : source_(std::move(source)),
        walk_([this](size_t position, bool skipped, std::string reason) {
          Report(chunk_offset_ + position, skipped, std::move(reason));
        }) {}

  absl::Status ReadFileHeader() {
    RETURN_IF_ERROR(source_.Read(0, kFileHeaderSize + kChunkSignature.size(), &buffer_));
    const std::string_view header = buffer_;
    bytes_read_ = std::min(header.size(), kFileHeaderSize);
    if (!IsEvtx(header)) {
      return absl::InvalidArgumentError(
          "the file is no Windows event log (EVTX): it does not begin with ElfFile");
    }
    if (!header.starts_with(kFileSignature)) {
      damages_.push_back({0, std::nullopt, false, "the file's header is damaged"});
    } else if (header.size() < kFileHeaderSize) {
      damages_.push_back({header.size(), std::nullopt, true, "the file ends inside of its header"});
    } else if (Crc32(header.substr(0, 120)) != ReadAt<uint32_t>(header, 124)) {
      damages_.push_back(
          {0, std::nullopt, false, "the checksum of the file's header does not fit"});
    }
    return absl::OkStatus();
  }

  bool Next() {
    while (true) {
      if (!in_chunk_ && !NextChunk()) return false;
      const std::optional<RawRecord> raw = walk_.Next();
      if (!raw) {
        in_chunk_ = false;
        continue;
      }
      const absl::Status read = xml_.Read(raw->xml_begin(), raw->xml_end());
      if (!read.ok()) {
        Report(chunk_offset_ + raw->position, true,
               StrCat("record ", raw->id, " cannot be read: ", ToStd(read.message())));
        continue;
      }
      record_ = {raw->id, FromFileTime(raw->file_time), chunk_, chunk_offset_ + raw->position};
      return true;
    }
  }

  absl::Status Append(bool flat, std::string* out) {
    const size_t size = out->size();
    const bool whole =
        flat ? writer_.AppendFlat(xml_.tree(), out) : writer_.AppendJson(xml_.tree(), out);
    if (whole) return absl::OkStatus();
    out->resize(size);
    const std::string reason = StrCat("record ", record_.id, " repeats itself beyond all measure");
    Report(record_.offset, true, reason);
    return absl::DataLossError(StrCat(reason, ": offset=", record_.offset));
  }

  [[nodiscard]] const EvtxRecord& record() const { return record_; }
  [[nodiscard]] const std::vector<EvtxDamage>& damages() const { return damages_; }
  [[nodiscard]] uint64_t bytes_read() const { return bytes_read_; }

 private:
  // The number of chunks in the file's header is stale in logs that were not closed, so the file's
  // end is what counts.
  bool NextChunk() {
    while (!at_end_) {
      chunk_ = next_chunk_++;
      chunk_offset_ = kFileHeaderSize + chunk_ * kChunkSize;
      const absl::Status read = source_.Read(chunk_offset_, kChunkSize, &buffer_);
      if (!read.ok()) Report(chunk_offset_, true, StrCat(ToStd(read.message())));
      bytes_read_ += buffer_.size();
      at_end_ = buffer_.size() < kChunkSize;
      if (!walk_.Begin(buffer_)) continue;
      xml_.SetChunk(buffer_);
      return in_chunk_ = true;
    }
    return false;
  }

  void Report(uint64_t offset, bool skipped, std::string reason) {
    damages_.push_back({offset, chunk_, skipped, std::move(reason)});
  }

  ByteSource source_;
  ChunkWalk walk_;
  BinaryXmlReader xml_;
  EventWriter writer_;
  std::string buffer_;  // The chunk at hand.
  uint64_t next_chunk_ = 0;
  uint64_t chunk_ = 0;
  uint64_t chunk_offset_ = 0;
  bool in_chunk_ = false;
  bool at_end_ = false;
  uint64_t bytes_read_ = 0;
  EvtxRecord record_;
  std::vector<EvtxDamage> damages_;
};

EvtxReader::EvtxReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EvtxReader::~EvtxReader() = default;
EvtxReader::EvtxReader(EvtxReader&&) noexcept = default;
EvtxReader& EvtxReader::operator=(EvtxReader&&) noexcept = default;

bool EvtxReader::IsEvtx(std::string_view bytes) {
  return bytes.starts_with(kFileSignature) ||
         (bytes.size() > kFileHeaderSize &&
          bytes.substr(kFileHeaderSize).starts_with(kChunkSignature));
}

absl::StatusOr<EvtxReader> EvtxReader::Open(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    const std::string message =
        StrCat("the file cannot be opened: ", std::string_view(std::strerror(errno)));
    if (errno == ENOENT) return absl::NotFoundError(message);
    return absl::UnavailableError(message);
  }
  auto impl = std::make_unique<Impl>(ByteSource(file));
  RETURN_IF_ERROR(impl->ReadFileHeader());
  return EvtxReader(std::move(impl));
}

absl::StatusOr<EvtxReader> EvtxReader::FromBytes(std::string_view bytes) {
  auto impl = std::make_unique<Impl>(ByteSource(bytes));
  RETURN_IF_ERROR(impl->ReadFileHeader());
  return EvtxReader(std::move(impl));
}

bool EvtxReader::Next() { return impl_->Next(); }
const EvtxRecord& EvtxReader::record() const { return impl_->record(); }
absl::Status EvtxReader::AppendJson(std::string* out) { return impl_->Append(false, out); }
absl::Status EvtxReader::AppendFlat(std::string* out) { return impl_->Append(true, out); }
const std::vector<EvtxDamage>& EvtxReader::damages() const { return impl_->damages(); }
uint64_t EvtxReader::bytes_read() const { return impl_->bytes_read(); }

}  // namespace weir::evtx
