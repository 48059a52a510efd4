#include "operators/connectors/file/bucket_assigner.h"

#include <utility>

namespace weir {

DateTimeBucketAssigner::DateTimeBucketAssigner(std::string format, absl::TimeZone zone,
                                               BucketTime time)
    : format_(std::move(format)), zone_(zone), time_(time) {}

const std::string& DateTimeBucketAssigner::Format(EventTime time, absl::Time now) {
  const bool has_event_time = time != EventTime::Min() && time != EventTime::Max();
  const absl::Time instant =
      time_ == BucketTime::kEventTime && has_event_time ? absl::FromUnixMillis(time.millis()) : now;
  const int64_t second = absl::ToUnixSeconds(instant);
  if (second != last_second_ || last_.empty()) {
    last_ = absl::FormatTime(format_, instant, zone_);
    last_second_ = second;
  }
  return last_;
}

}  // namespace weir
