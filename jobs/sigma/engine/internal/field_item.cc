#include "jobs/sigma/engine/internal/field_item.h"

#include <memory>
#include <optional>
#include <utility>

#include "jobs/sigma/engine/internal/encoding.h"
#include "jobs/sigma/engine/internal/regex.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr size_t kMostVariants = 10000;

// What the modifiers of one line ask for.
struct Request {
  std::string field;
  std::vector<std::string_view> text_changes;  // In written order: contains, windash, base64, …
  std::optional<Test> test;                    // kRegex, kCidr, kExists, kFieldRef or an ordering.
  std::string_view test_name;
  Test relation = Test::kEquals;  // What contains, startswith or endswith ask for, else kEquals.
  std::string regex_flags;
  bool all = false;
  bool cased = false;
  bool negated = false;
  bool expand = false;
};

Expression MakeTest(Predicate predicate) {
  Expression expression;
  expression.predicate = std::make_shared<const Predicate>(std::move(predicate));
  return expression;
}

Expression Combine(Expression::Kind kind, std::vector<Expression> children) {
  if (children.size() == 1 && kind != Expression::Kind::kNot) return std::move(children.front());
  Expression expression;
  expression.kind = kind;
  expression.children = std::move(children);
  return expression;
}

Expression Negate(Expression operand) {
  std::vector<Expression> children;
  children.push_back(std::move(operand));
  return Combine(Expression::Kind::kNot, std::move(children));
}

std::optional<Test> TestNamed(std::string_view modifier) {
  if (modifier == "re") return Test::kRegex;
  if (modifier == "cidr") return Test::kCidr;
  if (modifier == "exists") return Test::kExists;
  if (modifier == "fieldref") return Test::kFieldRef;
  if (modifier == "lt") return Test::kLess;
  if (modifier == "lte") return Test::kLessOrEqual;
  if (modifier == "gt") return Test::kGreater;
  if (modifier == "gte") return Test::kGreaterOrEqual;
  return std::nullopt;
}

std::optional<Test> RelationNamed(std::string_view modifier) {
  if (modifier == "contains") return Test::kContains;
  if (modifier == "startswith") return Test::kStartsWith;
  if (modifier == "endswith") return Test::kEndsWith;
  return std::nullopt;
}

bool IsEncoding(std::string_view modifier) {
  return modifier == "base64" || modifier == "base64offset" || modifier == "wide" ||
         modifier == "utf16le" || modifier == "utf16be" || modifier == "utf16";
}

absl::Status UnknownModifier(std::string_view modifier) {
  static const std::vector<std::string_view> kKnown = {
      "contains", "startswith", "endswith",     "all",  "re",      "cidr",    "exists",  "cased",
      "lt",       "lte",        "gt",           "gte",  "neq",     "i",       "windash", "fieldref",
      "base64",   "expand",     "base64offset", "wide", "utf16le", "utf16be", "utf16"};
  for (const std::string_view part : {"minute", "hour", "day", "week", "month", "year"}) {
    if (modifier == part) {
      return absl::UnimplementedError(
          StrCat("time parts are not supported yet: modifier=", modifier));
    }
  }
  const std::string_view nearest = NearestMatch(modifier, kKnown);
  return absl::InvalidArgumentError(
      StrCat("unknown modifier", nearest.empty() ? "" : StrCat("; did you mean `", nearest, "`?"),
             ": modifier=", modifier));
}

absl::Status AddModifier(std::string_view modifier, Request& request) {
  if (const std::optional<Test> test = TestNamed(modifier)) {
    if (request.test) {
      return absl::InvalidArgumentError(
          StrCat("two modifiers that exclude each other; keep one: modifier=", request.test_name,
                 " and ", modifier));
    }
    request.test = test;
    request.test_name = modifier;
    return absl::OkStatus();
  }
  if (const std::optional<Test> relation = RelationNamed(modifier)) {
    if (request.relation != Test::kEquals) {
      return absl::InvalidArgumentError(StrCat(
          "only one of contains, startswith and endswith can apply; write `*` into the value for "
          "more: modifier=",
          modifier));
    }
    request.relation = *relation;
    request.text_changes.push_back(modifier);
    return absl::OkStatus();
  }
  if (modifier == "windash" || IsEncoding(modifier)) {
    request.text_changes.push_back(modifier);
  } else if (modifier == "all") {
    request.all = true;
  } else if (modifier == "cased") {
    request.cased = true;
  } else if (modifier == "neq") {
    request.negated = true;
  } else if (modifier == "expand") {
    request.expand = true;
  } else if (modifier == "i" || modifier == "m" || modifier == "s") {
    if (request.test != Test::kRegex) {
      return absl::InvalidArgumentError(
          StrCat("this flag belongs behind `re`, as in `field|re|i`: modifier=", modifier));
    }
    request.regex_flags += modifier;
  } else {
    return UnknownModifier(modifier);
  }
  return absl::OkStatus();
}

