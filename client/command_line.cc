#include "client/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "client/version.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

/// CLI11's parser with the variables that it fills.
class Parser {
 public:
  Parser()
      : app_("Runs detection jobs on event streams, and the clusters that they run on.", "weir") {
    app_.require_subcommand(0, 1);
    app_.set_version_flag("--version", StrCat("weir ", kVersion));
    app_.footer(
        "Every command also takes --config FILE and -Dkey=value, and reads WEIR_* variables.\n"
        "weir COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 wrong "
        "usage.\n\nSettings:\n" +
        WeirOptions()->DescribeAsText());
    AddLocal();
    AddRun();
    AddList();
    AddCancel();
    AddStop();
    AddSavepoint();
    AddCheckpoint();
    AddScale();
    AddInfo();
    AddCheckpoints();
    AddUpload();
    AddState();
    AddSigma();
    for (CLI::App* const command : Commands()) command->allow_extras();
    app_.allow_extras();
  }

  absl::StatusOr<CommandLine> Parse(const std::vector<std::string>& arguments) {
    try {
      app_.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForVersion& version) {
      return Print(StrCat(version.what(), "\n"));
    } catch (const CLI::CallForHelp&) {
      const std::vector<CLI::App*> asked = app_.get_subcommands();
      return Print(asked.empty() ? app_.help() : asked.front()->help("weir"));
    } catch (const CLI::ParseError& error) {
      RETURN_IF_ERROR(CheckExtras());
      return absl::InvalidArgumentError(StrCat(error.what(), Hint()));
    }
    if (app_.got_subcommand("sigma")) {
      return absl::InvalidArgumentError(
          "sigma must be the first argument, and takes no settings: weir sigma COMMAND …");
    }
    RETURN_IF_ERROR(CheckExtras());
    RETURN_IF_ERROR(CheckScale());
    const std::vector<CLI::App*> chosen = app_.get_subcommands();
    if (chosen.empty()) return Print(app_.help());
    CommandLine line;
    line.command = Chosen(chosen.front());
    line.rest = rest_;
    line.json = json_;
    return line;
  }

  std::string Reference() {
    std::string text;
    for (CLI::App* const command : Commands()) {
      StrAppend(&text, "## weir ", command->get_name(), "\n\n```text\n", command->help(),
                "```\n\n");
    }
    return text;
  }

 private:
  static CommandLine Print(std::string text) {
    CommandLine line;
    line.command = PrintCommand{std::move(text)};
    return line;
  }

  std::vector<CLI::App*> Commands() {
    return app_.get_subcommands([](const CLI::App*) { return true; });
  }

  CLI::App* Add(const std::string& name, const std::string& description) {
    return app_.add_subcommand(name, description);
  }

  void AddRest(CLI::App* command, const std::string& otherwise) {
    command->add_option("--rest", rest_, "REST address of the cluster; " + otherwise)
        ->type_name("HOST:PORT");
  }

  void AddClientOptions(CLI::App* command) {
    AddRest(command, "else WEIR_REST, else rest.address and rest.port");
    command->add_flag("--json", json_, "Print JSON, as the REST API gives it");
  }

  void AddLocal() {
    CLI::App* const command =
        Add("local", "Starts a cluster of this machine alone and stays until Ctrl-C or SIGTERM");
    command->add_option("--task-managers", local_.task_managers, "TaskManagers to start")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    command
        ->add_option("--slots", local_.slots,
                     "Slots of each TaskManager; else taskmanager.numberOfTaskSlots")
        ->check(CLI::Range(1, 65536));
    command->add_option("--rest-port", local_.rest_port,
                        "Port of the REST API, 0 for a free one; else rest.port");
    command->add_option("--dir", local_.folder,
                        "Folder of checkpoints, uploads and logs; else a temporary one, removed at "
                        "the end");
    command->add_flag("--no-restart", no_restart_, "Start no new TaskManager when one dies");
    command->footer(
        "Children die with this command, however it ends. Prints one line once all is up:\n"
        "  weir local ready rest=HOST:PORT\n"
        "Exit codes: 0 stopped when asked to, 1 the cluster did not start or its JobManager died, "
        "2 wrong usage.");
  }

