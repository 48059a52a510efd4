// Two pipelines without a channel between them, each a keyed count: --records N --keys K --rate R
// --out FOLDER. The left one has an operator that goes wrong once a file has appeared at --trigger,
// as --how says: throw, segv, abort, fpe, overflow, exit, quick (without a word) or leak. It
// removes the file first.

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "jobs/examples/count_until_end.h"
#include "jobs/examples/number_source.h"
#include "operators/api/job.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace {

using weir::examples::Event;

// Looked for the file every so many records: seldom enough to cost nothing.
constexpr uint64_t kRecordsPerLook = 256;

__attribute__((noinline)) int Overflow(int depth) {  // NOLINT(misc-no-recursion)
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  volatile bool forever = true;
  if (!forever) return 0;
  return Overflow(depth + 1) + frame[0];
}

[[noreturn]] void GoWrong(const std::string& how) {
  if (how == "segv") {
    volatile int* volatile nothing = nullptr;
    *nothing = 7;
  }
  if (how == "fpe") std::raise(SIGFPE);
  if (how == "overflow") std::exit(Overflow(0));
  if (how == "abort") std::abort();
  if (how == "exit") std::exit(7);
  if (how == "quick") _exit(8);
  while (how == "leak") {
    constexpr size_t kBytes = size_t{8} << 20;
    std::memset(std::malloc(kBytes), 1, kBytes);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  throw std::out_of_range("thrown on purpose");
}

auto GoesWrong(std::string trigger, std::string how) {
  return [trigger = std::move(trigger), how = std::move(how),
          count = uint64_t{0}](const Event& event) mutable {
    if (++count % kRecordsPerLook == 0 && std::filesystem::remove(trigger)) GoWrong(how);
    return event;
  };
}

absl::Status Build(weir::StreamEnvironment& environment, const weir::JobArgs& args) {
  weir::examples::NumberSourceOptions options;
  ASSIGN_OR_RETURN(options.records, args.GetInt("records", 1000000));
  ASSIGN_OR_RETURN(options.keys, args.GetInt("keys", 100));
  ASSIGN_OR_RETURN(options.rate, args.GetDouble("rate", 0));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "a folder for the counts"));
  ASSIGN_OR_RETURN(const std::string trigger, args.GetRequired("trigger", "the file to wait for"));
  const std::string how = args.GetString("how", "throw");
  for (const std::string side : {"left", "right"}) {
    environment
        .FromSource(weir::examples::NumberSource(options),
                    weir::WatermarkStrategy<Event>::NoWatermarks(), side)
        .Uid(side)
        .Map(GoesWrong(side == "left" ? trigger : "", how))
        .Name(weir::StrCat("Goes wrong ", side))
        .Uid(weir::StrCat("goes-wrong-", side))
        .KeyBy([](const Event& event) { return event.key; })
        .Process(weir::examples::CountUntilEnd<Event>())
        .Uid(weir::StrCat("count-", side))
        .SinkTo(weir::NdjsonFileSink<weir::examples::KeyCount>(
                    {weir::StrCat(args.ResolvePath(out), "/", side), "counts"},
                    weir::examples::AppendCountJson),
                "Counts")
        .Uid(weir::StrCat("counts-", side));
  }
  return absl::OkStatus();
}

}  // namespace

WEIR_JOB("two_pipelines", "Two pipelines, one of which goes wrong when told", Build);
