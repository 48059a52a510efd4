#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "operators/connectors/sql_value.h"

namespace weir {

/// A value of a row; std::monostate is NULL.
using SqliteValue = SqlValue;

/// Which table a SqliteSink writes.
struct SqliteSinkOptions {
  /// The database file; made if it is not there, but its folder is not.
  std::string path{};
  std::string table{};
  /// Run at the start, e.g. CREATE TABLE IF NOT EXISTS …; empty: the table must be there.
  std::string create_table{};
  std::vector<std::string> columns{};
  /// One of `columns`; the table must have it as a primary key or unique.
  std::string key_column{};
  /// How long to wait for other writers before the task fails.
  absl::Duration busy_timeout = absl::Seconds(30);
  /// How much may wait to be written before the sink pushes back.
  size_t max_buffered_bytes = size_t{4} << 20;
};

}  // namespace weir
