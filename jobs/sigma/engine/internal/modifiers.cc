#include "jobs/sigma/engine/internal/modifiers.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "jobs/sigma/engine/internal/encoding.h"
#include "jobs/sigma/engine/internal/rule_limits.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Kind = DetectionValue::Kind;

absl::Status Refuse(std::string_view reason, std::string_view modifier) {
  return absl::InvalidArgumentError(StrCat(reason, ": modifier=", modifier));
}

absl::Status RefuseValue(std::string_view reason, std::string_view modifier,
                         const DetectionValue& value) {
  const std::string text = value.text.empty() ? value.pattern.ToString() : value.text;
  return absl::InvalidArgumentError(StrCat(reason, ": modifier=", modifier,
                                           " value=", value.kind == Kind::kNull ? "null" : text));
}

bool IsText(const DetectionValue& value) {
  return value.kind == Kind::kString || value.kind == Kind::kNumber || value.kind == Kind::kBool;
}

// What a value of each kind is called in messages.
std::string_view KindName(Kind kind) {
  switch (kind) {
    case Kind::kRegex:
      return "re";
    case Kind::kCidr:
      return "cidr";
    case Kind::kComparison:
      return "a comparison";
    case Kind::kExists:
      return "exists";
    case Kind::kFieldRef:
      return "fieldref";
    case Kind::kNull:
      return "null";
    default:
      return "a plain value";
  }
}

absl::Status DoesNotCombine(std::string_view modifier, const DetectionValue& value) {
  if (value.kind == Kind::kNull) {
    return Refuse("null tests a field without modifiers; write `field: null`, or quote the value",
                  modifier);
  }
  return absl::InvalidArgumentError(
      StrCat("this modifier does not combine with the one before it; remove one of the two: ",
             "modifier=", modifier, " and ", KindName(value.kind)));
}

// Numbers and booleans become text once a modifier works on text.
void MakeString(DetectionValue& value) {
  if (value.kind == Kind::kString) return;
  value.kind = Kind::kString;
  value.pattern = Pattern::Literal(value.text);
}

bool IsWordByte(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c >= 0x80;
}

constexpr std::string_view kDashes[] = {"-", "/", "\xe2\x80\x93", "\xe2\x80\x94", "\xe2\x80\x95"};

// Returns the length in bytes of the dash that begins at symbol `i`; 0 if there is none.
size_t DashLength(const Pattern& pattern, size_t i) {
  for (const std::string_view dash : kDashes) {
    size_t same = 0;
    while (same < dash.size() && i + same < pattern.size() &&
           pattern.ByteAt(i + same) == static_cast<uint8_t>(dash[same])) {
      ++same;
    }
    if (same == dash.size()) return same;
  }
  return 0;
}

// Whether a dash that ends before symbol `end` follows no word and precedes one, and so may begin a
// flag of a command line.
bool BeginsFlag(const Pattern& pattern, size_t begin, size_t end) {
  if (end == pattern.size() || !IsWordByte(pattern.ByteAt(end)) || DashLength(pattern, end) > 0) {
    return false;
  }
  if (begin == 0 || !IsWordByte(pattern.ByteAt(begin - 1))) return true;
  return begin >= 3 && DashLength(pattern, begin - 3) == 3;  // A long dash ends like a word.
}

absl::StatusOr<std::vector<Pattern>> ExpandDashes(const Pattern& pattern) {
  std::vector<Pattern> variants = {pattern};
  // From the end, so that earlier places keep their index.
  for (size_t i = pattern.size(); i-- > 0;) {
    const size_t length = DashLength(pattern, i);
    if (length == 0 || !BeginsFlag(pattern, i, i + length)) continue;
    std::vector<Pattern> next;
    for (const Pattern& variant : variants) {
      for (const std::string_view dash : kDashes) {
        next.push_back(variant);
        next.back().ReplaceBytes(i, length, dash);
      }
    }
    const size_t size_bytes = next.size() * next.front().size() * sizeof(uint16_t);
    if (next.size() > kMostForms || size_bytes > kMostValueBytes) {
      return Refuse(
          "too many dashes in one value; split it over several values of a list with `all`",
          "windash");
    }
    variants = std::move(next);
  }
  return variants;
}

