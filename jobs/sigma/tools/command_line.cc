#include "jobs/sigma/tools/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

const std::map<std::string, Severity> kSeverities = {
    {"info", Severity::kInfo}, {"warning", Severity::kWarning}, {"error", Severity::kError}};
const std::map<std::string, EventFormat> kFormats = {{"auto", EventFormat::kAuto},
                                                     {"json", EventFormat::kJson},
                                                     {"evtx", EventFormat::kEvtx},
                                                     {"zeek", EventFormat::kZeek}};

template <class Value>
std::vector<std::string> Names(const std::map<std::string, Value>& values) {
  std::vector<std::string> names;
  for (const auto& [name, value] : values) names.push_back(name);
  return names;
}

/// CLI11's parser with the variables that it fills.
class Parser {
 public:
  Parser() : app_("Checks Sigma rules and matches them against events in files.", "weir sigma") {
    app_.require_subcommand(0, 1);
    app_.footer(
        "weir sigma COMMAND --help says more. Rules are .yml and .yaml files, or folders of them;\n"
        "events are Windows event logs (.evtx), JSON (one object a line, an array, or objects "
        "behind\n"
        "each other) and Zeek logs (tab-separated or JSON), or folders of these. Needs no "
        "cluster.");
    AddCheck();
    AddMatch();
    AddExplain();
    AddBench();
    AddSettings();
    for (CLI::App* const command : Commands()) command->allow_extras();
    app_.allow_extras();
  }

  absl::StatusOr<Command> Parse(const std::vector<std::string>& arguments) {
    try {
      app_.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForHelp&) {
      const std::vector<CLI::App*> asked = app_.get_subcommands();
      return PrintCommand{asked.empty() ? app_.help() : asked.front()->help("weir sigma")};
    } catch (const CLI::ParseError& error) {
      RETURN_IF_ERROR(CheckExtras());
      return absl::InvalidArgumentError(StrCat(error.what(), Hint()));
    }
    RETURN_IF_ERROR(CheckExtras());
    const std::vector<CLI::App*> chosen = app_.get_subcommands();
    if (chosen.empty()) return PrintCommand{app_.help()};
    return Chosen(chosen.front()->get_name());
  }

  std::string Reference() {
    std::string text;
    for (CLI::App* const command : Commands()) {
      StrAppend(&text, "## weir sigma ", command->get_name(), "\n\n```text\n",
                command->help("weir sigma"), "```\n\n");
    }
    return text;
  }

 private:
  std::vector<CLI::App*> Commands() {
    return app_.get_subcommands([](const CLI::App*) { return true; });
  }

  void AddCheck() {
    CLI::App* const command = app_.add_subcommand(
        "check",
        "Finds what is wrong with rules: errors, rules that cannot match, slow patterns, "
        "departures from SigmaHQ's conventions");
    command->add_option("RULES", check_.rules, "Rule files and folders")->required();
    command->add_option("--level", level_, "Least severity to show: info, warning or error")
        ->check(CLI::IsMember(Names(kSeverities)))
        ->type_name("LEVEL")
        ->capture_default_str();
    command->add_option("--fail-on", fail_on_, "Least severity that makes the exit code 1")
        ->check(CLI::IsMember(Names(kSeverities)))
        ->type_name("LEVEL")
        ->capture_default_str();
    command
        ->add_option("--disable", check_.disabled,
                     "A check to leave out; may be given several "
                     "times")
        ->allow_extra_args(false)
        ->type_name("CHECK");
    command->add_option("--format", check_format_, "text: a finding a line; json: one document")
        ->check(CLI::IsMember({"text", "json"}))
        ->type_name("FORMAT")
        ->capture_default_str();
    command->footer(
        "A finding: FILE:LINE: SEVERITY: what, and how to mend it [CHECK]\n"
        "Exit codes: 0 clean, 1 findings at or above --fail-on, 2 wrong usage.");
  }

  void AddRules(CLI::App* command, std::vector<std::string>* rules) {
    command->add_option("--rules", *rules, "Rule files and folders")->required()->type_name("PATH");
  }

  void AddEventOptions(CLI::App* command, EventOptions* options) {
    command
        ->add_option("--pipeline", options->pipelines,
                     "Where these events hold the fields of rules, and how they show their log "
                     "source: a file, or one that weir ships (windows, ecs, zeek, linux_auditd, "
                     "aws_cloudtrail, azure, okta); several add up. Else windows; none: none")
        ->allow_extra_args(false)
        ->type_name("FILE|NAME");
    command
        ->add_option(
            "--logsource", log_source_,
            "route: a rule is tried only on events of its log source, where an event shows "
            "one; ignore: on every event")
        ->check(CLI::IsMember({"route", "ignore"}))
        ->type_name("HOW")
        ->capture_default_str();
    command->add_option("--format", format_, "auto, json, evtx or zeek; auto looks at the file")
        ->check(CLI::IsMember(Names(kFormats)))
        ->type_name("FORMAT")
        ->capture_default_str();
  }

