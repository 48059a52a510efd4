#include "jobs/sigma/engine/matcher.h"

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "jobs/sigma/engine/internal/event_walker.h"
#include "jobs/sigma/engine/internal/json_cursor.h"
#include "jobs/sigma/engine/internal/json_tokens.h"
#include "jobs/sigma/engine/internal/key_resolver.h"
#include "jobs/sigma/engine/internal/program.h"
#include "jobs/sigma/engine/internal/text_arena.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "jobs/sigma/engine/internal/value_cache.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr size_t kMostCombinations = 4096;

// A text without its quotes.
std::string_view Inner(std::string_view token) { return token.substr(1, token.size() - 2); }

// Whether a number may have a second text: 1.0 is 1, too.
bool HasTwoForms(std::string_view number) {
  return number == "-0" || number.find_first_of(".eE") != std::string_view::npos;
}

// Matches events against one compiled set.
class SetMatcher {
 public:
  [[nodiscard]] const CompiledRules* rules() const { return rules_.get(); }

  // Uses `rules` from the next event on.
  void SetRules(std::shared_ptr<const CompiledRules> rules) {
    rules_ = std::move(rules);
    program_ = &rules_->program();
    const Program& program = *program_;
    keys_.SetProgram(program_);
    known_values_.Reset(program.num_numbered_paths);
    truth_.assign(program.predicates.size(), 0);
    tried_.assign(program.rules.size() + program.source_tests.size(), 0);
    fields_.assign(program.fields.size(), FieldState{});
    values_.clear();
    values_.resize(program.fields.size());
    all_accepted_.assign(program.log_sources.size(), true);
    given_sources_.clear();
    given_accepted_ = all_accepted_;
    shown_accepted_.clear();
    epoch_ = 0;
  }

  // Reads an event.
  absl::Status Read(const JsonTokens& event) {
    BeginEvent();
    return EventWalker<SetMatcher>(event, keys_, *program_, *this).Walk();
  }

  // Returns which rules the event just read matches, ascending; until the next event.
  const std::vector<uint32_t>& Matches(std::span<const LogSource> log_sources) {
    const std::vector<bool>& accepted = AcceptedLogSources(log_sources);
    for (const uint32_t rule : program_->always) candidates_.push_back(rule);
    matched_.clear();
    for (const uint32_t rule : candidates_) {
      const CompiledRule& compiled = program_->rules[rule];
      if (accepted[compiled.log_source] && Holds(program_->nodes[compiled.root]))
        matched_.push_back(rule);
    }
    std::sort(matched_.begin(), matched_.end());
    return matched_;
  }

  // What EventWalker calls.

  void Touch(const KeyTarget& entry) {
    ForEachField(entry, [this](uint32_t field) { TouchField(field); });
  }

  void AddNull(const KeyTarget& entry) {
    ForEachField(entry, [this](uint32_t field) { fields_[field].has_null = true; });
  }

  void AddWord(const KeyTarget& entry, std::string_view token) {
    AddToken(entry, token);
    if (entry.number == kNoId || ShowKnown(entry.number, token)) return;
    Learn(entry, token, [&] { IndexText(entry, token); });
  }

  bool AddNumber(const KeyTarget& entry, std::string_view token) {
    AddToken(entry, token);
    if (entry.number != kNoId && ShowKnown(entry.number, token)) return true;
    if (!IsJsonNumber(token)) return false;
    if (entry.number == kNoId) return true;
    Learn(entry, token, [&] {
      if (!HasTwoForms(token)) return IndexText(entry, token);
      IndexText(entry, FoldCase(token));
      IndexText(entry, CanonicalNumber(token));
    });
    return true;
  }