absl::StatusOr<Request> ReadKey(std::string_view key) {
  const std::vector<std::string_view> parts = StrSplit(key, '|');
  Request request;
  request.field = std::string(parts.front());
  for (size_t i = 1; i < parts.size(); ++i) RETURN_IF_ERROR(AddModifier(parts[i], request));
  const bool text_change = !request.text_changes.empty();
  if (request.test && text_change &&
      !(request.test == Test::kFieldRef && request.relation != Test::kEquals &&
        request.text_changes.size() == 1)) {
    return absl::InvalidArgumentError(
        StrCat("this modifier does not combine with one that changes text; remove one "
               "of the two: modifier=",
               request.test_name, " and ", request.text_changes.front()));
  }
  if (request.field.empty()) {
    const bool anchored =
        request.relation == Test::kStartsWith || request.relation == Test::kEndsWith;
    if (anchored || request.negated || (request.test && request.test != Test::kRegex)) {
      return absl::InvalidArgumentError(
          "keywords are searched for in every value: only contains, all, re, cased, windash and "
          "encodings apply; "
          "put a field name before the `|`");
    }
  }
  return request;
}

bool IsWordByte(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c >= 0x80;
}

// Replaces each dash that begins a word, and so may begin a command line flag, by all characters
// that Windows programs take for it.
absl::StatusOr<std::vector<Pattern>> ExpandDashes(const std::vector<Pattern>& patterns) {
  static constexpr std::string_view kDashes[] = {"-", "/", "\xe2\x80\x93", "\xe2\x80\x94",
                                                 "\xe2\x80\x95"};
  std::vector<Pattern> expanded;
  for (const Pattern& pattern : patterns) {
    std::vector<Pattern> variants = {pattern};
    for (size_t i = pattern.size();
         i-- > 0;) {  // From the end, so that earlier places keep their index.
      const int c = pattern.ByteAt(i);
      if (c != '-' && c != '/') continue;
      if (i > 0 && IsWordByte(pattern.ByteAt(i - 1))) continue;
      if (i + 1 == pattern.size() || !IsWordByte(pattern.ByteAt(i + 1))) continue;
      std::vector<Pattern> next;
      for (const Pattern& variant : variants) {
        for (const std::string_view dash : kDashes) {
          next.push_back(variant);
          next.back().ReplaceByte(i, dash);
        }
      }
      variants = std::move(next);
      if (variants.size() > kMostVariants) {
        return absl::InvalidArgumentError(
            "too many dashes in one value; split it over several values of a "
            "list with `all`: modifier=windash");
      }
    }
    for (Pattern& variant : variants) expanded.push_back(std::move(variant));
  }
  return expanded;
}

absl::StatusOr<std::vector<Pattern>> Encode(const std::vector<Pattern>& patterns,
                                            std::string_view modifier) {
  std::vector<Pattern> encoded;
  for (const Pattern& pattern : patterns) {
    if (pattern.HasWildcard()) {
      return absl::InvalidArgumentError(
          StrCat("a value with wildcards cannot be encoded; write contains, startswith or endswith "
                 "behind the "
                 "encoding, and `\\*` for a literal star: modifier=",
                 modifier, " value=", pattern.ToString()));
    }
    const std::string text = pattern.LiteralText();
    if (modifier == "base64") {
      encoded.push_back(Pattern::Literal(Base64Encode(text)));
    } else if (modifier == "base64offset") {
      for (const std::string& form : Base64OffsetForms(text)) {
        if (form.empty()) {
          return absl::InvalidArgumentError(
              StrCat("the value is too short to be found inside Base64; use three characters or "
                     "more: modifier=",
                     modifier, " value=", text));
        }
        encoded.push_back(Pattern::Literal(form));
      }
    } else if (modifier == "utf16") {
      encoded.push_back(Pattern::Literal(StrCat("\xff\xfe", EncodeUtf16(text, false))));
    } else {
      encoded.push_back(Pattern::Literal(EncodeUtf16(text, modifier == "utf16be")));
    }
  }
  return encoded;
}

