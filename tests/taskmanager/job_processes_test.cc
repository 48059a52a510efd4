#include "taskmanager/job_processes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "taskmanager/memory_guard.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kMemoryBytes = 4000;

// The program is a shell script. Its link is descriptor 3, and its arguments are in the file
// "<id>.arguments", where <id> is "spare" for one in reserve; its process id, once it is about to
// do what it is for, in "<id>.pid".
class JobProcessesTest : public testing::Test {
 protected:
  std::unique_ptr<JobProcesses> Make(const std::string& body,
                                     absl::Duration end_timeout = absl::Minutes(1)) {
    folder_.Write("program", StrCat("cd ", folder_.path(), "\n",
                                    "while [ $# != 0 ] && [ \"$1\" != --id ]; do shift; done\n"
                                    "id=${2-spare}\n"
                                    "echo \"$@\" > \"$id.arguments\"\n"
                                    "echo $$ > \"$id.$$\" && mv \"$id.$$\" \"$id.pid\"\n",
                                    body));
    JobProcessesOptions options;
    options.command = {"/bin/sh", folder_.PathOf("program")};
    options.task_manager_id = "tm";
    options.work_folder = folder_.PathOf("work");
    options.blob_folder = "/blobs";
    options.crash_folder = folder_.path();
    options.memory_bytes = kMemoryBytes;
    options.num_slots = 4;
    options.budget = &budget_;
    options.end_timeout = end_timeout;
    options.spare_delay = spare_delay_;
    options.report = [this](const CrashReport& report, const std::string& crash_file) {
      const MutexLock lock(&mutex_);
      reports_.push_back(report);
      crash_files_.push_back(crash_file);
    };
    return std::make_unique<JobProcesses>(std::move(options), &timers_);
  }
  std::vector<CrashReport> Reports() {
    const MutexLock lock(&mutex_);
    return reports_;
  }
  static void WaitUntil(const std::function<bool()>& condition) {
    const Stopwatch watch;
    while (!condition()) {
      ASSERT_LT(watch.Elapsed(), absl::Minutes(1));
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
  pid_t PidOf(const std::string& id) {
    WaitUntil([&] { return std::filesystem::exists(folder_.PathOf(id + ".pid")); });
    return std::stoi(folder_.Read(id + ".pid"));
  }
  std::string ReadWhenThere(const std::string& name) {
    WaitUntil([&] { return std::filesystem::exists(folder_.PathOf(name)); });
    return folder_.Read(name);
  }
  static bool Lives(pid_t pid) { return ::kill(pid, 0) == 0; }

  const TemporaryFolder folder_;
  absl::Duration spare_delay_ = absl::Hours(1);
  MemoryBudget budget_{MemoryGuard::CountedBytes(kMemoryBytes)};
  Mutex mutex_;
  std::vector<CrashReport> reports_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> crash_files_ ABSL_GUARDED_BY(mutex_);
  TimerThread timers_;
};

TEST_F(JobProcessesTest, StartsAProcessWithItsShareAndEndsItWhenAsked) {
  const auto processes = Make("cat <&3 > \"$id.heard\" && mv \"$id.heard\" \"$id.said\"\n");
  processes->Run("p1", JobId(1, 2), 1, "host:6123");
  const pid_t pid = PidOf("p1");
  EXPECT_THAT(folder_.Read("p1.arguments"),
              AllOf(HasSubstr("--jobmanager host:6123"), HasSubstr("--slots 1"),
                    HasSubstr("--job-process-owner tm"), HasSubstr("--job-process-memory 1000"),
                    HasSubstr("--job-process-link 3"),
                    HasSubstr(StrCat("--job-process-job ", ToString(JobId(1, 2)))),
                    HasSubstr(StrCat("--job-process-work-folder ", folder_.PathOf("work/p1")))));
  folder_.Write("work/p1/state", "of the process");
  EXPECT_EQ(budget_.limit_bytes(), MemoryGuard::CountedBytes(3000))
      << "the rest is the TaskManager's own";
  processes->Run("p1", JobId(1, 2), 3, "host:6123");
  EXPECT_EQ(processes->num_processes(), 1u);
  EXPECT_EQ(budget_.limit_bytes(), MemoryGuard::CountedBytes(1000));
  processes->End("p1", /*at_once=*/false);
  EXPECT_EQ(ReadWhenThere("p1.said"), "memory 3000\n");
  WaitUntil([&] { return processes->num_processes() == 0; });
  EXPECT_FALSE(Lives(pid));
  EXPECT_FALSE(std::filesystem::exists(folder_.PathOf("work/p1")));
  EXPECT_EQ(budget_.limit_bytes(), MemoryGuard::CountedBytes(kMemoryBytes));
  EXPECT_THAT(Reports(), IsEmpty()) << "it ended as it was asked to";
}

TEST_F(JobProcessesTest, GivesAJobTheProcessInReserveAndMakesAnother) {
  spare_delay_ = absl::ZeroDuration();
  const auto processes = Make("exec cat <&3 > heard.$$\n");
  WaitUntil([&] { return processes->has_spare(); });
  EXPECT_EQ(processes->num_processes(), 0u);
  EXPECT_EQ(budget_.limit_bytes(), MemoryGuard::CountedBytes(kMemoryBytes)) << "it costs no share";
  processes->Run("p1", JobId(1, 2), 1, "host:6123");
  EXPECT_EQ(processes->num_processes(), 1u);
  EXPECT_EQ(budget_.limit_bytes(), MemoryGuard::CountedBytes(3000));
  EXPECT_FALSE(std::filesystem::exists(folder_.PathOf("p1.pid"))) << "none was started for it";
  processes->End("p1", /*at_once=*/false);
  WaitUntil([&] { return processes->num_processes() == 0; });
  std::string heard;  // By either of the two.
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("heard.")) heard += folder_.Read(name);
  }
  EXPECT_THAT(heard, HasSubstr("host:6123"));
  EXPECT_THAT(heard, HasSubstr(ToString(JobId(1, 2))));
  WaitUntil([&] { return processes->has_spare(); });
  EXPECT_THAT(Reports(), IsEmpty());
}