DetectionValue AnyOf(const DetectionValue& value, std::vector<Pattern> patterns) {
  DetectionValue any;
  any.kind = Kind::kAnyOf;
  for (Pattern& pattern : patterns) {
    any.alternatives.push_back(value);
    any.alternatives.back().pattern = std::move(pattern);
  }
  return any.alternatives.size() == 1 ? std::move(any.alternatives.front()) : any;
}

// Applies one modifier after the other to the values of a line.
class ModifierChain {
 public:
  explicit ModifierChain(DetectionItem& item) : item_(item) {}

  absl::Status Apply(std::string_view modifier) {
    if (modifier == "all") {
      item_.all = true;
      return absl::OkStatus();
    }
    if (modifier == "neq") {
      if (item_.IsKeyword()) {
        return Refuse("keywords are searched for in every value; put a field name before the `|`",
                      modifier);
      }
      item_.negated = true;
      return absl::OkStatus();
    }
    size_bytes_ = 0;
    for (DetectionValue& value : item_.values) {
      num_forms_ = 0;
      RETURN_IF_ERROR(ApplyTo(value, modifier));
    }
    ++num_applied_;
    return absl::OkStatus();
  }

 private:
  absl::Status ApplyTo(DetectionValue& value, std::string_view modifier) {
    if (value.kind == Kind::kAnyOf) {
      for (DetectionValue& one : value.alternatives) RETURN_IF_ERROR(ApplyTo(one, modifier));
      return absl::OkStatus();
    }
    using Method = absl::Status (ModifierChain::*)(DetectionValue&, std::string_view);
    struct Entry {
      std::string_view name;
      Method method;
    };
    static constexpr Entry kModifiers[] = {
        {"contains", &ModifierChain::Place},    {"startswith", &ModifierChain::Place},
        {"endswith", &ModifierChain::Place},    {"windash", &ModifierChain::Windash},
        {"base64", &ModifierChain::Base64},     {"base64offset", &ModifierChain::Base64},
        {"wide", &ModifierChain::Utf16},        {"utf16le", &ModifierChain::Utf16},
        {"utf16be", &ModifierChain::Utf16},     {"utf16", &ModifierChain::Utf16},
        {"cased", &ModifierChain::Cased},       {"re", &ModifierChain::Re},
        {"i", &ModifierChain::RegexFlag},       {"ignorecase", &ModifierChain::RegexFlag},
        {"m", &ModifierChain::RegexFlag},       {"multiline", &ModifierChain::RegexFlag},
        {"s", &ModifierChain::RegexFlag},       {"dotall", &ModifierChain::RegexFlag},
        {"cidr", &ModifierChain::Cidr},         {"lt", &ModifierChain::Compare},
        {"lte", &ModifierChain::Compare},       {"gt", &ModifierChain::Compare},
        {"gte", &ModifierChain::Compare},       {"exists", &ModifierChain::Exists},
        {"fieldref", &ModifierChain::FieldRef}, {"expand", &ModifierChain::Expand},
        {"minute", &ModifierChain::PartOfTime}, {"hour", &ModifierChain::PartOfTime},
        {"day", &ModifierChain::PartOfTime},    {"week", &ModifierChain::PartOfTime},
        {"month", &ModifierChain::PartOfTime},  {"year", &ModifierChain::PartOfTime},
    };
    std::vector<std::string_view> known = {"all", "neq"};
    for (const Entry& entry : kModifiers) {
      if (entry.name == modifier) {
        RETURN_IF_ERROR((this->*entry.method)(value, modifier));
        return CheckGrowth(value, modifier);
      }
      known.push_back(entry.name);
    }
    const std::string_view nearest = NearestMatch(modifier, known);
    return Refuse(StrCat("unknown modifier",
                         nearest.empty() ? "" : StrCat("; did you mean `", nearest, "`?")),
                  modifier);
  }

