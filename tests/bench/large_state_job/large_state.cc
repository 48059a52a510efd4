// Keyed state of a chosen size, for large_state.py: --keys K --states S --value-bytes B --records N
// --rate R --hot-percent P --out FOLDER. Records 0 to K-1 make the keys, each in one of S states;
// later ones change one of them, most of them one of the hottest hundredth. A value that is not
// what it was is a line in FOLDER.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "operators/api/job.h"
#include "operators/connectors/data_gen_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace {

uint64_t Scramble(uint64_t value) {
  value = (value ^ (value >> 31)) * 0x9E3779B97F4A7C15;
  return value ^ (value >> 29);
}

struct Change {
  int64_t key = 0;
};

struct Value {
  int64_t num_changes = 0;
  std::string payload;
};

// Text that does not compress, and that only this key has after so many changes.
std::string PayloadOf(int64_t key, int64_t num_changes, size_t bytes) {
  std::string payload(bytes, '\0');
  uint64_t state = Scramble(static_cast<uint64_t>(key) * 31 + static_cast<uint64_t>(num_changes));
  for (size_t i = 0; i < bytes; i += sizeof(state)) {
    state = Scramble(state + i + 1);
    std::memcpy(payload.data() + i, &state, std::min(sizeof(state), bytes - i));
  }
  return payload;
}

class Keep final : public weir::KeyedProcessFunction<int64_t, Change, std::string> {
 public:
  Keep(size_t bytes, int64_t num_states)
      : bytes_(bytes), values_(static_cast<size_t>(num_states)) {}
  absl::Status Open(weir::KeyedOpenContext<int64_t>& context) override {
    for (size_t i = 0; i < values_.size(); ++i) {
      ASSIGN_OR_RETURN(
          values_[i],
          context.GetState(weir::ValueStateDescriptor<Value>{weir::StrCat("value-", i)}));
    }
    return absl::OkStatus();
  }
  void ProcessElement(const Change& change, Context&, weir::Collector<std::string>& out) override {
    Value& value = values_[static_cast<size_t>(change.key) % values_.size()].Mutable();
    if (value.num_changes > 0 &&
        value.payload != PayloadOf(change.key, value.num_changes, bytes_)) {
      out.Collect(weir::StrCat(R"({"wrong_key":)", change.key, "}"));
    }
    ++value.num_changes;
    value.payload = PayloadOf(change.key, value.num_changes, bytes_);
  }

 private:
  const size_t bytes_;
  std::vector<weir::ValueState<Value>> values_;
};

absl::Status Build(weir::StreamEnvironment& environment, const weir::JobArgs& args) {
  ASSIGN_OR_RETURN(const int64_t keys, args.GetInt("keys", 100'000));
  ASSIGN_OR_RETURN(const int64_t states, args.GetInt("states", 1));
  ASSIGN_OR_RETURN(const int64_t bytes, args.GetInt("value-bytes", 1'000));
  ASSIGN_OR_RETURN(const int64_t records, args.GetInt("records", 200'000));
  ASSIGN_OR_RETURN(const double rate, args.GetDouble("rate", 0));
  ASSIGN_OR_RETURN(const int64_t hot_percent, args.GetInt("hot-percent", 90));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "a folder for what is wrong"));
  if (keys < 1 || states < 1 || bytes < 1 || records < keys) {
    return absl::InvalidArgumentError(weir::StrCat(
        "--keys, --states and --value-bytes must be at least 1, --records at least --keys: keys=",
        keys, " states=", states, " value_bytes=", bytes, " records=", records));
  }
  weir::DataGenSource source(
      {.count = static_cast<uint64_t>(records), .records_per_second = rate},
      [keys, hot_percent](const weir::DataGenRecord& record, weir::DataGenRandom&) {
        const auto index = static_cast<int64_t>(record.index);
        if (index < keys) return Change{index};
        const uint64_t random = Scramble(record.index * 2 + 1);
        const bool hot = static_cast<int64_t>(random % 100) < hot_percent;
        const int64_t among = hot ? std::max<int64_t>(keys / 100, 1) : keys;
        return Change{static_cast<int64_t>((random >> 8) % static_cast<uint64_t>(among))};
      });
  environment.FromSource(source, weir::WatermarkStrategy<Change>::NoWatermarks(), "changes")
      .KeyBy([](const Change& change) { return change.key; })
      .Process(Keep(static_cast<size_t>(bytes), states))
      .Name("Keep")
      .Uid("keep")
      .SinkTo(weir::NdjsonFileSink<std::string>({.folder = args.ResolvePath(out)}));
  return absl::OkStatus();
}

}  // namespace

WEIR_JOB("large_state", "Keyed state of a chosen size that is changed at random", Build);
