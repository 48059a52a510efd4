#include "jobs/sigma/event_tagger.h"

#include <optional>
#include <utility>

#include "jobs/sigma/custom_fields.h"
#include "jobs/sigma/engine/event_fields.h"
#include "jobs/sigma/engine/explanation.h"
#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/engine/tagged_event.h"
#include "jobs/sigma/field_mapping.h"
#include "jobs/sigma/parser/event_parser.h"
#include "runtime/base/check.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

std::string MessageOf(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

absl::StatusOr<EventParser> MakeParser(const std::string& config) {
  if (StripWhitespace(config).empty()) return EventParser::Create({});
  EventReader reader;
  const absl::StatusOr<EventValue> json = reader.Read(config);
  // What is no JSON is a text in the parser language.
  ASSIGN_OR_RETURN(const ParserConfig steps, json.ok() && json->is_object()
                                                 ? ReadParserConfig(*json)
                                                 : ParseParserText(config));
  return EventParser::Create(steps);
}

}  // namespace

struct EventTagger::Impl {
  explicit Impl(TaggerOptions tagger_options)
      : options(std::move(tagger_options)), rules(options.rules) {}

  absl::Status Parse(std::string_view event, TagResult* result);
  absl::Status Emit(std::string_view event, std::string_view seen, const TagResult& result,
                    std::string* tagged);
  absl::Status Explain(std::string_view seen, const TagResult& result);
  absl::StatusOr<EventFields> FieldsOf(std::string_view seen) const;
  void TakeOutForCorrelations(TagResult* result);

  const TaggerOptions options;
  RuleSet rules;
  std::optional<EventParser> parser;
  CustomFields custom_fields;
  Matcher matcher;
  EventReader reader;
  EventValue parsed;        // The event behind the parser,
  std::string parsed_json;  // and its text.
  std::string customised;
  std::vector<const Rule*> correlated;    // What matched that correlations read.
  std::vector<Explanation> explanations;  // Of what matched, if evidence is asked for.
};

