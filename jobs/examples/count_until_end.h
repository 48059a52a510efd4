#pragma once

#include <cstdint>
#include <string>

#include "operators/api/functions.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"

namespace weir::examples {

/// How many records a key had.
struct KeyCount {
  int64_t key = 0;
  int64_t count = 0;
};

/// Counts the records of each key in state; emits the counts when event time has ended.
template <class T>
class CountUntilEnd final : public KeyedProcessFunction<int64_t, T, KeyCount> {
 public:
  using Base = KeyedProcessFunction<int64_t, T, KeyCount>;
  using typename Base::Context;

  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(count_, context.GetState(ValueStateDescriptor<int64_t>{"count"}));
    return absl::OkStatus();
  }
  void ProcessElement(const T&, Context& context, Collector<KeyCount>&) override {
    if (++count_.Mutable() == 1) context.timer_service().RegisterEventTimeTimer(EventTime::Max());
  }
  void OnTimer(TimerKind, Context& context, Collector<KeyCount>& out) override {
    out.Collect({context.current_key(), *count_.Get()});
    count_.Clear();
  }

 private:
  ValueState<int64_t> count_;
};

/// Appends {"key":…,"count":…}.
inline void AppendCountJson(const KeyCount& record, std::string* line) {
  JsonWriter(line)
      .BeginObject()
      .Key("key")
      .Int(record.key)
      .Key("count")
      .Int(record.count)
      .EndObject();
}

}  // namespace weir::examples
