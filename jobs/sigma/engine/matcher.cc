#include "jobs/sigma/engine/matcher.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "jobs/sigma/engine/internal/program.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "simdjson.h"

namespace weir::sigma {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr int kMaxDepth = 256;
constexpr PathEntry kRoot = [] {
  PathEntry root;
  root.has_children = true;
  return root;
}();
constexpr size_t kMostCombinations = 4096;
constexpr char kSeparator =
    '\xff';  // Between folded strings: no UTF-8 text, and so no keyword, contains it.

bool IsJsonNumber(std::string_view token) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < token.size() && token[i] >= '0' && token[i] <= '9') ++i;
    return i - begin;
  };
  if (i < token.size() && token[i] == '-') ++i;
  const bool zero = i < token.size() && token[i] == '0';
  const size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (i < token.size() && token[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
    ++i;
    if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == token.size();
}

}  // namespace

class Matcher::Impl {
 public:
  absl::Status SetRules(std::shared_ptr<const CompiledRules> rules) {
    const Program& program = rules->program();
    ScanScratch scratch;
    bool prepared = program.keywords == nullptr || program.keywords->Prepare(scratch);
    for (const FieldIndex& field : program.fields) {
      prepared = prepared && (field.contains == nullptr || field.contains->Prepare(scratch));
    }
    if (!prepared) {
      return absl::ResourceExhaustedError(
          StrCat("cannot allocate memory to scan events; give the process more memory: rules=",
                 rules->rule_count()));
    }
    scratch_ = std::move(scratch);
    rules_ = std::move(rules);
    program_ = &program;
    truth_.assign(program.predicates.size(), 0);
    tried_.assign(program.rules.size() + program.source_tests.size(), 0);
    fields_.assign(program.fields.size(), FieldState{});
    all_accepted_.assign(program.log_sources.size(), true);
    given_sources_.clear();
    given_accepted_ = all_accepted_;
    shown_accepted_.clear();
    epoch_ = 0;
    return absl::OkStatus();
  }

  absl::Status Match(std::string_view event, std::vector<const Rule*>& matches,
                     const MatchOptions& options) {
    matches.clear();
    BeginEvent(event);
    RETURN_IF_ERROR(ReadEvent());
    if (program_ == nullptr) return absl::OkStatus();
    if (program_->keywords != nullptr) ScanKeywords();
    const std::vector<bool>& accepted = AcceptedLogSources(options.log_sources);
    for (const uint32_t rule : program_->always) candidates_.push_back(rule);
    matched_.clear();
    for (const uint32_t rule : candidates_) {
      const CompiledRule& compiled = program_->rules[rule];
      if (accepted[compiled.log_source] && Holds(program_->nodes[compiled.root]))
        matched_.push_back(rule);
    }
    std::sort(matched_.begin(), matched_.end());
    for (const uint32_t rule : matched_) matches.push_back(program_->rules[rule].rule.get());
    return absl::OkStatus();
  }

 private:
  // What the event at hand says about one field; stale unless `epoch` is the event's.
  struct FieldState {
    uint32_t epoch = 0;
    bool has_null = false;
    bool has_value = false;
    std::vector<ScalarValue> values;  // Only of fields that keep values.
  };

  void BeginEvent(std::string_view event) {
    if (event.size() + simdjson::SIMDJSON_PADDING > padded_.size()) {
      padded_.resize(event.size() * 2 + simdjson::SIMDJSON_PADDING);
      folded_.resize(padded_.size());
    }
    std::memcpy(padded_.data(), event.data(), event.size());
    std::memset(padded_.data() + event.size(), 0, simdjson::SIMDJSON_PADDING);
    event_size_ = event.size();
    folded_size_ = 0;
    number_text_count_ = 0;
    strings_.clear();
    candidates_.clear();
    source_candidates_.clear();
    if (++epoch_ == 0x7fffffff) {  // Truth values hold the epoch in 31 bits.
      std::fill(truth_.begin(), truth_.end(), 0);
      std::fill(tried_.begin(), tried_.end(), 0);
      for (FieldState& field : fields_) field.epoch = 0;
      epoch_ = 1;
    }
  }

