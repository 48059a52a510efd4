#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {

/// Turns the lines of a Zeek log in tab-separated form into JSON objects, as Zeek's own JSON writer
/// does: numbers and booleans by the log's `#types`, sets and vectors as arrays, unset fields left
/// out, times as seconds. `_path` is the log's name from `#path`.
///
/// Lifecycle: the lines of one file in their order; headers may come again. Threads: one at a time.
class ZeekLogReader {
 public:
  /// Reads a line, without its end. Returns whether it is a record, which is then appended to
  /// `*json`; headers, comments and empty lines are none. Errors: kInvalidArgument if a record
  /// comes before `#fields` or has another number of columns, or a header cannot be read.
  [[nodiscard]] absl::StatusOr<bool> ReadLine(std::string_view line, std::string* json);

  /// Returns whether `text`, the beginning of a file, is that of a log in tab-separated form.
  [[nodiscard]] static bool IsZeekLog(std::string_view text);

 private:
  enum class Kind { kText, kNumber, kBool };

  struct Column {
    std::string name;
    Kind kind = Kind::kText;
    bool is_list = false;
  };

  absl::Status ReadHeader(std::string_view line);
  absl::Status ReadTypes(const std::vector<std::string_view>& types);
  void AppendValue(const Column& column, std::string_view text, std::string* json) const;
  void AppendScalar(Kind kind, std::string_view text, std::string* json) const;

  char separator_ = '\t';
  char list_separator_ = ',';
  std::string empty_ = "(empty)";
  std::string unset_ = "-";
  std::string path_;
  std::vector<Column> columns_;
};

}  // namespace weir