  void AddRun() {
    CLI::App* const command =
        Add("run",
            "Runs a job and waits for its end; without --rest and WEIR_REST, all in this process");
    command
        ->add_option("JOB_OR_LIBRARY", run_.job,
                     "A job that weir ships or that was uploaded, or the path of a library")
        ->required();
    AddRest(command, "else WEIR_REST, else the job runs in this process");
    command->add_option("--entry", run_.entry, "Name of the job, if the library has several");
    command->add_option("--name", run_.name, "Name of the job in lists; else its own");
    command
        ->add_option("--parallelism", run_.parallelism,
                     "Parallelism of operators that set none; else parallelism.default")
        ->check(CLI::Range(1, 32768));
    command->add_flag("--detached", run_.detached,
                      "Print the job's id and do not wait (with --rest)");
    command
        ->add_option("--from-savepoint", run_.from_savepoint,
                     "Savepoint or retained checkpoint to start from")
        ->type_name("PATH");
    command->add_flag("--allow-non-restored-state", run_.allow_non_restored_state,
                      "Start although the savepoint has state of operators that the job has not");
    command
        ->add_option("--claim-mode", run_.claim_mode,
                     "NO_CLAIM: the savepoint stays yours. CLAIM: the job deletes it when its own "
                     "checkpoints have replaced it. Else NO_CLAIM")
        ->type_name("MODE");
    command
        ->add_option(
            "--env", run_.environment,
            "Variables of the environment that the job gets as its argument --environment; "
            "with * behind, all that begin so")
        ->type_name("NAME,...")
        ->delimiter(',')
        ->allow_extra_args(false);
    command->add_flag("--json", json_, "Print the result as JSON");
    command->footer(
        "What follows -- goes to the job: weir run word_count -- --input FILE\n"
        "-Dkey=value are settings of this job. In this process a failed job is not started again\n"
        "unless restart-strategy.type is set.\n"
        "Exit codes: 0 FINISHED, 1 FAILED or not started, 2 wrong usage, 3 CANCELED, 130 Ctrl-C\n"
        "while waiting: the job goes on (with --rest) or is cancelled (in this process; twice "
        "ends\n"
        "at once).");
  }

  void AddList() {
    AddClientOptions(Add("list", "Lists running jobs and those that ended lately"));
  }

  void AddCancel() {
    CLI::App* const command = Add("cancel", "Cancels a job");
    command->add_option("JOB", cancel_.job, "The job's id, the beginning of one, or its name")
        ->required();
    AddClientOptions(command);
  }

  void AddFormat(CLI::App* command, std::string* format) {
    command
        ->add_option("--format", *format,
                     "CANONICAL: all files are copied. NATIVE: they are linked where the file "
                     "system can. Else CANONICAL")
        ->type_name("FORMAT");
  }

  void AddStop() {
    CLI::App* const command =
        Add("stop", "Stops a job with a savepoint, waits for its end and prints the path");
    command->add_option("JOB", stop_.job, "The job's id, the beginning of one, or its name")
        ->required();
    command
        ->add_option("--savepoint-path", stop_.directory,
                     "Folder that gets the savepoint; else execution.checkpointing.savepoint-dir")
        ->type_name("DIR");
    command->add_flag("--drain", stop_.drain,
                      "End the job's input before: timers fire, windows emit, and no later run can "
                      "add to them");
    AddFormat(command, &stop_.format);
    AddClientOptions(command);
  }

  void AddSavepoint() {
    CLI::App* const command =
        Add("savepoint", "Takes a savepoint of a running job, waits for it and prints its path");
    command->add_option("JOB", savepoint_.job, "The job's id, the beginning of one, or its name");
    command->add_option(
        "DIR", savepoint_.directory,
        "Folder that gets the savepoint; else execution.checkpointing.savepoint-dir");
    command
        ->add_option("--dispose", savepoint_.dispose,
                     "Delete this savepoint or retained checkpoint instead")
        ->type_name("PATH");
    AddFormat(command, &savepoint_.format);
    AddClientOptions(command);
  }

  void AddCheckpoint() {
    CLI::App* const command =
        Add("checkpoint", "Triggers a checkpoint of a job, waits for it and prints its number");
    command->add_option("JOB", checkpoint_.job, "The job's id, the beginning of one, or its name")
        ->required();
    AddClientOptions(command);
  }