EventTagger::EventTagger(TaggerOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
EventTagger::~EventTagger() = default;

bool EventTagger::SetRule(const std::string& key, const StoredRule& rule,
                          std::vector<RuleProblem>* problems) {
  return impl_->rules.Set(key, rule, problems);
}

void EventTagger::RemoveRule(const std::string& key) { impl_->rules.Remove(key); }

bool EventTagger::SetFilter(const std::string& id, const StoredFilter& filter,
                            std::vector<RuleProblem>* problems) {
  return impl_->rules.SetFilter(id, filter, problems);
}

void EventTagger::RemoveFilter(const std::string& id) { impl_->rules.RemoveFilter(id); }

bool EventTagger::SetParser(const StoredParser& parser, std::vector<RuleProblem>* problems) {
  absl::StatusOr<EventParser> created = MakeParser(parser.config);
  if (!created.ok()) {
    problems->push_back({"", parser.source, MessageOf(created.status())});
    return false;
  }
  absl::StatusOr<FieldMapping> mapping = ReadFieldMapping(parser.mapping);
  if (!mapping.ok()) {
    problems->push_back({"", parser.source, MessageOf(mapping.status())});
    mapping = FieldMapping();
  }
  impl_->rules.SetMapping(*std::move(mapping));
  impl_->parser.reset();
  if (!created->empty()) impl_->parser.emplace(*std::move(created));
  return true;
}

void EventTagger::RemoveParser() {
  impl_->parser.reset();
  impl_->rules.SetMapping({});
}

bool EventTagger::SetCustomFields(const StoredCustomFields& fields,
                                  std::vector<RuleProblem>* problems) {
  absl::StatusOr<CustomFields> read = CustomFields::Read(fields.yaml);
  if (!read.ok()) {
    problems->push_back({"", fields.source, MessageOf(read.status())});
    impl_->custom_fields = {};
    return false;
  }
  impl_->custom_fields = *std::move(read);
  return true;
}

void EventTagger::RemoveCustomFields() { impl_->custom_fields = {}; }

/// Leaves what rules are to see in `parsed` and `parsed_json`.
absl::Status EventTagger::Impl::Parse(std::string_view event, TagResult* result) {
  ASSIGN_OR_RETURN(parsed, reader.Read(event));
  if (!parsed.is_object()) {
    return absl::InvalidArgumentError("the event is no JSON object; send one object per record");
  }
  const absl::Status status = parser->Parse(&parsed, reader);
  if (!status.ok()) {
    result->parser_error = MessageOf(status);
    ASSIGN_OR_RETURN(parsed, reader.Read(event));
    parsed.Set(kParserFailedField, EventValue::Bool(true));
  }
  parsed_json.clear();
  AppendJson(parsed, &parsed_json);
  return absl::OkStatus();
}

absl::Status EventTagger::Impl::Explain(std::string_view seen, const TagResult& result) {
  explanations.clear();
  if (!options.evidence || result.matches.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const EventFields fields, FieldsOf(seen));
  for (const Rule* const rule : result.matches) {
    explanations.push_back(weir::sigma::Explain(*rule, fields));
  }
  return absl::OkStatus();
}

absl::Status EventTagger::Impl::Emit(std::string_view event, std::string_view seen,
                                     const TagResult& result, std::string* tagged) {
  RETURN_IF_ERROR(Explain(seen, result));
  const bool is_parsed = parser.has_value() && options.parsed_events_out;
  std::string_view base = is_parsed ? std::string_view(parsed_json) : event;
  if (!custom_fields.empty()) {
    EventValue value;
    if (is_parsed) {
      value = std::move(parsed);
    } else {
      ASSIGN_OR_RETURN(value, reader.Read(event));
    }
    custom_fields.AddTo(&value);
    customised.clear();
    AppendJson(value, &customised);
    base = customised;
  }
  tagged->clear();
  return AppendTaggedEvent(base, result.matches, tagged, explanations);
}

absl::Status EventTagger::Tag(std::string_view event, std::string* tagged, TagResult* result) {
  Impl& impl = *impl_;
  if (impl.rules.changed()) RETURN_IF_ERROR(impl.matcher.SetRules(impl.rules.Compile()));
  result->emit = result->filtered = false;
  result->parser_error.clear();
  result->matches.clear();
  impl.correlated.clear();
  std::string_view seen = event;
  if (impl.parser.has_value()) {
    RETURN_IF_ERROR(impl.Parse(event, result));
    seen = impl.parsed_json;
  }
  RETURN_IF_ERROR(impl.matcher.Match(seen, result->matches));
  impl.rules.CountEvent();
  // Filters come first among what matched: their ids do.
  if (!result->matches.empty() && RuleSet::IsFilter(*result->matches.front())) {
    result->filtered = true;
    result->matches.clear();
  }
  impl.TakeOutForCorrelations(result);
  result->emit = !result->matches.empty();
  if (impl.options.mode == OutputMode::kAllEvents) {
    result->emit = !result->filtered || impl.options.keep_filtered_events;
  }
  return result->emit ? impl.Emit(event, seen, *result, tagged) : absl::OkStatus();
}

absl::StatusOr<EventFields> EventTagger::Impl::FieldsOf(std::string_view seen) const {
  const Pipeline* const pipeline = options.rules.pipeline.get();
  return EventFields::Parse(seen, pipeline == nullptr ? nullptr : &pipeline->event_mapping());
}

void EventTagger::Impl::TakeOutForCorrelations(TagResult* result) {
  const CorrelationSet& correlations = rules.correlations();
  if (correlations.empty()) return;
  std::erase_if(result->matches, [&](const Rule* rule) {
    if (!correlations.ReadersOf(rule->id).empty()) correlated.push_back(rule);
    return correlations.IsSilent(rule->id);
  });
}

bool EventTagger::feeds_correlations() const { return !impl_->correlated.empty(); }

void EventTagger::AppendCorrelationInputs(std::string_view event, int64_t time_ms,
                                          const std::string& source,
                                          std::vector<CorrelationInput>* inputs) {
  Impl& impl = *impl_;
  const absl::StatusOr<EventFields> fields =
      impl.FieldsOf(impl.parser.has_value() ? std::string_view(impl.parsed_json) : event);
  DCHECK(fields.ok()) << "the event was matched before";
  if (!fields.ok()) return;
  const FieldValues values = ValuesOf(*fields);
  for (const Rule* const rule : impl.correlated) {
    AppendInputs(impl.rules.correlations(), rule->id, values, time_ms, source, inputs);
  }
}

std::vector<RuleProblem> EventTagger::TakeProblems() { return impl_->rules.TakeProblems(); }

size_t EventTagger::num_rules() const { return impl_->rules.size(); }
uint64_t EventTagger::num_compilations() const { return impl_->rules.num_compilations(); }

void LogRuleProblem(const RuleProblem& problem) {
  LogWarning("sigma", StrCat("a rule, filter or message is not in force: ", problem.reason,
                             " rule_id=", problem.rule_id, " source=", problem.source));
}

}  // namespace weir::sigma