  absl::Status ReadEvent() {
    ondemand::document document;
    ondemand::object object;
    simdjson::error_code error =
        parser_.iterate(simdjson::padded_string_view(padded_.data(), event_size_, padded_.size()))
            .get(document);
    if (error == simdjson::SUCCESS) {
      ondemand::json_type type;
      error = document.type().get(type);
      if (error == simdjson::SUCCESS && type != ondemand::json_type::object) {
        return absl::InvalidArgumentError(
            "the event is no JSON object; send one object per record");
      }
    }
    if (error == simdjson::SUCCESS) error = document.get_object().get(object);
    if (error == simdjson::SUCCESS) error = WalkObject(object, 0, kRoot, 0);
    if (error == simdjson::SUCCESS &&
        document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
      error = simdjson::TAPE_ERROR;  // Something follows the object.
    }
    if (error == simdjson::SUCCESS) return absl::OkStatus();
    return absl::InvalidArgumentError(
        StrCat("the event is not valid JSON: ", std::string_view(simdjson::error_message(error))));
  }

  // Returns what `key`, below the first `prefix` bytes of path_, leads to; path_ then holds the
  // path under which that was found.
  PathEntry Lookup(std::string_view key, size_t prefix, bool any_child) {
    const auto find = [&](std::string_view name) -> const PathEntry* {
      std::string_view path = name;
      if (prefix > 0) {
        path_.resize(prefix);
        path_.append(name);
        path = path_;
      }
      const auto found = program_->paths.find(path);
      return found == program_->paths.end() ? nullptr : &found->second;
    };
    const PathEntry* entry = find(key);
    if (entry == nullptr && key.find(' ') != std::string_view::npos) {
      // Rules write field names without their spaces.
      std::string compact(key);
      std::erase(compact, ' ');
      entry = find(compact);
      if (entry != nullptr && prefix == 0) path_ = std::move(compact);
      if (entry != nullptr) return *entry;
    }
    if (entry == nullptr && any_child) entry = find("*");
    if (entry == nullptr) return {};
    if (entry->has_children && prefix == 0) path_.assign(key);
    return *entry;
  }

  // Reads an object whose path, with a dot behind, is the first `prefix` bytes of path_. `parent`
  // tells whether any rule field lies below it; if not, it is read only to check it and for
  // keywords.
  simdjson::error_code WalkObject(ondemand::object object, size_t prefix, const PathEntry& parent,
                                  int depth) {
    if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
    for (auto result : object) {
      ondemand::field field;
      if (const auto error = std::move(result).get(field)) return error;
      std::string_view key;
      if (const auto error = field.unescaped_key().get(key)) return error;
      PathEntry entry;
      size_t child_prefix = 0;
      if (parent.has_children && program_ != nullptr) {
        entry = Lookup(key, prefix, parent.any_child);
        if (entry.has_children) {
          path_.push_back('.');
          child_prefix = path_.size();
        }
      }
      if (const auto error = WalkValue(field.value(), entry, child_prefix, depth)) return error;
    }
    return simdjson::SUCCESS;
  }

  // Returns what a field's own name leads to; leaves path_ alone.
  PathEntry FindField(std::string_view name) const {
    auto found = program_->paths.find(name);
    if (found == program_->paths.end() && name.find(' ') != std::string_view::npos) {
      std::string compact(name);
      std::erase(compact, ' ');
      found = program_->paths.find(compact);
    }
    PathEntry entry = found == program_->paths.end() ? PathEntry{} : found->second;
    entry.has_children = false;
    return entry;
  }

  // A scalar that came before the name it belongs to.
  struct HeldValue {
    std::optional<std::string_view> text;
    std::optional<std::string_view> number;
    std::string_view key;
  };

  // Holds a text or number back.
  simdjson::error_code Hold(ondemand::value& value, ondemand::json_type type, std::string_view key,
                            HeldValue& held) {
    held.key = key;
    if (type == ondemand::json_type::string) {
      std::string_view text;
      if (const auto error = value.get_string().get(text)) return error;
      held.text = text;
      return simdjson::SUCCESS;
    }
    const std::string_view token = StripWhitespace(value.raw_json_token());
    if (!IsJsonNumber(token)) return simdjson::NUMBER_ERROR;
    held.number = token;
    return simdjson::SUCCESS;
  }

  void AddHeld(const HeldValue& held, const PathEntry& entry) {
    if (!held.text && !held.number) return;
    Touch(entry);
    if (held.text) AddString(entry, *held.text);
    if (held.number) AddNumber(entry, *held.number);
  }