  void AddScale() {
    CLI::App* const command =
        Add("scale", "Changes the parallelism of a running job, which keeps its id and its state");
    command->add_option("JOB", scale_.job, "The job's id, the beginning of one, or its name")
        ->required();
    command
        ->add_option("PARALLELISM", scale_.parallelism,
                     "Of all vertices whose parallelism the job's code leaves open")
        ->check(CLI::Range(1, 32768));
    command
        ->add_option(
            "--vertex", scale_vertices_,
            "Parallelism of one vertex, named by its name, a part of it, or its id; may be "
            "given several times")
        ->type_name("NAME=N");
    AddClientOptions(command);
    command->footer(
        "Takes a checkpoint, stops the tasks and starts them again from it with the new\n"
        "parallelism. The order is taken when this returns; weir list shows when the job runs "
        "again.");
  }

  // What CLI11 cannot say: NAME=N, and one of two arguments.
  absl::Status CheckScale() {
    if (app_.get_subcommands().empty() || app_.get_subcommands().front()->get_name() != "scale") {
      return absl::OkStatus();
    }
    for (const std::string& text : scale_vertices_) {
      const size_t at = text.rfind('=');
      const std::string number = at == std::string::npos ? "" : text.substr(at + 1);
      uint32_t parallelism = 0;
      const auto [end, error] =
          std::from_chars(number.data(), number.data() + number.size(), parallelism);
      if (at == 0 || error != std::errc() || end != number.data() + number.size() ||
          parallelism == 0 || parallelism > 32768) {
        return absl::InvalidArgumentError(
            StrCat("--vertex: expected NAME=N with N from 1 to 32768, not \"", text, "\"", Hint()));
      }
      scale_.of_vertices[text.substr(0, at)] = parallelism;
    }
    if (!scale_.parallelism.has_value() && scale_.of_vertices.empty()) {
      return absl::InvalidArgumentError(
          StrCat("PARALLELISM is missing; without it, give --vertex NAME=N", Hint()));
    }
    return absl::OkStatus();
  }

  void AddInfo() { AddClientOptions(Add("info", "Shows the cluster and its TaskManagers")); }

  void AddCheckpoints() {
    CLI::App* const command = Add("checkpoints", "Shows the checkpoints of a job");
    command->add_option("JOB", checkpoints_.job, "The job's id, the beginning of one, or its name")
        ->required();
    AddClientOptions(command);
  }

  void AddUpload() {
    CLI::App* const command = Add("upload", "Uploads a job library and prints its id");
    command->add_option("LIBRARY", upload_.library, "The library's file")->required();
    AddClientOptions(command);
  }

  void AddState() {
    CLI::App* const command = Add(
        "state", "Looks into the state of a checkpoint or savepoint, without a cluster or the job");
    command
        ->add_option("ACTION", state_action_,
                     "list: operators and their states; show: entries; "
                     "verify: checks every checksum")
        ->required()
        ->check(CLI::IsMember({"list", "show", "verify"}));
    command->add_option("PATH", state_.path, "Folder of the checkpoint or savepoint")->required();
    command->add_option("--operator", state_.op, "show: the operator's uid, or its id")
        ->type_name("UID");
    command->add_option("--state", state_.state, "show: the state; else all of the operator")
        ->type_name("NAME");
    command->add_option("--key", state_.key, "show: only entries of this key, given as JSON")
        ->type_name("JSON");
    command->add_option("--limit", state_.limit, "show: at most so many entries");
    command->add_flag("--json", json_, "list and verify: print JSON");
    command->footer(
        "show prints an entry a line, as JSON: key, value and what else the state has (namespace,\n"
        "map_key, index, time_ms). Files that must be copied go to the folder TMPDIR meanwhile.\n"
        "  weir state show chk-42 --operator logins --state count --key '\"alice\"'\n"
        "Exit codes: 0 done, 1 damaged or not to be read, 2 wrong usage.");
  }

  // Named here for the help alone: main() hands it to weir-sigma before anything is parsed.
  void AddSigma() {
    Add("sigma", "Checks Sigma rules and matches them against events in files, without a cluster")
        ->footer(
            "weir sigma check RULES...                       what is wrong with rules\n"
            "weir sigma match --rules DIR --events PATH      which events match which rules\n"
            "weir sigma explain RULE --event FILE            why a rule matches an event or not\n"
            "weir sigma bench --rules DIR --events PATH      how fast that is here\n"
            "weir sigma settings [FLAG...]                   the settings of the job sigma\n"
            "weir sigma COMMAND --help says more.");
  }

