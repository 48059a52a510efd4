#pragma once

#include "jobs/nexmark/event.h"
#include "jobs/nexmark/rows.h"
#include "operators/api/data_stream.h"

namespace weir::nexmark {

// Queries over windows of time. Bids that come after their window has fired, more than four seconds
// late, are left out.

[[nodiscard]] DataStream<HotItem> FindHotItems(const DataStream<Event>& events);        // q5
[[nodiscard]] DataStream<HighestBid> FindHighestBids(const DataStream<Event>& events);  // q7
[[nodiscard]] DataStream<NewUser> FindNewUsers(const DataStream<Event>& events);        // q8
[[nodiscard]] DataStream<BidCount> CountSessions(const DataStream<Event>& events);      // q11
/// Windows of processing time; those that are open when the input ends are emitted then.
[[nodiscard]] DataStream<BidCount> CountByProcessingTime(const DataStream<Event>& events);  // q12

}  // namespace weir::nexmark
