#include "operators/async/async_wait_operator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "operators/api/async_data_stream.h"
#include "operators/api/stream_environment.h"
#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"
#include "tests/operators/async/fake_service.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Harness = OperatorTestHarness<int64_t, std::string>;
using Retry = AsyncRetryStrategy<std::string>;

struct Options {
  bool ordered = false;
  size_t capacity = 10;
  absl::Duration timeout = absl::Milliseconds(1000);
  Retry retry = Retry::None();
};

template <class Fn>
std::unique_ptr<Harness> Make(const Fn& function, const Options& options,
                              OperatorTestOptions test_options = {}) {
  return std::make_unique<Harness>(
      [&](DataStream<int64_t> numbers) {
        return options.ordered
                   ? AsyncDataStream::OrderedWaitWithRetry(numbers, function, options.timeout,
                                                           options.capacity, options.retry)
                   : AsyncDataStream::UnorderedWaitWithRetry(numbers, function, options.timeout,
                                                             options.capacity, options.retry);
      },
      std::move(test_options));
}

// Lets the operator see what the service has answered.
void Step(Harness& harness) { harness.AdvanceProcessingTime(absl::ZeroDuration()); }

TEST(AsyncWaitOperatorTest, EmitsEachAnswerOnceInOrderThroughDisorderWatermarksAndRestores) {
  for (unsigned seed = 1; seed <= 300 && !HasFailure(); ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    std::mt19937 random(seed);
    const auto below = [&](int64_t limit) {
      return static_cast<int64_t>(random() % static_cast<unsigned long>(limit));
    };
    auto service = std::make_shared<FakeService>();
    Options options;
    options.ordered = seed % 2 == 0;
    options.capacity = static_cast<size_t>(1 + below(6));
    options.timeout = absl::InfiniteDuration();
    options.retry =
        Retry::FixedDelay(1000, absl::Milliseconds(20)).IfException([](const absl::Status&) {
          return true;
        });
    const auto make = [&] {
      OperatorTestOptions test_options;
      if (below(2) == 0) test_options.output_capacity = static_cast<size_t>(1 + below(3));
      return Make(AskService(service), options, test_options);
    };
    auto harness = make();
    std::vector<std::string> results;
    EventTime output_watermark = EventTime::Min();
    const auto collect = [&] {
      ASSERT_TRUE(harness->status().ok()) << harness->status();
      for (const auto& element : harness->TakeOutput()) {
        if (const auto* record = std::get_if<StreamRecord<std::string>>(&element)) {
          ASSERT_GT(record->timestamp, output_watermark) << "a watermark has overtaken a result";
          results.push_back(record->value);
        } else if (const auto* watermark = std::get_if<Watermark>(&element)) {
          output_watermark = watermark->time;
        }
      }
    };
    // The record i has time i; a watermark says that what came before it is through.
    int64_t next = 0;
    for (int step = 0; step < 120; ++step) {
      const std::vector<int64_t> open = service->Open();
      ASSERT_LE(open.size(), options.capacity);
      switch (below(5)) {
        case 0:
        case 1:
          harness->ProcessElement(next, next);
          ++next;
          break;
        case 2:
          if (!open.empty()) {
            const auto index = static_cast<size_t>(below(static_cast<int64_t>(open.size())));
            if (below(5) == 0) {
              service->Take(index).future.CompleteExceptionally(absl::UnavailableError("busy"));
            } else {
              service->Answer(index);
            }
            Step(*harness);
          }
          break;
        case 3:
          harness->ProcessWatermark(next - 1);
          break;
        default:
          harness->AdvanceProcessingTime(absl::Milliseconds(below(15)));
      }
      ASSERT_NO_FATAL_FAILURE(collect());
      // A barrier would wait behind records that wait for room.
      if (below(20) == 0 && static_cast<size_t>(next) - results.size() <= options.capacity) {
        const OperatorTestSnapshot snapshot = harness->Snapshot();
        ASSERT_NO_FATAL_FAILURE(collect());
        service->Forget();
        harness = make();
        harness->Restore(snapshot);
        harness->Open();
        output_watermark = EventTime::Min();
      }
    }
    while (results.size() < static_cast<size_t>(next)) {
      if (service->Open().empty()) {
        harness->AdvanceProcessingTime(absl::Milliseconds(20));
        ASSERT_FALSE(service->Open().empty()) << "a record was lost";
      }
      service->Answer(0);
      Step(*harness);
      ASSERT_NO_FATAL_FAILURE(collect());
    }
    harness->ProcessWatermark(EventTime::Max());
    harness->EndInput();
    ASSERT_NO_FATAL_FAILURE(collect());
    EXPECT_EQ(output_watermark, EventTime::Max());
    EXPECT_THAT(service->Open(), IsEmpty());
    std::vector<std::string> expected;
    for (int64_t i = 0; i < next; ++i) expected.push_back(FakeService::AnswerTo(i));
    if (options.ordered) {
      EXPECT_EQ(results, expected);
    } else {
      EXPECT_THAT(results, ::testing::UnorderedElementsAreArray(expected));
    }
  }
}

