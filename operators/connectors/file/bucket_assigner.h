#pragma once

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "runtime/record/event_time.h"

namespace weir {

/// Says which bucket a record belongs to: a path below the sink's folder, like
/// "dt=2026-03-01/h=07"; empty is the folder itself. No part of it is ".." or begins with a dot,
/// which hides files from readers. `time` is the record's event time, `now` the clock's.
template <class T>
using BucketAssigner = std::function<std::string(const T& record, EventTime time, absl::Time now)>;

/// Which time a DateTimeBucketAssigner looks at.
enum class BucketTime {
  kProcessingTime,  ///< As Flink's.
  kEventTime,       ///< Processing time for records that have none.
};

/// Buckets by date and time, of the format that absl::FormatTime takes: by default one an hour.
/// Remembers the last one: times mostly fall into it.
class DateTimeBucketAssigner {
 public:
  explicit DateTimeBucketAssigner(std::string format = "%Y-%m-%d--%H",
                                  absl::TimeZone zone = absl::UTCTimeZone(),
                                  BucketTime time = BucketTime::kProcessingTime);

  template <class T>
  std::string operator()(const T& /*record*/, EventTime time, absl::Time now) {
    return Format(time, now);
  }

 private:
  const std::string& Format(EventTime time, absl::Time now);

  std::string format_;
  absl::TimeZone zone_;
  BucketTime time_;
  int64_t last_second_ = -1;
  std::string last_;
};

}  // namespace weir
