#include "jobs/sigma/control_message.h"

#include <algorithm>
#include <utility>

#include "runtime/base/strings.h"
#include "simdjson.h"

namespace weir::sigma {
namespace {

namespace dom = simdjson::dom;

using Kind = ControlUpdate::Kind;

/// What lies under the key of a record.
struct KeyTarget {
  Kind deletion = Kind::kDeleteRule;
  std::string id;  ///< Of a rule or filter.
};

/// Returns what `key` stands for, if it begins with "<job>:".
std::optional<KeyTarget> TargetOfKey(std::string_view key, std::string_view job_id) {
  constexpr std::string_view kFilter = "prefilter:";
  if (!key.starts_with(job_id) || key.substr(job_id.size()).substr(0, 1) != ":") {
    return std::nullopt;
  }
  const std::string_view rest = key.substr(job_id.size() + 1);
  if (rest == "parser") return KeyTarget{Kind::kDeleteParser, ""};
  if (rest == "custom_fields") return KeyTarget{Kind::kDeleteCustomFields, ""};
  if (rest.starts_with(kFilter)) {
    return KeyTarget{Kind::kDeleteFilter, std::string(rest.substr(kFilter.size()))};
  }
  if (rest.empty()) return std::nullopt;
  return KeyTarget{Kind::kDeleteRule, std::string(rest)};
}

std::string NameOf(const KafkaRecord& record) {
  return record.has_key ? record.key
                        : StrCat(record.topic, "/", record.partition, "/", record.offset);
}

ControlUpdate Problem(std::string rule_id, const KafkaRecord& record, std::string reason) {
  ControlUpdate update;
  update.kind = Kind::kProblem;
  update.key = rule_id;
  update.problem = {std::move(rule_id), NameOf(record), std::move(reason)};
  return update;
}

ControlUpdate Update(Kind kind, std::string key = "") {
  ControlUpdate update;
  update.kind = kind;
  update.key = std::move(key);
  return update;
}

/// Returns the text at `key`; nothing if it is absent, null, empty or no text.
std::optional<std::string> TextAt(dom::object object, std::string_view key) {
  std::string_view text;
  if (object.at_key(key).get(text) != simdjson::SUCCESS || text.empty()) return std::nullopt;
  return std::string(text);
}

/// Returns what lies at `key`; nothing if it is absent or null.
std::optional<dom::element> At(dom::object object, std::string_view key) {
  dom::element element;
  if (object.at_key(key).get(element) != simdjson::SUCCESS || element.is_null()) {
    return std::nullopt;
  }
  return element;
}

std::optional<dom::object> ObjectAt(dom::object object, std::string_view key) {
  dom::object result;
  if (object.at_key(key).get(result) != simdjson::SUCCESS) return std::nullopt;
  return result;
}

bool IsDeleted(dom::object message) {
  bool deleted = false;
  return message.at_key("deleted").get(deleted) == simdjson::SUCCESS && deleted;
}

/// Returns the techniques of `tags`; nothing without tags. Malformed tags never reject a rule: they
/// leave it without techniques.
std::optional<std::vector<Technique>> Techniques(dom::object message) {
  const std::optional<dom::element> tags = At(message, "tags");
  if (!tags.has_value()) return std::nullopt;
  dom::array list;
  if (tags->at_key("technique").get(list) != simdjson::SUCCESS) return std::vector<Technique>();
  std::vector<Technique> techniques;
  for (const dom::element element : list) {
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS) return std::vector<Technique>();
    techniques.push_back({TextAt(object, "id").value_or(""), TextAt(object, "name")});
  }
  return techniques;
}

ControlUpdate ReadRule(dom::object message, const std::string& id, dom::object rule_case,
                       const KafkaRecord& record) {
  const std::optional<dom::object> sigma = ObjectAt(message, "sigma");
  const std::optional<dom::element> text =
      sigma.has_value() ? At(*sigma, "text") : std::optional<dom::element>();
  if (text.has_value() && !text->is_string()) {
    return Problem(id, record, "the message's sigma.text is not a text");
  }
  const std::optional<std::string> yaml =
      sigma.has_value() ? TextAt(*sigma, "text") : std::optional<std::string>();
  if (!yaml.has_value()) return Update(Kind::kDeleteRule, id);
  ControlUpdate update = Update(Kind::kSetRule, id);
  update.rule = {NameOf(record),     *yaml, id, TextAt(rule_case, "name"), TextAt(*sigma, "level"),
                 Techniques(message)};
  return update;
}

ControlUpdate ReadFilter(dom::object message, const KafkaRecord& record) {
  const std::optional<std::string> id = TextAt(message, "filter_id");
  if (!id.has_value()) return Problem("", record, "the message has no filter_id, the filter's id");
  if (IsDeleted(message)) return Update(Kind::kDeleteFilter, *id);
  ControlUpdate update = Update(Kind::kSetFilter, *id);
  update.filter = {NameOf(record), TextAt(message, "filter_body").value_or("")};
  return update;
}

ControlUpdate ReadParser(dom::object message, const KafkaRecord& record) {
  if (IsDeleted(message)) return Update(Kind::kDeleteParser);
  ControlUpdate update = Update(Kind::kSetParser);
  update.parser.source = NameOf(record);
  if (const std::optional<dom::element> mapping = At(message, "mapping")) {
    if (!mapping->is_string()) return Problem("", record, "the message's mapping is not a text");
    update.parser.mapping = TextAt(message, "mapping").value_or("");
  }
  const std::optional<dom::element> parser = At(message, "parser");
  if (!parser.has_value()) return update;
  dom::object object;
  if (parser->get(object) != simdjson::SUCCESS) {
    return Problem("", record, "the message's parser is no object");
  }
  const std::optional<dom::element> config = At(object, "config");
  if (!config.has_value()) return Problem("", record, "the message's parser has no config");
  if (config->is_string()) {
    update.parser.config = TextAt(object, "config").value_or("");
  } else {
    update.parser.config = simdjson::minify(*config);
  }
  return update;
}

ControlUpdate ReadCustomFields(dom::object message, const KafkaRecord& record) {
  const std::optional<dom::element> fields = At(message, "custom_fields");
  if (IsDeleted(message) || !fields.has_value()) return Update(Kind::kDeleteCustomFields);
  if (!fields->is_string()) {
    return Problem("", record, "the message's custom_fields are not a text of YAML");
  }
  ControlUpdate update = Update(Kind::kSetCustomFields);
  update.custom_fields = {NameOf(record), TextAt(message, "custom_fields").value_or("")};
  return update;
}

std::optional<ControlUpdate> ReadMessage(dom::object message, std::string_view job_id,
                                         const KafkaRecord& record) {
  if (TextAt(message, "job_id") != job_id) return std::nullopt;
  const std::string type = TextAt(message, "type").value_or("rule");
  if (type == "filter") return ReadFilter(message, record);
  if (type == "parser") return ReadParser(message, record);
  if (type == "custom_fields") return ReadCustomFields(message, record);
  if (type != "rule") {
    return Problem("", record,
                   StrCat("the message has an unknown type; give rule, filter, parser or "
                          "custom_fields: type=",
                          type));
  }
  const std::optional<dom::object> rule_case = ObjectAt(message, "case");
  const std::optional<std::string> id =
      rule_case.has_value() ? TextAt(*rule_case, "id") : std::optional<std::string>();
  if (!id.has_value()) return Problem("", record, "the message has no case.id, the rule's id");
  return ReadRule(message, *id, *rule_case, record);
}

}  // namespace