  bool AddString(const KeyTarget& entry, std::string_view token) {
    AddToken(entry, token);
    if (program_->keeps_all_strings) strings_.tokens.push_back(token);
    if (entry.number != kNoId && ShowKnown(entry.number, token)) return true;
    if (!HasGoodEscapes(Inner(token))) return false;
    if (entry.number == kNoId && program_->keywords == nullptr) return true;
    Learn(entry, token, [&] {
      const std::string_view folded = Fold(Unescape(Inner(token)));
      if (entry.number != kNoId) IndexText(entry, folded);
      if (program_->keywords != nullptr) {
        program_->keywords->Scan(
            folded, [this](uint32_t i) { shown_.push_back(program_->keyword_predicates[i]); });
      }
    });
    return true;
  }

 private:
  // What the event at hand says about one field; stale unless `epoch` is the event's.
  struct FieldState {
    uint32_t epoch = 0;
    bool has_null = false;
    bool has_value = false;
  };

  // Scalars of the event for predicates that are tested when asked for; read when the first is.
  struct LazyValues {
    std::vector<std::string_view> tokens;
    size_t num_read = 0;  // Of tokens.
    std::vector<ScalarValue> values;

    void Clear() {
      tokens.clear();
      values.clear();
      num_read = 0;
    }
  };

  void BeginEvent() {
    texts_.Clear();
    strings_.Clear();
    candidates_.clear();
    source_candidates_.clear();
    if (++epoch_ == 0x7fffffff) {  // Truth values hold the epoch in 31 bits.
      std::fill(truth_.begin(), truth_.end(), 0);
      std::fill(tried_.begin(), tried_.end(), 0);
      for (FieldState& field : fields_) field.epoch = 0;
      epoch_ = 1;
    }
  }

  template <class Action>
  void ForEachField(const KeyTarget& entry, const Action& action) {
    if (entry.field == kNoId) return;
    action(entry.field);
    for (const uint32_t field : entry.more) action(field);
  }

  void TouchField(uint32_t id) {
    FieldState& field = fields_[id];
    if (field.epoch == epoch_) return;
    field = {epoch_, false, false};
    const FieldTraits& traits = program_->field_traits[id];
    if (traits.keeps_values) values_[id].Clear();
    if (traits.exists != kNoId) SetTrue(traits.exists);
  }

  void AddToken(const KeyTarget& entry, std::string_view token) {
    ForEachField(entry, [&](uint32_t field) {
      fields_[field].has_value = true;
      if (program_->field_traits[field].keeps_values) values_[field].tokens.push_back(token);
    });
  }

  // Sets what is known to hold for a value seen before; false if it is not known.
  bool ShowKnown(uint32_t path, std::string_view token) {
    cacheable_ = known_values_.Wants(path);
    if (!cacheable_) return false;
    std::span<const uint32_t> predicates;
    if (!known_values_.Find(path, token, &predicates)) return false;
    for (const uint32_t predicate : predicates) SetTrue(predicate);
    return true;
  }

  // Finds by `index` what holds for a value that was not known.
  template <class Index>
  void Learn(const KeyTarget& entry, std::string_view token, const Index& index) {
    shown_.clear();
    index();
    for (const uint32_t predicate : shown_) SetTrue(predicate);
    if (entry.number == kNoId || !cacheable_) return;
    std::sort(shown_.begin(), shown_.end());
    shown_.erase(std::unique(shown_.begin(), shown_.end()), shown_.end());
    known_values_.Insert(token, shown_);
  }

  // Appends the predicates that hold for a folded value to shown_.
  void IndexText(const KeyTarget& entry, std::string_view folded) {
    ForEachField(entry, [&](uint32_t id) { IndexField(program_->fields[id], folded); });
  }

  void IndexField(const FieldIndex& index, std::string_view folded) {
    const auto show = [this](uint32_t predicate) { shown_.push_back(predicate); };
    if (!index.equals.empty()) {
      const auto found = index.equals.find(folded);
      if (found != index.equals.end()) show(found->second);
    }
    index.starts.Find(folded, show);
    index.ends.Find(folded, show);
    if (index.contains == nullptr) return;
    index.contains->Scan(folded,
                         [&](uint32_t literal) { show(index.contains_predicates[literal]); });
  }

