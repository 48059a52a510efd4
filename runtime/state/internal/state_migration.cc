#include "runtime/state/internal/state_migration.h"

#include "absl/status/status.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

absl::Status Refuse(std::string_view state_name, std::string_view why,
                    const DescribedSchema& restored, const DescribedSchema& declared) {
  return absl::FailedPreconditionError(StrCat("cannot restore a state: ", why,
                                              " state=", state_name, " snapshot=", restored.text,
                                              " declared=", declared.text));
}

DescribedSchema Describe(const StateSchema& schema) {
  return {schema.key, schema.ns, schema.value, schema.ToString()};
}

}  // namespace

absl::StatusOr<std::optional<SchemaMigration>> PlanStateMigration(std::string_view state_name,
                                                                  const DescribedSchema& restored,
                                                                  const DescribedSchema& declared) {
  if (!IsSameKeySchema(restored.key, declared.key)) {
    return Refuse(state_name,
                  "the type of its key has changed, and keys never change; declare the key as it "
                  "was, or the state under another name:",
                  restored, declared);
  }
  if (!IsSameKeySchema(restored.ns, declared.ns)) {
    return Refuse(state_name,
                  "its namespace or the key of its map has changed, and keys never change; declare "
                  "it as it was, or under another name:",
                  restored, declared);
  }
  absl::StatusOr<SchemaMigration> migration =
      SchemaMigration::Create(restored.value, declared.value);
  if (!migration.ok()) {
    return Refuse(state_name, ToStd(migration.status().message()), restored, declared);
  }
  if (migration->IsIdentity()) return std::nullopt;
  return *std::move(migration);
}

absl::StatusOr<std::optional<SchemaMigration>> PlanStateMigration(const StateSchema& restored,
                                                                  const StateSchema& declared) {
  if (restored.kind != declared.kind) {
    return Refuse(declared.name,
                  "it is a state of another kind than the snapshot's; declare it as it was, or "
                  "under another name:",
                  Describe(restored), Describe(declared));
  }
  return PlanStateMigration(declared.name, Describe(restored), Describe(declared));
}

}  // namespace weir::internal