TEST_F(JobProcessesTest, StartsAProcessForTheJobIfTheOneInReserveIsGone) {
  spare_delay_ = absl::ZeroDuration();
  const auto processes = Make("[ $id = p1 ] && exec sleep 1000; exit 1\n");
  static_cast<void>(PidOf("spare"));
  WaitUntil([&] { return !processes->has_spare(); });
  processes->Run("p1", JobId(1, 2), 1, "");
  EXPECT_TRUE(Lives(PidOf("p1")));
  EXPECT_THAT(Reports(), IsEmpty()) << "no job has lost anything";
  processes->KillAll();
}

TEST_F(JobProcessesTest, TellsHowAProcessEndedUnasked) {
  const auto processes = Make("[ $id = exits ] && exit 5; kill -9 $$\n");
  processes->Run("exits", JobId(0, 1), 1, "");
  WaitUntil([&] { return Reports().size() == 1; });
  processes->Run("killed", JobId(0, 2), 1, "");
  WaitUntil([&] { return Reports().size() == 2; });
  EXPECT_EQ(Reports()[0].task_manager_id, "exits");
  EXPECT_EQ(Reports()[0].signal, "exit(5)");
  EXPECT_EQ(Reports()[0].job, JobId(0, 1));
  EXPECT_EQ(Reports()[1].signal, "SIGKILL");
  EXPECT_THAT(Reports()[1].text, HasSubstr("out of memory"));
}

TEST_F(JobProcessesTest, TellsWhatTheProcessWroteDownButCouldNotTell) {
  const auto processes = Make(
      "printf 'A weir TaskManager has crashed\\nsignal: SIGSEGV\\npid: %s\\ntaskmanager: %s\\n"
      "operator: Divide\\nstack:\\n#0 0x1 here\\n' $$ $id > weir-crash-1-$$.txt\n"
      "kill -9 $$\n");
  processes->Run("p", JobId(0, 1), 1, "");
  WaitUntil([&] { return Reports().size() == 1; });
  EXPECT_EQ(Reports()[0].signal, "SIGSEGV");
  EXPECT_EQ(Reports()[0].operator_name, "Divide");
  EXPECT_EQ(Reports()[0].job, JobId(0, 1));
  WaitUntil([&] { return processes->num_processes() == 0; });
  const MutexLock lock(&mutex_);
  EXPECT_EQ(crash_files_, FindUnreportedCrashes(folder_.path())) << "to be marked once it is told";
}

