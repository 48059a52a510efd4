#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "runtime/base/clock.h"
#include "runtime/base/mutex.h"
#include "runtime/record/event_time.h"
#include "runtime/state/state_ttl.h"

namespace weir::internal {

/// A value and when its life began: the first field, so the first eight bytes of the serialised
/// form.
template <class T>
struct TtlValue {
  int64_t last_access_ms = std::numeric_limits<int64_t>::min();
  T value{};
};

template <class V>
inline constexpr bool kIsTtlValue = false;
template <class T>
inline constexpr bool kIsTtlValue<TtlValue<T>> = true;

/// The times that one backend's states expire by. Threads: the task's; the watermark and the clock
/// may be read by any.
class StateTime {
 public:
  /// `clock` is borrowed.
  explicit StateTime(const Clock* clock) : clock_(clock) {}

  void AdvanceWatermark(EventTime watermark) {
    watermark_ms_.store(watermark.millis(), std::memory_order_relaxed);
  }
  void SetRecordTime(EventTime time) { record_ms_ = time.millis(); }

  /// Returns the time that an access happens at.
  [[nodiscard]] int64_t NowMs(StateTtlConfig::TtlTimeCharacteristic characteristic) const;
  /// Returns a time that no later access happens before. Any thread.
  [[nodiscard]] int64_t SafeNowMs(StateTtlConfig::TtlTimeCharacteristic characteristic) const;

 private:
  const Clock* const clock_;
  std::atomic<int64_t> watermark_ms_{std::numeric_limits<int64_t>::min()};
  int64_t record_ms_ = std::numeric_limits<int64_t>::min();
};

/// When values of one state expire. Immutable; any thread, but NowMs: the task's.
class StateExpiry {
 public:
  StateExpiry(const StateTtlConfig& config, std::shared_ptr<const StateTime> time);

  [[nodiscard]] bool updates_on_read() const { return updates_on_read_; }
  [[nodiscard]] bool returns_expired() const { return returns_expired_; }
  [[nodiscard]] int64_t NowMs() const { return time_->NowMs(characteristic_); }
  [[nodiscard]] int64_t SafeNowMs() const { return time_->SafeNowMs(characteristic_); }
  [[nodiscard]] bool IsExpired(int64_t last_access_ms, int64_t now_ms) const {
    constexpr int64_t kNever = std::numeric_limits<int64_t>::min();
    return now_ms >= kNever + ttl_ms_ && last_access_ms <= now_ms - ttl_ms_;
  }

 private:
  const int64_t ttl_ms_;
  const bool updates_on_read_;
  const bool returns_expired_;
  const StateTtlConfig::TtlTimeCharacteristic characteristic_;
  const std::shared_ptr<const StateTime> time_;
};

/// Tells which entries of a file have expired by a fixed time. Immutable; any thread.
class ExpiryCheck {
 public:
  /// `key` and `value` are those of an entry in a file.
  [[nodiscard]] bool IsExpired(std::string_view key, std::string_view value) const;

 private:
  friend class ExpiryRules;
  struct Rule {
    std::shared_ptr<const StateExpiry> expiry;
    int64_t now_ms = 0;
  };
  std::map<std::string, Rule, std::less<>> rules_;  // By the encoded name of the state.
};

/// Which states of a database expire. Threads: any.
class ExpiryRules {
 public:
  void Add(std::string encoded_name, std::shared_ptr<const StateExpiry> expiry);
  /// Returns the check for now, or null if nothing expires.
  [[nodiscard]] std::unique_ptr<const ExpiryCheck> Check() const;

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<const StateExpiry>> rules_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir::internal
