// A few records, each far larger than a batch or a channel, through three key exchanges: --records
// N
// --megabytes M --out FOLDER. The sink gets a line per record: which subtasks it passed, and
// whether it is as it was.

#include <cstdint>
#include <string>
#include <vector>

#include "operators/api/job.h"
#include "operators/connectors/data_gen_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace {

struct Large {
  uint64_t index = 0;
  std::vector<uint32_t> path;
  std::string payload;
};

// Text that differs from record to record and does not compress to nothing.
std::string PayloadOf(uint64_t index, size_t bytes) {
  weir::DataGenRandom random(9, index);
  const std::string block = random.Text(100'003);
  std::string payload;
  payload.reserve(bytes);
  while (payload.size() < bytes) payload.append(block, 0, bytes - payload.size());
  return payload;
}

// Notes where it runs and hands the record on.
struct Pass final : weir::KeyedProcessFunction<std::string, Large, Large> {
  void ProcessElement(const Large& large, Context& context, weir::Collector<Large>& out) override {
    Large passed = large;
    passed.path.push_back(context.place().subtask);
    out.Collect(std::move(passed));
  }
};

auto KeyOfHop(int hop) {
  return [hop](const Large& large) { return weir::StrCat("hop ", hop, " of ", large.index); };
}

absl::Status Build(weir::StreamEnvironment& environment, const weir::JobArgs& args) {
  ASSIGN_OR_RETURN(const int64_t records, args.GetInt("records", 4));
  ASSIGN_OR_RETURN(const int64_t megabytes, args.GetInt("megabytes", 40));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "a folder for the results"));
  const auto bytes = static_cast<size_t>(megabytes) << 20;
  weir::DataGenSource source({.count = static_cast<uint64_t>(records)},
                             [bytes](const weir::DataGenRecord& record, weir::DataGenRandom&) {
                               return Large{record.index, {}, PayloadOf(record.index, bytes)};
                             });
  environment.FromSource(source, weir::WatermarkStrategy<Large>::NoWatermarks(), "large")
      .KeyBy(KeyOfHop(1))
      .Process(Pass{})
      .KeyBy(KeyOfHop(2))
      .Process(Pass{})
      .KeyBy(KeyOfHop(3))
      .Process(Pass{})
      .Map([bytes](const Large& large) {
        std::string line = weir::StrCat(R"({"index":)", large.index, R"(,"path":[)");
        for (size_t i = 0; i < large.path.size(); ++i) {
          weir::StrAppend(&line, i > 0 ? "," : "", large.path[i]);
        }
        const bool intact = large.payload == PayloadOf(large.index, bytes);
        weir::StrAppend(&line, R"(],"bytes":)", large.payload.size(), R"(,"intact":)",
                        intact ? "true" : "false", "}");
        return line;
      })
      .SinkTo(weir::NdjsonFileSink<std::string>({.folder = args.ResolvePath(out)}));
  return absl::OkStatus();
}

}  // namespace

WEIR_JOB("large_records", "Large records through three key exchanges", Build);
