#include "jobs/sigma/engine/explanation.h"

#include <memory>
#include <string>
#include <vector>

#include "jobs/sigma/engine/event_fields.h"
#include "jobs/sigma/tools/commands.h"
#include "jobs/sigma/tools/event_reader.h"
#include "jobs/sigma/tools/rule_set_loader.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr uint64_t kMaxEvents = 10;

std::string_view Word(Expression::Kind kind) {
  switch (kind) {
    case Expression::Kind::kTest:
      return "test";
    case Expression::Kind::kAnd:
      return "all of";
    case Expression::Kind::kOr:
      return "any of";
    case Expression::Kind::kNot:
      return "not";
    case Expression::Kind::kAtLeast:
      return "at least";
  }
  return "";
}

std::string Heading(const Explanation& node) {
  if (node.kind == Expression::Kind::kTest) return node.reason;
  if (node.kind == Expression::Kind::kAtLeast) return StrCat("at least ", node.count, " of");
  return std::string(Word(node.kind));
}

// What a test saw, where the reason does not say it.
std::string Seen(const Explanation& node) {
  if (node.kind != Expression::Kind::kTest) return "";
  if (node.holds) return node.hit.empty() ? "" : StrCat(": \"", node.hit, "\"");
  std::string text;
  for (const std::string& value : node.values) {
    StrAppend(&text, text.empty() ? ": it is \"" : ", \"", value, "\"");
  }
  return text;
}

void AppendTree(const Explanation& node, int depth, std::string* out) {
  out->append(static_cast<size_t>(depth) * 2, ' ');
  StrAppend(out, node.holds ? "+ " : "- ",
            node.selection.empty() ? std::string() : StrCat(node.selection, ": "), Heading(node),
            Seen(node), "\n");
  for (const Explanation& child : node.children) AppendTree(child, depth + 1, out);
}

void WriteNode(const Explanation& node, JsonWriter& json) {
  json.BeginObject().Key("kind").String(Word(node.kind)).Key("holds").Bool(node.holds);
  if (!node.selection.empty()) json.Key("selection").String(node.selection);
  if (node.kind == Expression::Kind::kAtLeast) json.Key("count").Uint(node.count);
  if (node.kind == Expression::Kind::kTest) {
    json.Key("field").String(node.predicate->field).Key("reason").String(node.reason);
    json.Key("seen").BeginArray();
    for (const std::string& value : node.values) json.String(value);
    json.EndArray();
    if (node.holds) json.Key("hit").String(node.hit);
  } else {
    json.Key("children").BeginArray();
    for (const Explanation& child : node.children) WriteNode(child, json);
    json.EndArray();
  }
  json.EndObject();
}

std::string ToText(const LogSource& source) {
  std::vector<std::string> parts;
  if (!source.product.empty()) parts.push_back("product " + source.product);
  if (!source.category.empty()) parts.push_back("category " + source.category);
  if (!source.service.empty()) parts.push_back("service " + source.service);
  return StrJoin(parts, ", ");
}

/// What an event shows of itself, and whether that matters.
struct EventSource {
  std::vector<LogSource> shown;
  const EventMapping* mapping = nullptr;  // Null: rules are not routed.

  [[nodiscard]] bool Reaches(const Rule& rule) const {
    return mapping == nullptr || IsRouted(rule.log_source, shown, *mapping);
  }
};

std::string NotRouted(const Rule& rule, const EventSource& source) {
  std::vector<std::string> shown;
  for (const LogSource& one : source.shown) shown.push_back(ToText(one));
  return StrCat("  the rule is not tried: it reads ", ToText(rule.log_source), "; the event is of ",
                StrJoin(shown, "; or "), "\n");
}

void ExplainEvent(const Rule& rule, const EventFields& fields, const EventSource& source,
                  const Event& event, bool as_json, const CommandOutput& output) {
  const Explanation explanation = Explain(rule, fields);
  const bool routed = source.Reaches(rule);
  const bool matches = routed && explanation.holds;
  std::string text;
  if (as_json) {
    JsonWriter json(&text);
    json.BeginObject().Key("rule_id").String(rule.id).Key("title").String(rule.title);
    json.Key("event").Uint(event.index).Key("matches").Bool(matches);
    json.Key("log_source_fits").Bool(routed).Key("condition");
    WriteNode(explanation, json);
    json.EndObject().EndLine();
  } else {
    text = StrCat("rule ", rule.title.empty() ? rule.id : rule.title, ", event ", event.index,
                  event.line ? StrCat(" (line ", *event.line, ")") : std::string(),
                  matches ? ": matches\n" : ": does not match\n");
    if (!routed) text += NotRouted(rule, source);
    AppendTree(explanation, 1, &text);
  }
  output.out(text);
}

}  // namespace

absl::StatusOr<int> Explain(const ExplainCommand& command, const CommandOutput& output) {
  RETURN_IF_ERROR(ReadTextFile(command.rule).status());
  ASSIGN_OR_RETURN(const LoadedRuleSet set, LoadRuleSet({command.rule}, command.options));
  if (!set.errors.empty()) return absl::InvalidArgumentError(set.errors.front());
  const EventMapping* const mapping =
      set.pipeline == nullptr ? nullptr : &set.pipeline->event_mapping();
  ASSIGN_OR_RETURN(const std::unique_ptr<EventReader> reader,
                   EventReader::Open(command.event, command.options));
  Event event;
  uint64_t explained = 0;
  while (true) {
    ASSIGN_OR_RETURN(const bool has_event, reader->Next(&event));
    if (!has_event) break;
    if (command.index && event.index != *command.index) continue;
    if (!command.index && explained == kMaxEvents) {
      output.err("more events follow; --index shows one of them\n");
      break;
    }
    const absl::StatusOr<EventFields> fields = EventFields::Parse(event.json, mapping);
    if (!fields.ok()) {
      return absl::InvalidArgumentError(
          StrCat(command.event, event.line ? StrCat(":", *event.line) : std::string(), ": ",
                 ToStd(fields.status().message())));
    }
    EventSource source;
    if (mapping != nullptr && !command.options.ignore_log_source) {
      source = {ShownLogSources(*fields, *mapping), mapping};
    }
    for (const auto& rule : set.rules->rules()) {
      ExplainEvent(*rule, *fields, source, event, command.json, output);
    }
    ++explained;
    if (command.index) break;
  }
  if (explained > 0) return kExitDone;
  return absl::NotFoundError(command.index
                                 ? StrCat(command.event, ": the file has no event ", *command.index,
                                          "; it has ", event.index + 1, " at most")
                                 : StrCat(command.event, ": the file has no events"));
}

}  // namespace weir::sigma