  std::string_view Unescape(std::string_view inner) {
    if (inner.find('\\') == std::string_view::npos) return inner;
    char* const target = texts_.Reserve(inner.size());
    return {target, UnescapeJson(inner, target)};
  }

  std::string_view Fold(std::string_view text) {
    char* const target = texts_.Reserve(text.size());
    return {target, FoldCase(text, target)};
  }

  std::string_view Keep(const std::string& text) {
    char* const target = texts_.Reserve(text.size());
    std::copy(text.begin(), text.end(), target);
    return {target, text.size()};
  }

  uint32_t Mark(bool truth) const { return epoch_ * 2 + (truth ? 1 : 0); }

  void SetTrue(uint32_t id) {
    uint32_t& truth = truth_[id];
    if (truth == Mark(true)) return;
    truth = Mark(true);
    const IdRange wakes = program_->wakes[id];
    for (uint32_t i = wakes.begin; i < wakes.end; ++i) {
      const uint32_t rule = program_->woken_rules[i];
      if (tried_[rule] == epoch_) continue;
      tried_[rule] = epoch_;
      if (rule < program_->rules.size()) {
        candidates_.push_back(rule);
      } else {
        source_candidates_.push_back(rule - static_cast<uint32_t>(program_->rules.size()));
      }
    }
  }

  bool Holds(const Node& node) {
    // Of these two, the range names a predicate and a node; of the others, a range of operands.
    if (node.kind == Node::Kind::kTest) return Test(node.range.begin);
    if (node.kind == Node::Kind::kNot) return !Holds(program_->nodes[node.range.begin]);
    const uint32_t* const begin = program_->operands.data() + node.range.begin;
    const uint32_t* const end = program_->operands.data() + node.range.end;
    const auto test = [this](uint32_t id) { return Test(id); };
    const auto holds = [this](uint32_t id) { return Holds(program_->nodes[id]); };
    switch (node.kind) {
      case Node::Kind::kTest:
      case Node::Kind::kNot:
        break;
      case Node::Kind::kAllOf:
        return std::all_of(begin, end, test);
      case Node::Kind::kAnyOf:
        return std::any_of(begin, end, test);
      case Node::Kind::kAnd:
        return std::all_of(begin, end, holds);
      case Node::Kind::kOr:
        return std::any_of(begin, end, holds);
      case Node::Kind::kAtLeast:
        return std::count_if(begin, end, holds) >= static_cast<std::ptrdiff_t>(node.count);
    }
    return false;
  }

  bool Test(uint32_t operand) {
    if ((operand & kTestedWhenAsked) == 0) return truth_[operand] == Mark(true);
    const uint32_t id = operand & ~kTestedWhenAsked;
    const uint32_t truth = truth_[id];
    if (truth >> 1 == epoch_) return (truth & 1) != 0;
    const CompiledPredicate& compiled = program_->predicates[id];
    const bool result = MayHold(compiled) && Evaluate(compiled);
    truth_[id] = Mark(result);
    return result;
  }

  bool MayHold(const CompiledPredicate& compiled) const {
    if (compiled.implied.empty()) return true;
    for (uint32_t i = compiled.implied.begin; i < compiled.implied.end; ++i) {
      if (truth_[program_->implied[i]] == Mark(true)) return true;
    }
    return false;
  }

  bool Evaluate(const CompiledPredicate& compiled) {
    const Predicate& predicate = *compiled.predicate;
    const auto passes = [&](const ScalarValue& value) { return PassesTest(predicate, value); };
    if (predicate.IsKeyword()) {
      const std::vector<ScalarValue>& strings = Read(strings_);
      return std::any_of(strings.begin(), strings.end(), passes);
    }
    const FieldState& field = fields_[compiled.field];
    const bool present = field.epoch == epoch_;
    if (predicate.test == sigma::Test::kNull) return !present || field.has_null || !field.has_value;
    if (!present) return false;
    if (predicate.test == sigma::Test::kFieldRef) return PassesFieldRef(compiled);
    const std::vector<ScalarValue>& values = Read(values_[compiled.field]);
    return std::any_of(values.begin(), values.end(), passes);
  }

