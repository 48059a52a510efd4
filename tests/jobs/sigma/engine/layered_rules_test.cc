#include "jobs/sigma/engine/layered_rules.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/io_pool.h"
#include "tests/jobs/sigma/engine/matching.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kNumRules = 100;
// More than compiling kNumRules rules is worth.
constexpr int kManyEvents = 100'000;

std::string IdOf(int number) { return "r" + std::to_string(1000 + number); }

std::shared_ptr<const Rule> RuleFor(int number, const std::string& value) {
  return MustParse(RuleText("  s: {a: '" + value + "'}\n  condition: s\n", IdOf(number)));
}

/// Rules 0 to 99, each for its own number, and a matcher that uses them.
class LayeredRulesTest : public ::testing::Test {
 protected:
  LayeredRulesTest()
      : rules_({}, [this](IoWork work) {
          if (refuses_work_) return false;
          work_.push_back(std::move(work));
          return true;
        }) {
    for (int i = 0; i < kNumRules; ++i) rules_.Set(RuleFor(i, std::to_string(i)));
    (void)rules_.Layers();
  }

  std::vector<std::string> Matches(const std::string& value) {
    EXPECT_TRUE(matcher_.SetRules(rules_.Layers()).ok());
    std::vector<const Rule*> matches;
    EXPECT_TRUE(matcher_.Match("{\"a\":\"" + value + "\"}", matches).ok());
    std::vector<std::string> ids;
    for (const Rule* rule : matches) ids.push_back(rule->id);
    return ids;
  }

  void CountEvents(int count) {
    for (int i = 0; i < count; ++i) rules_.CountEvent();
  }

  void RunBackground() {
    for (IoWork& work : work_) work();
    work_.clear();
  }

  bool refuses_work_ = false;
  std::vector<IoWork> work_;
  LayeredRules rules_;
  Matcher matcher_;
};

TEST_F(LayeredRulesTest, CompilesOnlyWhatChanged) {
  const CompiledRules* const base = rules_.Layers().base.get();
  EXPECT_EQ(base->rule_count(), 100u);
  EXPECT_EQ(rules_.Layers().changes, nullptr);
  rules_.Set(RuleFor(7, "new"));
  rules_.Set(RuleFor(500, "7"));
  rules_.Remove(IdOf(8));
  EXPECT_TRUE(rules_.changed());
  const RuleLayers& layers = rules_.Layers();
  EXPECT_FALSE(rules_.changed());
  EXPECT_EQ(layers.base.get(), base);
  ASSERT_NE(layers.changes, nullptr);
  EXPECT_EQ(layers.changes->rule_count(), 2u);
  EXPECT_THAT(Matches("new"), ElementsAre(IdOf(7)));
  EXPECT_THAT(Matches("7"), ElementsAre(IdOf(500)));
  EXPECT_THAT(Matches("8"), IsEmpty());
  EXPECT_THAT(Matches("9"), ElementsAre(IdOf(9)));
  EXPECT_EQ(rules_.size(), 100u);
}

TEST_F(LayeredRulesTest, GivesMatchesInTheOrderOfTheirIds) {
  rules_.Set(RuleFor(5, "x"));
  rules_.Set(RuleFor(50, "x"));
  (void)rules_.Layers();
  CountEvents(kManyEvents);
  (void)rules_.Layers();
  RunBackground();
  rules_.Set(RuleFor(500, "x"));
  rules_.Set(RuleFor(20, "x"));
  EXPECT_THAT(Matches("x"), ElementsAre(IdOf(5), IdOf(20), IdOf(50), IdOf(500)));
}

TEST_F(LayeredRulesTest, ARuleThatIsThereAlreadyChangesNothing) {
  const auto rule = RuleFor(1, "one");
  rules_.Set(rule);
  (void)rules_.Layers();
  rules_.Set(rule);
  rules_.Remove("none");
  EXPECT_FALSE(rules_.changed());
}

TEST_F(LayeredRulesTest, CompilesANewBaseOnceChangesHaveCostAsMuch) {
  const CompiledRules* const base = rules_.Layers().base.get();
  CountEvents(kManyEvents);
  EXPECT_FALSE(rules_.changed()) << "nothing changed, so one set is met as it is";
  rules_.Set(RuleFor(7, "new"));
  (void)rules_.Layers();
  EXPECT_FALSE(rules_.merging());
  CountEvents(kManyEvents);
  EXPECT_TRUE(rules_.changed());
  (void)rules_.Layers();
  EXPECT_TRUE(rules_.merging());
  EXPECT_FALSE(rules_.changed());
  EXPECT_EQ(rules_.Layers().base.get(), base) << "until it is there";
  EXPECT_THAT(Matches("new"), ElementsAre(IdOf(7)));
  RunBackground();
  EXPECT_TRUE(rules_.changed());
  EXPECT_THAT(Matches("new"), ElementsAre(IdOf(7)));
  EXPECT_NE(rules_.Layers().base.get(), base);
  EXPECT_EQ(rules_.Layers().changes, nullptr);
  EXPECT_FALSE(rules_.merging());
}

