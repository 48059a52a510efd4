#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "jobs/sigma/engine/event_mapping.h"
#include "jobs/sigma/engine/internal/program.h"

namespace weir::sigma {

/// Gives each distinct predicate and field of a rule set one id. Part of compiling; fills a
/// Program.
class PredicateTable {
 public:
  using Literals = std::vector<std::pair<std::string, uint32_t>>;  ///< With their predicates.

  /// The literals that a field's values are searched for.
  struct FieldLiterals {
    Literals starts;
    Literals ends;
    Literals contains;
  };

  /// `program` must outlive the table. `mapping` (may be null) tells where else events hold fields.
  PredicateTable(Program& program, const EventMapping* mapping)
      : program_(program), mapping_(mapping) {}

  /// Returns the id of a predicate that a rule asks; adds the predicates it implies.
  uint32_t Intern(const std::shared_ptr<const Predicate>& predicate);

  /// Counts a use of `id` by a rule.
  void CountUse(uint32_t id) { ++uses_[id]; }
  [[nodiscard]] uint32_t uses(uint32_t id) const { return uses_[id]; }

  /// Arranges all interned predicates by field and value. Once, after the last Intern. Scanners of
  /// `previous` (may be null) that have the same literals are shared.
  void BuildIndexes(const Program* previous);

 private:
  uint32_t InternField(std::string_view name);
  void AddPath(const std::string& path, uint32_t field);
  PathEntry& EntryOf(const std::string& path);
  void AddLists();
  void AddToField(uint32_t id, FieldLiterals& literals);
  void NumberPaths();
  std::vector<Predicate> Implied(const Predicate& predicate) const;

  Program& program_;
  const EventMapping* mapping_;
  std::map<std::string, std::vector<uint32_t>> more_fields_;  // By path.
  absl::flat_hash_map<std::string, uint32_t> ids_;            // By Predicate::Key.
  std::vector<uint32_t> uses_;                                // Indexed by predicate.
};

}  // namespace weir::sigma