absl::StatusOr<std::vector<Pattern>> ApplyTextChanges(const Request& request,
                                                      const RuleValue& value) {
  std::vector<Pattern> patterns = {Pattern::Parse(value.text)};
  for (const std::string_view change : request.text_changes) {
    if (change == "windash") {
      ASSIGN_OR_RETURN(patterns, ExpandDashes(patterns));
    } else if (IsEncoding(change)) {
      ASSIGN_OR_RETURN(patterns, Encode(patterns, change));
    } else {
      for (Pattern& pattern : patterns) {
        if (change != "startswith") pattern.OpenStart();
        if (change != "endswith") pattern.OpenEnd();
      }
    }
  }
  return patterns;
}

absl::StatusOr<Expression> MakeStringTest(const Request& request, const RuleValue& value) {
  ASSIGN_OR_RETURN(std::vector<Pattern> patterns, ApplyTextChanges(request, value));
  const bool plain_number = value.type == RuleValue::Type::kNumber && request.text_changes.empty();
  if (plain_number && CanonicalNumber(value.text) != value.text) {
    patterns.push_back(Pattern::Literal(CanonicalNumber(value.text)));
  }
  std::vector<Expression> alternatives;
  for (Pattern& pattern : patterns) {
    if (request.field.empty()) {
      pattern.OpenStart();
      pattern.OpenEnd();
    }
    alternatives.push_back(
        MakeTest(MakeStringPredicate(request.field, std::move(pattern), request.cased)));
  }
  return Combine(Expression::Kind::kOr, std::move(alternatives));
}

absl::StatusOr<Expression> MakeRegexTest(const Request& request, const RuleValue& value) {
  Predicate predicate;
  predicate.field = request.field;
  predicate.test = Test::kRegex;
  predicate.notation =
      request.regex_flags.empty() ? value.text : StrCat("(?", request.regex_flags, ")", value.text);
  absl::StatusOr<std::shared_ptr<const Regex>> regex = Regex::Compile(predicate.notation);
  if (!regex.ok()) {
    return absl::InvalidArgumentError(
        StrCat("the regular expression is not valid; use RE2 syntax (no look-around, no back "
               "references): ",
               ToStd(regex.status().message()), " modifier=re value=", value.text));
  }
  predicate.regex = *std::move(regex);
  return MakeTest(std::move(predicate));
}

absl::StatusOr<Expression> MakeExistsTest(const Request& request, const RuleValue& value) {
  const std::string text = FoldCase(value.text);
  const bool wanted = text == "true" || text == "yes";
  if (!wanted && text != "false" && text != "no") {
    return absl::InvalidArgumentError(
        StrCat("write true or false: modifier=exists value=", value.text));
  }
  Predicate predicate;
  predicate.field = request.field;
  predicate.test = Test::kExists;
  Expression expression = MakeTest(std::move(predicate));
  return wanted ? expression : Negate(std::move(expression));
}

absl::StatusOr<Expression> MakeOrderingTest(const Request& request, const RuleValue& value) {
  const std::optional<double> number = ParseNumber(value.text);
  if (!number) {
    return absl::InvalidArgumentError(
        StrCat("write a number: modifier=", request.test_name, " value=", value.text));
  }
  Predicate predicate;
  predicate.field = request.field;
  predicate.test = *request.test;
  predicate.number = *number;
  predicate.notation = CanonicalNumber(value.text);
  return MakeTest(std::move(predicate));
}

absl::StatusOr<Expression> MakeCidrTest(const Request& request, const RuleValue& value) {
  const std::optional<CidrBlock> block = CidrBlock::Parse(value.text);
  if (!block) {
    return absl::InvalidArgumentError(
        StrCat("write an address block such as 10.0.0.0/8 or fe80::/10: modifier=cidr value=",
               value.text));
  }
  Predicate predicate;
  predicate.field = request.field;
  predicate.test = Test::kCidr;
  predicate.cidr = *block;
  predicate.notation = value.text;
  return MakeTest(std::move(predicate));
}

Expression MakeFieldRefTest(const Request& request, const RuleValue& value) {
  Predicate predicate;
  predicate.field = request.field;
  predicate.test = Test::kFieldRef;
  predicate.cased = request.cased;
  predicate.other_field = value.text;
  predicate.relation = request.relation;
  predicate.notation = value.text;
  return MakeTest(std::move(predicate));
}

