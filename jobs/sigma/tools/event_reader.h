#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/sigma/tools/commands.h"

namespace weir::sigma {

/// An event of a file.
struct Event {
  std::string_view
      json;            ///< One JSON object, flat if it came from a Windows log; valid until Next.
  uint64_t index = 0;  ///< In the file, from zero.
  std::optional<uint64_t> line;       ///< Where it begins, from one; of text files.
  std::optional<uint64_t> record_id;  ///< Of Windows logs.
};

/// Reads the events of one file as flat JSON, whatever the file's format.
///
/// Windows events in the shape of EVTX dumps, `{"Event": {"System": …}}`, become flat as those of
/// the logs themselves, unless a pipeline is named, which then sees them as they are. Memory: a
/// block of the file and the longest event. Threads: one at a time.
class EventReader {
 public:
  virtual ~EventReader() = default;

  /// Opens `path`, or stdin if it is "-". Errors: kNotFound, kUnavailable, kInvalidArgument if the
  /// file is not of the format that `options` name, naming the file.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<EventReader>> Open(
      const std::string& path, const EventOptions& options);

  /// Goes to the next event; false at the end. Errors: kDataLoss for an event that cannot be read,
  /// with file and line, and the reader goes on behind it; kUnavailable if the file cannot be read.
  [[nodiscard]] virtual absl::StatusOr<bool> Next(Event* event) = 0;

  /// Returns what is damaged in the file though all events around it were read, a line each.
  [[nodiscard]] virtual std::vector<std::string> Remarks() const { return {}; }
};

/// Returns the event files that `paths` name: files as they are, and of folders the files with
/// names of events (.evtx, .json, .jsonl, .ndjson, .log), sorted. Errors: kNotFound for a path that
/// there is not, and for a folder without any.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> FindEventFiles(
    const std::vector<std::string>& paths);

/// Appends to `*out` a Windows event in the shape of EVTX dumps as a flat object; returns false,
/// and appends nothing, if `json` is none.
[[nodiscard]] bool AppendFlatWindowsEvent(std::string_view json, std::string* out);

}  // namespace weir::sigma
