#pragma once

#include "jobs/nexmark/event.h"
#include "jobs/nexmark/rows.h"
#include "operators/api/data_stream.h"

namespace weir::nexmark {

// Statistics and rankings that follow every bid. Each emits the new row of its key with each bid
// that changes it; the last row of a key is its result.

[[nodiscard]] DataStream<DayReport> ReportDays(const DataStream<Event>& events);          // q15
[[nodiscard]] DataStream<ChannelReport> ReportChannels(const DataStream<Event>& events);  // q16
[[nodiscard]] DataStream<AuctionReport> ReportAuctions(const DataStream<Event>& events);  // q17
/// The last bid of each bidder for each auction; upsert by bidder and auction.
[[nodiscard]] DataStream<Bid> FindLastBids(const DataStream<Event>& events);    // q18
[[nodiscard]] DataStream<RankedBid> RankBids(const DataStream<Event>& events);  // q19

}  // namespace weir::nexmark