TEST(AsyncWaitOperatorTest, UnorderedResultsLeaveAtOnceButNotBeforeAWatermarkThatCameBefore) {
  auto service = std::make_shared<FakeService>();
  auto harness = Make(AskService(service), {});
  harness->ProcessElement(1, 1);
  harness->ProcessElement(2, 2);
  harness->ProcessWatermark(2);
  harness->ProcessElement(3, 3);
  service->Answer(2);
  service->Answer(1);
  Step(*harness);
  EXPECT_THAT(harness->TakeValues(), ElementsAre("n2"));
  EXPECT_EQ(harness->output_watermark(), EventTime::Min());
  service->Answer(0);
  Step(*harness);
  EXPECT_THAT(harness->TakeValues(), ElementsAre("n1", "n3"));
  EXPECT_EQ(harness->output_watermark(), EventTime::FromMillis(2));
}

TEST(AsyncWaitOperatorTest, TakesNoMoreThanItsCapacity) {
  auto service = std::make_shared<FakeService>();
  Options options;
  options.capacity = 3;
  auto harness = Make(AskService(service), options);
  for (int64_t i = 0; i < 10; ++i) harness->ProcessElement(i, i);
  EXPECT_THAT(service->Open(), ElementsAre(0, 1, 2));
  service->Answer(1);
  Step(*harness);
  EXPECT_THAT(service->Open(), ElementsAre(0, 2, 3));
  EXPECT_THAT(harness->TakeValues(), ElementsAre("n1"));
  while (!service->Open().empty()) {
    service->Answer(0);
    Step(*harness);
  }
  EXPECT_EQ(harness->TakeValues().size(), 9U);
}

/// Answers "none" when time runs out.
class AskWithDefault final : public AskService {
 public:
  using AskService::AskService;
  void Timeout(const int64_t& number, ResultFuture<std::string> future) override {
    future.Complete({StrCat("none for ", number)});
  }
};

TEST(AsyncWaitOperatorTest, ATimeoutFailsTheTaskUnlessTheFunctionKnowsBetter) {
  auto service = std::make_shared<FakeService>();
  auto failing = Make(AskService(service), {});
  failing->ProcessElement(7, 70);
  failing->SetProcessingTime(999);
  EXPECT_TRUE(failing->status().ok());
  failing->SetProcessingTime(1000);
  EXPECT_THAT(std::string(failing->status().message()),
              AllOf(HasSubstr("has timed out"), HasSubstr("event_time_ms=70"),
                    HasSubstr("attempts=1"), HasSubstr("operator=AsyncWait")));

  service->Forget();
  auto harness = Make(AskWithDefault(service), {});
  harness->ProcessElement(1, 1);
  harness->SetProcessingTime(600);
  harness->ProcessElement(2, 2);
  harness->SetProcessingTime(1000);
  EXPECT_THAT(harness->TakeValues(), ElementsAre("none for 1"));
  service->Answer(0);  // Too late.
  service->Answer(0);
  Step(*harness);
  EXPECT_THAT(harness->TakeValues(), ElementsAre("n2"));
  EXPECT_EQ(harness->CounterValue("numAsyncTimeouts"), 1U);
}

TEST(AsyncWaitOperatorTest, RetriesAfterGrowingDelaysWithinTheTimeout) {
  auto service = std::make_shared<FakeService>();
  Options options;
  options.retry =
      Retry::ExponentialBackoff(3, absl::Milliseconds(100), absl::Milliseconds(300), 2)
          .IfException([](const absl::Status& status) { return absl::IsUnavailable(status); })
          .IfResult([](const std::vector<std::string>& results) { return results.empty(); });
  auto harness = Make(AskService(service), options);
  harness->ProcessElement(1, 1);
  // 100 ms after the first failure, 200 after the second, 300 after the third.
  int64_t now = 0;
  for (const int64_t delay : {100, 200, 300}) {
    if (delay == 200) {
      service->Take(0).future.Complete({});
    } else {
      service->Take(0).future.CompleteExceptionally(absl::UnavailableError("busy"));
    }
    Step(*harness);
    harness->SetProcessingTime(now + delay - 1);
    EXPECT_THAT(service->Open(), IsEmpty());
    now += delay;
    harness->SetProcessingTime(now);
    EXPECT_THAT(service->Open(), ElementsAre(1));
  }
  EXPECT_EQ(harness->CounterValue("numAsyncRetries"), 3U);
  // There is no fourth retry.
  service->Take(0).future.CompleteExceptionally(absl::UnavailableError("still busy"));
  Step(*harness);
  EXPECT_THAT(std::string(harness->status().message()),
              AllOf(HasSubstr("still busy"), HasSubstr("attempts=4")));

  // A failure of another kind is not retried.
  auto other = Make(AskService(service), options);
  other->ProcessElement(1, 1);
  service->Take(0).future.CompleteExceptionally(absl::PermissionDeniedError("go away"));
  Step(*other);
  EXPECT_THAT(std::string(other->status().message()), HasSubstr("go away"));

  // Time runs out while a retry waits.
  auto slow = Make(AskWithDefault(service), options);
  slow->ProcessElement(1, 1);
  slow->SetProcessingTime(950);
  service->Take(0).future.CompleteExceptionally(absl::UnavailableError("busy"));
  slow->SetProcessingTime(1050);
  EXPECT_THAT(slow->TakeValues(), ElementsAre("none for 1"));
  slow->SetProcessingTime(5000);
  EXPECT_THAT(service->Open(), IsEmpty());
}

