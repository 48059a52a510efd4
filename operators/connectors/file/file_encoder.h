#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/base/strings.h"

namespace weir {

/// How a FileSink writes records. A value, made in Build; every subtask has a copy.
template <class T>
struct FileEncoder {
  /// Appends the record to `*file`, with its end of line if it is a line.
  std::function<void(const T& record, std::string* file)> encode;
  std::string header{};  ///< Begins every file.
  std::string suffix{};  ///< Of the files' names, unless the sink's options have one.
};

namespace internal {

/// Appends the line with its end; line ends within it become blanks.
void AppendJsonLine(std::string_view line, std::string* file);
/// Appends one field of a line of CSV, in quotes if it needs them.
void AppendCsvField(std::string_view field, char delimiter, std::string* file);

}  // namespace internal

/// One line of JSON a record, which `append` appends to a string that is empty at the call. Line
/// ends within it become blanks: in JSON they stand between tokens only.
template <class T>
[[nodiscard]] FileEncoder<T> NdjsonEncoder(std::function<void(const T&, std::string*)> append) {
  return {.encode =
              [append = std::move(append), line = std::string()](const T& record,
                                                                 std::string* file) mutable {
                line.clear();
                append(record, &line);
                internal::AppendJsonLine(line, file);
              },
          .header = {},
          .suffix = ".ndjson"};
}

/// The text of each record and an end of line.
[[nodiscard]] inline FileEncoder<std::string> LineEncoder(std::string suffix = ".txt") {
  return {.encode =
              [](const std::string& record, std::string* file) {
                file->append(record);
                file->push_back('\n');
              },
          .header = {},
          .suffix = std::move(suffix)};
}

struct CsvOptions {
  char delimiter = ',';
  bool header = true;  ///< Every file begins with the names of the columns.
};

/// One line of CSV (RFC 4180, but for plain line ends) a record: `fields` appends one field for
/// each of `columns`, in order.
template <class T>
[[nodiscard]] FileEncoder<T> CsvEncoder(
    std::vector<std::string> columns,
    std::function<void(const T&, std::vector<std::string>*)> fields, CsvOptions options = {}) {
  const auto append_line = [delimiter = options.delimiter](const std::vector<std::string>& line,
                                                           std::string* file) {
    for (size_t i = 0; i < line.size(); ++i) {
      if (i > 0) file->push_back(delimiter);
      internal::AppendCsvField(line[i], delimiter, file);
    }
    // One empty field would else be an empty line, which readers skip.
    if (line.size() == 1 && line[0].empty()) file->append("\"\"");
    file->push_back('\n');
  };
  FileEncoder<T> encoder;
  encoder.suffix = ".csv";
  if (options.header) append_line(columns, &encoder.header);
  encoder.encode = [append_line, fields = std::move(fields), line = std::vector<std::string>()](
                       const T& record, std::string* file) mutable {
    line.clear();
    fields(record, &line);
    append_line(line, file);
  };
  return encoder;
}

}  // namespace weir
