#include "jobs/sigma/engine/internal/witness.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace weir::sigma {
namespace {

// The items of a long list are names of tools and the like: much rarer than their length alone
// tells.
constexpr double kShareOfAlternatives = 0.1;

bool IsCommonValue(const std::string& literal) {
  return literal.size() < 3 || literal == "true" || literal == "false" ||
         literal.find_first_not_of("0123456789") == std::string::npos;
}

// Guesses how often a test holds by its kind and the length of its literal.
double BaseCost(const Predicate& predicate) {
  const auto length = static_cast<double>(predicate.literal.size());
  switch (predicate.test) {
    case Test::kEquals:
      return IsCommonValue(predicate.literal) ? 0.5 : 0.02 * std::pow(0.8, length);
    case Test::kStartsWith:
      return 0.2 * std::pow(0.8, length);
    case Test::kEndsWith:
      return 0.1 * std::pow(0.7, length);
    case Test::kContains:
      return (predicate.IsKeyword() ? 0.6 : 0.3) * std::pow(0.6, length);
    default:
      return 0.9;  // The field exists.
  }
}

}  // namespace

// What many rules ask marks a kind of event rather than an attack, so it is frequent.
double WitnessFinder::Cost(uint32_t predicate) const {
  const double rules = static_cast<double>(std::max<size_t>(program_.rules.size(), 20));
  const double popularity = static_cast<double>(table_.uses(predicate)) / rules;
  const double base = BaseCost(*program_.predicates[predicate].predicate);
  return table_.uses(predicate) > 1 ? std::max(base, popularity) : base;
}

std::optional<Witness> WitnessFinder::OfPredicate(uint32_t predicate) const {
  const CompiledPredicate& compiled = program_.predicates[predicate];
  if (compiled.indexed) return Witness{Cost(predicate), {predicate}};
  if (compiled.implied.empty()) return std::nullopt;
  Witness witness;
  for (uint32_t i = compiled.implied.begin; i < compiled.implied.end; ++i) {
    witness.predicates.push_back(program_.implied[i]);
    witness.cost += Cost(program_.implied[i]);
  }
  return witness;
}

std::optional<Witness> WitnessFinder::OfOperand(const Node& node, uint32_t operand) const {
  const bool of_tests = node.kind == Node::Kind::kAllOf || node.kind == Node::Kind::kAnyOf;
  const uint32_t id = program_.operands[operand];
  return of_tests ? OfPredicate(id & ~kTestedWhenAsked) : Find(id);
}

std::optional<Witness> WitnessFinder::Rarest(const Node& node) const {
  std::optional<Witness> rarest;
  for (uint32_t i = node.range.begin; i < node.range.end; ++i) {
    std::optional<Witness> witness = OfOperand(node, i);
    if (witness && (!rarest || witness->cost < rarest->cost)) rarest = std::move(witness);
  }
  return rarest;
}

std::optional<Witness> WitnessFinder::Union(const Node& node) const {
  Witness all;
  double largest = 0;
  for (uint32_t i = node.range.begin; i < node.range.end; ++i) {
    const std::optional<Witness> witness = OfOperand(node, i);
    if (!witness) return std::nullopt;
    all.cost += witness->cost;
    largest = std::max(largest, witness->cost);
    all.predicates.insert(all.predicates.end(), witness->predicates.begin(),
                          witness->predicates.end());
  }
  all.cost = largest + kShareOfAlternatives * (all.cost - largest);
  std::sort(all.predicates.begin(), all.predicates.end());
  all.predicates.erase(std::unique(all.predicates.begin(), all.predicates.end()),
                       all.predicates.end());
  return all;
}

std::optional<Witness> WitnessFinder::Find(uint32_t node_id) const {
  const Node& node = program_.nodes[node_id];
  switch (node.kind) {
    case Node::Kind::kTest:
      return OfPredicate(node.range.begin & ~kTestedWhenAsked);
    case Node::Kind::kAllOf:
    case Node::Kind::kAnd:
      return Rarest(node);
    case Node::Kind::kAnyOf:
    case Node::Kind::kOr:
    case Node::Kind::kAtLeast:
      return Union(node);
    case Node::Kind::kNot:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace weir::sigma