/// Answers at once, any number of times.
class AnswerAtOnce final : public AsyncFunction<int64_t, std::string> {
 public:
  void AsyncInvoke(const int64_t& number, ResultFuture<std::string> future) override {
    if (number < 0) throw std::runtime_error("no negative numbers");
    future.Complete(std::vector<std::string>(static_cast<size_t>(number), StrCat(number)));
    future.Complete({"a second answer"});
  }
};

TEST(AsyncWaitOperatorTest, AFunctionMayAnswerAtOnceWithAnyNumberOfResults) {
  Options options;
  options.capacity = 1;
  auto harness = Make(AnswerAtOnce(), options);
  harness->ProcessElements(std::vector<StreamRecord<int64_t>>{{2, EventTime::FromMillis(5), 0},
                                                              {0, EventTime::FromMillis(6), 0},
                                                              {1, EventTime::FromMillis(7), 0}});
  EXPECT_THAT(harness->TakeRecords(),
              ElementsAre(StreamRecord<std::string>{"2", EventTime::FromMillis(5), 0},
                          StreamRecord<std::string>{"2", EventTime::FromMillis(5), 0},
                          StreamRecord<std::string>{"1", EventTime::FromMillis(7), 0}));
  harness->ProcessElement(-1, 8);
  EXPECT_THAT(std::string(harness->status().message()), HasSubstr("no negative numbers"));
}

TEST(AsyncWaitOperatorTest, IdleStatusAndEndOfInputWaitForTheAnswersBeforeThem) {
  auto service = std::make_shared<FakeService>();
  auto harness = Make(AskService(service), {});
  harness->ProcessElement(1, 1);
  harness->ProcessWatermarkStatus(WatermarkStatus{true});
  harness->ProcessCaughtUp();
  harness->EndInput();
  EXPECT_THAT(harness->TakeOutput(), IsEmpty());
  service->Answer(0);
  Step(*harness);
  EXPECT_THAT(harness->TakeOutput(),
              ElementsAre(StreamRecord<std::string>{"n1", EventTime::FromMillis(1), 0},
                          WatermarkStatus{true}, CaughtUp{}, EndOfInput{}));
}

TEST(AsyncWaitOperatorTest, RestoresMoreRecordsThanItsCapacityBeforeNewOnes) {
  auto service = std::make_shared<FakeService>();
  Options options;
  options.ordered = true;
  auto harness = Make(AskService(service), options);
  for (int64_t i = 0; i < 9; ++i) harness->ProcessElement(i, i);
  const OperatorTestSnapshot snapshot = harness->Snapshot();
  service->Forget();
  options.capacity = 2;
  auto restored = Make(AskService(service), options);
  restored->Restore(snapshot);
  restored->Open();
  Step(*restored);
  EXPECT_THAT(service->Open(), ElementsAre(0, 1));
  restored->ProcessWatermarkStatus(WatermarkStatus{true});
  EXPECT_THAT(restored->TakeOutput(), IsEmpty());
  restored->ProcessWatermarkStatus(WatermarkStatus{false});
  restored->ProcessWatermark(8);
  restored->ProcessElement(9, 9);
  std::vector<std::string> values;
  while (!service->Open().empty()) {
    service->Answer(service->Open().size() - 1);
    Step(*restored);
    for (std::string& value : restored->TakeValues()) values.push_back(std::move(value));
  }
  EXPECT_THAT(values, ElementsAre("n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"));
  EXPECT_EQ(restored->output_watermark(), EventTime::FromMillis(8));
}

TEST(AsyncWaitOperatorTest, RefusesNoCapacityAndNoTime) {
  auto service = std::make_shared<FakeService>();
  Options none;
  none.capacity = 0;
  auto harness = Make(AskService(service), none);
  harness->Open();
  EXPECT_THAT(std::string(harness->status().message()), HasSubstr("capacity of 1 or more"));
}

}  // namespace
}  // namespace weir
