#include "operators/window/aligned_windows.h"

#include <algorithm>

#include "absl/time/civil_time.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

// Beyond any date, and far enough from the limits that sums of a few cannot overflow.
constexpr int64_t kMaxMillis = int64_t{1} << 58;

int64_t FloorTo(int64_t time, int64_t step, int64_t offset) {
  int64_t remainder = (time - offset) % step;
  if (remainder < 0) remainder += step;
  return time - remainder;
}

int64_t Clamp(int64_t time) { return std::clamp(time, -kMaxMillis, kMaxMillis); }

bool IsExact(absl::Duration duration) {
  const int64_t millis = absl::ToInt64Milliseconds(duration);
  return duration == absl::Milliseconds(millis) && millis > -kMaxMillis && millis < kMaxMillis;
}

}  // namespace

AlignedWindows::AlignedWindows(TimeDomain domain, absl::Duration size, absl::Duration slide,
                               absl::Duration offset)
    : domain_(domain),
      size_(Clamp(absl::ToInt64Milliseconds(size))),
      slide_(Clamp(absl::ToInt64Milliseconds(slide))),
      offset_(Clamp(absl::ToInt64Milliseconds(offset))),
      exact_(IsExact(size) && IsExact(slide) && IsExact(offset)) {}

AlignedWindows AlignedWindows::Cumulative(TimeDomain domain, absl::Duration max_size,
                                          absl::Duration step, absl::Duration offset) {
  AlignedWindows windows(domain, max_size, step, offset);
  windows.kind_ = Kind::kCumulative;
  return windows;
}

AlignedWindows AlignedWindows::Days(TimeDomain domain, int64_t days, absl::TimeZone zone) {
  AlignedWindows windows(domain, absl::Hours(24), absl::ZeroDuration(), absl::ZeroDuration());
  windows.kind_ = Kind::kDays;
  windows.slide_ = days;
  windows.zone_ = zone;
  return windows;
}

absl::Status AlignedWindows::Validate() const {
  if (!exact_) {
    return absl::InvalidArgumentError(
        "window sizes are finite and whole milliseconds; round size, slide and offset");
  }
  const auto refuse = [this](std::string_view what) {
    return absl::InvalidArgumentError(StrCat(what, ": size_ms=", size_, " slide_ms=", slide_));
  };
  switch (kind_) {
    case Kind::kSliding:
      if (size_ <= 0 || slide_ <= 0) return refuse("windows need a size and slide above zero");
      break;
    case Kind::kCumulative:
      if (size_ <= 0 || slide_ <= 0) return refuse("windows need a size and step above zero");
      if (size_ % slide_ != 0) {
        return refuse("the size of cumulative windows must be a multiple of their step (slide_ms)");
      }
      break;
    case Kind::kDays:
      if (slide_ < 1 || slide_ > 100'000) {
        return absl::InvalidArgumentError(
            StrCat("windows of days need 1 to 100000 of them: days=", slide_));
      }
      break;
  }
  return absl::OkStatus();
}

int64_t AlignedWindows::MaxSlicesPerWindow() const {
  switch (kind_) {
    case Kind::kSliding: {
      if (size_ <= slide_) return 1;
      const int64_t whole = size_ / slide_;
      return size_ % slide_ == 0 ? whole : 2 * whole + 1;
    }
    case Kind::kCumulative:
      return size_ / slide_;
    case Kind::kDays:
      return 1;
  }
  return 1;
}

AlignedWindows::Slice AlignedWindows::SliceOf(int64_t time) const {
  time = Clamp(time);
  if (kind_ == Kind::kDays) return DaysOf(time);
  const int64_t start = FloorTo(time, slide_, offset_);
  const int64_t rest = kind_ == Kind::kSliding ? size_ % slide_ : 0;
  // A window that began some slides before, or one shorter than the slide, ends within this slide.
  const int64_t cut = start + rest;
  if (rest == 0) return {start, start + slide_};
  return time < cut ? Slice{start, cut} : Slice{cut, start + slide_};
}

int64_t AlignedWindows::FirstWindowEnd(int64_t time) const {
  time = Clamp(time);
  switch (kind_) {
    case Kind::kSliding: {
      const int64_t end = FloorTo(time - size_, slide_, offset_) + slide_ + size_;
      return end - size_ <= time ? end : kNone;
    }
    case Kind::kCumulative:
      return FloorTo(time, slide_, offset_) + slide_;
    case Kind::kDays:
      return DaysOf(time).end;
  }
  return kNone;
}

int64_t AlignedWindows::LastWindowEnd(int64_t time) const {
  time = Clamp(time);
  switch (kind_) {
    case Kind::kSliding: {
      const int64_t end = FloorTo(time, slide_, offset_) + size_;
      return end > time ? end : kNone;
    }
    case Kind::kCumulative:
      return FloorTo(time, size_, offset_) + size_;
    case Kind::kDays:
      return DaysOf(time).end;
  }
  return kNone;
}

int64_t AlignedWindows::NextWindowEnd(int64_t end) const {
  return kind_ == Kind::kDays ? DaysOf(end).end : end + slide_;
}

int64_t AlignedWindows::WindowStart(int64_t end) const {
  switch (kind_) {
    case Kind::kSliding:
      return end - size_;
    case Kind::kCumulative:
      return FloorTo(end - 1, size_, offset_);
    case Kind::kDays:
      return DaysOf(end - 1).start;
  }
  return end;
}

AlignedWindows::Slice AlignedWindows::DaysOf(int64_t time) const {
  constexpr absl::CivilDay kEpoch(1970, 1, 1);
  // The calendar ends long before the time line does.
  const absl::Time instant = absl::FromUnixMillis(
      std::clamp(time, int64_t{-10'000'000} * 86'400'000, int64_t{10'000'000} * 86'400'000));
  const auto midnight = [&](int64_t day) {
    return absl::ToUnixMillis(absl::FromCivil(absl::CivilSecond(kEpoch + day), zone_));
  };
  int64_t first = FloorTo(absl::ToCivilDay(instant, zone_) - kEpoch, slide_, 0);
  time = absl::ToUnixMillis(instant);
  // Where clocks change at midnight, the civil day can be off by one.
  while (time < midnight(first)) first -= slide_;
  while (time >= midnight(first + slide_)) first += slide_;
  return {midnight(first), midnight(first + slide_)};
}

}  // namespace weir
