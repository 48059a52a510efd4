#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "jobs/sigma/control_message.h"
#include "jobs/sigma/correlation/correlation_set.h"
#include "jobs/sigma/engine/pipeline.h"

namespace weir::sigma {

/// What a correlation may call a rule by.
struct RuleName {
  std::string id{};
  std::string name{};
};

/// What the operators of correlations keep of one rule text: the names in it, and the text itself
/// if it has correlations.
struct StoredCorrelations {
  StoredRule rule;
  std::vector<RuleName> rules{};
};

/// A change to what is in force, as far as the operators of correlations need to know it.
struct CorrelationUpdate {
  enum class Kind : uint8_t { kSet, kDelete, kSetCustomFields, kDeleteCustomFields };
  Kind kind = Kind::kSet;
  std::string key{};
  StoredCorrelations correlations;
  StoredCustomFields custom_fields;
};

/// Returns what `update` means for them; nothing if it means nothing, or no document of its text
/// can be used by `pipeline` (may be null), so that the version before stays in force.
[[nodiscard]] std::optional<CorrelationUpdate> ToCorrelationUpdate(
    const ControlUpdate& update, const std::shared_ptr<const Pipeline>& pipeline = nullptr);

/// Returns how many levels of operators the correlations in rule files need, whatever the rules
/// that they name; 0 without correlations.
[[nodiscard]] uint32_t LevelsOf(const std::vector<ControlUpdate>& rule_files);

/// Resolves the correlations of rule texts among each other. They read fields as written: what they
/// group by, not where events hold it.
[[nodiscard]] CorrelationSet MakeCorrelationSet(const std::vector<const StoredCorrelations*>& texts,
                                                uint32_t num_levels);

}  // namespace weir::sigma