  // Reads an object that holds a field's name under one key and its value under another, in either
  // order. A value that is no scalar is found only behind the name. Without a name, it is an object
  // like others.
  simdjson::error_code WalkNameValue(ondemand::object object, size_t prefix,
                                     const PathEntry& parent, int depth) {
    if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
    const NameValueKeys& keys = program_->lists[parent.list];
    PathEntry named;
    bool has_name = false;
    HeldValue held;
    const auto at = [&](std::string_view key) {
      PathEntry entry = parent.has_children ? Lookup(key, prefix, parent.any_child) : PathEntry{};
      entry.has_children = false;
      return entry;
    };
    for (auto result : object) {
      ondemand::field field;
      if (const auto error = std::move(result).get(field)) return error;
      std::string_view key;
      if (const auto error = field.unescaped_key().get(key)) return error;
      ondemand::value value = field.value();
      ondemand::json_type type;
      if (const auto error = value.type().get(type)) return error;
      const bool is_text = type == ondemand::json_type::string;
      const bool is_value = keys.IsValue(key);
      if (is_text && keys.IsName(key)) {
        std::string_view name;
        if (const auto error = value.get_string().get(name)) return error;
        named = FindField(name);
        has_name = true;
        AddString({}, name);
      } else if (is_value && !has_name && (is_text || type == ondemand::json_type::number)) {
        if (const auto error = Hold(value, type, key, held)) return error;
      } else {
        const PathEntry entry = is_value && has_name ? named : at(key);
        if (const auto error = WalkValue(value, entry, 0, depth)) return error;
      }
    }
    AddHeld(held, has_name ? named : at(held.key));
    return simdjson::SUCCESS;
  }

  simdjson::error_code WalkBelow(ondemand::object object, const PathEntry& entry,
                                 size_t child_prefix, int depth) {
    if (entry.list == kNoId) return WalkObject(object, child_prefix, entry, depth + 1);
    return WalkNameValue(object, child_prefix, entry, depth + 1);
  }

  simdjson::error_code WalkValue(ondemand::value value, const PathEntry& entry, size_t child_prefix,
                                 int depth) {
    ondemand::json_type type;
    if (const auto error = value.type().get(type)) return error;
    Touch(entry);
    switch (type) {
      case ondemand::json_type::object: {
        ondemand::object object;
        if (const auto error = value.get_object().get(object)) return error;
        return WalkBelow(object, entry, child_prefix, depth);
      }
      case ondemand::json_type::array: {
        if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
        ondemand::array array;
        if (const auto error = value.get_array().get(array)) return error;
        for (auto result : array) {
          ondemand::value element;
          if (const auto error = std::move(result).get(element)) return error;
          if (const auto error = WalkValue(element, entry, child_prefix, depth + 1)) return error;
        }
        return simdjson::SUCCESS;
      }
      case ondemand::json_type::string: {
        std::string_view text;
        if (const auto error = value.get_string().get(text)) return error;
        AddString(entry, text);
        return simdjson::SUCCESS;
      }
      case ondemand::json_type::number: {
        const std::string_view token = StripWhitespace(value.raw_json_token());
        if (!IsJsonNumber(token)) return simdjson::NUMBER_ERROR;
        AddNumber(entry, token);
        return simdjson::SUCCESS;
      }
      case ondemand::json_type::boolean: {
        bool truth = false;
        if (const auto error = value.get_bool().get(truth)) return error;
        const std::string_view text = truth ? "true" : "false";
        AddValues(entry, {text, text, false});
        return simdjson::SUCCESS;
      }
      case ondemand::json_type::null: {
        bool null = false;
        if (const auto error = simdjson::simdjson_result<bool>(value.is_null()).get(null))
          return error;
        if (!null) return simdjson::N_ATOM_ERROR;
        ForEachField(entry, [this](uint32_t field) { fields_[field].has_null = true; });
        return simdjson::SUCCESS;
      }
    }
    return simdjson::TAPE_ERROR;
  }

  template <class Action>
  void ForEachField(const PathEntry& entry, const Action& action) {
    if (entry.field == kNoId) return;
    action(entry.field);
    for (uint32_t i = entry.more.begin; i < entry.more.end; ++i) action(program_->more_fields[i]);
  }

