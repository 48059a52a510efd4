#pragma once

#include <cstdint>

#include "jobs/nexmark/event.h"
#include "jobs/nexmark/row_json.h"

namespace weir::nexmark {

// The rows of the queries' results, with the columns of their SQL in order.

/// q0: a bid as it is.
struct PassedBid {
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  EventTime date_time;
  Text extra;
};

/// q1: a bid in euros.
struct EuroBid {
  int64_t auction = 0;
  int64_t bidder = 0;
  Decimal3 price;
  EventTime date_time;
  Text extra;
};

/// q2
struct AuctionPrice {
  int64_t auction = 0;
  int64_t price = 0;
};

/// q13: a bid with what the side input has for its auction.
struct EnrichedBid {
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  EventTime date_time;
  Text value;
};

/// q14
struct CalculatedBid {
  int64_t auction = 0;
  int64_t bidder = 0;
  Decimal3 price;
  Text bid_time_type;
  EventTime date_time;
  Text extra;
  int64_t c_counts = 0;
};

/// q21
struct ChannelBid {
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  Text channel;
  Text channel_id;
};

/// q22
struct DirectoryBid {
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  Text channel;
  Text dir1;
  Text dir2;
  Text dir3;
};

}  // namespace weir::nexmark
