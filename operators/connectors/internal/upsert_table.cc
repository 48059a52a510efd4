#include "operators/connectors/internal/upsert_table.h"

#include <algorithm>

#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::string QuoteIdentifier(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

std::string UpsertStatement(const std::string& quoted_table,
                            const std::vector<std::string>& columns,
                            const std::vector<std::string>& key_columns, bool numbered) {
  std::vector<std::string> names;
  std::vector<std::string> placeholders;
  std::vector<std::string> updates;
  for (const std::string& column : columns) {
    const std::string name = QuoteIdentifier(column);
    names.push_back(name);
    placeholders.push_back(numbered ? StrCat("$", names.size()) : std::string("?"));
    if (!Contains(key_columns, column)) updates.push_back(StrCat(name, "=excluded.", name));
  }
  std::vector<std::string> keys;
  for (const std::string& column : key_columns) keys.push_back(QuoteIdentifier(column));
  return StrCat(
      "INSERT INTO ", quoted_table, " (", StrJoin(names, ","), ") VALUES (",
      StrJoin(placeholders, ","), ") ON CONFLICT (", StrJoin(keys, ","), ") DO ",
      updates.empty() ? std::string("NOTHING") : StrCat("UPDATE SET ", StrJoin(updates, ",")));
}

absl::Status CheckUpsertColumns(const std::vector<FoundColumn>& found,
                                const std::vector<std::string>& columns,
                                const std::vector<std::string>& key_columns,
                                const std::string& where) {
  if (key_columns.empty()) {
    return absl::InvalidArgumentError(StrCat("an upsert sink needs a key column: ", where));
  }
  for (const std::string& key : key_columns) {
    if (Contains(columns, key)) continue;
    return absl::InvalidArgumentError(
        StrCat("an upsert sink's key column is none of its columns: key_column=", key, " ", where,
               " columns=", StrJoin(columns, ",")));
  }
  if (found.empty()) {
    return absl::FailedPreconditionError(
        StrCat("there is no such table to write to; create it or give create_table: ", where));
  }
  std::vector<std::string> names;
  for (const FoundColumn& column : found) names.push_back(column.name);
  for (const std::string& column : columns) {
    if (Contains(names, column)) continue;
    return absl::FailedPreconditionError(
        StrCat("the table lacks a column that the sink writes; add it, or drop or rename the "
               "table: column=",
               column, " ", where, " columns=", StrJoin(names, ",")));
  }
  for (const FoundColumn& column : found) {
    if (!column.needs_value || Contains(columns, column.name)) continue;
    return absl::FailedPreconditionError(StrCat(
        "the table has a column that must not be null and that the sink does not write: column=",
        column.name, " ", where));
  }
  return absl::OkStatus();
}

}  // namespace weir::internal