bool StoredRule::SameAs(const StoredRule& other) const {
  const auto same_techniques = [](const auto& a, const auto& b) {
    if (a.has_value() != b.has_value()) return false;
    return !a.has_value() || std::equal(a->begin(), a->end(), b->begin(), b->end(),
                                        [](const Technique& one, const Technique& two) {
                                          return one.id == two.id && one.name == two.name;
                                        });
  };
  return source == other.source && text == other.text && id == other.id && title == other.title &&
         level == other.level && same_techniques(techniques, other.techniques);
}

std::optional<ControlUpdate> ReadControlMessage(const KafkaRecord& record,
                                                std::string_view job_id) {
  const std::optional<KeyTarget> target = TargetOfKey(record.key, job_id);
  if (record.is_tombstone || record.value.empty()) {
    if (!target.has_value()) return std::nullopt;
    return Update(target->deletion, target->id);
  }
  dom::parser parser;
  dom::object message;
  if (parser.parse(simdjson::padded_string(record.value)).get(message) == simdjson::SUCCESS) {
    return ReadMessage(message, job_id, record);
  }
  // Without a message, only the key tells whose it is.
  if (record.has_key && !target.has_value()) return std::nullopt;
  const bool is_rule = target.has_value() && target->deletion == Kind::kDeleteRule;
  return Problem(is_rule ? target->id : "", record, "the message is not a JSON object");
}

ControlUpdate RuleFileUpdate(std::string path, std::string text) {
  ControlUpdate update = Update(Kind::kSetRule, path);
  update.rule.source = std::move(path);
  update.rule.text = std::move(text);
  return update;
}

}  // namespace weir::sigma
