#include "jobs/sigma/engine/internal/condition.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "jobs/sigma/engine/internal/lowering.h"
#include "jobs/sigma/engine/internal/rule_limits.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "jobs/sigma/engine/pattern.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr int kMaxDepth = 200;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.' || c == '*' || c == '?' || static_cast<unsigned char>(c) >= 0x80;
}

absl::StatusOr<std::vector<std::string_view>> Tokenize(std::string_view text) {
  std::vector<std::string_view> tokens;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++i;
    } else if (c == '(' || c == ')') {
      tokens.push_back(text.substr(i++, 1));
    } else if (IsNameCharacter(c)) {
      const size_t begin = i;
      while (i < text.size() && IsNameCharacter(text[i])) ++i;
      tokens.push_back(text.substr(begin, i - begin));
    } else if (c == '|') {
      return absl::UnimplementedError(
          StrCat("aggregations behind `|` are not supported; write a correlation rule instead: ",
                 text.substr(i)));
    } else {
      return absl::InvalidArgumentError(StrCat(
          "unexpected character `", text.substr(i, 1),
          "`; a condition has names, `and`, `or`, `not`, `of` ", "and parentheses: position=", i));
    }
  }
  return tokens;
}

// An operand whose selections pipelines dropped is nothing, and has no part in the result.
using Operand = std::optional<Expression>;

Operand Combine(Expression::Kind kind, std::vector<Expression> children) {
  if (children.empty()) return std::nullopt;
  return JoinExpressions(kind, std::move(children));
}

class ConditionParser {
 public:
  ConditionParser(std::vector<std::string_view> tokens, const Selections& selections,
                  size_t* nodes_left)
      : tokens_(std::move(tokens)), selections_(selections), nodes_left_(*nodes_left) {}

  absl::StatusOr<Operand> Parse() {
    ASSIGN_OR_RETURN(Operand expression, ParseOr(0));
    if (next_ != tokens_.size()) {
      return absl::InvalidArgumentError(
          StrCat("`and` or `or` is missing before `", tokens_[next_], "`", Place()));
    }
    return expression;
  }

 private:
  std::string Place() const { return StrCat(": word=", next_ + 1); }

  bool Accept(std::string_view word) {
    if (next_ == tokens_.size() || FoldCase(tokens_[next_]) != word) return false;
    ++next_;
    return true;
  }

  absl::StatusOr<Operand> ParseOr(int depth) {
    std::vector<Expression> children;
    do {
      ASSIGN_OR_RETURN(Operand child, ParseAnd(depth));
      if (child) children.push_back(*std::move(child));
    } while (Accept("or"));
    return Combine(Expression::Kind::kOr, std::move(children));
  }

  absl::StatusOr<Operand> ParseAnd(int depth) {
    std::vector<Expression> children;
    do {
      ASSIGN_OR_RETURN(Operand child, ParseNot(depth));
      if (child) children.push_back(*std::move(child));
    } while (Accept("and"));
    return Combine(Expression::Kind::kAnd, std::move(children));
  }

  absl::StatusOr<Operand> ParseNot(int depth) {
    if (depth > kMaxDepth) {
      return absl::InvalidArgumentError(
          StrCat("parentheses nest too deeply; the limit is ", kMaxDepth));
    }
    bool negated = false;
    while (Accept("not")) negated = !negated;
    ASSIGN_OR_RETURN(Operand operand, ParseOperand(depth));
    if (!negated || !operand) return operand;
    return Operand(Negation(*std::move(operand)));
  }

  absl::StatusOr<Operand> ParseOperand(int depth) {
    if (Accept("(")) {
      ASSIGN_OR_RETURN(Operand expression, ParseOr(depth + 1));
      if (!Accept(")")) return absl::InvalidArgumentError(StrCat("`)` is missing", Place()));
      return expression;
    }
    if (next_ == tokens_.size()) {
      return absl::InvalidArgumentError("the condition ends where a selection is expected");
    }
    if (next_ + 1 < tokens_.size() && FoldCase(tokens_[next_ + 1]) == "of") return ParseOf();
    const std::string_view name = tokens_[next_++];
    const auto found = selections_.find(name);
    if (found == selections_.end()) return UnknownSelection(name);
    if (!found->second) return Operand();
    RETURN_IF_ERROR(TakeNodes(*found->second));
    return Operand(Named(found->first, *found->second));
  }

