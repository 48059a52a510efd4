#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "operators/connectors/sql_value.h"

namespace weir::internal {

/// A table that rows are upserted into by a key: what the databases of upsert sinks have in common.
/// Threads: one at a time, save Cancel.
class UpsertTable {
 public:
  virtual ~UpsertTable() = default;
  /// Upserts whole rows, in their order, in one transaction. Blocks. Errors: kUnavailable if the
  /// database cannot be reached, or other writers do not let go, in time; kFailedPrecondition if
  /// the table refuses a row; kResourceExhausted if its disk is full.
  [[nodiscard]] virtual absl::Status Upsert(std::span<const SqlValue> values) = 0;
  /// Makes an Upsert under way, and all later ones, end soon. Any thread; does not block.
  virtual void Cancel() {}
};

/// A column as the database has it.
struct FoundColumn {
  std::string name;
  bool needs_value = false;  ///< It must not be null and gets no value by itself.
};

/// Returns the name in quotes, which makes any text an identifier.
[[nodiscard]] std::string QuoteIdentifier(std::string_view name);

/// Returns `INSERT … ON CONFLICT … DO …` of one row, with the placeholders ?, or $1, $2, … if
/// `numbered`. `quoted_table` stands as it is.
[[nodiscard]] std::string UpsertStatement(const std::string& quoted_table,
                                          const std::vector<std::string>& columns,
                                          const std::vector<std::string>& key_columns,
                                          bool numbered);

/// Checks what a sink writes against what the table has. `where` names database and table. Errors:
/// kInvalidArgument if the key is none of the columns; kFailedPrecondition if there is no table,
/// it lacks a column, or wants one that the sink does not write. All name the column.
[[nodiscard]] absl::Status CheckUpsertColumns(const std::vector<FoundColumn>& found,
                                              const std::vector<std::string>& columns,
                                              const std::vector<std::string>& key_columns,
                                              const std::string& where);

}  // namespace weir::internal
