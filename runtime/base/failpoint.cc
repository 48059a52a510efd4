#include "runtime/base/failpoint.h"

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "runtime/base/logging.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"
#include "runtime/base/units.h"

namespace weir {
namespace {

struct Armed {
  FailpointAction action;
  int64_t hits = 0;
};

struct Failpoints {
  // Relaxed: it only spares the lock. Whoever must see an armed failpoint is told of it by the test
  // anyway.
  std::atomic<size_t> num_armed{0};
  Mutex mutex;
  absl::flat_hash_map<std::string, Armed, StringHash, std::equal_to<>> armed ABSL_GUARDED_BY(mutex);
};

Failpoints& GetFailpoints() {
  static auto* const failpoints =
      new Failpoints;  // Leaked: threads may pass one while statics are destroyed.
  return *failpoints;
}

absl::Status SpecificationError(std::string_view what, std::string_view item) {
  return absl::InvalidArgumentError(StrCat(
      "not a failpoint: ", what,
      "; expected name=error, name=crash@3 or name=delay(100 ms)@2+, joined by semicolons: \"",
      item, "\""));
}

// Reads what follows the '@' of an item: "3" or "3+".
absl::Status ParseHits(std::string_view text, std::string_view item, FailpointAction* action) {
  const bool open_ended = !text.empty() && text.back() == '+';
  if (open_ended) text.remove_suffix(1);
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), action->first_hit);
  if (error != std::errc() || stop != text.data() + text.size() || action->first_hit < 1) {
    return SpecificationError("after @ comes the number of a hit, from 1", item);
  }
  if (!open_ended) action->last_hit = action->first_hit;
  return absl::OkStatus();
}

absl::StatusOr<std::pair<std::string, FailpointAction>> ParseItem(std::string_view item) {
  const size_t equals = item.find('=');
  if (equals == std::string_view::npos) return SpecificationError("it has no =", item);
  const std::string name(StripWhitespace(item.substr(0, equals)));
  if (name.empty()) return SpecificationError("it has no name", item);
  std::string_view verb = StripWhitespace(item.substr(equals + 1));
  FailpointAction action;
  if (const size_t at = verb.rfind('@'); at != std::string_view::npos) {
    RETURN_IF_ERROR(ParseHits(verb.substr(at + 1), item, &action));
    verb = verb.substr(0, at);
  }
  if (verb == "error") {
    action.error = absl::UnavailableError(StrCat("failpoint armed to fail: ", name));
  } else if (verb == "crash") {
    action.crash = true;
  } else if (verb.starts_with("delay(") && verb.ends_with(")")) {
    ASSIGN_OR_RETURN(action.delay, ParseDurationText(verb.substr(6, verb.size() - 7)));
  } else {
    return SpecificationError("the action is none of error, crash, delay(...)", item);
  }
  return std::make_pair(name, std::move(action));
}

}  // namespace

void ArmFailpoint(std::string_view name, FailpointAction action) {
  Failpoints& failpoints = GetFailpoints();
  const MutexLock lock(&failpoints.mutex);
  failpoints.armed.insert_or_assign(std::string(name), Armed{.action = std::move(action)});
  failpoints.num_armed.store(failpoints.armed.size(), std::memory_order_relaxed);
}

absl::Status ArmFailpoints(std::string_view specification) {
  std::vector<std::pair<std::string, FailpointAction>> items;
  for (const std::string_view part : StrSplit(specification, ';')) {
    const std::string_view item = StripWhitespace(part);
    if (item.empty()) continue;
    ASSIGN_OR_RETURN(items.emplace_back(), ParseItem(item));
  }
  for (auto& [name, action] : items) ArmFailpoint(name, std::move(action));
  return absl::OkStatus();
}

absl::Status ArmFailpointsFromEnvironment() {
  const char* const specification = std::getenv("WEIR_FAILPOINTS");
  if (specification == nullptr || *specification == '\0') return absl::OkStatus();
#if WEIR_FAILPOINTS_ARE_ON
  return ArmFailpoints(specification);
#else
  return absl::FailedPreconditionError(
      "WEIR_FAILPOINTS is set, but this build has no failpoints; unset it, or use a debug build or "
      "one "
      "with WEIR_ENABLE_FAILPOINTS defined");
#endif
}

void DisarmFailpoint(std::string_view name) {
  Failpoints& failpoints = GetFailpoints();
  const MutexLock lock(&failpoints.mutex);
  const auto found = failpoints.armed.find(name);
  if (found != failpoints.armed.end()) failpoints.armed.erase(found);
  failpoints.num_armed.store(failpoints.armed.size(), std::memory_order_relaxed);
}

void DisarmAllFailpoints() {
  Failpoints& failpoints = GetFailpoints();
  const MutexLock lock(&failpoints.mutex);
  failpoints.armed.clear();
  failpoints.num_armed.store(0, std::memory_order_relaxed);
}

int64_t FailpointHits(std::string_view name) {
  Failpoints& failpoints = GetFailpoints();
  const MutexLock lock(&failpoints.mutex);
  const auto found = failpoints.armed.find(name);
  return found == failpoints.armed.end() ? 0 : found->second.hits;
}

namespace internal {

bool AnyFailpointArmed() { return GetFailpoints().num_armed.load(std::memory_order_relaxed) > 0; }

absl::Status HitFailpoint(std::string_view name) {
  FailpointAction action;
  {
    Failpoints& failpoints = GetFailpoints();
    const MutexLock lock(&failpoints.mutex);
    const auto found = failpoints.armed.find(name);
    if (found == failpoints.armed.end()) return absl::OkStatus();
    Armed& armed = found->second;
    ++armed.hits;
    if (armed.hits < armed.action.first_hit || armed.hits > armed.action.last_hit) {
      return absl::OkStatus();
    }
    action = armed.action;
  }
  if (action.delay > absl::ZeroDuration()) absl::SleepFor(action.delay);
  if (action.call) action.call();
  if (action.crash) {
    LogError("failpoint", StrCat("crashing as armed: ", name));
    std::raise(SIGKILL);
  }
  return action.error;
}

}  // namespace internal
}  // namespace weir
