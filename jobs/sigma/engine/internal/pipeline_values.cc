// Transformations of the values of detection items.

#include <algorithm>
#include <functional>
#include <utility>

#include "jobs/sigma/engine/internal/pipeline_model.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "re2/re2.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Kind = DetectionValue::Kind;

// Changes one value; returns whether it did.
using ValueChange = std::function<absl::StatusOr<bool>(DetectionValue&, const PipelineState&)>;

absl::StatusOr<bool> ChangeValue(DetectionValue& value, const PipelineState& state,
                                 const ValueChange& change) {
  if (value.kind != Kind::kAnyOf) return change(value, state);
  bool changed = false;
  for (DetectionValue& one : value.alternatives) {
    ASSIGN_OR_RETURN(const bool one_changed, ChangeValue(one, state, change));
    changed |= one_changed;
  }
  return changed;
}

Transformation ChangeValues(ValueChange change) {
  return [change = std::move(change)](const ProcessingItem& item, const PipelineSubject& subject,
                                      PipelineState& state) -> absl::Status {
    return ChangeItems(item, subject, state, [&](Selection& node) -> absl::StatusOr<bool> {
      bool changed = false;
      for (DetectionValue& value : node.item.values) {
        absl::StatusOr<bool> one = ChangeValue(value, state, change);
        if (!one.ok()) {
          return AddContext(one.status(), StrCat(" field=", node.item.key), node.item.place);
        }
        changed |= *one;
      }
      return changed;
    });
  };
}

// Puts patterns in the place of a value's own; several become alternatives.
void SetPatterns(DetectionValue& value, std::vector<Pattern> patterns) {
  DetectionValue any;
  any.kind = Kind::kAnyOf;
  for (Pattern& pattern : patterns) {
    any.alternatives.push_back(value);
    any.alternatives.back().pattern = std::move(pattern);
  }
  value = any.alternatives.size() == 1 ? std::move(any.alternatives.front()) : std::move(any);
}

void SetString(DetectionValue& value, Pattern pattern) {
  value.kind = Kind::kString;
  value.pattern = std::move(pattern);
}

// Python writes `\g<1>` where RE2 writes `\1`.
absl::StatusOr<std::string> Rewrite(const RE2& regex, const std::string& replacement) {
  std::string rewrite;
  for (size_t i = 0; i < replacement.size(); ++i) {
    const size_t end =
        replacement.compare(i, 3, "\\g<") == 0 ? replacement.find('>', i) : std::string::npos;
    if (end == std::string::npos) {
      rewrite.push_back(replacement[i]);
      continue;
    }
    std::string group = replacement.substr(i + 3, end - i - 3);
    const auto named = regex.NamedCapturingGroups().find(group);
    if (named != regex.NamedCapturingGroups().end()) group = std::to_string(named->second);
    StrAppend(&rewrite, "\\", group);
    i = end;
  }
  std::string error;
  if (regex.CheckRewriteString(rewrite, &error)) return rewrite;
  return absl::InvalidArgumentError(StrCat("the replacement does not fit the regular expression: ",
                                           error, ": replacement=", replacement));
}

// A backslash in the result stands for itself unless it escapes a wildcard.
Pattern ParseReplaced(const std::string& replaced) {
  std::string notation;
  for (size_t i = 0; i < replaced.size(); ++i) {
    notation.push_back(replaced[i]);
    if (replaced[i] != '\\') continue;
    const bool escapes =
        i + 1 < replaced.size() && (replaced[i + 1] == '*' || replaced[i + 1] == '?');
    if (!escapes) notation.push_back('\\');
  }
  return Pattern::Parse(notation);
}