  void AddMatch() {
    CLI::App* const command = app_.add_subcommand(
        "match", "Prints which events match which rules, a match a line, as JSON");
    AddRules(command, &match_.rules);
    command->add_option("--events", match_.events, "Event files and folders; - is stdin")
        ->required()
        ->type_name("PATH");
    AddEventOptions(command, &match_.options);
    command->footer(
        "Each line: rule_id, title, level, tags, file, event (its index in the file, from 0), "
        "line\n"
        "or record_id, selections that held, fields that were seen. A summary goes to stderr; so "
        "do\n"
        "rules that are not used, and events that cannot be read, with file and line.\n"
        "Exit codes: 0 done, matches or not; 1 nothing could be matched; 2 wrong usage.");
  }

  void AddExplain() {
    CLI::App* const command = app_.add_subcommand(
        "explain",
        "Shows why a rule matches an event or not: its condition as a tree, with what "
        "each test saw");
    command->add_option("RULE", explain_.rule, "A file with the rule")->required();
    command->add_option("--event", explain_.event, "A file with the event; - is stdin")
        ->required()
        ->type_name("FILE");
    command
        ->add_option("--index", explain_.index,
                     "Which event of the file, counted from 0; else the first ten")
        ->type_name("N");
    AddEventOptions(command, &explain_.options);
    command->add_flag("--json", explain_.json, "Print an event a line, as JSON");
    command->footer(
        "+ holds, - does not. Exit codes: 0 explained, 1 rule or event cannot be read, 2 wrong "
        "usage.");
  }

  void AddBench() {
    CLI::App* const command = app_.add_subcommand(
        "bench", "Measures how fast rules are matched here: events per second and per CPU-second");
    AddRules(command, &bench_.rules);
    command->add_option("--events", bench_.events, "Event files and folders, kept in memory")
        ->required()
        ->type_name("PATH");
    AddEventOptions(command, &bench_.options);
    command->add_option("--rounds", bench_.rounds, "How often all events are matched")
        ->check(CLI::Range(1, 1000))
        ->type_name("N")
        ->capture_default_str();
    command->footer(
        "Prints a line of JSON a round; one thread. Exit codes: 0 done, 1 failed, 2 wrong "
        "usage.");
  }

  void AddSettings() {
    CLI::App* const command = app_.add_subcommand(
        "settings",
        "Shows the settings of the job sigma that environment, file and flags make, and where "
        "each is from");
    command->add_option("--env-file", settings_.env_file, "A file with lines NAME=value")
        ->type_name("FILE");
    command->footer(
        "Flags follow as the job takes them: weir sigma settings --job-id soc --output-mode "
        "all_events\n"
        "Secrets are hidden. Exit codes: 0 done, 1 a setting is not allowed, 2 wrong usage.");
  }

  Command Chosen(const std::string& name) {
    EventOptions* const options = name == "match"     ? &match_.options
                                  : name == "explain" ? &explain_.options
                                                      : &bench_.options;
    options->format = kFormats.at(format_);
    options->ignore_log_source = log_source_ == "ignore";
    check_.level = kSeverities.at(level_);
    check_.fail_on = kSeverities.at(fail_on_);
    check_.json = check_format_ == "json";
    if (name == "check") return check_;
    if (name == "match") return match_;
    if (name == "explain") return explain_;
    if (name == "settings") {
      settings_.flags = app_.get_subcommand("settings")->remaining();
      return settings_;
    }
    return bench_;
  }

  std::string Hint() {
    const std::vector<CLI::App*> chosen = app_.get_subcommands();
    return chosen.empty() ? "; see weir sigma --help"
                          : StrCat("; see weir sigma ", chosen.front()->get_name(), " --help");
  }

  absl::Status CheckExtras() {
    const std::vector<CLI::App*> chosen = app_.get_subcommands();
    CLI::App* const scope = chosen.empty() ? &app_ : chosen.front();
    if (scope->get_name() == "settings") return absl::OkStatus();  // They are the job's flags.
    const std::vector<std::string> extras = scope->remaining();
    if (extras.empty()) return absl::OkStatus();
    const std::string extra = extras.front().substr(0, extras.front().find('='));
    const bool is_option = extra.starts_with('-');
    std::vector<std::string> known;
    if (is_option) {
      known.emplace_back("--help");
      for (const CLI::Option* const option : scope->get_options()) {
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
      }
    } else if (chosen.empty()) {
      known = {"check", "match", "explain", "bench", "settings"};
    }
    const std::string_view nearest =
        NearestMatch(extra, std::vector<std::string_view>(known.begin(), known.end()));
    const std::string_view what = is_option        ? "unknown option: \""
                                  : chosen.empty() ? "unknown command: \""
                                                   : "one argument too many: \"";
    return absl::InvalidArgumentError(StrCat(
        what, extra, "\"", nearest.empty() ? Hint() : StrCat("; did you mean \"", nearest, "\"?")));
  }

  CLI::App app_;
  CheckCommand check_;
  MatchCommand match_;
  ExplainCommand explain_;
  BenchCommand bench_;
  SettingsCommand settings_;
  std::string level_ = "info";
  std::string fail_on_ = "error";
  std::string check_format_ = "text";
  std::string format_ = "auto";
  std::string log_source_ = "route";
};

}  // namespace

absl::StatusOr<Command> ParseSigmaCommandLine(std::vector<std::string> arguments) {
  return Parser().Parse(arguments);
}

std::string SigmaCommandLineReference() { return Parser().Reference(); }

}  // namespace weir::sigma
