#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "operators/connectors/file/file_source.h"

namespace weir::internal {

/// Cuts the text of a file, which comes in chunks, into records. Copies each record once.
///
/// Use: Feed a chunk, call Next until it returns false, check status(), Feed the next one; Finish
/// at the end of the file. Threads: one at a time.
class RecordScanner {
 public:
  struct Begin {
    std::string path{};  // For messages.
    FileFormat format = FileFormat::kAuto;
    uint64_t offset = 0;  // Of the first chunk. In an array, but for 0, it lies behind an element.
    bool skip_first_line = false;
    size_t max_record_bytes = 0;
  };
  explicit RecordScanner(Begin begin);

  /// Goes on with `chunk`, which is borrowed until the next Feed.
  void Feed(std::string_view chunk);
  /// Moves the next record to `*record`. Returns false if the chunk has no further whole one, or on
  /// an error.
  [[nodiscard]] bool Next(std::string* record);
  /// After the last chunk: moves a last line without a line end to `*record`. Returns whether there
  /// was one. An array that is cut off is an error.
  [[nodiscard]] bool Finish(std::string* record);
  [[nodiscard]] const absl::Status& status() const { return status_; }

  /// Where the record that was returned last begins.
  [[nodiscard]] uint64_t record_offset() const { return record_offset_; }
  /// Where a later scanner would go on: all records before it were returned, none behind it.
  [[nodiscard]] uint64_t offset() const { return offset_; }
  /// The format found, or kAuto as long as it is not known.
  [[nodiscard]] FileFormat format() const {
    return detecting_ && requested_format_ == FileFormat::kAuto ? FileFormat::kAuto : format_;
  }

 private:
  enum class ArrayState { kOutside, kBetween, kInContainer, kInString, kInScalar };

  bool Detect();
  bool NextLine(std::string* record);
  bool NextElement(std::string* record);
  bool EndElement(const char* begin, std::string* record);
  // Moves cursor_ behind the element it is in; returns false if that goes on in the next chunk.
  bool SkipElement();
  bool SkipContainer();
  bool SkipString();
  bool Keep(const char* begin);  // Keeps [begin, cursor_) for the record that goes on.
  bool Fail(std::string_view what, uint64_t offset);
  [[nodiscard]] uint64_t OffsetOf(const char* place) const {
    return chunk_offset_ + static_cast<uint64_t>(place - chunk_begin_);
  }

  const std::string path_;
  const FileFormat requested_format_;
  const size_t max_record_bytes_;
  FileFormat format_;
  bool detecting_;
  bool skip_first_line_;
  uint64_t offset_;
  uint64_t record_offset_ = 0;
  uint64_t chunk_offset_;
  const char* chunk_begin_ = nullptr;
  const char* cursor_ = nullptr;
  const char* chunk_end_ = nullptr;
  std::string kept_;  // The beginning of a record that goes on in the next chunk.
  ArrayState array_state_;
  uint64_t element_offset_ = 0;
  int depth_ = 0;
  bool in_string_ = false;  // Within a container.
  bool escaped_ = false;    // The byte before, in a string, was a backslash that counts.
  absl::Status status_;
};

}  // namespace weir::internal
