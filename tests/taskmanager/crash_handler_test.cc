#include "taskmanager/crash_handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "runtime/base/alternate_signal_stack.h"
#include "runtime/base/strings.h"
#include "runtime/task/current_operator.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kHasSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kHasSanitizer = true;
#else
constexpr bool kHasSanitizer = false;
#endif
#else
constexpr bool kHasSanitizer = false;
#endif

OperatorContext::Place TestPlace() {
  OperatorContext::Place place;
  place.job = JobId(1, 2);
  place.attempt = ExecutionAttemptId(3, 4);
  place.name = "Divide by what comes";
  place.uid = "divide";
  place.subtask = 1;
  place.parallelism = 2;
  return place;
}

// Of a function that never ends calling itself.
__attribute__((noinline)) int Overflow(int depth) {  // NOLINT(misc-no-recursion)
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  volatile bool forever = true;
  if (!forever) return 0;
  return Overflow(depth + 1) + frame[0];
}

void CrashInOperator(const std::string& folder, const std::function<void()>& crash,
                     const std::function<bool(const CrashReport&)>& report) {
  const AlternateSignalStack signal_stack;
  const auto handler = CrashHandler::Install({folder, "tm-1", report});
  const OperatorContext::Place place = TestPlace();
  const CurrentOperatorScope scope(place);
  crash();
}

class CrashHandlerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (kHasSanitizer) GTEST_SKIP() << "sanitizers have handlers of their own";
    // A death test forks, and threads of tests before this one are not there then.
    GTEST_FLAG_SET(death_test_style, "fast");
  }
  CrashReport Read() {
    const std::vector<std::string> files = FindUnreportedCrashes(folder_.path());
    EXPECT_THAT(files, SizeIs(1));
    if (files.empty()) return {};
    absl::StatusOr<CrashReport> report = ReadCrashFile(files[0]);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *std::move(report) : CrashReport();
  }
  const TemporaryFolder folder_;
};

using CrashHandlerDeathTest = CrashHandlerTest;

TEST_F(CrashHandlerDeathTest, LeavesPlaceSignalAndStackInAFile) {
  EXPECT_EXIT(
      CrashInOperator(
          folder_.path(), [] { ::raise(SIGFPE); }, [](const CrashReport&) { return false; }),
      testing::KilledBySignal(SIGFPE), "operator: Divide by what comes");
  const CrashReport report = Read();
  EXPECT_EQ(report.signal, "SIGFPE");
  EXPECT_EQ(report.task_manager_id, "tm-1");
  EXPECT_EQ(report.job, JobId(1, 2));
  EXPECT_EQ(report.attempt, ExecutionAttemptId(3, 4));
  EXPECT_EQ(report.operator_name, "Divide by what comes");
  EXPECT_EQ(report.uid, "divide");
  EXPECT_EQ(report.subtask, 1u);
  EXPECT_EQ(report.parallelism, 2u);
  EXPECT_GT(report.pid, 0);
  EXPECT_GT(report.time_ms, 0);
  EXPECT_THAT(report.text, HasSubstr("stack:\n#0 0x"));
  EXPECT_THAT(report.text, HasSubstr("libc.so.6+0x"));
}

TEST_F(CrashHandlerDeathTest, KnowsAnAbortAndAnAccessOfNothing) {
  EXPECT_EXIT(CrashInOperator(
                  folder_.path(), [] { std::abort(); }, [](const CrashReport&) { return true; }),
              testing::KilledBySignal(SIGABRT), "signal: SIGABRT");
  EXPECT_THAT(FindUnreportedCrashes(folder_.path()), IsEmpty()) << "it was reported";
  EXPECT_EXIT(CrashInOperator(
                  folder_.path(),
                  [] {
                    volatile int* volatile nothing = nullptr;
                    *nothing = 7;
                  },
                  [](const CrashReport&) { return false; }),
              testing::KilledBySignal(SIGSEGV), "address: 0x0");
  EXPECT_EQ(Read().signal, "SIGSEGV");
}

TEST_F(CrashHandlerDeathTest, RunsWhenTheStackHasOverflowed) {
  EXPECT_EXIT(
      CrashInOperator(
          folder_.path(), [] { ::exit(Overflow(0)); }, [](const CrashReport&) { return false; }),
      testing::KilledBySignal(SIGSEGV), "uid: divide");
  EXPECT_THAT(Read().text, HasSubstr("#20 0x"));
}

TEST_F(CrashHandlerDeathTest, DiesAlsoWhenTheReportDoesNotEnd) {
  EXPECT_EXIT(CrashInOperator(
                  folder_.path(), [] { ::raise(SIGSEGV); },
                  [](const CrashReport&) -> bool {
                    while (true) ::pause();
                  }),
              testing::KilledBySignal(SIGSEGV), "SIGSEGV");
  EXPECT_EQ(Read().signal, "SIGSEGV");
}

TEST_F(CrashHandlerTest, ThereIsOneInAProcess) {
  const auto tell = [](const CrashReport&) { return false; };
  auto first = CrashHandler::Install({folder_.path(), "tm-1", tell});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(CrashHandler::Install({folder_.path(), "tm-2", tell}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  first->reset();
  EXPECT_TRUE(CrashHandler::Install({folder_.path(), "tm-2", tell}).ok());
}

TEST_F(CrashHandlerTest, MakesNamesReadableAndRefusesWhatIsNoCrashFile) {
  const std::string path = folder_.PathOf("weir-crash-1-2.txt");
  std::ofstream(path) << "A weir TaskManager has crashed\nsignal: SIGBUS\nstack:\n"
                         "#0 0x1 _ZN4weir13OperatorChain3RunEl+0x20 (lib.so+0x1)\n#1 0x2\n";
  EXPECT_THAT(ReadCrashFile(path)->text,
              HasSubstr("#0 0x1 weir::OperatorChain::Run(long)+0x20 (lib.so+0x1)\n#1 0x2\n"));
  std::ofstream(path) << "something else\nsignal: SIGBUS\n";
  EXPECT_EQ(ReadCrashFile(path).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadCrashFile(path + "x").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CrashHandlerTest, KeepsTheNewestReportedFiles) {
  for (int i = 0; i < 25; ++i) {
    const std::string path = folder_.PathOf(StrCat("weir-crash-", i, "-1.txt"));
    std::ofstream(path) << "A weir TaskManager has crashed\nsignal: SIGBUS\n";
    MarkCrashReported(path);
  }
  EXPECT_THAT(FindUnreportedCrashes(folder_.path()), IsEmpty());
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    ++count;
  }
  EXPECT_EQ(count, 20u);
}

}  // namespace
}  // namespace weir
