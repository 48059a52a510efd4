#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
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
};

/// Set in operands that are predicates which are not indexed.
inline constexpr uint32_t kTestedWhenAsked = 0x80000000u;

/// A node of a rule's formula. Predicates in it may be marked kTestedWhenAsked.
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
  bool reads_text = false;                         ///< Some predicate is indexed by text.
};

/// What every value of a field needs; apart from its index, to lie densely.
struct FieldTraits {
  uint32_t exists = kNoId;    ///< The predicate that the field is there, if any asks.
  bool keeps_values = false;  ///< Some predicate of the field is tested when asked for.
};

/// What a path of an event leads to.
struct PathEntry {
  uint32_t field = kNoId;
  IdRange more;               ///< Further fields. In Program::more_fields.
  uint32_t list = kNoId;      ///< In Program::lists: the objects here are names with values.
  uint32_t number = kNoId;    ///< Of those paths whose values are looked up by text.
  bool has_children = false;  ///< A longer path begins with this one and a dot.
};

/// The keys of a list of names with values: any one of each.
struct NameValueKeys {
  std::vector<std::string> names;
  std::vector<std::string> values;

  [[nodiscard]] bool IsName(std::string_view key) const { return Has(names, key); }
  [[nodiscard]] bool IsValue(std::string_view key) const { return Has(values, key); }

 private:
  static bool Has(const std::vector<std::string>& keys, std::string_view key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  }
};

/// Tells events of one log source.
struct SourceTest {
  LogSource log_source;
  uint32_t root = 0;  ///< In Program::nodes.
};

/// A set of rules compiled into shared predicates, per-field indexes and a formula per rule.
/// Immutable.
struct Program {
  std::vector<CompiledPredicate> predicates;
  /// By predicate: the rules and source tests to try when it holds. In woken_rules.
  std::vector<IdRange> wakes;
  std::vector<CompiledRule> rules;  ///< Sorted by rule id.
  std::vector<uint32_t>
      always;  ///< Rules without a predicate that must hold: tried on every event.
  std::vector<Node> nodes;
  std::vector<uint32_t> operands;
  std::vector<uint32_t> implied;
  /// By rule; numbers from rules.size() on are source tests.
  std::vector<uint32_t> woken_rules;
  std::vector<LogSource> log_sources;  ///< Those of rules, each once.
  std::vector<SourceTest> source_tests;
  std::vector<uint32_t>
      always_tested_sources;  ///< Source tests without a predicate that must hold.
  /// By log source: the source tests that show it. Empty: no pipeline knows it, so its rules are
  /// tried on every event.
  std::vector<std::vector<uint32_t>> tests_of_source;
  absl::flat_hash_map<std::string, PathEntry, StringHash, std::equal_to<>> paths;
  uint32_t num_numbered_paths = 0;
  std::vector<uint32_t> more_fields;
  std::vector<NameValueKeys> lists;
  absl::flat_hash_map<std::string, uint32_t, StringHash, std::equal_to<>> field_ids;  ///< By name.
  std::vector<FieldIndex> fields;
  std::vector<FieldTraits> field_traits;           ///< By field.
  std::shared_ptr<const LiteralScanner> keywords;  ///< May be null.
  std::vector<uint32_t> keyword_predicates;        ///< By index of literal.
  bool keeps_all_strings = false;  ///< Some keyword predicate is tested when asked for.
};

}  // namespace weir::sigma
