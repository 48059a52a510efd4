#include "jobmanager/rest/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    Add(HttpMethod::kGet, "/jobs", BodyPolicy::kIgnore);
    Add(HttpMethod::kPost, "/jobs", BodyPolicy::kKeep);
    Add(HttpMethod::kGet, "/jobs/overview", BodyPolicy::kForm);
    Add(HttpMethod::kGet, "/jobs/:jobid", BodyPolicy::kIgnore);
    Add(HttpMethod::kGet, "/jobs/:jobid/vertices/:vertexid", BodyPolicy::kIgnore);
  }

  void Add(HttpMethod method, std::string_view pattern, BodyPolicy body) {
    router_.Add(method, pattern, body, [](HttpRequest, HttpResponder) {});
  }

  Router router_;
};

TEST_F(RouterTest, AnswersWithAndWithoutVersionPrefix) {
  EXPECT_NE(router_.Find(HttpMethod::kGet, "/jobs").route, nullptr);
  EXPECT_NE(router_.Find(HttpMethod::kGet, "/v1/jobs").route, nullptr);
  EXPECT_EQ(router_.Find(HttpMethod::kGet, "/v2/jobs").route, nullptr);
}

TEST_F(RouterTest, PrefersLiteralsToParameters) {
  EXPECT_EQ(router_.Find(HttpMethod::kGet, "/jobs/overview").route->body, BodyPolicy::kForm);
  EXPECT_EQ(router_.Find(HttpMethod::kGet, "/jobs/other").route->body, BodyPolicy::kIgnore);
}

TEST_F(RouterTest, FindsWayBackFromALiteralThatLeadsNowhere) {
  EXPECT_THAT(router_.Find(HttpMethod::kGet, "/jobs/overview/vertices/b").parameters,
              ElementsAre(Pair("jobid", "overview"), Pair("vertexid", "b")));
}

TEST_F(RouterTest, DecodesParameters) {
  EXPECT_THAT(router_.Find(HttpMethod::kGet, "/v1/jobs/a%3Ab%2F/vertices/x+y").parameters,
              ElementsAre(Pair("jobid", "a:b/"), Pair("vertexid", "x+y")));
  EXPECT_EQ(router_.Find(HttpMethod::kGet, "/jobs/%zz").route, nullptr);
}

TEST_F(RouterTest, TellsWrongMethodFromUnknownPath) {
  const Router::Match wrong = router_.Find(HttpMethod::kDelete, "/jobs");
  EXPECT_EQ(wrong.route, nullptr);
  EXPECT_THAT(wrong.allowed, ElementsAre(HttpMethod::kGet, HttpMethod::kPost));
  EXPECT_THAT(router_.Find(HttpMethod::kGet, "/nope").allowed, IsEmpty());
}

TEST_F(RouterTest, TakesHeadWhereItTakesGet) {
  EXPECT_NE(router_.Find(HttpMethod::kHead, "/jobs/overview").route, nullptr);
}

TEST(ParseQueryTest, DecodesPairs) {
  EXPECT_THAT(*ParseQuery("a=1&b=x%20y+z&flag&=v&a=2"),
              ElementsAre(Pair("a", "1"), Pair("b", "x y z"), Pair("flag", ""), Pair("", "v"),
                          Pair("a", "2")));
  EXPECT_FALSE(ParseQuery("a=%0").ok());
  EXPECT_FALSE(ParseQuery("a=%00").ok());
}

}  // namespace
}  // namespace weir
