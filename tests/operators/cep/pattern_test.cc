#include "operators/cep/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

using ::testing::HasSubstr;
using P = Pattern<int>;

std::string ErrorOf(const P& pattern) { return pattern.shape().Check().ToString(); }

TEST(PatternTest, EachStepIsANewPattern) {
  const P begin = P::Begin("a");
  const P longer = begin.FollowedBy("b").Where([](const int& n) { return n > 1; });
  EXPECT_EQ(begin.shape().stages.size(), 1u);
  EXPECT_EQ(longer.shape().stages.size(), 2u);
  EXPECT_TRUE(begin.shape().Check().ok());
  EXPECT_TRUE(longer.shape().Check().ok());
}

TEST(PatternTest, MistakesAreNamedWithTheirStage) {
  EXPECT_THAT(ErrorOf(P::Begin("a").Next("a")),
              HasSubstr("two stages of one name; rename one: stage=a"));
  EXPECT_THAT(ErrorOf(P::Begin("a").NotNext("b").OneOrMore()),
              HasSubstr("takes no quantifier; remove it: stage=b"));
  EXPECT_THAT(ErrorOf(P::Begin("a").Times(2).OneOrMore()), HasSubstr("two quantifiers"));
  EXPECT_THAT(ErrorOf(P::Begin("a").Times(0)), HasSubstr("use Optional()"));
  EXPECT_THAT(ErrorOf(P::Begin("a").Times(3, 2)), HasSubstr("at least 3 and at most 2"));
  EXPECT_THAT(ErrorOf(P::Begin("a").Greedy()), HasSubstr("add OneOrMore() or Times()"));
  EXPECT_THAT(ErrorOf(P::Begin("a").Times(2).Until([](const int&) { return true; })),
              HasSubstr("Until needs a stage without upper bound"));
  EXPECT_THAT(ErrorOf(P::Begin("a").OneOrMore().Greedy().AllowCombinations()),
              HasSubstr("contradict each other"));
  EXPECT_THAT(ErrorOf(P::Begin("a").NotFollowedBy("b")), HasSubstr("add Within(): stage=b"));
  EXPECT_THAT(ErrorOf(P::Begin("a").Within(absl::ZeroDuration())), HasSubstr("must be positive"));
  EXPECT_THAT(ErrorOf(P::Begin("a", AfterMatchSkipStrategy::SkipToFirst("z"))),
              HasSubstr("does not have: stage=z"));
  EXPECT_THAT(
      ErrorOf(P::Begin("a").Optional().NotNext("b").Next("c")),
      HasSubstr("needs an event before it; put a stage that is not optional first: stage=b"));
  EXPECT_THAT(ErrorOf(P::Begin("")), HasSubstr("needs a name"));
}

}  // namespace
}  // namespace weir
