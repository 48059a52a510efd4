#include "jobs/sigma/correlation/correlation_evaluator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "jobs/sigma/correlation/correlation_measures.h"
#include "tests/jobs/sigma/correlation/naive_correlation.h"
#include "tests/jobs/sigma/correlation/random_correlation.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Operator = CorrelationBound::Operator;

CorrelationRule EventCount(Operator op, double limit) {
  CorrelationRule rule;
  rule.type = CorrelationType::kEventCount;
  rule.timespan = absl::Seconds(10);
  rule.rules.resize(1);
  rule.condition.bounds = {{op, limit}};
  return rule;
}

// Gives the evaluator all matches, then moves time on to `now_ms`.
std::vector<NaiveFiring> Firings(const CorrelationRule& rule, std::vector<CorrelatedMatch> matches,
                                 int64_t now_ms = INT64_MAX) {
  const CorrelationEvaluator evaluator(std::make_shared<const CorrelationRule>(rule));
  CorrelationGroup group;
  group.waiting = std::move(matches);
  std::vector<CorrelationFiring> firings;
  evaluator.Advance(now_ms, &group, &firings);
  std::vector<NaiveFiring> found;
  for (const CorrelationFiring& firing : firings) found.push_back({firing.time_ms, firing.value});
  return found;
}

std::vector<CorrelatedMatch> At(const std::vector<int64_t>& seconds) {
  std::vector<CorrelatedMatch> matches;
  for (const int64_t second : seconds) matches.push_back({.time_ms = second * 1000});
  return matches;
}

