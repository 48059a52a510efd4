#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "operators/connectors/sql_value.h"

namespace weir {

/// Which table a PostgresSink writes.
struct PostgresSinkOptions {
  /// As libpq takes it: postgresql://user:password@host:port/database, or key=value pairs.
  std::string connection{};
  std::string table{};  ///< May name its schema: schema.table.
  /// Run at the start, e.g. CREATE TABLE IF NOT EXISTS …; empty: the table must be there.
  std::string create_table{};
  std::vector<std::string> columns{};
  /// Some of `columns`; the table must have them together as primary key or unique.
  std::vector<std::string> key_columns{};
  /// How long a database that cannot be reached, or aborts our transactions, is tried again before
  /// the task fails.
  absl::Duration retry_timeout = absl::Minutes(1);
  /// How much may wait to be written before the sink pushes back.
  size_t max_buffered_bytes = size_t{4} << 20;
};

}  // namespace weir
