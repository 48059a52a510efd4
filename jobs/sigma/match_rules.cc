#include "jobs/sigma/match_rules.h"

#include <bit>

#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/engine/tagged_event.h"
#include "jobs/sigma/rule_set.h"
#include "runtime/base/logging.h"

namespace weir::sigma {

struct EventTagger::Impl {
  OutputMode mode;
  RuleSet rules;
  Matcher matcher;
  std::vector<const Rule*> matches;
  uint64_t num_dead_letters = 0;
};

EventTagger::EventTagger(OutputMode mode) : impl_(std::make_unique<Impl>()) { impl_->mode = mode; }
EventTagger::~EventTagger() = default;

bool EventTagger::SetRule(const std::string& key, const StoredRule& rule,
                          std::vector<RuleProblem>* problems) {
  return impl_->rules.Set(key, rule, problems);
}

void EventTagger::RemoveRule(const std::string& key) { impl_->rules.Remove(key); }

absl::StatusOr<bool> EventTagger::Tag(std::string_view event, std::string* tagged) {
  if (impl_->rules.changed()) RETURN_IF_ERROR(impl_->matcher.SetRules(impl_->rules.Compile()));
  RETURN_IF_ERROR(impl_->matcher.Match(event, impl_->matches));
  if (impl_->matches.empty() && impl_->mode == OutputMode::kMatchedOnly) return false;
  tagged->clear();
  RETURN_IF_ERROR(AppendTaggedEvent(event, impl_->matches, tagged));
  return true;
}

void EventTagger::CountDeadLetter(std::string_view reason) {
  if (std::has_single_bit(++impl_->num_dead_letters)) {
    LogWarning("sigma", StrCat("an event cannot be matched: ", reason,
                               " dead_letters_so_far=", impl_->num_dead_letters));
  }
}

void LogRuleProblem(const RuleProblem& problem) {
  LogWarning("sigma", StrCat("a rule is not in force: ", problem.reason,
                             " rule_id=", problem.rule_id, " source=", problem.source));
}

}  // namespace weir::sigma