TEST(CorrelationEvaluatorTest, FiresAtTheMatchThatCompletesTheSpanBothEndsIncluded) {
  const CorrelationRule rule = EventCount(Operator::kGreaterOrEqual, 3);
  EXPECT_THAT(Firings(rule, At({0, 5, 10})), ElementsAre(NaiveFiring{10'000, 3}));
  EXPECT_THAT(Firings(rule, At({0, 5, 11})), IsEmpty());
  EXPECT_THAT(Firings(rule, At({0, 6, 11, 12})), ElementsAre(NaiveFiring{12'000, 3}));
}

TEST(CorrelationEvaluatorTest, OrderOfArrivalDoesNotMatter) {
  const CorrelationRule rule = EventCount(Operator::kGreaterOrEqual, 3);
  EXPECT_THAT(Firings(rule, At({10, 0, 5})), ElementsAre(NaiveFiring{10'000, 3}));
}

TEST(CorrelationEvaluatorTest, IsQuietForOneSpanAfterItFired) {
  const CorrelationRule rule = EventCount(Operator::kGreaterOrEqual, 1);
  EXPECT_THAT(Firings(rule, At({0, 1, 10, 11, 12})),
              ElementsAre(NaiveFiring{0, 1}, NaiveFiring{11'000, 1}));
}

TEST(CorrelationEvaluatorTest, AnUpperBoundIsToldAtTheEndOfTheWindow) {
  const CorrelationRule rule = EventCount(Operator::kLess, 3);
  EXPECT_THAT(Firings(rule, At({1, 2}), 10'999), IsEmpty());
  EXPECT_THAT(Firings(rule, At({1, 2}), 11'000), ElementsAre(NaiveFiring{11'000, 2}));
  EXPECT_THAT(Firings(rule, At({1, 2, 11})), IsEmpty()) << "the end belongs to the window";
  EXPECT_THAT(Firings(rule, At({1, 2, 12})),
              ElementsAre(NaiveFiring{11'000, 2}, NaiveFiring{22'000, 1}));
}

TEST(CorrelationEvaluatorTest, ALateMatchCompletesWhatEndedAtLaterOnes) {
  const CorrelationEvaluator evaluator(
      std::make_shared<const CorrelationRule>(EventCount(Operator::kGreaterOrEqual, 3)),
      absl::Seconds(30));
  CorrelationGroup group;
  group.waiting = At({10, 14});
  std::vector<CorrelationFiring> firings;
  evaluator.Advance(30'000, &group, &firings);
  EXPECT_THAT(firings, IsEmpty());
  group.waiting = At({5});
  evaluator.Advance(30'000, &group, &firings);
  ASSERT_EQ(firings.size(), 1U);
  EXPECT_EQ(firings[0].time_ms, 14'000);
  EXPECT_EQ(firings[0].first_ms, 5'000);
}

TEST(CorrelationEvaluatorTest, KeepsNoMoreMatchesThanTheBoundAsksFor) {
  const CorrelationEvaluator evaluator(
      std::make_shared<const CorrelationRule>(EventCount(Operator::kGreaterOrEqual, 5)));
  CorrelationGroup group;
  std::vector<CorrelationFiring> firings;
  for (int64_t time_ms = 0; time_ms < 9'000; ++time_ms) {
    group.waiting.push_back({.time_ms = time_ms});
    evaluator.Advance(time_ms, &group, &firings);
    ASSERT_LE(group.kept.size(), 5U);
  }
  EXPECT_EQ(firings.size(), 1U);
}

TEST(CorrelationEvaluatorTest, AGroupExpiresWhenNothingOfItMattersAnyMore) {
  const CorrelationEvaluator evaluator(
      std::make_shared<const CorrelationRule>(EventCount(Operator::kGreaterOrEqual, 5)));
  CorrelationGroup group;
  std::vector<CorrelationFiring> firings;
  group.waiting = At({3});
  evaluator.Advance(3'000, &group, &firings);
  EXPECT_EQ(evaluator.ExpiresAt(group), 13'001);
  evaluator.Advance(13'001, &group, &firings);
  EXPECT_THAT(group.kept, IsEmpty());
  EXPECT_LE(evaluator.ExpiresAt(group), 13'001);
}

// Random correlations of every type, random matches in random order, time moved on at random
// points: the evaluator says what looking at all matches at once says.
TEST(CorrelationEvaluatorPropertyTest, AgreesWithTheReference) {
  const uint64_t seed = std::random_device{}();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 3000; ++round) {
    const CorrelationRule rule = RandomCorrelation(random);
    const std::vector<CorrelatedMatch> matches = RandomMatches(rule, random);
    const CorrelationEvaluator evaluator(std::make_shared<const CorrelationRule>(rule));
    CorrelationGroup group;
    std::vector<CorrelationFiring> firings;
    int64_t now_ms = 0;
    for (const CorrelatedMatch& match : OutOfOrder(matches, random)) {
      if (match.time_ms - kDisorderMillis - 1 > now_ms && random() % 2 == 0) {
        now_ms = match.time_ms - kDisorderMillis - 1;
        evaluator.Advance(now_ms, &group, &firings);
      }
      group.waiting.push_back(match);
    }
    evaluator.Advance(INT64_MAX, &group, &firings);
    std::vector<NaiveFiring> found;
    for (const CorrelationFiring& firing : firings) {
      found.push_back({firing.time_ms, firing.value});
    }
    ASSERT_EQ(Comparable(rule, found), Comparable(rule, CorrelateNaively(rule, matches)))
        << "seed=" << seed << " round=" << round << " " << Describe(rule, matches);
  }
}

TEST(CorrelationMeasuresTest, PercentilesAreInterpolated) {
  EXPECT_EQ(PercentileOf({1}, 95), 1);
  EXPECT_EQ(PercentileOf({1, 3}, 50), 2);
  EXPECT_EQ(PercentileOf({1, 2, 3, 4, 5}, 25), 2);
  EXPECT_EQ(PercentileOf({1, 2, 3, 4, 5}, 100), 5);
  EXPECT_EQ(PercentileOf({1, 2, 3, 4, 5}, 0), 1);
}

TEST(CorrelationMeasuresTest, SharesTellHowRareAValueIs) {
  std::vector<CorrelatedMatch> matches;
  for (const char* value : {"a", "b", "b", "c", "d", "d", "d", "d", "d", "d"}) {
    matches.push_back({.value = value});
  }
  std::vector<std::pair<std::string, double>> shares;
  for (const ValueShare& share : SharesOf(matches.data(), matches.data() + matches.size())) {
    shares.emplace_back(share.value, share.percent);
  }
  using Share = std::pair<std::string, double>;
  EXPECT_THAT(shares, ElementsAre(Share("a", 20), Share("c", 20), Share("b", 40), Share("d", 100)));
}

}  // namespace
}  // namespace weir::sigma
