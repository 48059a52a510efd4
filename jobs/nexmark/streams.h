#pragma once

#include <cstdint>

#include "jobs/nexmark/event.h"
#include "operators/api/data_stream.h"

namespace weir::nexmark {

// An event comes as an rvalue where no other operator reads it: then its texts may be moved on.
inline Bid* BidOf(Event& event) { return event.mutable_bid(); }
inline const Bid* BidOf(const Event& event) { return event.bid(); }

[[nodiscard]] DataStream<Bid> Bids(const DataStream<Event>& events);
[[nodiscard]] DataStream<Auction> Auctions(const DataStream<Event>& events);

/// The day of `time`, UTC: days since 1970.
[[nodiscard]] int32_t DayOf(EventTime time);
/// Writes days as yyyy-MM-dd; keeps the last one, as days change seldom. Threads: one at a time.
class DayText {
 public:
  [[nodiscard]] const Text& Of(int32_t day);

 private:
  int32_t day_ = -1;
  Text text_;
};

}  // namespace weir::nexmark