  // Each modifier may multiply what the ones before made.
  absl::Status CheckGrowth(const DetectionValue& value, std::string_view modifier) {
    num_forms_ += std::max<size_t>(value.alternatives.size(), 1);
    if (num_forms_ > kMostForms) {
      return absl::InvalidArgumentError(
          StrCat("the modifiers make too many forms of one value; remove some: modifier=", modifier,
                 " limit=", kMostForms));
    }
    size_bytes_ += SizeOf(value);
    return CheckValueBytes(size_bytes_, StrCat("modifier=", modifier));
  }

  absl::Status Place(DetectionValue& value, std::string_view modifier) {
    const Test relation = modifier == "contains"     ? Test::kContains
                          : modifier == "startswith" ? Test::kStartsWith
                                                     : Test::kEndsWith;
    if (item_.IsKeyword() && relation != Test::kContains) {
      return Refuse("keywords are searched for in every value; put a field name before the `|`",
                    modifier);
    }
    if (!IsText(value) && value.kind != Kind::kRegex && value.kind != Kind::kFieldRef) {
      return DoesNotCombine(modifier, value);
    }
    if (!place_.empty() && place_ != modifier) {
      return Refuse(
          "only one of contains, startswith and endswith can apply; write `*` into the value for "
          "more",
          StrCat(place_, " and ", modifier));
    }
    place_ = modifier;
    value.relation = relation;
    if (!IsText(value)) return absl::OkStatus();
    MakeString(value);
    if (relation != Test::kStartsWith) value.pattern.OpenStart();
    if (relation != Test::kEndsWith) value.pattern.OpenEnd();
    return absl::OkStatus();
  }

  absl::Status Windash(DetectionValue& value, std::string_view modifier) {
    if (!IsText(value)) return DoesNotCombine(modifier, value);
    MakeString(value);
    changed_text_ = true;
    ASSIGN_OR_RETURN(std::vector<Pattern> patterns, ExpandDashes(value.pattern));
    value = AnyOf(value, std::move(patterns));
    return absl::OkStatus();
  }

  absl::Status RequireLiteral(const DetectionValue& value, std::string_view modifier) {
    if (!IsText(value)) return DoesNotCombine(modifier, value);
    if (value.pattern.HasPlaceholder()) {
      return RefuseValue("a placeholder cannot be encoded before it has a value", modifier, value);
    }
    if (!value.pattern.HasWildcard()) return absl::OkStatus();
    return RefuseValue(
        "a value with wildcards cannot be encoded; write contains, startswith or endswith behind "
        "the encoding, and `\\*` for a literal star",
        modifier, value);
  }

  absl::Status Base64(DetectionValue& value, std::string_view modifier) {
    RETURN_IF_ERROR(RequireLiteral(value, modifier));
    MakeString(value);
    changed_text_ = true;
    const std::string text = value.pattern.LiteralText();
    if (modifier == "base64") {
      value.pattern = Pattern::Literal(Base64Encode(text));
      return absl::OkStatus();
    }
    std::vector<Pattern> forms;
    for (const std::string& form : Base64OffsetForms(text)) {
      if (form.empty()) {
        return RefuseValue(
            "the value is too short to be found inside Base64; use three characters or more",
            modifier, value);
      }
      forms.push_back(Pattern::Literal(form));
    }
    value = AnyOf(value, std::move(forms));
    return absl::OkStatus();
  }

  absl::Status Utf16(DetectionValue& value, std::string_view modifier) {
    if (!IsText(value)) return DoesNotCombine(modifier, value);
    if (value.pattern.HasPlaceholder()) return RequireLiteral(value, modifier);
    MakeString(value);
    changed_text_ = true;
    const bool big_endian = modifier == "utf16be";
    value.pattern.ChangeLiterals(
        [&](std::string_view run) { return EncodeUtf16(run, big_endian); });
    if (modifier == "utf16") {
      Pattern marked = Pattern::Literal("\xff\xfe");
      marked.Append(value.pattern);
      value.pattern = std::move(marked);
    }
    return absl::OkStatus();
  }