  bool PassesFieldRef(const CompiledPredicate& compiled) {
    if (fields_[compiled.other_field].epoch != epoch_) return false;
    const Predicate& predicate = *compiled.predicate;
    const std::vector<ScalarValue>& values = Read(values_[compiled.field]);
    const std::vector<ScalarValue>& operands = Read(values_[compiled.other_field]);
    for (const ScalarValue& value : values) {
      for (const ScalarValue& operand : operands) {
        const bool passes = predicate.cased
                                ? PassesRelation(predicate.relation, value.text, operand.text)
                                : PassesRelation(predicate.relation, value.folded, operand.folded);
        if (passes) return true;
      }
    }
    return false;
  }

  // Returns all values, reading those that are not yet.
  const std::vector<ScalarValue>& Read(LazyValues& lazy) {
    for (; lazy.num_read < lazy.tokens.size(); ++lazy.num_read) {
      AppendValues(lazy.tokens[lazy.num_read], lazy.values);
    }
    return lazy.values;
  }

  void AppendValues(std::string_view token, std::vector<ScalarValue>& values) {
    if (token.front() == '"') {
      const std::string_view text = Unescape(Inner(token));
      values.push_back({text, Fold(text), true});
      return;
    }
    const bool is_word = token.front() == 't' || token.front() == 'f';
    if (is_word || !HasTwoForms(token)) {
      values.push_back({token, token, false});
      return;
    }
    const std::string_view folded = Fold(token);
    values.push_back({token, folded, false});
    const std::string_view canonical = Keep(CanonicalNumber(token));
    if (canonical != folded) values.push_back({canonical, canonical, false});
  }

  // Returns which log sources of rules fit the event, by their index. Where the caller does not
  // know the event's log sources, the event shows them by the source tests that it passes.
  const std::vector<bool>& AcceptedLogSources(std::span<const LogSource> given) {
    if (!given.empty()) return AcceptedByGiven(given);
    if (program_->source_tests.empty()) return all_accepted_;
    passed_.clear();
    for (const uint32_t test : program_->always_tested_sources) source_candidates_.push_back(test);
    for (const uint32_t test : source_candidates_) {
      if (Holds(program_->nodes[program_->source_tests[test].root])) passed_.push_back(test);
    }
    if (passed_.empty()) return all_accepted_;
    std::sort(passed_.begin(), passed_.end());
    const auto known = shown_accepted_.find(passed_);
    if (known != shown_accepted_.end()) return known->second;
    // Events show few different combinations; a flood of them must not fill the memory.
    if (shown_accepted_.size() >= kMostCombinations) shown_accepted_.clear();
    std::vector<bool> accepted = all_accepted_;
    for (size_t i = 0; i < accepted.size(); ++i) {
      const std::vector<uint32_t>& tests = program_->tests_of_source[i];
      accepted[i] = tests.empty() || std::find_first_of(tests.begin(), tests.end(), passed_.begin(),
                                                        passed_.end()) != tests.end();
    }
    return shown_accepted_.emplace(passed_, std::move(accepted)).first->second;
  }

  const std::vector<bool>& AcceptedByGiven(std::span<const LogSource> sources) {
    if (std::equal(sources.begin(), sources.end(), given_sources_.begin(), given_sources_.end())) {
      return given_accepted_;
    }
    given_sources_.assign(sources.begin(), sources.end());
    for (size_t i = 0; i < given_accepted_.size(); ++i) {
      const LogSource& rule_source = program_->log_sources[i];
      given_accepted_[i] =
          std::any_of(sources.begin(), sources.end(),
                      [&](const LogSource& source) { return rule_source.Accepts(source); });
    }
    return given_accepted_;
  }

  std::shared_ptr<const CompiledRules> rules_;
  const Program* program_ = nullptr;  // Of rules_.
  KeyResolver keys_;
  ValueCache known_values_;

