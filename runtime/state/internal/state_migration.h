#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "runtime/record/schema_migration.h"
#include "runtime/state/state_handle.h"

namespace weir::internal {

/// One side of a state's change of schema, for errors. Plain data.
struct DescribedSchema {
  const Schema& key;
  const Schema& ns;
  const Schema& value;
  std::string text;  ///< All of it.
};

/// Returns how values of a restored state become values of the declared one; nothing if they stay
/// as they are. Errors: kFailedPrecondition if that cannot be, naming the state, the field and both
/// schemas.
[[nodiscard]] absl::StatusOr<std::optional<SchemaMigration>> PlanStateMigration(
    std::string_view state_name, const DescribedSchema& restored, const DescribedSchema& declared);
/// The same for keyed state.
[[nodiscard]] absl::StatusOr<std::optional<SchemaMigration>> PlanStateMigration(
    const StateSchema& restored, const StateSchema& declared);

}  // namespace weir::internal