absl::StatusOr<Transformation> ReadReplaceString(KeyReader& keys) {
  ASSIGN_OR_RETURN(const std::string expression, keys.TakeText("regex"));
  ASSIGN_OR_RETURN(const std::string replacement, keys.TakeText("replacement"));
  ASSIGN_OR_RETURN(const bool literals_only, keys.TakeBool("skip_special", false));
  ASSIGN_OR_RETURN(const bool interpret, keys.TakeBool("interpret_special", false));
  RE2::Options options;
  options.set_log_errors(false);
  const auto regex = std::make_shared<const RE2>(expression, options);
  if (!regex->ok()) {
    return ErrorAt(
        PlaceOf(keys.map()),
        StrCat("the regular expression is not valid: ", regex->error(), ": regex=", expression));
  }
  ASSIGN_OR_RETURN(const std::string rewrite, Rewrite(*regex, replacement));
  const auto replace = [regex, rewrite](std::string text) {
    RE2::GlobalReplace(&text, *regex, rewrite);
    return text;
  };
  return ChangeValues([=](DetectionValue& value, const PipelineState&) -> absl::StatusOr<bool> {
    if (value.kind == Kind::kNumber) SetString(value, Pattern::Literal(value.text));
    if (value.kind != Kind::kString) return false;
    if (literals_only && interpret) {
      value.pattern.ReplaceLiterals(
          [&](std::string_view run) { return Pattern::Parse(replace(std::string(run))); });
    } else if (literals_only) {
      value.pattern.ChangeLiterals([&](std::string_view run) { return replace(std::string(run)); });
    } else {
      const bool placeholders = value.pattern.HasPlaceholder();
      value.pattern = ParseReplaced(replace(value.pattern.PlainText()));
      if (placeholders) value.pattern.InsertPlaceholders();
    }
    return true;
  });
}

absl::StatusOr<Transformation> ReadMapString(KeyReader& keys) {
  ASSIGN_OR_RETURN(auto read, keys.TakeMapping("mapping"));
  const std::map<std::string, std::vector<std::string>> mapping(read.begin(), read.end());
  return ChangeValues(
      [mapping](DetectionValue& value, const PipelineState&) -> absl::StatusOr<bool> {
        if (value.kind != Kind::kString) return false;
        const auto found = mapping.find(value.pattern.PlainText());
        if (found == mapping.end() || found->second.empty()) return false;
        std::vector<Pattern> patterns;
        for (const std::string& text : found->second) patterns.push_back(Pattern::Parse(text));
        SetPatterns(value, std::move(patterns));
        return true;
      });
}

// Which placeholders a transformation handles.
struct PlaceholderChoice {
  std::optional<std::vector<std::string>> include;
  std::vector<std::string> exclude;

  [[nodiscard]] bool Takes(const std::string& name) const {
    const auto in = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    return include ? in(*include) : !in(exclude);
  }
};

absl::StatusOr<PlaceholderChoice> ReadChoice(KeyReader& keys) {
  PlaceholderChoice choice;
  const bool include = keys.map()["include"].IsDefined();
  const bool exclude = keys.map()["exclude"].IsDefined();
  if (include && exclude) {
    return ErrorAt(PlaceOf(keys.map()), "write either include or exclude, not both");
  }
  if (include) {
    ASSIGN_OR_RETURN(choice.include, keys.TakeTexts("include"));
  }
  if (exclude) {
    ASSIGN_OR_RETURN(choice.exclude, keys.TakeTexts("exclude"));
  }
  return choice;
}

bool MayHavePlaceholders(const DetectionValue& value) { return value.pattern.HasPlaceholder(); }

absl::StatusOr<Transformation> ReadValuePlaceholders(KeyReader& keys) {
  ASSIGN_OR_RETURN(const PlaceholderChoice choice, ReadChoice(keys));
  return ChangeValues([choice](DetectionValue& value,
                               const PipelineState& state) -> absl::StatusOr<bool> {
    if (!MayHavePlaceholders(value)) return false;
    for (const std::string& name : value.pattern.PlaceholderNames()) {
      if (!choice.Takes(name)) continue;
      const auto found = state.variables->find(name);
      if (found == state.variables->end() || found->second.empty()) {
        return absl::InvalidArgumentError(StrCat(
            "the placeholder has no values; write them under `vars`: placeholder=%", name, "%"));
      }
    }
    const bool as_written = value.kind != Kind::kString;
    ASSIGN_OR_RETURN(
        std::vector<Pattern> patterns,
        value.pattern.ReplacePlaceholders(
            [&](const std::string& name) -> std::optional<std::vector<Pattern>> {
              if (!choice.Takes(name)) return std::nullopt;
              std::vector<Pattern> values;
              for (const std::string& text : state.variables->at(name)) {
                values.push_back(as_written ? Pattern::Literal(text) : Pattern::Parse(text));
              }
              return values;
            }));
    SetPatterns(value, std::move(patterns));
    return true;
  });
}