  absl::Status Cased(DetectionValue& value, std::string_view modifier) {
    if (!IsText(value) && value.kind != Kind::kFieldRef) return DoesNotCombine(modifier, value);
    if (value.kind != Kind::kFieldRef) MakeString(value);
    value.cased = true;
    return absl::OkStatus();
  }

  absl::Status Untouched(const DetectionValue& value, std::string_view modifier) {
    if (!IsText(value)) return DoesNotCombine(modifier, value);
    if (num_applied_ == num_expanded_) return absl::OkStatus();
    return Refuse("this modifier reads the value as written; put it directly behind the field",
                  modifier);
  }

  absl::Status Re(DetectionValue& value, std::string_view modifier) {
    RETURN_IF_ERROR(Untouched(value, modifier));
    value.kind = Kind::kRegex;
    value.relation = Test::kContains;
    value.pattern = Pattern::Literal(value.text);
    if (num_expanded_ > 0) value.pattern.InsertPlaceholders();
    return absl::OkStatus();
  }

  absl::Status RegexFlag(DetectionValue& value, std::string_view modifier) {
    if (value.kind != Kind::kRegex) {
      return Refuse("this flag belongs behind `re`, as in `field|re|i`", modifier);
    }
    const char flag = modifier == "ignorecase"  ? 'i'
                      : modifier == "multiline" ? 'm'
                      : modifier == "dotall"    ? 's'
                                                : modifier.front();
    if (value.regex_flags.find(flag) == std::string::npos) value.regex_flags.push_back(flag);
    return absl::OkStatus();
  }

  absl::Status Cidr(DetectionValue& value, std::string_view modifier) {
    RETURN_IF_ERROR(NeedsField(modifier));
    RETURN_IF_ERROR(Untouched(value, modifier));
    value.kind = Kind::kCidr;
    value.pattern = Pattern::Literal(value.text);
    if (num_expanded_ > 0) value.pattern.InsertPlaceholders();
    return absl::OkStatus();
  }

  absl::Status Compare(DetectionValue& value, std::string_view modifier) {
    RETURN_IF_ERROR(NeedsField(modifier));
    const bool part = value.kind == Kind::kComparison && value.relation == Test::kEquals;
    if (!part) {
      RETURN_IF_ERROR(Untouched(value, modifier));
      if (value.kind == Kind::kBool || !ParseNumber(value.text)) {
        return RefuseValue("write a number", modifier, value);
      }
      value.kind = Kind::kComparison;
    }
    value.relation = modifier == "lt"    ? Test::kLess
                     : modifier == "lte" ? Test::kLessOrEqual
                     : modifier == "gt"  ? Test::kGreater
                                         : Test::kGreaterOrEqual;
    return absl::OkStatus();
  }

  absl::Status PartOfTime(DetectionValue& value, std::string_view modifier) {
    RETURN_IF_ERROR(NeedsField(modifier));
    if (value.kind == Kind::kComparison) {
      return Refuse("write the part of time before the comparison, as in `field|hour|gte`",
                    modifier);
    }
    RETURN_IF_ERROR(Untouched(value, modifier));
    struct Entry {
      std::string_view name;
      TimePart part;
      int least;
      int most;
    };
    static constexpr Entry kParts[] = {
        {"minute", TimePart::kMinute, 0, 59}, {"hour", TimePart::kHour, 0, 23},
        {"day", TimePart::kDay, 1, 31},       {"week", TimePart::kWeek, 1, 53},
        {"month", TimePart::kMonth, 1, 12},   {"year", TimePart::kYear, 0, 9999},
    };
    const auto* const entry =
        std::find_if(std::begin(kParts), std::end(kParts),
                     [&](const Entry& candidate) { return candidate.name == modifier; });
    const std::optional<double> number = ParseNumber(value.text);
    if (!number || *number < entry->least || *number > entry->most ||
        std::floor(*number) != *number) {
      return RefuseValue(StrCat("write a whole number from ", entry->least, " to ", entry->most),
                         modifier, value);
    }
    value.kind = Kind::kComparison;
    value.relation = Test::kEquals;
    value.part = entry->part;
    return absl::OkStatus();
  }

