#include "runtime/base/failure.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "runtime/base/strings.h"

namespace weir {
namespace {

TEST(FailureTest, NamesTheTypeOfWhatUserCodeThrew) {
  absl::Status status;
  try {
    throw std::out_of_range("row 7");
  } catch (const std::exception& exception) {
    status = ThrownByUserCode(StrCat("thrown: ", exception.what()));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(ToStd(status.message()), "thrown: row 7");
  EXPECT_EQ(DescribeFailure(status).exception_name, "std::out_of_range");
  EXPECT_EQ(FailureOriginName(DescribeFailure(status).origin), "USER");
}

TEST(FailureTest, NamesTheTypeOfWhatIsNoStdException) {
  try {
    throw 7;  // NOLINT: what user code may do.
  } catch (...) {
    EXPECT_EQ(DescribeFailure(ThrownByUserCode("thrown")).exception_name, "int");
  }
}

TEST(FailureTest, KeepsTheOriginWhenTheMessageChanges) {
  absl::Status status = absl::UnavailableError("lost");
  SetFailure(FailureOrigin::kSystem, "TaskManagerLost", &status);
  status = WithMessage(status, "lost at noon");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ToStd(status.message()), "lost at noon");
  EXPECT_EQ(DescribeFailure(status).exception_name, "TaskManagerLost");
  EXPECT_EQ(DescribeFailure(status).origin, FailureOrigin::kSystem);
}

TEST(FailureTest, FollowsFromTheCodeWhereNothingWasNoted) {
  const Failure lost = DescribeFailure(absl::UnavailableError("no connection"));
  EXPECT_EQ(lost.origin, FailureOrigin::kSystem);
  EXPECT_EQ(lost.exception_name, "UNAVAILABLE");
  const Failure other = DescribeFailure(absl::InternalError("what"));
  EXPECT_EQ(FailureOriginName(other.origin), "UNKNOWN");
}

}  // namespace
}  // namespace weir
