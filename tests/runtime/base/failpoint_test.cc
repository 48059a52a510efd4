// The failpoints of this file stand in release builds too.
#define WEIR_ENABLE_FAILPOINTS
#include "runtime/base/failpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>
#include <vector>

#include "runtime/base/clock.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

absl::Status WriteSomething() {
  WEIR_FAILPOINT_RETURN("test/write");
  return absl::OkStatus();
}

void PassSomething() { WEIR_FAILPOINT("test/pass"); }

class FailpointTest : public ::testing::Test {
 protected:
  ~FailpointTest() override { DisarmAllFailpoints(); }
};

using FailpointDeathTest = FailpointTest;

TEST_F(FailpointTest, DoesNothingUnlessArmed) {
  EXPECT_TRUE(WriteSomething().ok());
  const ScopedFailpoint other("test/other", {.error = absl::DataLossError("other")});
  EXPECT_TRUE(WriteSomething().ok());
  EXPECT_EQ(FailpointHits("test/write"), 0);
}

TEST_F(FailpointTest, ReturnsTheArmedErrorUntilDisarmed) {
  {
    const ScopedFailpoint failpoint("test/write", {.error = absl::DataLossError("torn")});
    EXPECT_EQ(WriteSomething(), absl::DataLossError("torn"));
    EXPECT_EQ(WriteSomething(), absl::DataLossError("torn"));
    EXPECT_EQ(failpoint.hits(), 2);
  }
  EXPECT_TRUE(WriteSomething().ok());
}

TEST_F(FailpointTest, ActsOnlyFromFirstToLastHit) {
  ASSERT_TRUE(ArmFailpoints("test/write=error@2").ok());
  EXPECT_TRUE(WriteSomething().ok());
  EXPECT_EQ(WriteSomething().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(WriteSomething().ok());
  ASSERT_TRUE(ArmFailpoints(" test/write = error@2+ ; ").ok());
  EXPECT_TRUE(WriteSomething().ok());
  EXPECT_FALSE(WriteSomething().ok());
  EXPECT_FALSE(WriteSomething().ok());
}

TEST_F(FailpointTest, DelayHoldsTheThreadThatPasses) {
  ASSERT_TRUE(ArmFailpoints("test/pass=delay(2 ms)").ok());
  const Stopwatch stopwatch;
  PassSomething();
  EXPECT_GE(stopwatch.Elapsed(),
            absl::Milliseconds(2));  // A lower bound that the delay itself guarantees.
}

TEST_F(FailpointTest, CallRunsWithoutALockSoThatItMayDisarm) {
  int calls = 0;
  ArmFailpoint("test/pass", {.call = [&calls] {
                 ++calls;
                 DisarmFailpoint("test/pass");
               }});
  PassSomething();
  PassSomething();
  EXPECT_EQ(calls, 1);
}

TEST_F(FailpointTest, CountsHitsOfManyThreadsExactly) {
  ArmFailpoint("test/pass", {});
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 1000; ++i) PassSomething();
      });
    }
  }
  EXPECT_EQ(FailpointHits("test/pass"), 4000);
}

TEST_F(FailpointTest, RefusesASpecificationItDoesNotUnderstandAndArmsNothing) {
  for (const std::string_view text : {"test/write=error;broken", "=error", "a=explode", "a=error@0",
                                      "a=error@x", "a=delay(soon)", "a=error@"}) {
    const absl::Status status = ArmFailpoints(text);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_TRUE(WriteSomething().ok());
  EXPECT_THAT(std::string(ArmFailpoints("a=explode").message()), HasSubstr("a=explode"));
}

TEST_F(FailpointDeathTest, CrashKillsTheProcessAtTheArmedHit) {
  EXPECT_EXIT(
      {
        static_cast<void>(ArmFailpoints("test/pass=crash@3"));
        PassSomething();
        PassSomething();
        PassSomething();
      },
      ::testing::KilledBySignal(SIGKILL), "crashing as armed: test/pass");
}

}  // namespace
}  // namespace weir