  // Of the event at hand.
  uint32_t epoch_ = 0;
  TextArena texts_;
  LazyValues strings_;                       // Only where the program keeps all strings.
  bool cacheable_ = false;                   // Whether to remember the value at hand.
  std::vector<uint32_t> shown_;              // Predicates that hold for the value at hand.
  std::vector<uint32_t> candidates_;         // Rules to try.
  std::vector<uint32_t> source_candidates_;  // Source tests to try.
  std::vector<uint32_t> passed_;             // Source tests that the event passes.
  std::vector<uint32_t> matched_;

  std::vector<uint32_t>
      truth_;  // By predicate: epoch * 2 + truth; stale values mean "not known to hold".
  std::vector<uint32_t> tried_;     // By rule: the epoch in which it last became a candidate.
  std::vector<FieldState> fields_;  // By field.
  std::vector<LazyValues> values_;  // By field; only of fields that keep values.

  // By log source of rules: whether it fits the event.
  std::vector<bool> all_accepted_;
  std::vector<LogSource> given_sources_;  // The last that a caller gave, and what they accept.
  std::vector<bool> given_accepted_;
  absl::flat_hash_map<std::vector<uint32_t>, std::vector<bool>>
      shown_accepted_;  // By tests passed.
};

}  // namespace

class Matcher::Impl {
 public:
  Impl() {
    base_.SetRules(std::make_shared<const CompiledRules>(std::make_unique<const Program>()));
  }

  void SetRules(RuleLayers layers) {
    // What was learnt from events stays where the set does.
    if (layers.base.get() != base_.rules()) base_.SetRules(std::move(layers.base));
    replaced_ = std::move(layers.replaced);
    if (layers.changes == nullptr) {
      changes_.reset();
      return;
    }
    if (changes_ == nullptr) changes_ = std::make_unique<SetMatcher>();
    if (layers.changes.get() != changes_->rules()) changes_->SetRules(std::move(layers.changes));
  }

  absl::Status Match(std::string_view event, std::vector<const Rule*>& matches,
                     const MatchOptions& options) {
    matches.clear();
    RETURN_IF_ERROR(ReadEventTokens(event, tokens_));
    RETURN_IF_ERROR(base_.Read(tokens_));
    const std::vector<CompiledRule>& base_rules = base_.rules()->program().rules;
    for (const uint32_t rule : base_.Matches(options.log_sources)) {
      if (replaced_.empty() || !replaced_[rule]) matches.push_back(base_rules[rule].rule.get());
    }
    if (changes_ == nullptr) return absl::OkStatus();
    RETURN_IF_ERROR(changes_->Read(tokens_));
    const auto num_of_base = static_cast<std::ptrdiff_t>(matches.size());
    const std::vector<CompiledRule>& changed_rules = changes_->rules()->program().rules;
    for (const uint32_t rule : changes_->Matches(options.log_sources)) {
      matches.push_back(changed_rules[rule].rule.get());
    }
    std::inplace_merge(matches.begin(), matches.begin() + num_of_base, matches.end(),
                       [](const Rule* a, const Rule* b) { return a->id < b->id; });
    return absl::OkStatus();
  }

 private:
  JsonTokens tokens_;
  SetMatcher base_;
  std::unique_ptr<SetMatcher> changes_;  // Null: nothing changed.
  std::vector<bool> replaced_;           // As in RuleLayers.
};

Matcher::Matcher() : impl_(std::make_unique<Impl>()) {}
Matcher::~Matcher() = default;
Matcher::Matcher(Matcher&&) noexcept = default;
Matcher& Matcher::operator=(Matcher&&) noexcept = default;

absl::Status Matcher::SetRules(std::shared_ptr<const CompiledRules> rules) {
  return SetRules(RuleLayers{std::move(rules), nullptr, {}});
}

absl::Status Matcher::SetRules(RuleLayers layers) {
  impl_->SetRules(std::move(layers));
  return absl::OkStatus();
}

absl::Status Matcher::Match(std::string_view json_event, std::vector<const Rule*>& matches,
                            const MatchOptions& options) {
  return impl_->Match(json_event, matches, options);
}

}  // namespace weir::sigma
