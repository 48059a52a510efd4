#pragma once

#include "jobs/nexmark/event.h"
#include "jobs/nexmark/rows.h"
#include "operators/api/data_stream.h"

namespace weir::nexmark {

// Queries that bring events of different kinds together. All use that ids of persons and auctions
// are unique: once the auction of a bid has come, the bid itself need not be kept.

[[nodiscard]] DataStream<LocalItem> FindLocalItems(const DataStream<Event>& events);     // q3
[[nodiscard]] DataStream<CategoryPrice> AveragePrices(const DataStream<Event>& events);  // q4
[[nodiscard]] DataStream<WinningBid> FindWinningBids(const DataStream<Event>& events);   // q9
[[nodiscard]] DataStream<AuctionBid> ExpandBids(const DataStream<Event>& events);        // q20
[[nodiscard]] DataStream<SellerBid> FindBidsOfSellers(const DataStream<Event>& events);  // q23

}  // namespace weir::nexmark