  void Touch(const PathEntry& entry) {
    ForEachField(entry, [this](uint32_t field) { TouchField(field); });
  }

  void AddValues(const PathEntry& entry, const ScalarValue& value) {
    ForEachField(entry, [&](uint32_t field) { AddValue(field, value); });
  }

  void TouchField(uint32_t id) {
    FieldState& field = fields_[id];
    if (field.epoch == epoch_) return;
    field.epoch = epoch_;
    field.has_null = false;
    field.has_value = false;
    field.values.clear();
    const uint32_t exists = program_->fields[id].exists;
    if (exists != kNoId) SetTrue(exists);
  }

  // Folds `text` into the event's buffer, which has room: no string is longer than its JSON form.
  std::string_view Fold(std::string_view text) {
    char* const target = folded_.data() + folded_size_;
    const size_t size = FoldCase(text, target);
    target[size] = kSeparator;
    folded_size_ += size + 1;
    return {target, size};
  }

  void AddString(const PathEntry& entry, std::string_view text) {
    if (program_ == nullptr) return;
    const bool for_keywords = program_->keywords != nullptr || program_->keeps_all_strings;
    if (entry.field == kNoId && !for_keywords) return;
    const ScalarValue value{text, Fold(text), true};
    if (program_->keeps_all_strings) strings_.push_back(value);
    AddValues(entry, value);
  }

  void AddNumber(const PathEntry& entry, std::string_view token) {
    if (entry.field == kNoId) return;
    if (token.find_first_of(".eE") == std::string_view::npos) {
      AddValues(entry, {token, token, false});
      return;
    }
    const std::string_view folded = KeepText(FoldCase(token));
    AddValues(entry, {token, folded, false});
    const std::string_view canonical = KeepText(CanonicalNumber(token));
    if (canonical != folded) AddValues(entry, {canonical, canonical, false});
  }

  // Stores a text for the length of the event.
  std::string_view KeepText(std::string text) {
    if (number_text_count_ == number_texts_.size()) number_texts_.emplace_back();
    std::string& kept = number_texts_[number_text_count_++];
    kept = std::move(text);
    return kept;
  }

  void AddValue(uint32_t id, const ScalarValue& value) {
    const FieldIndex& index = program_->fields[id];
    FieldState& field = fields_[id];
    field.has_value = true;
    if (index.keeps_values) field.values.push_back(value);
    if (!index.reads_text) return;
    const auto set_true = [this](uint32_t predicate) { SetTrue(predicate); };
    if (!index.equals.empty()) {
      const auto found = index.equals.find(value.folded);
      if (found != index.equals.end()) SetTrue(found->second);
    }
    index.starts.Find(value.folded, set_true);
    index.ends.Find(value.folded, set_true);
    if (index.contains != nullptr) {
      Scan(*index.contains, index.contains_predicates, value.folded);
    }
  }

  void Scan(const LiteralScanner& scanner, const std::vector<uint32_t>& predicates,
            std::string_view text) {
    struct Context {
      Impl* matcher;
      const uint32_t* predicates;
    };
    Context context{this, predicates.data()};
    scanner.Scan(
        text, scratch_,
        [](void* raw, uint32_t literal) {
          const auto* const found = static_cast<const Context*>(raw);
          found->matcher->SetTrue(found->predicates[literal]);
        },
        &context);
  }

  void ScanKeywords() {
    Scan(*program_->keywords, program_->keyword_predicates, {folded_.data(), folded_size_});
  }

  uint32_t Mark(bool truth) const { return epoch_ * 2 + (truth ? 1 : 0); }