  absl::Status Exists(DetectionValue& value, std::string_view modifier) {
    RETURN_IF_ERROR(NeedsField(modifier));
    RETURN_IF_ERROR(Untouched(value, modifier));
    const std::string text = FoldCase(value.text);
    value.flag = text == "true" || text == "yes";
    if (!value.flag && text != "false" && text != "no") {
      return RefuseValue("write true or false", modifier, value);
    }
    value.kind = Kind::kExists;
    return absl::OkStatus();
  }

  absl::Status FieldRef(DetectionValue& value, std::string_view modifier) {
    RETURN_IF_ERROR(NeedsField(modifier));
    if (!IsText(value)) return DoesNotCombine(modifier, value);
    if (changed_text_) return Untouched(value, modifier);
    const Pattern written = Pattern::Parse(value.text);
    if (written.HasWildcard() || value.text.empty()) {
      return RefuseValue("write the name of a field, without wildcards", modifier, value);
    }
    value.kind = Kind::kFieldRef;
    value.text = written.LiteralText();
    return absl::OkStatus();
  }

  absl::Status Expand(DetectionValue& value, std::string_view modifier) {
    if (num_applied_ == 0) num_expanded_ = 1;
    if (value.kind == Kind::kNumber || value.kind == Kind::kBool) return absl::OkStatus();
    if (value.kind != Kind::kString && value.kind != Kind::kRegex && value.kind != Kind::kCidr) {
      return DoesNotCombine(modifier, value);
    }
    value.pattern.InsertPlaceholders();
    return absl::OkStatus();
  }

  absl::Status NeedsField(std::string_view modifier) const {
    if (!item_.IsKeyword()) return absl::OkStatus();
    return Refuse(
        "keywords are searched for in every value: only contains, all, re, cased, windash, expand "
        "and encodings apply; put a field name before the `|`",
        modifier);
  }

  DetectionItem& item_;
  std::string place_;  // Which of contains, startswith and endswith applied.
  bool changed_text_ = false;
  size_t num_forms_ = 0;     // Of the value at hand, by the modifier at hand,
  size_t size_bytes_ = 0;    // and of all values of the line.
  size_t num_applied_ = 0;   // Modifiers of values so far,
  size_t num_expanded_ = 0;  // and how many of them were an `expand` in first place.
};

}  // namespace

DetectionValue PlainValue(const RuleValue& scalar) {
  DetectionValue value;
  value.text = scalar.text;
  switch (scalar.type) {
    case RuleValue::Type::kString:
      value.pattern = Pattern::Parse(scalar.text);
      break;
    case RuleValue::Type::kNumber:
      value.kind = Kind::kNumber;
      break;
    case RuleValue::Type::kBool:
      value.kind = Kind::kBool;
      break;
    case RuleValue::Type::kNull:
      value.kind = Kind::kNull;
      break;
  }
  return value;
}

absl::StatusOr<DetectionItem> MakeDetectionItem(std::string_view key,
                                                const std::vector<RuleValue>& values) {
  const std::vector<std::string_view> parts = StrSplit(key, '|');
  DetectionItem item;
  item.key = key;
  item.fields.emplace_back(parts.front());
  if (values.empty()) {
    return absl::InvalidArgumentError("the list of values is empty; give at least one value");
  }
  for (const RuleValue& value : values) {
    if (value.type == RuleValue::Type::kNull && item.IsKeyword()) {
      return absl::InvalidArgumentError(
          "null tests a field without modifiers; write `field: null`, or quote the value");
    }
    item.values.push_back(PlainValue(value));
  }
  ModifierChain chain(item);
  for (size_t i = 1; i < parts.size(); ++i) RETURN_IF_ERROR(chain.Apply(parts[i]));
  return item;
}

}  // namespace weir::sigma