absl::StatusOr<Transformation> ReadWildcardPlaceholders(KeyReader& keys) {
  ASSIGN_OR_RETURN(const PlaceholderChoice choice, ReadChoice(keys));
  return ChangeValues(
      [choice](DetectionValue& value, const PipelineState&) -> absl::StatusOr<bool> {
        if (!MayHavePlaceholders(value)) return false;
        if (value.kind == Kind::kCidr) {
          return absl::InvalidArgumentError("an address block cannot be a wildcard: modifier=cidr");
        }
        const Pattern any = value.kind == Kind::kRegex ? Pattern::Literal(".*") : Pattern::AnyRun();
        ASSIGN_OR_RETURN(std::vector<Pattern> patterns,
                         value.pattern.ReplacePlaceholders(
                             [&](const std::string& name) -> std::optional<std::vector<Pattern>> {
                               if (!choice.Takes(name)) return std::nullopt;
                               return std::vector<Pattern>{any};
                             }));
        SetPatterns(value, std::move(patterns));
        return true;
      });
}

absl::StatusOr<Transformation> ReadConvertType(KeyReader& keys) {
  ASSIGN_OR_RETURN(const std::string target, keys.TakeText("target_type"));
  if (target != "str" && target != "num") {
    return ErrorAt(PlaceOf(keys.map()), StrCat("write str or num: target_type=", target));
  }
  const bool to_number = target == "num";
  return ChangeValues(
      [to_number](DetectionValue& value, const PipelineState&) -> absl::StatusOr<bool> {
        if (!to_number) {
          if (value.kind != Kind::kNumber) return false;
          SetString(value, Pattern::Literal(CanonicalNumber(value.text)));
          return true;
        }
        if (value.kind != Kind::kString) return false;
        const std::string text = value.pattern.PlainText();
        if (!ParseNumber(text)) {
          return absl::InvalidArgumentError(StrCat("the value is no number: value=", text));
        }
        value.kind = Kind::kNumber;
        value.text = text;
        value.pattern = Pattern();
        return true;
      });
}

absl::StatusOr<Transformation> ReadSetValue(KeyReader& keys) {
  const YAML::Node node = keys.Take("value");
  if (!node.IsDefined()) return keys.Missing("value");
  ASSIGN_OR_RETURN(RuleValue scalar, ReadScalar(node));
  const YAML::Node force = keys.Take("force_type");
  if (force.IsDefined() && !force.IsNull()) {
    const std::string type = force.IsScalar() ? force.Scalar() : "";
    const bool number = type == "num" && ParseNumber(scalar.text);
    if (type != "str" && !number) {
      return ErrorAt(PlaceOf(force), StrCat("write str, or num with a number: force_type=", type));
    }
    scalar.type = number ? RuleValue::Type::kNumber : RuleValue::Type::kString;
  }
  const DetectionValue fixed = PlainValue(scalar);
  return ChangeValues([fixed](DetectionValue& value, const PipelineState&) -> absl::StatusOr<bool> {
    value = fixed;
    return true;
  });
}

std::string SnakeCase(std::string_view text) {
  std::string snake;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i > 0 && text[i] >= 'A' && text[i] <= 'Z') snake.push_back('_');
    snake.push_back(text[i]);
  }
  return FoldCase(snake);
}

std::string UpperCase(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return upper;
}

absl::StatusOr<Transformation> ReadCase(KeyReader& keys) {
  const YAML::Node node = keys.Take("method");
  const std::string method = node.IsDefined() && node.IsScalar() ? node.Scalar() : "lower";
  if (method != "lower" && method != "upper" && method != "snake_case") {
    return ErrorAt(PlaceOf(node), StrCat("write lower, upper or snake_case: method=", method));
  }
  return ChangeValues(
      [method](DetectionValue& value, const PipelineState&) -> absl::StatusOr<bool> {
        if (value.kind != Kind::kString) return false;
        value.pattern.ChangeLiterals([&](std::string_view run) {
          return method == "lower"   ? FoldCase(run)
                 : method == "upper" ? UpperCase(run)
                                     : SnakeCase(run);
        });
        return true;
      });
}

// Strings are compared without regard to case already; only `plain` changes what they match.
absl::StatusOr<Transformation> ReadRegex(KeyReader& keys) {
  const YAML::Node node = keys.Take("method");
  const std::string method =
      node.IsDefined() && node.IsScalar() ? node.Scalar() : "ignore_case_brackets";
  if (method != "plain" && method != "ignore_case_flag" && method != "ignore_case_brackets") {
    return ErrorAt(
        PlaceOf(node),
        StrCat("write plain, ignore_case_flag or ignore_case_brackets: method=", method));
  }
  const bool cased = method == "plain";
  return ChangeValues([cased](DetectionValue& value, const PipelineState&) -> absl::StatusOr<bool> {
    if (value.kind != Kind::kString) return false;
    value.cased = value.cased || cased;
    return true;
  });
}

