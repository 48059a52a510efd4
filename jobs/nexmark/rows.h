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

/// q3: who sells what nearby.
struct LocalItem {
  Text name;
  Text city;
  Text state;
  int64_t id = 0;
};

/// q4; upsert by category.
struct CategoryPrice {
  int64_t category = 0;
  int64_t average = 0;
};

/// q5: an auction with the most bids of a window.
struct HotItem {
  int64_t auction = 0;
  int64_t num = 0;
};

/// q7: a highest bid of a window. The benchmark selects price before bidder.
struct HighestBid {
  int64_t auction = 0;
  int64_t price = 0;
  int64_t bidder = 0;
  EventTime date_time;
  Text extra;
};

/// q8: who came and opened an auction in the window that begins at `starttime`.
struct NewUser {
  int64_t id = 0;
  Text name;
  EventTime starttime;
};

/// q9; upsert by id.
struct WinningBid {
  int64_t id = 0;
  Text item_name;
  Text description;
  int64_t initial_bid = 0;
  int64_t reserve = 0;
  EventTime date_time;
  EventTime expires;
  int64_t seller = 0;
  int64_t category = 0;
  Text extra;
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  EventTime bid_date_time;
  Text bid_extra;
};

/// q11: a session; q12: a window.
struct BidCount {
  int64_t bidder = 0;
  int64_t bid_count = 0;
  EventTime starttime;
  EventTime endtime;
};

/// q15; upsert by day. Of bids, bidders and auctions: all, and those of prices below 10,000, below
/// 1,000,000 and above.
struct DayReport {
  Text day;
  int64_t total_bids = 0;
  int64_t rank1_bids = 0;
  int64_t rank2_bids = 0;
  int64_t rank3_bids = 0;
  int64_t total_bidders = 0;
  int64_t rank1_bidders = 0;
  int64_t rank2_bidders = 0;
  int64_t rank3_bidders = 0;
  int64_t total_auctions = 0;
  int64_t rank1_auctions = 0;
  int64_t rank2_auctions = 0;
  int64_t rank3_auctions = 0;
};

/// q16; upsert by channel and day.
struct ChannelReport {
  Text channel;
  Text day;
  Text minute;
  int64_t total_bids = 0;
  int64_t rank1_bids = 0;
  int64_t rank2_bids = 0;
  int64_t rank3_bids = 0;
  int64_t total_bidders = 0;
  int64_t rank1_bidders = 0;
  int64_t rank2_bidders = 0;
  int64_t rank3_bidders = 0;
  int64_t total_auctions = 0;
  int64_t rank1_auctions = 0;
  int64_t rank2_auctions = 0;
  int64_t rank3_auctions = 0;
};

/// q17; upsert by auction and day.
struct AuctionReport {
  int64_t auction = 0;
  Text day;
  int64_t total_bids = 0;
  int64_t rank1_bids = 0;
  int64_t rank2_bids = 0;
  int64_t rank3_bids = 0;
  int64_t min_price = 0;
  int64_t max_price = 0;
  int64_t avg_price = 0;
  int64_t sum_price = 0;
};

/// q19: a bid among the ten highest of its auction; upsert by auction and rank.
struct RankedBid {
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  Text channel;
  Text url;
  EventTime date_time;
  Text extra;
  int64_t rank_number = 0;
};

/// q20: a bid with its auction.
struct AuctionBid {
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  Text channel;
  Text url;
  EventTime bid_date_time;
  Text bid_extra;
  Text item_name;
  Text description;
  int64_t initial_bid = 0;
  int64_t reserve = 0;
  EventTime auction_date_time;
  EventTime expires;
  int64_t seller = 0;
  int64_t category = 0;
  Text auction_extra;
};

/// q23: a bid with its bidder and what the bidder sells.
struct SellerBid {
  int64_t bidder = 0;
  int64_t price = 0;
  Text channel;
  Text url;
  Text bid_extra;
  int64_t person_id = 0;
  Text name;
  Text email_address;
  Text credit_card;
  Text city;
  Text state;
  Text person_extra;
  Text item_name;
  Text description;
  int64_t initial_bid = 0;
  int64_t reserve = 0;
  EventTime auction_date_time;
  EventTime expires;
  int64_t seller = 0;
  int64_t category = 0;
  Text auction_extra;
};

}  // namespace weir::nexmark