  StateCommand State() {
    state_.action = state_action_ == "show"     ? StateCommand::Action::kShow
                    : state_action_ == "verify" ? StateCommand::Action::kVerify
                                                : StateCommand::Action::kList;
    return state_;
  }

  decltype(CommandLine::command) Chosen(const CLI::App* command) {
    const std::string name = command->get_name();
    if (name == "local") {
      local_.restart_task_managers = !no_restart_;
      return local_;
    }
    if (name == "run") return run_;
    if (name == "cancel") return cancel_;
    if (name == "scale") return scale_;
    if (name == "info") return InfoCommand();
    if (name == "checkpoints") return checkpoints_;
    if (name == "upload") return upload_;
    if (name == "state") return State();
    if (name == "stop") return stop_;
    if (name == "savepoint") return savepoint_;
    if (name == "checkpoint") return checkpoint_;
    return ListCommand();
  }

  std::string Hint() {
    const std::vector<CLI::App*> chosen = app_.get_subcommands();
    return chosen.empty() ? "; see weir --help"
                          : StrCat("; see weir ", chosen.front()->get_name(), " --help");
  }

  absl::Status CheckExtras() {
    const std::vector<CLI::App*> chosen = app_.get_subcommands();
    const std::vector<std::string> extras =
        chosen.empty() ? app_.remaining() : chosen.front()->remaining();
    if (extras.empty()) return absl::OkStatus();
    const bool is_option = extras.front().starts_with('-');
    const std::string extra = extras.front().substr(0, extras.front().find('='));
    if (!chosen.empty() && !is_option) {
      return absl::InvalidArgumentError(
          StrCat("one argument too many: \"", extra, "\"",
                 chosen.front()->get_name() == "run" ? "; what is for the job goes behind --" : "",
                 Hint()));
    }
    std::vector<std::string> known = {"--config", "--help"};
    CLI::App* const scope = chosen.empty() ? &app_ : chosen.front();
    for (const CLI::Option* const option : scope->get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
    if (!is_option) {
      known.clear();
      for (const CLI::App* const command : Commands()) known.push_back(command->get_name());
    }
    const std::string_view nearest =
        NearestMatch(extra, std::vector<std::string_view>(known.begin(), known.end()));
    return absl::InvalidArgumentError(
        StrCat(is_option ? "unknown option: \"" : "unknown command: \"", extra, "\"",
               nearest.empty() ? Hint() : StrCat("; did you mean \"", nearest, "\"?")));
  }

  CLI::App app_;
  LocalCommand local_;
  RunCommand run_;
  CancelCommand cancel_;
  ScaleCommand scale_;
  std::vector<std::string> scale_vertices_;
  CheckpointsCommand checkpoints_;
  UploadCommand upload_;
  StateCommand state_;
  std::string state_action_;
  SavepointCommand savepoint_;
  StopCommand stop_;
  CheckpointCommand checkpoint_;
  std::string rest_;
  bool json_ = false;
  bool no_restart_ = false;
};

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(std::vector<std::string> arguments) {
  ASSIGN_OR_RETURN(ConfigurationSources sources, TakeConfigurationSources(&arguments));
  const auto separator = std::find(arguments.begin(), arguments.end(), "--");
  std::vector<std::string> of_job(separator == arguments.end() ? separator : separator + 1,
                                  arguments.end());
  const bool separated = separator != arguments.end();
  arguments.erase(separator, arguments.end());
  ASSIGN_OR_RETURN(CommandLine line, Parser().Parse(arguments));
  line.sources = std::move(sources);
  if (const auto* const savepoint = std::get_if<SavepointCommand>(&line.command);
      savepoint != nullptr && savepoint->job.empty() == savepoint->dispose.empty()) {
    return absl::InvalidArgumentError(
        "give either a job to take a savepoint of, or --dispose PATH; see weir savepoint --help");
  }
  if (auto* const run = std::get_if<RunCommand>(&line.command)) {
    run->arguments = std::move(of_job);
  } else if (separated && !std::holds_alternative<PrintCommand>(line.command)) {
    return absl::InvalidArgumentError("only weir run takes arguments of a job behind --");
  }
  return line;
}

std::string CommandLineReference() { return Parser().Reference(); }

}  // namespace weir
