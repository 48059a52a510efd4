#include "jobs/examples/hot_rules.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "jobs/examples/logins.h"
#include "operators/api/keyed_stream.h"
#include "operators/connectors/file/file_source.h"
#include "operators/connectors/values_source.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::examples {
namespace {

struct Rule {
  std::string name;
  std::string host;  // Empty: the rule is taken away.
  int64_t limit = 0;
};

/// Lines that are no rule are left out: a typing mistake must not end the job.
void ParseRule(const std::string& line, Collector<Rule>& out) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  Rule rule;
  if (words.size() == 1) out.Collect({words[0], "", 0});
  if (words.size() == 3 && absl::SimpleAtoi(words[2], &rule.limit) && rule.limit > 0) {
    rule.name = words[0];
    rule.host = words[1];
    out.Collect(rule);
  }
}

class ApplyRules final
    : public KeyedBroadcastProcessFunction<std::string, Login, Rule, std::string> {
 public:
  absl::Status Open(KeyedOpenContext<std::string>& context) override {
    ASSIGN_OR_RETURN(
        rules_, context.GetBroadcastState(BroadcastStateDescriptor<std::string, Rule>{"rules"}));
    ASSIGN_OR_RETURN(failures_,
                     context.GetState(MapStateDescriptor<std::string, int64_t>{"failures"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Login& login, Context&, Collector<std::string>& out) override {
    for (const auto& [name, rule] : rules_.entries()) {
      if (!login.failed || login.host != rule.host) continue;
      if (++failures_.Mutable(name) != rule.limit) continue;
      out.Collect(
          JsonLine({{"rule", name}, {"user", login.user}, {"at", login.time.millis() / 1000}}));
    }
  }
  void ProcessBroadcastElement(const Rule& rule, BroadcastContext&,
                               Collector<std::string>&) override {
    if (rule.host.empty()) {
      rules_.Remove(rule.name);
    } else {
      rules_.Put(rule.name, rule);
    }
  }

 private:
  BroadcastState<std::string, Rule> rules_;
  MapState<std::string, int64_t> failures_;
};

DataStream<std::string> RuleLines(StreamEnvironment& environment, const JobArgs& args) {
  const auto no_time = WatermarkStrategy<std::string>::NoWatermarks();
  const std::optional<std::string> file = args.Find("rules");
  if (!file.has_value()) {
    return environment.FromSource(
        ValuesSource<std::string>({"often host-0 10", "too-often host-1 12"}), no_time, "Rules");
  }
  FileSourceOptions options;
  options.path = args.ResolvePath(*file);
  options.format = FileFormat::kLines;
  options.follow = true;
  return environment.FromSource(FileSource(options), no_time, "Rules");
}

// One subtask, so that all others get the rules in one order.
DataStream<Rule> Rules(StreamEnvironment& environment, const JobArgs& args) {
  return RuleLines(environment, args)
      .SetParallelism(1)
      .Uid("rules")
      .FlatMap<Rule>(ParseRule)
      .SetParallelism(1)
      .Name("Parse");
}

}  // namespace

absl::Status BuildHotRules(StreamEnvironment& environment, const JobArgs& args) {
  ASSIGN_OR_RETURN(const DataStream<Login> logins, Logins(environment, args, 2'000));
  WriteLines(logins.KeyBy([](const Login& login) { return login.user; })
                 .Connect(Rules(environment, args).Broadcast())
                 .StartAfterBroadcast()
                 .Process(ApplyRules())
                 .Name("ApplyRules")
                 .Uid("apply-rules"),
             args);
  return absl::OkStatus();
}

}  // namespace weir::examples
