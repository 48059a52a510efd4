#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "jobs/sigma/engine/internal/literal_scanner.h"
#include "jobs/sigma/engine/internal/literal_trie.h"
#include "jobs/sigma/engine/rule.h"
#include "runtime/base/strings.h"

namespace weir::sigma {

inline constexpr uint32_t kNoId = UINT32_MAX;

/// A list of ids inside one of the program's flat arrays.
struct IdRange {
  uint32_t begin = 0;
  uint32_t end = 0;

  [[nodiscard]] bool empty() const { return begin == end; }
};

/// A predicate, shared by all rules that ask the same.
struct CompiledPredicate {
  std::shared_ptr<const Predicate> predicate;
  uint32_t field = kNoId;        ///< kNoId for keywords.
  uint32_t other_field = kNoId;  ///< Of kFieldRef.
  /// True: its truth is known once all values went through the field's index. False: it is tested
  /// when asked for.
  bool indexed = false;
  /// Indexed predicates one of which holds whenever this one does; empty when nothing is known. In
  /// Program::implied.
  IdRange implied;
  IdRange wakes;  ///< The rules to try when it holds. In Program::woken_rules.
};

/// A node of a rule's formula.
struct Node {
  enum class Kind : uint8_t {
    kTest,   ///< `range.begin` is a predicate.
    kAllOf,  ///< `range` in Program::operands: predicates that must all hold,
    kAnyOf,  ///< or one of them.
    kAnd,    ///< `range` in Program::operands: nodes.
    kOr,
    kAtLeast,  ///< As kOr, but `count` of them.
    kNot,      ///< `range.begin` is a node.
  };
  Kind kind = Kind::kTest;
  uint32_t count = 0;
  IdRange range;
};

struct CompiledRule {
  std::shared_ptr<const Rule> rule;
  uint32_t root = 0;
  uint32_t log_source = 0;  ///< In Program::log_sources.
};

/// The predicates of one field, arranged for lookup by value.
struct FieldIndex {
  absl::flat_hash_map<std::string, uint32_t, StringHash, std::equal_to<>> equals;
  LiteralTrie starts;
  LiteralTrie ends;
  std::shared_ptr<const LiteralScanner> contains;  ///< May be null.
  std::vector<uint32_t> contains_predicates;       ///< By index of literal.
  uint32_t exists = kNoId;
  bool keeps_values = false;  ///< Some predicate of the field is tested when asked for.
  bool reads_text = false;    ///< Some predicate is indexed by text.
};

/// What a path of an event leads to.
struct PathEntry {
  uint32_t field = kNoId;
  bool has_children = false;  ///< A longer path begins with this one and a dot.
};

/// A set of rules compiled into shared predicates, per-field indexes and a formula per rule.
/// Immutable.
struct Program {
  std::vector<CompiledPredicate> predicates;
  std::vector<CompiledRule> rules;  ///< Sorted by rule id.
  std::vector<uint32_t>
      always;  ///< Rules without a predicate that must hold: tried on every event.
  std::vector<Node> nodes;
  std::vector<uint32_t> operands;
  std::vector<uint32_t> implied;
  std::vector<uint32_t> woken_rules;
  std::vector<LogSource> log_sources;
  absl::flat_hash_map<std::string, PathEntry, StringHash, std::equal_to<>> paths;
  std::vector<FieldIndex> fields;
  std::shared_ptr<const LiteralScanner> keywords;  ///< May be null.
  std::vector<uint32_t> keyword_predicates;        ///< By index of literal.
  bool keeps_all_strings = false;  ///< Some keyword predicate is tested when asked for.
};

}  // namespace weir::sigma