absl::StatusOr<Expression> MakeNullTest(const Request& request) {
  if (request.field.empty() || request.test || !request.text_changes.empty()) {
    return absl::InvalidArgumentError(
        "null tests a field without modifiers; write `field: null`, or quote the value");
  }
  Predicate predicate;
  predicate.field = request.field;
  predicate.test = Test::kNull;
  return MakeTest(std::move(predicate));
}

absl::StatusOr<Expression> MakeValueTest(const Request& request, const RuleValue& value) {
  if (value.type == RuleValue::Type::kNull) return MakeNullTest(request);
  if (!request.test) return MakeStringTest(request, value);
  switch (*request.test) {
    case Test::kRegex:
      return MakeRegexTest(request, value);
    case Test::kCidr:
      return MakeCidrTest(request, value);
    case Test::kExists:
      return MakeExistsTest(request, value);
    case Test::kFieldRef:
      return MakeFieldRefTest(request, value);
    default:
      return MakeOrderingTest(request, value);
  }
}

// Replaces the first placeholder in `value` by each of its values, and so on with what results.
absl::Status ExpandPlaceholders(const RuleValue& value, const Placeholders& placeholders,
                                std::vector<RuleValue>& expanded) {
  const size_t begin = value.text.find('%');
  const size_t end = begin == std::string::npos ? begin : value.text.find('%', begin + 1);
  if (end == std::string::npos) {
    expanded.push_back(value);
    return absl::OkStatus();
  }
  const std::string name = value.text.substr(begin + 1, end - begin - 1);
  const auto found = placeholders.find(name);
  if (found == placeholders.end()) {
    return absl::InvalidArgumentError(
        StrCat("the placeholder has no values; give it some in the settings, or take the rule out: "
               "modifier=expand "
               "placeholder=%",
               name, "%"));
  }
  std::vector<RuleValue> tails;
  RETURN_IF_ERROR(ExpandPlaceholders({RuleValue::Type::kString, value.text.substr(end + 1)},
                                     placeholders, tails));
  for (const std::string& replacement : found->second) {
    for (const RuleValue& tail : tails) {
      expanded.push_back(
          {RuleValue::Type::kString, StrCat(value.text.substr(0, begin), replacement, tail.text)});
      if (expanded.size() > kMostVariants) {
        return absl::InvalidArgumentError("the placeholders have too many values: modifier=expand");
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Expression> MakeAlternatives(const Request& request, const RuleValue& value,
                                            const Placeholders& placeholders) {
  if (!request.expand) return MakeValueTest(request, value);
  std::vector<RuleValue> expanded;
  RETURN_IF_ERROR(ExpandPlaceholders(value, placeholders, expanded));
  std::vector<Expression> alternatives;
  for (const RuleValue& one : expanded) {
    ASSIGN_OR_RETURN(Expression alternative, MakeValueTest(request, one));
    alternatives.push_back(std::move(alternative));
  }
  if (alternatives.empty()) {
    return absl::InvalidArgumentError(
        StrCat("the placeholder has no values: modifier=expand value=", value.text));
  }
  return Combine(Expression::Kind::kOr, std::move(alternatives));
}

// "Different from all values", which a field without a value is not.
Expression MakeDifferent(const Request& request, Expression equal) {
  Predicate null;
  null.field = request.field;
  null.test = Test::kNull;
  std::vector<Expression> both;
  both.push_back(Negate(MakeTest(std::move(null))));
  both.push_back(Negate(std::move(equal)));
  return Combine(Expression::Kind::kAnd, std::move(both));
}

}  // namespace

absl::StatusOr<Expression> MakeFieldItem(std::string_view key, const std::vector<RuleValue>& values,
                                         const Placeholders& placeholders) {
  ASSIGN_OR_RETURN(const Request request, ReadKey(key));
  if (values.empty())
    return absl::InvalidArgumentError("the list of values is empty; give at least one value");
  std::vector<Expression> tests;
  for (const RuleValue& value : values) {
    ASSIGN_OR_RETURN(Expression test, MakeAlternatives(request, value, placeholders));
    tests.push_back(std::move(test));
  }
  Expression expression =
      Combine(request.all ? Expression::Kind::kAnd : Expression::Kind::kOr, std::move(tests));
  return request.negated ? MakeDifferent(request, std::move(expression)) : expression;
}

}  // namespace weir::sigma
