#include <sys/resource.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/tools/commands.h"
#include "jobs/sigma/tools/event_reader.h"
#include "jobs/sigma/tools/rule_set_loader.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

/// Time that passed for the world and time that this process computed, in seconds.
struct Instant {
  double wall = 0;
  double cpu = 0;

  static Instant Now() {
    timespec cpu{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now().time_since_epoch();
    return {wall.count(),
            static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) * 1e-9};
  }
  Instant operator-(const Instant& other) const { return {wall - other.wall, cpu - other.cpu}; }
};

uint64_t MaxMemoryBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

/// Events in one piece of memory, so that reading files is no part of what is measured.
struct EventsInMemory {
  std::string text;
  std::vector<size_t> ends;
};

absl::StatusOr<EventsInMemory> ReadEvents(const BenchCommand& command) {
  EventsInMemory events;
  ASSIGN_OR_RETURN(const std::vector<std::string> files, FindEventFiles(command.events));
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(const std::unique_ptr<EventReader> reader,
                     EventReader::Open(file, command.options));
    Event event;
    while (true) {
      ASSIGN_OR_RETURN(const bool has_event, reader->Next(&event));
      if (!has_event) break;
      events.text += event.json;
      events.ends.push_back(events.text.size());
    }
  }
  if (events.ends.empty()) return absl::NotFoundError("there are no events to match");
  return events;
}

struct Totals {
  uint64_t matches = 0;
  uint64_t matched_events = 0;
  uint64_t bad_events = 0;
};

Totals MatchAll(Matcher& matcher, const EventsInMemory& events) {
  Totals totals;
  std::vector<const Rule*> matches;
  size_t begin = 0;
  for (const size_t end : events.ends) {
    const std::string_view event(events.text.data() + begin, end - begin);
    if (!matcher.Match(event, matches).ok()) ++totals.bad_events;
    totals.matches += matches.size();
    totals.matched_events += matches.empty() ? 0 : 1;
    begin = end;
  }
  return totals;
}

double Rounded(double value, double unit) {
  return static_cast<double>(static_cast<int64_t>(value / unit + 0.5)) * unit;
}

}  // namespace

absl::StatusOr<int> Bench(const BenchCommand& command, const CommandOutput& output) {
  const uint64_t memory_before = MaxMemoryBytes();
  const Instant start = Instant::Now();
  ASSIGN_OR_RETURN(const LoadedRuleSet rules, LoadRuleSet(command.rules, command.options));
  Matcher matcher;
  RETURN_IF_ERROR(matcher.SetRules(rules.rules));
  const Instant load = Instant::Now() - start;
  const uint64_t memory_of_rules = MaxMemoryBytes() - memory_before;
  ASSIGN_OR_RETURN(const EventsInMemory events, ReadEvents(command));
  for (int round = 0; round < command.rounds; ++round) {
    const Instant begin = Instant::Now();
    const Totals totals = MatchAll(matcher, events);
    const Instant taken = Instant::Now() - begin;
    const auto count = static_cast<double>(events.ends.size());
    std::string line;
    JsonWriter json(&line);
    json.BeginObject().Key("rules").Uint(rules.rules->rule_count());
    json.Key("rules_not_used").Uint(rules.errors.size());
    json.Key("load_s").Double(Rounded(load.wall, 1e-4));
    json.Key("load_cpu_s").Double(Rounded(load.cpu, 1e-4));
    json.Key("load_memory_bytes").Uint(memory_of_rules);
    json.Key("events").Uint(events.ends.size()).Key("event_bytes").Uint(events.text.size());
    json.Key("events_per_s").Uint(static_cast<uint64_t>(count / taken.wall));
    json.Key("events_per_cpu_s").Uint(static_cast<uint64_t>(count / taken.cpu));
    json.Key("matches").Uint(totals.matches).Key("matched_events").Uint(totals.matched_events);
    json.Key("bad_events").Uint(totals.bad_events).Key("max_memory_bytes").Uint(MaxMemoryBytes());
    json.EndObject().EndLine();
    output.out(line);
  }
  return kExitDone;
}

}  // namespace weir::sigma
