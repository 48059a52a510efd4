#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "jobs/sigma/engine/correlation_rule.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// A correlation as it was read, with a number for its text: state that another text made is not
/// taken for this one's.
struct CorrelationDefinition {
  CorrelationRule rule;
  uint64_t definition = 0;
};

/// Returns the number of the correlation `id` in `text`; the same in all processes.
[[nodiscard]] uint64_t DefinitionNumber(std::string_view text, std::string_view id);

/// Correlations with their references resolved: who reads whose matches. Immutable.
///
/// The level of a correlation is how many correlations lie between it and the rules that it reads:
/// those of level 0 read matches of rules only. Each level is an operator of the job, so that a
/// chain is a way through the dataflow.
class CorrelationSet {
 public:
  struct Entry {
    std::shared_ptr<const CorrelationRule> rule;
    uint64_t definition = 0;
    uint32_t level = 0;
  };
  /// A correlation that reads matches of something, as its rules[rule].
  struct Reader {
    const Entry* correlation = nullptr;
    uint32_t rule = 0;
  };
  /// Why a correlation is not part of the set.
  struct Problem {
    std::string id;
    absl::Status status;
  };

  CorrelationSet() = default;
  /// `rules` are what correlations may name besides each other. Correlations above `num_levels` are
  /// refused, and with them those that read them. Appends what is wrong to `*problems`, which may
  /// be null.
  CorrelationSet(std::vector<CorrelationDefinition> correlations,
                 const std::vector<std::shared_ptr<const Rule>>& rules, uint32_t num_levels,
                 std::vector<Problem>* problems);
  CorrelationSet(CorrelationSet&&) noexcept = default;
  CorrelationSet& operator=(CorrelationSet&&) noexcept = default;

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  /// Null if there is none of that id.
  [[nodiscard]] const Entry* Find(std::string_view id) const;
  /// Who reads the matches of the rule or correlation `id`.
  [[nodiscard]] const std::vector<Reader>& ReadersOf(std::string_view id) const;
  /// Whether matches of `id` only feed correlations, see CorrelationRule::generate.
  [[nodiscard]] bool IsSilent(std::string_view id) const { return silent_.contains(id); }
  /// How many levels there are.
  [[nodiscard]] uint32_t num_levels() const;

 private:
  void Add(const std::shared_ptr<const CorrelationRule>& rule, uint64_t definition,
           uint32_t num_levels, std::vector<Problem>* problems);

  std::map<std::string, std::unique_ptr<const Entry>, std::less<>> entries_;  // By id.
  std::map<std::string, std::vector<Reader>, std::less<>> readers_;           // By id.
  std::set<std::string, std::less<>> silent_;
};

}  // namespace weir::sigma