  void SetTrue(uint32_t id) {
    uint32_t& truth = truth_[id];
    if (truth == Mark(true)) return;
    truth = Mark(true);
    const IdRange wakes = program_->predicates[id].wakes;
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

  bool Test(uint32_t id) {
    const uint32_t truth = truth_[id];
    if (truth >> 1 == epoch_) return (truth & 1) != 0;
    const CompiledPredicate& compiled = program_->predicates[id];
    if (compiled.indexed) return false;
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

  bool Evaluate(const CompiledPredicate& compiled) const {
    const Predicate& predicate = *compiled.predicate;
    const auto passes = [&](const ScalarValue& value) { return PassesTest(predicate, value); };
    if (predicate.IsKeyword()) return std::any_of(strings_.begin(), strings_.end(), passes);
    const FieldState& field = fields_[compiled.field];
    const bool present = field.epoch == epoch_;
    if (predicate.test == sigma::Test::kNull) return !present || field.has_null || !field.has_value;
    if (!present) return false;
    if (predicate.test == sigma::Test::kFieldRef)
      return PassesFieldRef(predicate, field, fields_[compiled.other_field]);
    return std::any_of(field.values.begin(), field.values.end(), passes);
  }

  bool PassesFieldRef(const Predicate& predicate, const FieldState& field,
                      const FieldState& other) const {
    if (other.epoch != epoch_) return false;
    for (const ScalarValue& value : field.values) {
      for (const ScalarValue& operand : other.values) {
        const bool passes = predicate.cased
                                ? PassesRelation(predicate.relation, value.text, operand.text)
                                : PassesRelation(predicate.relation, value.folded, operand.folded);
        if (passes) return true;
      }
    }
    return false;
  }

  // Returns which log sources of rules fit the event, by their index. Where the caller does not
  // know the event's log sources, the event shows them by the source tests that it passes.
  const std::vector<bool>& AcceptedLogSources(std::span<const LogSource> given) {
    if (!given.empty()) return AcceptedByGiven(given);
    if (program_->source_tests.empty()) return all_accepted_;
    shown_.clear();
    for (const uint32_t test : program_->always_tested_sources) source_candidates_.push_back(test);
    for (const uint32_t test : source_candidates_) {
      if (Holds(program_->nodes[program_->source_tests[test].root])) shown_.push_back(test);
    }
    if (shown_.empty()) return all_accepted_;
    std::sort(shown_.begin(), shown_.end());
    const auto known = shown_accepted_.find(shown_);
    if (known != shown_accepted_.end()) return known->second;
    // Events show few different combinations; a flood of them must not fill the memory.
    if (shown_accepted_.size() >= kMostCombinations) shown_accepted_.clear();
    std::vector<bool> accepted = all_accepted_;
    for (size_t i = 0; i < accepted.size(); ++i) {
      const std::vector<uint32_t>& tests = program_->tests_of_source[i];
      accepted[i] = tests.empty() || std::find_first_of(tests.begin(), tests.end(), shown_.begin(),
                                                        shown_.end()) != tests.end();
    }
    return shown_accepted_.emplace(shown_, std::move(accepted)).first->second;
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
  ondemand::parser parser_;
  ScanScratch scratch_;

  // Of the event at hand.
  uint32_t epoch_ = 0;
  std::string padded_;  // The event with the padding that the parser wants.
  size_t event_size_ = 0;
  std::string folded_;  // Folded strings, each with a separator behind.
  size_t folded_size_ = 0;
  std::deque<std::string> number_texts_;
  size_t number_text_count_ = 0;
  std::string path_;
  std::vector<ScalarValue> strings_;
  std::vector<uint32_t> candidates_;
  std::vector<uint32_t> source_candidates_;
  std::vector<uint32_t> shown_;  // Source tests that the event passes.
  std::vector<uint32_t> matched_;

  std::vector<uint32_t>
      truth_;  // By predicate: epoch * 2 + truth; stale values mean "not known to hold".
  std::vector<uint32_t> tried_;     // By rule: the epoch in which it last became a candidate.
  std::vector<FieldState> fields_;  // By field.

  // By log source of rules: whether it fits the event.
  std::vector<bool> all_accepted_;
  std::vector<LogSource> given_sources_;  // The last that a caller gave, and what they accept.
  std::vector<bool> given_accepted_;
  absl::flat_hash_map<std::vector<uint32_t>, std::vector<bool>>
      shown_accepted_;  // By tests passed.
};

Matcher::Matcher() : impl_(std::make_unique<Impl>()) {}
Matcher::~Matcher() = default;
Matcher::Matcher(Matcher&&) noexcept = default;
Matcher& Matcher::operator=(Matcher&&) noexcept = default;

absl::Status Matcher::SetRules(std::shared_ptr<const CompiledRules> rules) {
  return impl_->SetRules(std::move(rules));
}

absl::Status Matcher::Match(std::string_view json_event, std::vector<const Rule*>& matches,
                            const MatchOptions& options) {
  return impl_->Match(json_event, matches, options);
}

}  // namespace weir::sigma
