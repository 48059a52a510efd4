#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "runtime/record/byte_io.h"
#include "runtime/record/schema.h"

namespace weir {

/// Reads past one value of `schema`. Returns false on malformed input, and of an opaque type of
/// which it is not known how long its values are.
bool SkipValue(const Schema& schema, ByteReader& reader);

/// Whether values of the two are the same keys: names and types are equal, defaults do not matter.
[[nodiscard]] bool IsSameKeySchema(const Schema& a, const Schema& b);

/// Turns values written with an earlier schema of a type into values of its present one.
///
/// Fields meet by name, then by alias; of unnamed ones (tuples) by place. A field that is new gets
/// its default, one that is gone is left out. Numbers may become wider where no value is lost;
/// a T may become an optional T. All of this holds at any depth: in lists, maps, optionals and the
/// alternatives of variants.
/// Immutable, cheap to copy; any thread.
class SchemaMigration {
 public:
  /// Errors: kFailedPrecondition if a value could be lost or misread. The message says why, how to
  /// mend it, and which field ("field=...", from the value down).
  [[nodiscard]] static absl::StatusOr<SchemaMigration> Create(const Schema& from, const Schema& to);

  /// Whether values stay as they are, byte by byte: only names or defaults differ.
  [[nodiscard]] bool IsIdentity() const;

  /// Reads one value of the earlier schema and appends it as one of the present schema. Returns
  /// false on malformed input; what was appended means nothing then.
  bool Migrate(ByteReader& from, ByteWriter& to) const;
  /// The same for a value that fills `from`; replaces `*to`.
  bool MigrateWhole(std::string_view from, std::string* to) const;

 private:
  struct Plan;
  struct Node;
  class Planner;

  explicit SchemaMigration(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}

  std::shared_ptr<const Plan> plan_;
};

}  // namespace weir
