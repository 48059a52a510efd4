#include "jobs/sigma/engine/internal/predicate_table.h"

#include <algorithm>
#include <utility>

#include "jobs/sigma/engine/internal/regex.h"
#include "jobs/sigma/engine/internal/text_fold.h"

namespace weir::sigma {
namespace {

using Literals = PredicateTable::Literals;
using FieldLiterals = PredicateTable::FieldLiterals;

bool IsIndexed(const Predicate& predicate) {
  if (predicate.test == Test::kExists) return true;
  if (predicate.cased) return false;
  if (predicate.IsKeyword()) return predicate.test == Test::kContains;
  return predicate.test == Test::kEquals || predicate.test == Test::kContains ||
         predicate.test == Test::kStartsWith || predicate.test == Test::kEndsWith;
}

Predicate LiteralPredicate(const std::string& field, Test test, std::string_view text) {
  Predicate predicate;
  predicate.field = field;
  predicate.test = test;
  predicate.literal = FoldCase(text);
  return predicate;
}

// Returns the test for the longest literal run of a pattern with wildcards, which every match
// contains.
std::vector<Predicate> ImpliedByGlob(const Predicate& glob) {
  const std::vector<std::string> runs = glob.pattern.LiteralRuns();
  if (runs.empty()) return {};
  const auto longest = std::max_element(
      runs.begin(), runs.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  Test test = Test::kContains;
  if (!glob.IsKeyword() && longest == runs.begin() && glob.pattern.ByteAt(0) >= 0)
    test = Test::kStartsWith;
  if (!glob.IsKeyword() && longest + 1 == runs.end() &&
      glob.pattern.ByteAt(glob.pattern.size() - 1) >= 0) {
    test = Test::kEndsWith;
  }
  return {LiteralPredicate(glob.field, test, *longest)};
}

// Shares a scanner of `previous` when it has the same literals.
std::shared_ptr<const LiteralScanner> MakeScanner(
    std::vector<std::string> literals, const std::shared_ptr<const LiteralScanner>& previous) {
  if (previous != nullptr && previous->literals() == literals) return previous;
  return std::make_shared<const LiteralScanner>(std::move(literals));
}

struct ScannerParts {
  std::vector<std::string> texts;
  std::vector<uint32_t> predicates;
};

// The index of the field `name` in `previous`; null if there is none.
const FieldIndex* FieldOf(const Program* previous, const std::string& name) {
  if (previous == nullptr) return nullptr;
  const auto found = previous->field_ids.find(name);
  return found == previous->field_ids.end() ? nullptr : &previous->fields[found->second];
}

ScannerParts SortLiterals(Literals literals) {
  std::sort(literals.begin(), literals.end());
  ScannerParts parts;
  for (auto& [text, predicate] : literals) {
    parts.texts.push_back(std::move(text));
    parts.predicates.push_back(predicate);
  }
  return parts;
}

// Builds the search structures of a field; shares those of `previous` (may be null) that fit.
void BuildField(FieldIndex& field, FieldLiterals literals, const FieldIndex* previous) {
  field.starts = LiteralTrie(LiteralTrie::Side::kStart, std::move(literals.starts));
  field.ends = LiteralTrie(LiteralTrie::Side::kEnd, std::move(literals.ends));
  if (literals.contains.empty()) return;
  ScannerParts sorted = SortLiterals(std::move(literals.contains));
  field.contains =
      MakeScanner(std::move(sorted.texts), previous != nullptr ? previous->contains : nullptr);
  field.contains_predicates = std::move(sorted.predicates);
}

}  // namespace

PathEntry& PredicateTable::EntryOf(const std::string& path) {
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
    program_.paths[path.substr(0, dot)].has_children = true;
  }
  return program_.paths[path];
}

void PredicateTable::AddPath(const std::string& path, uint32_t field) {
  PathEntry& entry = EntryOf(path);
  if (entry.field == kNoId) {
    entry.field = field;
  } else if (entry.field != field) {
    std::vector<uint32_t>& more = more_fields_[path];
    if (std::find(more.begin(), more.end(), field) == more.end()) more.push_back(field);
  }
}

uint32_t PredicateTable::InternField(std::string_view name) {
  const auto [found, added] = program_.field_ids.try_emplace(
      std::string(name), static_cast<uint32_t>(program_.fields.size()));
  const uint32_t field = found->second;
  if (!added) return field;
  program_.fields.emplace_back();
  program_.field_traits.emplace_back();
  if (mapping_ == nullptr) {
    AddPath(std::string(name), field);
    return field;
  }
  for (const std::string& path : mapping_->PathsOf(name)) AddPath(path, field);
  return field;
}

void PredicateTable::AddLists() {
  if (mapping_ == nullptr) return;
  for (const NameValueList& list : mapping_->lists) {
    PathEntry& entry = EntryOf(list.path);
    if (entry.list == kNoId) {
      entry.list = static_cast<uint32_t>(program_.lists.size());
      program_.lists.emplace_back();
    }
    NameValueKeys& keys = program_.lists[entry.list];
    if (!keys.IsName(list.name_key)) keys.names.push_back(list.name_key);
    if (!keys.IsValue(list.value_key)) keys.values.push_back(list.value_key);
  }
}

std::vector<Predicate> PredicateTable::Implied(const Predicate& predicate) const {
  std::vector<Predicate> implied;
  switch (predicate.test) {
    case Test::kNull:
    case Test::kExists:
      return {};
    case Test::kGlob:
      implied = ImpliedByGlob(predicate);
      break;
    case Test::kRegex:
      for (const std::string& literal : predicate.regex->required_literals()) {
        implied.push_back(LiteralPredicate(predicate.field, Test::kContains, literal));
      }
      break;
    case Test::kEquals:
    case Test::kContains:
    case Test::kStartsWith:
    case Test::kEndsWith:
      implied.push_back(LiteralPredicate(predicate.field, predicate.test, predicate.literal));
      break;
    default:
      break;
  }
  if (implied.empty() && !predicate.IsKeyword()) {
    Predicate exists;
    exists.field = predicate.field;
    exists.test = Test::kExists;
    implied.push_back(std::move(exists));
  }
  return implied;
}

uint32_t PredicateTable::Intern(const std::shared_ptr<const Predicate>& predicate) {
  const auto [entry, added] =
      ids_.try_emplace(predicate->Key(), static_cast<uint32_t>(program_.predicates.size()));
  const uint32_t id = entry->second;
  if (!added) return id;
  CompiledPredicate compiled;
  compiled.predicate = predicate;
  compiled.indexed = IsIndexed(*predicate);
  if (!predicate->IsKeyword()) compiled.field = InternField(predicate->field);
  if (predicate->test == Test::kFieldRef)
    compiled.other_field = InternField(predicate->other_field);
  program_.predicates.push_back(compiled);
  uses_.push_back(0);
  if (compiled.indexed) return id;
  std::vector<uint32_t> implied;
  for (Predicate& one : Implied(*predicate)) {
    implied.push_back(Intern(std::make_shared<const Predicate>(std::move(one))));
  }
  IdRange& range = program_.predicates[id].implied;
  range.begin = static_cast<uint32_t>(program_.implied.size());
  program_.implied.insert(program_.implied.end(), implied.begin(), implied.end());
  range.end = static_cast<uint32_t>(program_.implied.size());
  return id;
}

void PredicateTable::BuildIndexes(const Program* previous) {
  AddLists();
  for (const auto& [path, fields] : more_fields_) {
    IdRange& range = program_.paths[path].more;
    range.begin = static_cast<uint32_t>(program_.more_fields.size());
    program_.more_fields.insert(program_.more_fields.end(), fields.begin(), fields.end());
    range.end = static_cast<uint32_t>(program_.more_fields.size());
  }
  std::vector<FieldLiterals> literals(program_.fields.size());
  Literals keywords;
  for (uint32_t id = 0; id < program_.predicates.size(); ++id) {
    const CompiledPredicate& compiled = program_.predicates[id];
    if (!compiled.predicate->IsKeyword()) {
      AddToField(id, literals[compiled.field]);
    } else if (compiled.indexed) {
      keywords.emplace_back(compiled.predicate->literal, id);
    } else {
      program_.keeps_all_strings = true;
    }
  }
  for (const auto& [name, id] : program_.field_ids) {
    BuildField(program_.fields[id], std::move(literals[id]), FieldOf(previous, name));
  }
  if (!keywords.empty()) {
    ScannerParts sorted = SortLiterals(std::move(keywords));
    program_.keywords =
        MakeScanner(std::move(sorted.texts), previous != nullptr ? previous->keywords : nullptr);
    program_.keyword_predicates = std::move(sorted.predicates);
  }
  NumberPaths();
}

void PredicateTable::AddToField(uint32_t id, FieldLiterals& literals) {
  const CompiledPredicate& compiled = program_.predicates[id];
  const Predicate& predicate = *compiled.predicate;
  FieldIndex& field = program_.fields[compiled.field];
  FieldTraits& traits = program_.field_traits[compiled.field];
  if (!compiled.indexed) {
    traits.keeps_values = true;
    if (compiled.other_field != kNoId) {
      program_.field_traits[compiled.other_field].keeps_values = true;
    }
    return;
  }
  if (predicate.test == Test::kExists) {
    traits.exists = id;
    return;
  }
  field.reads_text = true;
  if (predicate.test == Test::kEquals) field.equals.emplace(predicate.literal, id);
  if (predicate.test == Test::kStartsWith) literals.starts.emplace_back(predicate.literal, id);
  if (predicate.test == Test::kEndsWith) literals.ends.emplace_back(predicate.literal, id);
  if (predicate.test == Test::kContains) literals.contains.emplace_back(predicate.literal, id);
}

void PredicateTable::NumberPaths() {
  const auto reads_text = [this](uint32_t field) { return program_.fields[field].reads_text; };
  for (auto& [path, entry] : program_.paths) {
    if (entry.field == kNoId) continue;
    bool reads = reads_text(entry.field);
    for (uint32_t i = entry.more.begin; i < entry.more.end; ++i) {
      reads = reads || reads_text(program_.more_fields[i]);
    }
    if (reads) entry.number = program_.num_numbered_paths++;
  }
}

}  // namespace weir::sigma
