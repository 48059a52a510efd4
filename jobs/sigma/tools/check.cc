#include <array>
#include <string>
#include <vector>

#include "jobs/sigma/tools/commands.h"
#include "jobs/sigma/tools/lint.h"
#include "jobs/sigma/tools/rule_set_loader.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Counts = std::array<size_t, 3>;  // By severity.

std::string AsText(const Finding& finding) {
  return StrCat(finding.file, finding.line > 0 ? StrCat(":", finding.line) : "", ": ",
                ToString(finding.severity), ": ", finding.message, " [", finding.check, "]\n");
}

void WriteFinding(const Finding& finding, JsonWriter& json) {
  json.BeginObject();
  json.Key("severity").String(ToString(finding.severity)).Key("check").String(finding.check);
  json.Key("file").String(finding.file);
  if (finding.line > 0) json.Key("line").Int(finding.line);
  if (!finding.rule_id.empty()) json.Key("rule_id").String(finding.rule_id);
  if (!finding.title.empty()) json.Key("title").String(finding.title);
  json.Key("message").String(finding.message).EndObject();
}

std::string AsJson(const std::vector<Finding>& findings, const LintResult& result,
                   const Counts& counts) {
  std::string text;
  JsonWriter json(&text);
  json.BeginObject().Key("files").Uint(result.num_files).Key("rules").Uint(result.num_rules);
  json.Key("errors").Uint(counts[2]).Key("warnings").Uint(counts[1]).Key("infos").Uint(counts[0]);
  json.Key("findings").BeginArray();
  for (const Finding& finding : findings) WriteFinding(finding, json);
  json.EndArray().EndObject().EndLine();
  return text;
}

}  // namespace

absl::StatusOr<int> Check(const CheckCommand& command, const CommandOutput& output) {
  ASSIGN_OR_RETURN(Linter linter, Linter::Create(command.disabled));
  ASSIGN_OR_RETURN(const std::vector<std::string> files, FindRuleFiles(command.rules));
  for (const std::string& file : files) {
    const absl::StatusOr<std::string> text = ReadTextFile(file);
    if (text.ok()) {
      linter.AddFile(file, *text);
    } else {
      linter.AddUnreadable(file, "the file cannot be read");
    }
  }
  const LintResult result = linter.Finish();
  Counts counts{};
  bool failed = false;
  std::vector<Finding> shown;
  for (const Finding& finding : result.findings) {
    ++counts[static_cast<size_t>(finding.severity)];
    failed = failed || finding.severity >= command.fail_on;
    if (finding.severity >= command.level) shown.push_back(finding);
  }
  if (command.json) {
    output.out(AsJson(shown, result, counts));
  } else {
    for (const Finding& finding : shown) output.out(AsText(finding));
  }
  output.err(StrCat("checked ", result.num_rules, " rules in ", result.num_files, " files: ",
                    counts[2], " errors, ", counts[1], " warnings, ", counts[0], " infos\n"));
  return failed ? kExitFailed : kExitDone;
}

}  // namespace weir::sigma
