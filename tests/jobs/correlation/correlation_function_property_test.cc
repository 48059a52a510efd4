#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/jobs/correlation/correlation_runs.h"

namespace weir::correlation {
namespace {

/// What is expected of one detection: enough to tell it from every other.
using Expected = std::pair<std::string, int64_t>;  // Its id, and when it was complete.

/// Tries every way to choose one signal a type that ends at `end`; returns the latest possible
/// first time of those that fit into the window, or -1.
int64_t BestStart(const CorrelationRule& rule, const std::vector<Signal>& signals, int64_t end,
                  int64_t window) {
  int64_t start = end;
  bool ends_here = false;
  for (const std::string& type : rule.required_signals) {
    int64_t latest = -1;
    for (const Signal& signal : signals) {
      const int64_t time = signal.time.millis();
      if (signal.type != type || time > end || time < end - window) continue;
      latest = std::max(latest, time);
      ends_here |= time == end;
    }
    if (latest < 0) return -1;
    start = std::min(start, latest);
  }
  return ends_here ? start : -1;
}

/// The specification, without state: an incident is a run of required signals with no gap above
/// the window, and its detection is at the first instant when a whole set fits into the window.
std::set<Expected> Model(const CorrelationRule& rule, const std::vector<Signal>& all) {
  const int64_t window = absl::ToInt64Milliseconds(rule.time_window);
  std::map<std::string, std::vector<Signal>> by_entity;
  for (const Signal& signal : all) {
    if (rule.Requires(signal.type)) by_entity[signal.entity].push_back(signal);
  }
  std::set<Expected> expected;
  for (auto& [entity, signals] : by_entity) {
    std::sort(signals.begin(), signals.end(),
              [](const Signal& a, const Signal& b) { return a.time < b.time; });
    for (size_t begin = 0; begin < signals.size();) {
      size_t end = begin + 1;
      while (end < signals.size() &&
             signals[end].time.millis() - signals[end - 1].time.millis() <= window) {
        ++end;
      }
      const std::vector<Signal> incident(signals.begin() + static_cast<std::ptrdiff_t>(begin),
                                         signals.begin() + static_cast<std::ptrdiff_t>(end));
      for (const Signal& last : incident) {
        const int64_t start = BestStart(rule, incident, last.time.millis(), window);
        if (start < 0) continue;
        expected.emplace(rule.id + ":" + entity + ":" + std::to_string(start), last.time.millis());
        break;
      }
      begin = end;
    }
  }
  return expected;
}

TEST(CorrelationFunctionPropertyTest, AgreesWithBruteForceOnSignalsOutOfOrder) {
  // GoogleTest's seeds are 1 to 99999; 0 asks for a new one.
  const int given = ::testing::UnitTest::GetInstance()->random_seed();
  const auto seed = given != 0 ? static_cast<unsigned>(given) : std::random_device{}() % 99'999 + 1;
  SCOPED_TRACE("replay with --gtest_random_seed=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int round = 0; round < 6; ++round) {
    std::vector<CorrelationRule> rules = {
        MakeRule("R1", {"A", "B", "C"}, absl::Milliseconds(pick(20, 200))),
        MakeRule("R2", {"B", "D"}, absl::Milliseconds(pick(1, 60))),
        MakeRule("R3", {"A"}, absl::Milliseconds(pick(1, 30)))};
    // Few instants, so that many signals share one; long gaps now and then end incidents.
    std::vector<Signal> signals;
    int64_t time = 1000;
    for (int i = 0; i < 3000; ++i) {
      time += pick(0, 19) == 0 ? pick(50, 400) : pick(0, 3);
      signals.push_back(MakeSignal(std::string(1, static_cast<char>('A' + pick(0, 4))),
                                   "host-" + std::to_string(pick(0, 30)), time));
    }
    // Each is delayed by less than the stream's bound.
    constexpr int64_t kBound = 100;
    std::vector<std::pair<int64_t, size_t>> arrival;
    for (size_t i = 0; i < signals.size(); ++i) {
      arrival.emplace_back(signals[i].time.millis() + pick(0, kBound), i);
    }
    std::sort(arrival.begin(), arrival.end());
    std::vector<Signal> arrived;
    for (const auto& [at, index] : arrival) arrived.push_back(signals[index]);

    std::set<Expected> expected;
    for (const CorrelationRule& rule : rules) expected.merge(Model(rule, signals));
    const auto found =
        Correlate(rules, arrived, absl::Milliseconds(kBound), static_cast<uint32_t>(pick(1, 3)),
                  static_cast<size_t>(pick(1, 64)));
    ASSERT_TRUE(found.ok()) << found.status();
    std::set<Expected> actual;
    for (const Detection& detection : *found) {
      EXPECT_TRUE(actual.emplace(detection.detection_id, detection.timestamp.millis()).second)
          << detection.detection_id;
    }
    EXPECT_EQ(actual, expected) << "round " << round;
    EXPECT_GT(expected.size(), 10U);
  }
}

}  // namespace
}  // namespace weir::correlation
