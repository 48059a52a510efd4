#include "jobs/sigma/rule_update.h"

#include <utility>

#include "runtime/base/strings.h"
#include "simdjson.h"

namespace weir::sigma {
namespace {

namespace dom = simdjson::dom;

/// Returns the part of `key` behind "<job>:", if it is a rule's id.
std::optional<std::string> RuleIdOfKey(std::string_view key, std::string_view job_id) {
  if (!key.starts_with(job_id) || key.substr(job_id.size()).substr(0, 1) != ":") {
    return std::nullopt;
  }
  const std::string_view id = key.substr(job_id.size() + 1);
  if (id.empty() || id == "parser" || id == "custom_fields" || id.starts_with("prefilter:")) {
    return std::nullopt;
  }
  return std::string(id);
}

RuleUpdate Problem(std::string rule_id, const KafkaRecord& record, std::string reason) {
  RuleUpdate update;
  update.kind = RuleUpdate::Kind::kProblem;
  update.key = rule_id;
  update.problem = {
      std::move(rule_id),
      record.has_key ? record.key : StrCat(record.topic, "/", record.partition, "/", record.offset),
      std::move(reason)};
  return update;
}

RuleUpdate Deletion(std::string rule_id) {
  RuleUpdate update;
  update.kind = RuleUpdate::Kind::kDelete;
  update.key = std::move(rule_id);
  return update;
}

/// Returns the text at `key`; nothing if it is absent, null, empty or no text.
std::optional<std::string> TextAt(dom::object object, std::string_view key) {
  std::string_view text;
  if (object.at_key(key).get(text) != simdjson::SUCCESS || text.empty()) return std::nullopt;
  return std::string(text);
}

dom::object ObjectAt(dom::object object, std::string_view key, bool* found) {
  dom::object result;
  *found = object.at_key(key).get(result) == simdjson::SUCCESS;
  return result;
}

/// Returns the techniques of `tags`; nothing without tags. Malformed tags never reject a rule: they
/// leave it without techniques.
std::optional<std::vector<Technique>> Techniques(dom::object message) {
  dom::element tags;
  if (message.at_key("tags").get(tags) != simdjson::SUCCESS || tags.is_null()) return std::nullopt;
  dom::array list;
  if (tags.at_key("technique").get(list) != simdjson::SUCCESS) return std::vector<Technique>();
  std::vector<Technique> techniques;
  for (const dom::element element : list) {
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS) return std::vector<Technique>();
    techniques.push_back({TextAt(object, "id").value_or(""), TextAt(object, "name")});
  }
  return techniques;
}

std::optional<RuleUpdate> ReadRule(dom::object message, const std::string& id,
                                   const KafkaRecord& record) {
  bool has_sigma = false;
  const dom::object sigma = ObjectAt(message, "sigma", &has_sigma);
  dom::element text;
  const bool has_text = has_sigma && sigma.at_key("text").get(text) == simdjson::SUCCESS;
  if (has_text && !text.is_string() && !text.is_null()) {
    return Problem(id, record, "the message's sigma.text is not a text");
  }
  const std::optional<std::string> yaml = has_sigma ? TextAt(sigma, "text") : std::nullopt;
  if (!yaml.has_value()) return Deletion(id);
  bool has_case = false;
  const dom::object rule_case = ObjectAt(message, "case", &has_case);
  RuleUpdate update;
  update.kind = RuleUpdate::Kind::kSet;
  update.key = id;
  update.rule = {record.key,         *yaml, id, TextAt(rule_case, "name"), TextAt(sigma, "level"),
                 Techniques(message)};
  return update;
}

std::optional<RuleUpdate> ReadMessage(dom::object message, std::string_view job_id,
                                      const KafkaRecord& record) {
  if (TextAt(message, "job_id") != job_id) return std::nullopt;
  const std::string type = TextAt(message, "type").value_or("rule");
  if (type == "filter" || type == "parser" || type == "custom_fields") {
    bool deleted = false;
    if (message.at_key("deleted").get(deleted) == simdjson::SUCCESS && deleted) return std::nullopt;
    return Problem("", record,
                   StrCat("messages of type ", type, " are not supported yet by this version"));
  }
  if (type != "rule") {
    return Problem("", record, StrCat("the message has an unknown type; give rule: type=", type));
  }
  bool has_case = false;
  const dom::object rule_case = ObjectAt(message, "case", &has_case);
  const std::optional<std::string> id = has_case ? TextAt(rule_case, "id") : std::nullopt;
  if (!id.has_value()) return Problem("", record, "the message has no case.id, the rule's id");
  return ReadRule(message, *id, record);
}

}  // namespace

std::optional<RuleUpdate> ReadControlMessage(const KafkaRecord& record, std::string_view job_id) {
  const std::optional<std::string> key_id = RuleIdOfKey(record.key, job_id);
  if (record.is_tombstone || record.value.empty()) {
    if (!key_id.has_value()) return std::nullopt;
    return Deletion(*key_id);
  }
  dom::parser parser;
  dom::object message;
  if (parser.parse(simdjson::padded_string(record.value)).get(message) == simdjson::SUCCESS) {
    return ReadMessage(message, job_id, record);
  }
  // Without a message, only the key tells whose it is.
  if (record.has_key && !key_id.has_value()) return std::nullopt;
  return Problem(key_id.value_or(""), record, "the message is not a JSON object");
}

RuleUpdate RuleFileUpdate(std::string path, std::string text) {
  RuleUpdate update;
  update.kind = RuleUpdate::Kind::kSet;
  update.key = path;
  update.rule.source = std::move(path);
  update.rule.text = std::move(text);
  return update;
}

}  // namespace weir::sigma