struct HashOptions {
  std::vector<std::string> algorithms;
  std::vector<std::string> fields = {"Hashes", "Hash"};
  std::string prefix;
  bool drop_algorithm = false;
};

// Returns the algorithm and the digits of `SHA1=…`, or of digits alone, by their number.
std::pair<std::string, std::string> SplitHash(std::string_view text) {
  const auto strip = [](std::string_view part) {
    while (!part.empty() && (part.front() == '*' || part.front() == '?')) part.remove_prefix(1);
    while (!part.empty() && (part.back() == '*' || part.back() == '?')) part.remove_suffix(1);
    return part;
  };
  const size_t split = text.find_first_of("|=");
  if (split != std::string_view::npos) {
    return {UpperCase(strip(text.substr(0, split))), std::string(strip(text.substr(split + 1)))};
  }
  const std::string digits(strip(text));
  switch (digits.size()) {
    case 32:
      return {"MD5", digits};
    case 40:
      return {"SHA1", digits};
    case 64:
      return {"SHA256", digits};
    case 128:
      return {"SHA512", digits};
    default:
      return {"", digits};
  }
}

absl::StatusOr<bool> SplitHashes(Selection& node, const HashOptions& options) {
  const DetectionItem& item = node.item;
  const bool named = item.fields.size() == 1 &&
                     std::find(options.fields.begin(), options.fields.end(), item.fields.front()) !=
                         options.fields.end();
  if (!named || item.negated) return false;
  std::map<std::string, DetectionItem> items;
  for (const DetectionValue& value : item.values) {
    if (value.kind != Kind::kString) return false;
    const auto [algorithm, digits] = SplitHash(value.pattern.PlainText());
    if (std::find(options.algorithms.begin(), options.algorithms.end(), algorithm) ==
        options.algorithms.end()) {
      continue;
    }
    const std::string field = options.prefix + (options.drop_algorithm ? std::string() : algorithm);
    DetectionItem& split = items[field];
    split.fields = {field == "keyword" ? "" : field};
    split.key = item.key;
    split.place = item.place;
    split.values.push_back(PlainValue({RuleValue::Type::kString, digits}));
  }
  if (items.empty()) {
    return AddContext(absl::InvalidArgumentError(
                          StrCat("the field holds no hash of a known algorithm: algorithms=",
                                 StrJoin(options.algorithms, ","))),
                      StrCat(" field=", item.key), item.place);
  }
  Selection any;
  any.kind = Selection::Kind::kAny;
  for (auto& [field, split] : items) any.children.push_back(ItemSelection(std::move(split)));
  node = std::move(any);
  return true;
}

absl::StatusOr<Transformation> ReadHashes(KeyReader& keys) {
  HashOptions options;
  ASSIGN_OR_RETURN(options.algorithms, keys.TakeTexts("valid_hash_algos"));
  if (keys.map()["field_to_parse"].IsDefined()) {
    ASSIGN_OR_RETURN(options.fields, keys.TakeTexts("field_to_parse"));
  }
  const YAML::Node prefix = keys.Take("field_prefix");
  if (prefix.IsDefined() && prefix.IsScalar()) options.prefix = prefix.Scalar();
  ASSIGN_OR_RETURN(options.drop_algorithm, keys.TakeBool("drop_algo_prefix", false));
  return Transformation([options](const ProcessingItem& item, const PipelineSubject& subject,
                                  PipelineState& state) -> absl::Status {
    return ChangeItems(item, subject, state,
                       [&](Selection& node) { return SplitHashes(node, options); });
  });
}

}  // namespace

absl::StatusOr<std::optional<Transformation>> ReadValueTransformation(const std::string& type,
                                                                      KeyReader& keys) {
  const auto read = [&]() -> std::optional<absl::StatusOr<Transformation>> {
    if (type == "replace_string") return ReadReplaceString(keys);
    if (type == "map_string") return ReadMapString(keys);
    if (type == "value_placeholders") return ReadValuePlaceholders(keys);
    if (type == "wildcard_placeholders") return ReadWildcardPlaceholders(keys);
    if (type == "convert_type") return ReadConvertType(keys);
    if (type == "set_value") return ReadSetValue(keys);
    if (type == "case") return ReadCase(keys);
    if (type == "regex") return ReadRegex(keys);
    if (type == "hashes_fields") return ReadHashes(keys);
    return std::nullopt;
  }();
  if (!read) return std::optional<Transformation>();
  if (!read->ok()) return read->status();
  return std::optional<Transformation>(**read);
}

}  // namespace weir::sigma
