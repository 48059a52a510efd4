#include "jobs/sigma/engine/tagged_event.h"

#include <array>

#include "runtime/base/check.h"
#include "runtime/base/strings.h"
#include "simdjson.h"

namespace weir::sigma {
namespace {

constexpr std::string_view kRuleIds = "sigma_rule_ids";
constexpr std::string_view kDetections = "sigma_detections";

void AppendString(std::string_view text, std::string* output) {
  constexpr std::string_view kHex = "0123456789abcdef";
  output->push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      output->push_back('\\');
      output->push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      output->append("\\u00");
      output->push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      output->push_back(kHex[static_cast<unsigned char>(c) & 0xf]);
    } else {
      output->push_back(c);
    }
  }
  output->push_back('"');
}

// Appends `items` with commas between, each by `append`.
template <class Items, class Append>
void AppendList(const Items& items, std::string* output, const Append& append) {
  output->push_back('[');
  bool first = true;
  for (const auto& item : items) {
    if (!first) output->push_back(',');
    first = false;
    append(item);
  }
  output->push_back(']');
}

// Appends the members that tell why a rule matched.
void AppendEvidence(const Explanation& explanation, std::string* output) {
  output->append(",\"matched_selections\":");
  AppendList(MatchedSelections(explanation), output,
             [&](const std::string& name) { AppendString(name, output); });
  output->append(",\"matched_fields\":");
  AppendList(MatchedFields(explanation), output, [&](const MatchedField& field) {
    output->append("{\"selection\":");
    AppendString(field.selection, output);
    output->append(",\"field\":");
    AppendString(field.field, output);
    output->append(",\"value\":");
    AppendString(field.value, output);
    output->push_back('}');
  });
}

void AppendDetection(const Rule& rule, const Explanation* explanation, std::string* output) {
  output->append("{\"rule_id\":");
  AppendString(rule.id, output);
  output->append(",\"rule_title\":");
  AppendString(rule.title, output);
  output->append(",\"severity\":");
  AppendString(rule.level, output);
  output->append(",\"technique_ids\":");
  AppendList(rule.techniques, output,
             [&](const Technique& technique) { AppendString(technique.id, output); });
  output->append(",\"techniques\":");
  AppendList(rule.techniques, output, [&](const Technique& technique) {
    output->append("{\"id\":");
    AppendString(technique.id, output);
    output->append(",\"name\":");
    if (technique.name) {
      AppendString(*technique.name, output);
    } else {
      output->append("null");
    }
    output->push_back('}');
  });
  if (explanation != nullptr) AppendEvidence(*explanation, output);
  output->push_back('}');
}

// Returns the position behind the JSON string that begins at `at`.
size_t EndOfString(std::string_view json, size_t at) {
  for (++at; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] == '\\') ++at;
  }
  return at + 1;
}

// Returns the position of the comma or brace that ends the member of a compact object that begins
// at `at`.
size_t EndOfMember(std::string_view json, size_t at) {
  int depth = 0;
  while (at < json.size()) {
    const char c = json[at];
    if (c == '"') {
      at = EndOfString(json, at);
      continue;
    }
    if (depth == 0 && (c == ',' || c == '}')) break;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    ++at;
  }
  return at;
}

std::string Unescape(std::string_view quoted) {
  simdjson::dom::parser parser;
  std::string_view text;
  const std::string json = StrCat("[", quoted, "]");
  if (parser.parse(json).at(0).get(text) != simdjson::SUCCESS) return std::string(quoted);
  return std::string(text);
}

bool IsReplaced(std::string_view quoted_key) {
  std::string_view key = quoted_key.substr(1, quoted_key.size() - 2);
  std::string unescaped;
  if (key.find('\\') != std::string_view::npos) key = unescaped = Unescape(quoted_key);
  return key == kRuleIds || key == kDetections;
}

// Rewrites the compact object at [begin, end) of `*output` without the two fields that are to be
// added.
void DropReplacedFields(size_t begin, std::string* output) {
  const std::string json = output->substr(begin);
  output->resize(begin);
  output->push_back('{');
  for (size_t at = 1; at < json.size() && json[at] == '"';) {
    const size_t end = EndOfMember(json, at);
    const std::string_view member = std::string_view(json).substr(at, end - at);
    if (!IsReplaced(member.substr(0, EndOfString(member, 0)))) {
      if (output->size() > begin + 1) output->push_back(',');
      output->append(member);
    }
    at = end + 1;
  }
  output->push_back('}');
}

bool MayHoldReplacedField(std::string_view json) {
  return json.find("\"sigma_") != std::string_view::npos ||
         json.find("\\u") != std::string_view::npos;
}

}  // namespace

absl::Status AppendTaggedEvent(std::string_view json_event, std::span<const Rule* const> matches,
                               std::string* output, std::span<const Explanation> explanations) {
  DCHECK(explanations.empty() || explanations.size() == matches.size());
  const size_t begin = output->size();
  output->resize(begin + json_event.size() + simdjson::SIMDJSON_PADDING);
  size_t size = 0;
  const auto error =
      simdjson::minify(json_event.data(), json_event.size(), output->data() + begin, size);
  output->resize(begin + size);
  if (error != simdjson::SUCCESS || size < 2 || (*output)[begin] != '{' || output->back() != '}') {
    output->resize(begin);
    return absl::InvalidArgumentError(
        "the event is no JSON object and cannot be tagged; match it first");
  }
  if (MayHoldReplacedField(std::string_view(*output).substr(begin)))
    DropReplacedFields(begin, output);
  output->pop_back();
  if (output->size() > begin + 1) output->push_back(',');
  StrAppend(output, "\"", kRuleIds, "\":");
  AppendList(matches, output, [&](const Rule* rule) { AppendString(rule->id, output); });
  StrAppend(output, ",\"", kDetections, "\":");
  const Explanation* explanation = explanations.empty() ? nullptr : explanations.data();
  AppendList(matches, output, [&](const Rule* rule) {
    AppendDetection(*rule, explanation == nullptr ? nullptr : explanation++, output);
  });
  output->push_back('}');
  return absl::OkStatus();
}

}  // namespace weir::sigma