  absl::StatusOr<Operand> ParseOf() {
    const std::string quantity = FoldCase(tokens_[next_]);
    next_ += 2;
    if (next_ == tokens_.size()) {
      return absl::InvalidArgumentError(
          StrCat("a name, a pattern or `them` is missing behind `of`", Place()));
    }
    const std::string_view target = tokens_[next_++];
    ASSIGN_OR_RETURN(std::vector<Expression> chosen, Choose(target));
    if (quantity == "all") return Combine(Expression::Kind::kAnd, std::move(chosen));
    if (quantity == "any") return Combine(Expression::Kind::kOr, std::move(chosen));
    uint32_t count = 0;
    const auto [end, error] =
        std::from_chars(quantity.data(), quantity.data() + quantity.size(), count);
    if (error != std::errc() || end != quantity.data() + quantity.size() || count == 0) {
      return absl::InvalidArgumentError(StrCat(
          "`of` needs `all`, `any` or a number from 1 on before it: ", quantity, " of ", target));
    }
    if (chosen.empty()) return Operand();
    if (count > chosen.size()) {
      return absl::InvalidArgumentError(
          StrCat("`of` asks for more selections than there are: ", quantity, " of ", target,
                 " selections=", chosen.size()));
    }
    if (count == 1) return Combine(Expression::Kind::kOr, std::move(chosen));
    if (count == chosen.size()) return Combine(Expression::Kind::kAnd, std::move(chosen));
    Expression expression;
    expression.kind = Expression::Kind::kAtLeast;
    expression.count = count;
    expression.children = std::move(chosen);
    return Operand(std::move(expression));
  }

  absl::StatusOr<std::vector<Expression>> Choose(std::string_view target) {
    const bool them = FoldCase(target) == "them" && !selections_.contains(target);
    const Pattern pattern = Pattern::Parse(them ? "*" : target);
    const bool take_private = target.starts_with("_");
    bool found = false;
    std::vector<Expression> chosen;
    for (const auto& [name, expression] : selections_) {
      if (name.starts_with("_") && !take_private) continue;
      if (!pattern.Matches(name)) continue;
      found = true;
      if (!expression) continue;
      RETURN_IF_ERROR(TakeNodes(*expression));
      chosen.push_back(Named(name, *expression));
    }
    if (!found) return UnknownSelection(target);
    return chosen;
  }

  static size_t NodesOf(const Expression& expression) {
    size_t nodes = 1;
    for (const Expression& child : expression.children) nodes += NodesOf(child);
    return nodes;
  }

  // A short condition may name large selections over and over.
  absl::Status TakeNodes(const Expression& expression) {
    const size_t nodes = NodesOf(expression);
    if (nodes > nodes_left_) {
      return absl::InvalidArgumentError(
          StrCat("the condition repeats its selections so often that it has too many tests; name "
                 "each of them once, or split the rule: limit=",
                 kMostConditionNodes));
    }
    nodes_left_ -= nodes;
    return absl::OkStatus();
  }

  // Messages about matches say which selections held.
  static Expression Named(std::string_view name, Expression expression) {
    expression.selection = name;
    return expression;
  }

  absl::Status UnknownSelection(std::string_view name) const {
    std::vector<std::string_view> names;
    for (const auto& [known, expression] : selections_) names.push_back(known);
    const std::string_view nearest = NearestMatch(name, names);
    return absl::InvalidArgumentError(StrCat("no selection is named `", name, "`",
                                             nearest.empty() ? "" : "; did you mean `", nearest,
                                             nearest.empty() ? "" : "`?"));
  }

  const std::vector<std::string_view> tokens_;
  const Selections& selections_;
  size_t& nodes_left_;
  size_t next_ = 0;
};

}  // namespace

absl::StatusOr<std::optional<Expression>> ParseCondition(std::string_view text,
                                                         const Selections& selections,
                                                         size_t* nodes_left) {
  ASSIGN_OR_RETURN(std::vector<std::string_view> tokens, Tokenize(text));
  if (tokens.empty()) return absl::InvalidArgumentError("the condition is empty");
  size_t most = kMostConditionNodes;
  if (nodes_left == nullptr) nodes_left = &most;
  return ConditionParser(std::move(tokens), selections, nodes_left).Parse();
}

absl::StatusOr<std::optional<Expression>> ConditionShape(
    const ConditionText& condition, const std::vector<NamedSelection>& selections) {
  Selections tests;
  for (const NamedSelection& named : selections) tests[named.name] = Expression{};
  absl::StatusOr<std::optional<Expression>> shape = ParseCondition(condition.text, tests);
  if (shape.ok()) return shape;
  return AddContext(shape.status(), StrCat(" condition=", condition.text), condition.place);
}

}  // namespace weir::sigma
