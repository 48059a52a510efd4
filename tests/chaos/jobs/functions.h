#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "operators/api/functions.h"
#include "runtime/base/status_macros.h"
#include "tests/chaos/jobs/pipelines.h"

namespace weir::chaos {

/// Holds the records up so that the subtasks together let `rate` a second through: what is in front
/// of it fills up, and barriers meet full channels. Lets all through at once for a rate of 0.
class Pace {
 public:
  explicit Pace(double rate) : rate_(rate) {}

  void Open(uint32_t parallelism) {
    if (rate_ > 0) each_ = absl::Seconds(parallelism / rate_);
  }
  void Hold() {
    if (each_ == absl::ZeroDuration()) return;
    due_ += each_;
    const absl::Time now = absl::Now();
    if (due_ - now > absl::Milliseconds(2)) absl::SleepFor(due_ - now);
    // A sleep that lasted too long is made up for, a pause of the input is not.
    due_ = std::max(due_, now - absl::Milliseconds(200));
  }

 private:
  double rate_;
  absl::Duration each_;
  absl::Time due_ = absl::InfinitePast();
};

/// Each record's place among those of its key: any loss or repetition shows in what follows it.
class CountSoFar final : public KeyedProcessFunction<int64_t, Reading, Outcome> {
 public:
  explicit CountSoFar(double rate = 0) : pace_(rate) {}

  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    pace_.Open(context.place().parallelism);
    ASSIGN_OR_RETURN(count_, context.GetState(ValueStateDescriptor<int64_t>{"count"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Reading& reading, Context&, Collector<Outcome>& out) override {
    pace_.Hold();
    out.Collect({reading.key, ++count_.Mutable(), 0});
  }

 private:
  Pace pace_;
  ValueState<int64_t> count_;
};

}  // namespace weir::chaos
