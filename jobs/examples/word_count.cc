#include "jobs/examples/word_count.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "operators/connectors/file/file_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "operators/connectors/print_sink.h"
#include "operators/connectors/values_source.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"

namespace weir::examples {
namespace {

struct WordCount {
  std::string word;
  int64_t count = 0;
};

/// Counts in state, and emits each word's count when event time has ended.
class CountWords final : public KeyedProcessFunction<std::string, std::string, WordCount> {
 public:
  absl::Status Open(KeyedOpenContext<std::string>& context) override {
    ASSIGN_OR_RETURN(count_, context.GetState(ValueStateDescriptor<int64_t>{"count"}));
    return absl::OkStatus();
  }
  void ProcessElement(const std::string&, Context& context, Collector<WordCount>&) override {
    if (++count_.Mutable() == 1) context.timer_service().RegisterEventTimeTimer(EventTime::Max());
  }
  void OnTimer(TimerKind, Context& context, Collector<WordCount>& out) override {
    out.Collect({context.current_key(), *count_.Get()});
    count_.Clear();
  }

 private:
  ValueState<int64_t> count_;
};

void AppendCountJson(const WordCount& record, std::string* line) {
  JsonWriter json(line);
  json.BeginObject();
  json.Key("word").String(record.word);
  json.Key("count").Int(record.count);
  json.EndObject();
}

DataStream<std::string> Lines(StreamEnvironment& environment, const JobArgs& args) {
  const auto no_time = WatermarkStrategy<std::string>::NoWatermarks();
  const std::optional<std::string> input = args.Find("input");
  if (!input.has_value()) {
    const std::vector<std::string> text = {
        "A stream is a table that is never finished.",
        "A table is a stream that somebody stopped to look at.",
        "To look at a stream is to stop it, or to count.",
    };
    return environment.FromSource(ValuesSource<std::string>(text), no_time, "Lines").Uid("lines");
  }
  FileSourceOptions options;
  options.path = args.ResolvePath(*input);
  options.format = FileFormat::kLines;
  options.extensions = {".txt", ".md", ".log"};
  return environment.FromSource(FileSource(options), no_time, "Lines").Uid("lines");
}

}  // namespace

void ForEachWord(std::string_view line, absl::FunctionRef<void(std::string word)> visit) {
  std::string word;
  for (const char c : line) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    const bool is_part = is_upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                         static_cast<unsigned char>(c) >= 0x80;
    if (is_part) {
      word.push_back(is_upper ? static_cast<char>(c - 'A' + 'a') : c);
    } else if (!word.empty()) {
      visit(std::exchange(word, {}));
    }
  }
  if (!word.empty()) visit(std::move(word));
}

absl::Status BuildWordCount(StreamEnvironment& environment, const JobArgs& args) {
  const DataStream<WordCount> counts =
      Lines(environment, args)
          .FlatMap<std::string>([](const std::string& line, Collector<std::string>& out) {
            ForEachWord(line, [&](std::string word) { out.Collect(std::move(word)); });
          })
          .Name("Words")
          .KeyBy([](const std::string& word) { return word; })
          .Process(CountWords())
          .Name("Count")
          .Uid("count");
  if (const std::optional<std::string> folder = args.Find("out")) {
    counts
        .SinkTo(NdjsonFileSink<WordCount>({args.ResolvePath(*folder), "words"}, AppendCountJson),
                "Counts")
        .Uid("counts");
  } else {
    counts.SinkTo(PrintSink<WordCount>(AppendCountJson), "Counts").Uid("counts");
  }
  return absl::OkStatus();
}

}  // namespace weir::examples
