#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "jobs/sigma/engine/event_fields.h"
#include "jobs/sigma/engine/explanation.h"
#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/tools/commands.h"
#include "jobs/sigma/tools/correlation_run.h"
#include "jobs/sigma/tools/event_reader.h"
#include "jobs/sigma/tools/rule_set_loader.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr size_t kMaxErrorsShown = 10;  // A file.

/// Matches the events of files and writes what matched.
class MatchRun {
 public:
  MatchRun(const LoadedRuleSet& rules, const EventOptions& options, const CommandOutput& output)
      : rules_(rules),
        options_(options),
        output_(output),
        correlations_(rules.correlations),
        mapping_(rules.pipeline == nullptr ? nullptr : &rules.pipeline->event_mapping()) {}

  absl::Status Begin() { return matcher_.SetRules(rules_.rules); }

  absl::Status MatchFile(const std::string& path) {
    ASSIGN_OR_RETURN(const std::unique_ptr<EventReader> reader, EventReader::Open(path, options_));
    ++num_files_;
    errors_of_file_ = 0;
    Event event;
    while (true) {
      const absl::StatusOr<bool> next = reader->Next(&event);
      if (next.ok() && !*next) break;
      if (next.ok()) {
        MatchEvent(path, event);
      } else if (absl::IsDataLoss(next.status())) {
        NoteError(StrCat(ToStd(next.status().message())));
      } else {
        return next.status();
      }
    }
    for (const std::string& remark : reader->Remarks()) NoteError(remark);
    if (errors_of_file_ > kMaxErrorsShown) {
      output_.err(StrCat(path, ": ", errors_of_file_ - kMaxErrorsShown, " more of the kind\n"));
    }
    return absl::OkStatus();
  }

  // Runs the correlations over all that matched.
  void Correlate() {
    correlations_.Finish([&](const CorrelationRule& rule, const std::vector<std::string>& group,
                             const CorrelationFiring& firing) {
      ++num_firings_;
      line_.clear();
      JsonWriter json(&line_);
      json.BeginObject().Key("rule_id").String(rule.id).Key("title").String(rule.title);
      json.Key("level").String(rule.level).Key("tags").BeginArray();
      for (const std::string& tag : rule.metadata.tags) json.String(tag);
      std::string details;
      AppendFiring(rule, group, firing, &details);
      json.EndArray().Key("correlation").Raw(details).EndObject().EndLine();
      output_.out(line_);
    });
    if (num_timeless_ == 0) return;
    output_.err(StrCat(num_timeless_,
                       " matches are left out of correlations: their events show no time\n"));
  }

  void Summarize(double seconds) const {
    output_.err(StrCat(
        num_events_, " events in ", num_files_, " files, ", num_matched_events_, " of them match; ",
        num_matches_, " matches of ", matched_rules_.size(), " rules among ",
        rules_.rules->rule_count(), "; ", Correlations(), rules_.errors.size(), " rules not used, ",
        num_errors_, " damages and events not read; ",
        static_cast<uint64_t>(static_cast<double>(num_events_) / seconds), " events/s\n"));
  }

  [[nodiscard]] uint64_t num_events() const { return num_events_; }

 private:
  [[nodiscard]] std::string Correlations() const {
    if (rules_.num_correlations == 0) return {};
    return StrCat(num_firings_, " firings of ", rules_.num_correlations, " correlations; ");
  }

  void MatchEvent(const std::string& path, const Event& event) {
    ++num_events_;
    const absl::Status matched = matcher_.Match(event.json, matches_);
    if (!matched.ok()) {
      return NoteError(StrCat(path, event.line ? StrCat(":", *event.line) : std::string(), ": ",
                              ToStd(matched.message()), ": event=", event.index));
    }
    if (matches_.empty()) return;
    ++num_matched_events_;
    const absl::StatusOr<EventFields> fields = EventFields::Parse(event.json, mapping_);
    for (const Rule* const rule : matches_) {
      ++num_matches_;
      if (correlations_.Reads(*rule) &&
          !(fields.ok() &&
            correlations_.Add(*rule, *fields,
                              StrCat(path, ":", event.line.value_or(event.index))))) {
        ++num_timeless_;
      }
      if (rules_.correlations.IsSilent(rule->id)) continue;
      matched_rules_.insert(rule);
      line_.clear();
      AppendMatch(*rule, path, event, fields.ok() ? &*fields : nullptr);
      output_.out(line_);
    }
  }

  void AppendMatch(const Rule& rule, const std::string& path, const Event& event,
                   const EventFields* fields) {
    JsonWriter json(&line_);
    json.BeginObject().Key("rule_id").String(rule.id).Key("title").String(rule.title);
    json.Key("level").String(rule.level).Key("tags").BeginArray();
    for (const std::string& tag : rule.metadata.tags) json.String(tag);
    json.EndArray().Key("file").String(path).Key("event").Uint(event.index);
    if (event.line) json.Key("line").Uint(*event.line);
    if (event.record_id) json.Key("record_id").Uint(*event.record_id);
    if (fields != nullptr) AppendEvidence(Explain(rule, *fields), json);
    json.EndObject().EndLine();
  }

  static void AppendEvidence(const Explanation& explanation, JsonWriter& json) {
    json.Key("selections").BeginArray();
    for (const std::string& name : MatchedSelections(explanation)) json.String(name);
    json.EndArray().Key("fields").BeginArray();
    for (const MatchedField& field : MatchedFields(explanation)) {
      json.BeginObject().Key("selection").String(field.selection);
      json.Key("field").String(field.field).Key("value").String(field.value).EndObject();
    }
    json.EndArray();
  }

  void NoteError(const std::string& line) {
    ++num_errors_;
    if (++errors_of_file_ <= kMaxErrorsShown) output_.err(StrCat(line, "\n"));
  }

  const LoadedRuleSet& rules_;
  const EventOptions& options_;
  const CommandOutput& output_;
  CorrelationRun correlations_;
  const EventMapping* const mapping_;  // May be null.
  Matcher matcher_;
  std::vector<const Rule*> matches_;
  std::string line_;
  std::unordered_set<const Rule*> matched_rules_;
  uint64_t num_files_ = 0;
  uint64_t num_events_ = 0;
  uint64_t num_matched_events_ = 0;
  uint64_t num_matches_ = 0;
  uint64_t num_firings_ = 0;
  uint64_t num_timeless_ = 0;  // Matches.
  uint64_t num_errors_ = 0;
  uint64_t errors_of_file_ = 0;
};

}  // namespace

absl::StatusOr<int> Match(const MatchCommand& command, const CommandOutput& output) {
  ASSIGN_OR_RETURN(const LoadedRuleSet rules, LoadRuleSet(command.rules, command.options));
  for (const std::string& error : rules.errors) {
    output.err(StrCat("rule not used: ", error, "\n"));
  }
  for (const std::string& warning : rules.warnings) output.err(StrCat(warning, "\n"));
  if (rules.rules->rule_count() == 0) {
    return absl::InvalidArgumentError("there is no rule that can be used");
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> files, FindEventFiles(command.events));
  MatchRun run(rules, command.options, output);
  RETURN_IF_ERROR(run.Begin());
  const auto begin = std::chrono::steady_clock::now();
  bool failed = false;
  for (const std::string& file : files) {
    const absl::Status status = run.MatchFile(file);
    if (status.ok()) continue;
    failed = true;
    output.err(StrCat(ToStd(status.message()), "\n"));
  }
  run.Correlate();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  run.Summarize(elapsed.count());
  return failed && run.num_events() == 0 ? kExitFailed : kExitDone;
}

}  // namespace weir::sigma
