#include "jobs/sigma/engine/internal/regex.h"

#include <algorithm>
#include <utility>

#include "jobs/sigma/engine/internal/rule_limits.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "re2/filtered_re2.h"
#include "re2/re2.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr int kShortestLiteral = 3;
constexpr size_t kMostLiteralsToReduce = 64;

RE2::Options RegexOptions() {
  RE2::Options options;
  options.set_log_errors(false);
  return options;
}

// Returns whether the expression in `filter` can match a text that has none of the `removed` atoms.
bool CanMatchWithout(const re2::FilteredRE2& filter, const std::vector<bool>& removed) {
  std::vector<int> present;
  for (size_t i = 0; i < removed.size(); ++i) {
    if (!removed[i]) present.push_back(static_cast<int>(i));
  }
  std::vector<int> potentials;
  filter.AllPotentials(present, &potentials);
  return !potentials.empty();
}

// RE2 derives from the expression a formula over literals ("atoms") that holds for every matching
// text. The formula has no negation, so a set of atoms is required (one of it must occur) when the
// formula fails without all of them.
std::vector<std::string> RequiredLiterals(const std::string& expression) {
  re2::FilteredRE2 filter(kShortestLiteral);
  int id = 0;
  if (filter.Add(expression, RegexOptions(), &id) != RE2::NoError) return {};
  std::vector<std::string> atoms;
  filter.Compile(&atoms);
  if (atoms.empty()) return {};
  std::vector<bool> required(atoms.size(), true);
  if (CanMatchWithout(filter, required)) return {};
  if (atoms.size() <= kMostLiteralsToReduce) {
    std::vector<size_t> shortest_first(atoms.size());
    for (size_t i = 0; i < atoms.size(); ++i) shortest_first[i] = i;
    std::stable_sort(shortest_first.begin(), shortest_first.end(),
                     [&](size_t a, size_t b) { return atoms[a].size() < atoms[b].size(); });
    for (const size_t i : shortest_first) {
      required[i] = false;
      if (CanMatchWithout(filter, required)) required[i] = true;
    }
  }
  std::vector<std::string> literals;
  for (size_t i = 0; i < atoms.size(); ++i) {
    if (!required[i]) continue;
    // RE2 lower-cases more letters than FoldCase; both agree where the outcome is ASCII.
    std::string literal = FoldCase(atoms[i]);
    if (std::any_of(literal.begin(), literal.end(),
                    [](char c) { return static_cast<uint8_t>(c) >= 0x80; })) {
      return {};
    }
    literals.push_back(std::move(literal));
  }
  std::sort(literals.begin(), literals.end());
  literals.erase(std::unique(literals.begin(), literals.end()), literals.end());
  return literals;
}

}  // namespace

Regex::Regex(std::string expression, std::unique_ptr<re2::RE2> compiled)
    : expression_(std::move(expression)),
      compiled_(std::move(compiled)),
      required_literals_(RequiredLiterals(expression_)) {}

Regex::~Regex() = default;

absl::StatusOr<std::shared_ptr<const Regex>> Regex::Compile(const std::string& expression) {
  auto compiled = std::make_unique<RE2>(expression, RegexOptions());
  if (!compiled->ok()) return absl::InvalidArgumentError(compiled->error());
  if (compiled->ProgramSize() > kMostRegexInstructions) {
    return absl::InvalidArgumentError(
        StrCat("it is too large; repeat less: instructions=", compiled->ProgramSize(),
               " limit=", kMostRegexInstructions));
  }
  return std::shared_ptr<const Regex>(new Regex(expression, std::move(compiled)));
}

bool Regex::Matches(std::string_view text) const {
  return compiled_->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                          RE2::UNANCHORED, nullptr, 0);
}

}  // namespace weir::sigma
