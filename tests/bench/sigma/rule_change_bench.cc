// Measures what a change of a rule costs while events are matched: as the job does it, one thread
// matches and takes the changes in. Prints one line of JSON.
//
//   sigma_rule_change_bench RULES_FOLDER EVENTS.ndjson [CHANGES]
//
// Between two changes 200 events are matched. A change takes the time from the rule's message to
// the rule's first match: reading it, making it part of the rules in force, and matching an event
// that it is for.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/event_tagger.h"
#include "runtime/base/strings.h"
#include "tests/bench/cpu_seconds.h"

namespace weir::sigma {
namespace {

constexpr int kEventsBetweenChanges = 200;
constexpr size_t kWarmEvents = 20'000;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

/// One thread's tagger with events to feed it, over and over.
class Bench {
 public:
  explicit Bench(const char* events_file) : text_(ReadFile(events_file)), tagger_({}) {
    for (const std::string_view line : StrSplit(text_, '\n')) {
      if (!line.empty()) events_.push_back(line);
    }
  }

  bool SetRule(const std::string& key, const std::string& yaml) {
    std::vector<RuleProblem> problems;
    StoredRule rule;
    rule.text = yaml;
    return tagger_.SetRule(key, rule, &problems);
  }

  void Load(const char* folder) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      (void)SetRule(entry.path().filename(), ReadFile(entry.path()));
    }
    Tag(events_.front());
  }

  /// Matches `count` events; returns the CPU time an event takes.
  double Match(size_t count) {
    const double begin = ThreadSeconds();
    for (size_t i = 0; i < count; ++i) Tag(events_[next_++ % events_.size()]);
    return (ThreadSeconds() - begin) / static_cast<double>(count);
  }

  size_t Tag(std::string_view event) {
    if (!tagger_.Tag(event, &tagged_, &result_).ok()) ++bad_events_;
    return result_.matches.size();
  }

  size_t num_rules() const { return tagger_.num_rules(); }

  static double ThreadSeconds() {
    return std::chrono::duration<double>(ThreadCpuClock::now().time_since_epoch()).count();
  }

 private:
  std::string text_;
  EventTagger tagger_;
  std::vector<std::string_view> events_;
  size_t next_ = 0;
  std::string tagged_;
  TagResult result_;
  size_t bad_events_ = 0;
};

double At(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))] * 1000;
}

int Run(const char* folder, const char* events_file, int changes) {
  using Clock = std::chrono::steady_clock;
  Bench bench(events_file);
  bench.Load(folder);
  (void)bench.Match(kWarmEvents);
  const double quiet = bench.Match(kWarmEvents);
  const double process_begin = CpuSeconds();
  std::vector<double> cpu;
  std::vector<double> wall;
  double matching = 0;
  for (int change = 0; change < changes; ++change) {
    matching += bench.Match(kEventsBetweenChanges);
    const std::string value = "changed" + std::to_string(change);
    const std::string yaml = "title: t\nid: changing-" + std::to_string(change % 50) +
                             "\nlogsource: {product: windows}\ndetection:\n  s:\n"
                             "    CommandLine|contains: " +
                             value + "\n  condition: s\n";
    const std::string event = "{\"EventID\":1,\"CommandLine\":\"run " + value + "\"}";
    const double cpu_begin = Bench::ThreadSeconds();
    const Clock::time_point begin = Clock::now();
    if (!bench.SetRule("changing-" + std::to_string(change % 50), yaml) || bench.Tag(event) != 1) {
      std::fprintf(stderr, "a changed rule does not match\n");
      return 1;
    }
    wall.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    cpu.push_back(Bench::ThreadSeconds() - cpu_begin);
  }
  const double process = CpuSeconds() - process_begin;
  std::sort(cpu.begin(), cpu.end());
  std::sort(wall.begin(), wall.end());
  std::printf(
      "{\"rules\":%zu,\"changes\":%d,\"event_us_quiet\":%.2f,\"event_us_changing\":%.2f,"
      "\"change_cpu_ms_p50\":%.3f,\"change_cpu_ms_p99\":%.3f,\"change_cpu_ms_max\":%.3f,"
      "\"change_ms_p50\":%.3f,\"change_ms_p99\":%.3f,\"change_ms_max\":%.3f,"
      "\"process_cpu_s\":%.3f}\n",
      bench.num_rules(), changes, quiet * 1e6, matching / changes * 1e6, At(cpu, 0.5),
      At(cpu, 0.99), At(cpu, 1), At(wall, 0.5), At(wall, 0.99), At(wall, 1), process);
  return 0;
}

}  // namespace
}  // namespace weir::sigma

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s RULES_FOLDER EVENTS.ndjson [CHANGES]\n", argv[0]);
    return 2;
  }
  return weir::sigma::Run(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 200);
}
