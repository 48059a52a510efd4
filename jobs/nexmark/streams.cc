#include "jobs/nexmark/streams.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"

namespace weir::nexmark {

DataStream<Bid> Bids(const DataStream<Event>& events) {
  return events
      .FlatMap<Bid>([](auto&& event, Collector<Bid>& out) {
        if (auto* bid = BidOf(event)) out.Collect(std::move(*bid));
      })
      .Name("Bids");
}

DataStream<Auction> Auctions(const DataStream<Event>& events) {
  return events
      .FlatMap<Auction>([](const Event& event, Collector<Auction>& out) {
        if (const Auction* auction = event.auction()) out.Collect(*auction);
      })
      .Name("Auctions");
}

int32_t DayOf(EventTime time) {
  constexpr int64_t kDayMs = 86'400'000;
  const int64_t millis = time.millis();
  return static_cast<int32_t>((millis - (millis < 0 ? kDayMs - 1 : 0)) / kDayMs);
}

const Text& DayText::Of(int32_t day) {
  if (day != day_ || text_.empty()) {
    day_ = day;
    const absl::CivilDay date = absl::CivilDay(1970, 1, 1) + day;
    text_ = Text(absl::StrFormat("%04d-%02d-%02d", date.year(), date.month(), date.day()));
  }
  return text_;
}

}  // namespace weir::nexmark