TEST_F(LayeredRulesTest, KeepsWhatChangesWhileABaseIsCompiled) {
  rules_.Set(RuleFor(7, "first"));
  (void)rules_.Layers();
  CountEvents(kManyEvents);
  (void)rules_.Layers();
  ASSERT_TRUE(rules_.merging());
  rules_.Set(RuleFor(7, "second"));
  rules_.Remove(IdOf(8));
  rules_.Set(RuleFor(600, "third"));
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(Matches("first"), IsEmpty());
    EXPECT_THAT(Matches("second"), ElementsAre(IdOf(7)));
    EXPECT_THAT(Matches("third"), ElementsAre(IdOf(600)));
    EXPECT_THAT(Matches("8"), IsEmpty());
    RunBackground();
  }
  EXPECT_EQ(rules_.Layers().changes->rule_count(), 2u);
}

TEST_F(LayeredRulesTest, CompilesAllWhenMuchHasChangedAndDropsTheBaseBeingCompiled) {
  rules_.Set(RuleFor(7, "first"));
  (void)rules_.Layers();
  CountEvents(kManyEvents);
  (void)rules_.Layers();
  ASSERT_TRUE(rules_.merging());
  for (int i = 0; i < kNumRules; ++i) rules_.Set(RuleFor(i, "all"));
  EXPECT_EQ(rules_.Layers().base->rule_count(), 100u);
  EXPECT_EQ(rules_.Layers().changes, nullptr);
  RunBackground();
  EXPECT_FALSE(rules_.changed());
  EXPECT_EQ(Matches("all").size(), 100u);
}

TEST_F(LayeredRulesTest, CompilesInPlaceWhereThereIsNoBackground) {
  refuses_work_ = true;
  const CompiledRules* const base = rules_.Layers().base.get();
  rules_.Set(RuleFor(7, "new"));
  (void)rules_.Layers();
  CountEvents(kManyEvents);
  EXPECT_NE(rules_.Layers().base.get(), base);
  EXPECT_EQ(rules_.Layers().changes, nullptr);
  EXPECT_FALSE(rules_.merging());
}

TEST_F(LayeredRulesTest, EndsWithoutTheBaseThatIsBeingCompiled) {
  auto rules = std::make_unique<LayeredRules>(CompileOptions(), [this](IoWork work) {
    work_.push_back(std::move(work));
    return true;
  });
  for (int i = 0; i < kNumRules; ++i) rules->Set(RuleFor(i, "x"));
  (void)rules->Layers();
  rules->Set(RuleFor(0, "y"));
  (void)rules->Layers();
  for (int i = 0; i < kManyEvents; ++i) rules->CountEvent();
  (void)rules->Layers();
  ASSERT_TRUE(rules->merging());
  rules = nullptr;
  RunBackground();
}

// Matching goes on while another thread compiles; ThreadSanitizer looks on.
TEST(LayeredRulesThreadTest, MatchesTheSameBeforeDuringAndAfterMerges) {
  IoPool pool("compile", 1);
  LayeredRules rules({}, [&pool](IoWork work) { return pool.Post(std::move(work)); });
  for (int i = 0; i < kNumRules; ++i) rules.Set(RuleFor(i, "common"));
  Matcher matcher;
  int merges = 0;
  for (int change = 0; change < 200; ++change) {
    rules.Set(RuleFor(change % kNumRules, change % 3 == 0 ? "rare" : "common"));
    if (change == 199) pool.Shutdown();  // What was begun ends.
    for (int event = 0; event < 200; ++event) {
      if (rules.changed()) {
        const bool merging = rules.merging();
        ASSERT_TRUE(matcher.SetRules(rules.Layers()).ok());
        merges += merging && !rules.merging() ? 1 : 0;
      }
      std::vector<const Rule*> rare;
      std::vector<const Rule*> common;
      ASSERT_TRUE(matcher.Match(R"({"a":"rare"})", rare).ok());
      ASSERT_TRUE(matcher.Match(R"({"a":"common"})", common).ok());
      ASSERT_EQ(rare.size() + common.size(), 100u);
      for (int i = 0; i < 10; ++i) rules.CountEvent();
    }
  }
  EXPECT_GT(merges, 0);
}

}  // namespace
}  // namespace weir::sigma
