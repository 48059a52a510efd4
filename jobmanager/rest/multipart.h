#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {

/// What a part of a form says about itself.
struct MultipartHeader {
  /// The form field.
  std::string name;
  /// As the client sent it, paths and all: never use it as a path. Empty for plain fields.
  std::string file_name;
  std::string content_type;
};

/// Receives the parts of a form in order. An error returned from any method ends the parse with
/// that error.
class MultipartSink {
 public:
  virtual ~MultipartSink() = default;
  virtual absl::Status OnPartBegin(const MultipartHeader& header) = 0;
  /// Called any number of times a part, with pieces of any size.
  virtual absl::Status OnPartData(std::string_view bytes) = 0;
  virtual absl::Status OnPartEnd() = 0;
};

/// Returns the boundary that a Content-Type header names. Errors: kInvalidArgument if it is not
/// multipart/form-data or has no boundary of 1 to 70 characters.
[[nodiscard]] absl::StatusOr<std::string> MultipartBoundary(std::string_view content_type);

/// Parses multipart/form-data (RFC 7578) as it arrives, in pieces of any size. Holds back at most a
/// boundary's length of data, and at most 16 KiB of headers. Not thread-safe.
class MultipartParser {
 public:
  /// `sink` must outlive the parser.
  MultipartParser(std::string_view boundary, MultipartSink* sink);

  /// Takes the next piece of the body. Errors: kInvalidArgument for a malformed form, or the sink's
  /// own; the parser is then of no more use.
  [[nodiscard]] absl::Status Consume(std::string_view bytes);

  /// Says that the body has ended. Errors: kInvalidArgument if the closing boundary has not been
  /// seen.
  [[nodiscard]] absl::Status Finish() const;

 private:
  enum class State { kPreamble, kHeaders, kData, kEpilogue };
  /// What follows a boundary that was found in the data.
  enum class BoundaryTail { kNeedMore, kNextPart, kEnd, kNotABoundary };

  [[nodiscard]] absl::StatusOr<bool> ParseMore();
  [[nodiscard]] absl::StatusOr<bool> ParseUntilDelimiter();
  [[nodiscard]] absl::StatusOr<bool> ParseHeaderLine();
  [[nodiscard]] absl::Status Emit(std::string_view bytes);
  [[nodiscard]] BoundaryTail InspectTail(std::string_view tail, size_t* tail_length) const;

  const std::string delimiter_;  // CRLF, two dashes, boundary.
  MultipartSink* const sink_;
  State state_ = State::kPreamble;
  // Starts with a CRLF of ours, so that a boundary at the very start of the body is found as any
  // other.
  std::string buffer_ = "\r\n";
  size_t position_ = 0;  // Where the unparsed part of buffer_ begins.
  size_t header_bytes_ = 0;
  MultipartHeader header_;
};

}  // namespace weir