TEST_F(JobProcessesTest, TellsThatAProgramCannotBeStarted) {
  JobProcessesOptions options;
  options.command = {"/nonexistent/program"};
  options.work_folder = folder_.PathOf("work");
  options.budget = &budget_;
  options.report = [this](const CrashReport& report, const std::string&) {
    const MutexLock lock(&mutex_);
    reports_.push_back(report);
  };
  JobProcesses processes(std::move(options), &timers_);
  processes.Run("p", JobId(0, 1), 1, "");
  WaitUntil([&] { return processes.num_processes() == 0; });
  ASSERT_EQ(Reports().size(), 1u);
  EXPECT_THAT(Reports()[0].text, HasSubstr("could not be started"));
}

TEST_F(JobProcessesTest, KillsAProcessThatDoesNotEndInTimeAndOneThatIsToEndAtOnce) {
  const auto processes = Make("exec sleep 1000\n", absl::Milliseconds(10));
  processes->Run("slow", JobId(0, 1), 1, "");
  processes->Run("lost", JobId(0, 2), 1, "");
  const pid_t slow = PidOf("slow");
  const pid_t lost = PidOf("lost");
  processes->End("lost", /*at_once=*/true);
  WaitUntil([&] { return !Lives(lost); });
  EXPECT_TRUE(Lives(slow));
  processes->End("slow", /*at_once=*/false);
  WaitUntil([&] { return processes->num_processes() == 0; });
  EXPECT_FALSE(Lives(slow));
  EXPECT_THAT(Reports(), IsEmpty());
}

TEST_F(JobProcessesTest, StopsAllAndStartsNoneAfterwards) {
  const auto processes =
      Make("[ $id = obeys ] && exec cat <&3; exec sleep 1000\n", absl::Milliseconds(10));
  processes->Run("obeys", JobId(0, 1), 1, "");
  processes->Run("sleeps", JobId(0, 2), 1, "");
  const pid_t obeys = PidOf("obeys");
  const pid_t sleeps = PidOf("sleeps");
  processes->Stop();
  EXPECT_FALSE(Lives(obeys));
  EXPECT_FALSE(Lives(sleeps));
  processes->Run("late", JobId(0, 3), 1, "");
  EXPECT_EQ(processes->num_processes(), 0u);
}

TEST_F(JobProcessesTest, EndsAProcessThatHasNotBegun) {
  const auto processes = Make("exec sleep 1000\n");
  for (int i = 0; i < 20; ++i) {
    processes->Run(StrCat("p", i), JobId(0, 1), 1, "");
    processes->End(StrCat("p", i), /*at_once=*/true);
  }
  WaitUntil([&] { return processes->num_processes() == 0; });
  EXPECT_THAT(Reports(), IsEmpty());
}

TEST_F(JobProcessesTest, AsksForMetricsAndPassesOverThoseThatDoNotAnswer) {
  // The first question is answered late, together with the second.
  const auto processes = Make(
      "[ $id = hangs ] && exec sleep 1000\n"
      "while read -r word number <&3; do\n"
      "  printf 'metrics %s 5\\nabc%s\\n' $number $number >&3\n"
      "done\n");
  processes->Run("answers", JobId(0, 1), 1, "");
  processes->Run("hangs", JobId(0, 2), 1, "");
  PidOf("answers");
  PidOf("hangs");
  EXPECT_THAT(processes->RenderMetrics(), ElementsAre("abc1\n"));
  EXPECT_THAT(processes->RenderMetrics(), ElementsAre("abc2\n"));
  processes->KillAll();
  WaitUntil([&] { return processes->num_processes() == 0; });
  EXPECT_THAT(processes->RenderMetrics(), IsEmpty());
}

}  // namespace
}  // namespace weir
