#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "jobs/sigma/engine/internal/predicate_table.h"
#include "jobs/sigma/engine/internal/program.h"

namespace weir::sigma {

/// Indexed predicates one of which must hold for a formula to hold.
struct Witness {
  double cost = 0;  ///< Estimated share of events in which one of them holds.
  std::vector<uint32_t> predicates;
};

/// Chooses the rarest witness of each rule's formula.
class WitnessFinder {
 public:
  /// Both must outlive the finder.
  WitnessFinder(const Program& program, const PredicateTable& table)
      : program_(program), table_(table) {}

  /// Returns the witness of the formula at `node`; nothing when it can hold without any indexed
  /// predicate.
  [[nodiscard]] std::optional<Witness> Find(uint32_t node) const;

  /// Returns the estimated share of events in which an indexed predicate holds.
  [[nodiscard]] double Cost(uint32_t predicate) const;

 private:
  std::optional<Witness> OfPredicate(uint32_t predicate) const;
  std::optional<Witness> OfOperand(const Node& node, uint32_t operand) const;
  std::optional<Witness> Rarest(const Node& node) const;
  std::optional<Witness> Union(const Node& node) const;

  const Program& program_;
  const PredicateTable& table_;
};

}  // namespace weir::sigma
