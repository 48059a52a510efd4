#include "operators/connectors/print_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/io_pool.h"
#include "runtime/base/strings.h"
#include "tests/support/connector_contexts.h"

namespace weir {
namespace {

TEST(PrintSinkTest, PrintsALineForEachRecordBeforeItsCheckpointIsPrepared) {
  IoPool pool("test", 2);
  const PrintSink<int64_t> sink(
      [](const int64_t& n, std::string* line) { StrAppend(line, "n", n); });
  FakeSinkContext context(&pool, 0, RandomId<JobId>());
  auto writer = sink.CreateWriter(context);
  ASSERT_TRUE(writer.ok()) << writer.status();
  std::string expected;
  testing::internal::CaptureStdout();
  for (int64_t n = 0; n < 30'000; ++n) {  // More than a block.
    while (!(*writer)->Ready()) context.task().AwaitWake();
    ASSERT_TRUE((*writer)->Write(n, EventTime::Min()).ok());
    StrAppend(&expected, "n", n, "\n");
  }
  const auto prepared = context.Prepare(**writer);
  const std::string printed = testing::internal::GetCapturedStdout();
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_THAT(*prepared, testing::IsEmpty());
  EXPECT_EQ(printed, expected);
  (*writer)->Close();
}

TEST(PrintSinkTest, PrintsStringsAsTheyAreAndWhatIsFlushedWithoutACheckpoint) {
  IoPool pool("test", 1);
  FakeSinkContext context(&pool, 0, RandomId<JobId>());
  auto writer = PrintSink<std::string>().CreateWriter(context);
  ASSERT_TRUE(writer.ok()) << writer.status();
  testing::internal::CaptureStdout();
  ASSERT_TRUE((*writer)->Write("a \"line\"", EventTime::Min()).ok());
  ASSERT_TRUE((*writer)->Flush().ok());
  ASSERT_TRUE(context.Prepare(**writer).ok());
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "a \"line\"\n");
  (*writer)->Close();
}

}  // namespace
}  // namespace weir
