#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <type_traits>

#include "jobs/nexmark/event.h"
#include "runtime/base/json_writer.h"
#include "runtime/record/reflection.h"

namespace weir::nexmark {

/// A decimal number with three digits behind the point: SQL's DECIMAL(23, 3).
struct Decimal3 {
  int64_t thousandths = 0;
  friend auto operator<=>(const Decimal3&, const Decimal3&) = default;
};

namespace internal {

// date_time -> dateTime: columns have the benchmark's names.
template <class Field>
void AppendField(std::string_view name, const Field& field, std::string* out) {
  out->push_back('"');
  bool upper = false;
  for (const char c : name) {
    if (c != '_') out->push_back(upper ? static_cast<char>(c - 'a' + 'A') : c);
    upper = c == '_';
  }
  out->append("\":");
  if constexpr (std::is_same_v<Field, EventTime>) {
    out->push_back('"');
    AppendTimestamp(field, out);
    out->push_back('"');
  } else if constexpr (std::is_same_v<Field, Decimal3>) {
    const std::string digits = std::to_string(1000 + field.thousandths % 1000);
    out->append(std::to_string(field.thousandths / 1000)).append(".").append(digits, 1);
  } else if constexpr (std::is_integral_v<Field>) {
    out->append(std::to_string(field));
  } else {
    AppendJsonString(out, field);
  }
}

}  // namespace internal

/// Appends a flat record as a JSON object: its fields by name, times as text.
template <class Row>
void AppendRowJson(const Row& row, std::string* out) {
  constexpr auto kNames = FieldNames<Row>();
  size_t index = 0;
  ForEachField(row, [&](const auto& field) {
    out->push_back(index == 0 ? '{' : ',');
    internal::AppendField(kNames[index++], field, out);
  });
  out->push_back('}');
}

}  // namespace weir::nexmark
