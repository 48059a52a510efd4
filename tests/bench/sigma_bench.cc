// Measures the Sigma engine: loads a folder of rules, matches an NDJSON file against them a few
// times on one thread and prints one JSON line with load time, events per CPU-second and the
// matches found.
//
//   sigma_bench RULES_FOLDER EVENTS.ndjson [ROUNDS]

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/engine/rule_files.h"
#include "runtime/base/strings.h"
#include "tests/bench/cpu_seconds.h"

namespace weir::sigma {
namespace {

struct Totals {
  size_t matches = 0;
  size_t matched_events = 0;
  size_t bad_events = 0;
  std::set<const Rule*> rules;
};

Totals MatchAll(Matcher& matcher, const std::vector<std::string_view>& events) {
  Totals totals;
  std::vector<const Rule*> matches;
  for (const std::string_view event : events) {
    if (!matcher.Match(event, matches).ok()) ++totals.bad_events;
    totals.matches += matches.size();
    totals.matched_events += matches.empty() ? 0 : 1;
    totals.rules.insert(matches.begin(), matches.end());
  }
  return totals;
}

int Run(const char* rules_folder, const char* events_file, int rounds) {
  const double start = CpuSeconds();
  LoadedRules loaded = LoadRuleFiles(rules_folder);
  const double parsed = CpuSeconds();
  const CompileResult compiled = CompileRules(loaded.rules);
  Matcher matcher;
  if (!matcher.SetRules(compiled.rules).ok()) return 1;
  const double ready = CpuSeconds();
  const CompileResult again = CompileRules(std::move(loaded.rules), compiled.rules.get());
  const double reloaded = CpuSeconds();

  std::ifstream stream(events_file, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(stream)),
                         std::istreambuf_iterator<char>());
  std::vector<std::string_view> events;
  for (const std::string_view line : StrSplit(text, '\n')) {
    if (!line.empty()) events.push_back(line);
  }
  for (int round = 0; round < rounds; ++round) {
    const double begin = CpuSeconds();
    const Totals totals = MatchAll(matcher, events);
    const double seconds = CpuSeconds() - begin;
    std::printf(
        "{\"rules\":%zu,\"refused\":%zu,\"predicates\":%zu,\"unindexed_rules\":%zu,\"parse_s\":%."
        "3f,\"compile_s\":%.3f,"
        "\"recompile_s\":%.3f,\"events\":%zu,\"bad_events\":%zu,\"events_per_cpu_s\":%.0f,"
        "\"matches\":%zu,"
        "\"matched_events\":%zu,\"matched_rules\":%zu}\n",
        compiled.rules->rule_count(), loaded.errors.size() + compiled.errors.size(),
        compiled.rules->predicate_count(), compiled.rules->unindexed_rule_count(), parsed - start,
        ready - parsed, reloaded - ready, events.size(), totals.bad_events,
        static_cast<double>(events.size()) / seconds, totals.matches, totals.matched_events,
        totals.rules.size());
  }
  return 0;
}

}  // namespace
}  // namespace weir::sigma

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s RULES_FOLDER EVENTS.ndjson [ROUNDS]\n", argv[0]);
    return 2;
  }
  return weir::sigma::Run(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 3);
}
