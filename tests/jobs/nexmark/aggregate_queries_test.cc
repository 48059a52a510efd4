#include "jobs/nexmark/aggregate_queries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <map>
#include <set>
#include <tuple>
#include <unordered_set>
#include <vector>

#include "tests/jobs/nexmark/query_runs.h"

namespace weir::nexmark {
namespace {

// The events of nearly two days, so that groups by day are more than one.
NexmarkSourceOptions SlowSource() {
  return TestSource(static_cast<double>(kTestEvents) / (1.8 * 86'400));
}

// Made once a minute: the library's formatting is slow.
const std::string& Format(EventTime time, const char* format) {
  static std::map<std::pair<int64_t, std::string>, std::string> texts;
  std::string& text = texts[{time.millis() / 60'000, format}];
  if (text.empty()) {
    const std::time_t seconds = time.millis() / 1000;
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char formatted[32];
    std::strftime(formatted, sizeof(formatted), format, &utc);
    text = formatted;
  }
  return text;
}
std::string Day(EventTime time) { return Format(time, "%Y-%m-%d"); }

int RankOf(int64_t price) {
  if (price >= 1'000'000) return 3;
  return price >= 10'000 ? 2 : 1;
}

/// Counts everything and, apart, what has rank 1, 2 and 3.
struct Statistics {
  int64_t bids[4] = {0, 0, 0, 0};
  std::unordered_set<int64_t> bidders[4];
  std::unordered_set<int64_t> auctions[4];
  std::string last_minute;

  void Add(const Bid& bid) {
    for (const int rank : {0, RankOf(bid.price)}) {
      ++bids[rank];
      bidders[rank].insert(bid.bidder);
      auctions[rank].insert(bid.auction);
    }
    last_minute = std::max(last_minute, Format(bid.date_time, "%H:%M"));
  }
  [[nodiscard]] int64_t Bidders(int rank) const {
    return static_cast<int64_t>(bidders[rank].size());
  }
  [[nodiscard]] int64_t Auctions(int rank) const {
    return static_cast<int64_t>(auctions[rank].size());
  }
};

template <class Visit>
void ForEachBid(const std::vector<Event>& events, Visit visit) {
  for (const Event& event : events) {
    if (event.bid() != nullptr) visit(*event.bid());
  }
}

TEST(AggregateQueriesTest, Query15ReportsDays) {
  const std::vector<Event> events = EventsOf(SlowSource());
  std::map<std::string, Statistics> days;
  ForEachBid(events, [&](const Bid& bid) { days[Day(bid.date_time)].Add(bid); });
  EXPECT_EQ(days.size(), 2u);
  std::vector<DayReport> expected;
  for (const auto& [day, s] : days) {
    expected.push_back({Text(day), s.bids[0], s.bids[1], s.bids[2], s.bids[3], s.Bidders(0),
                        s.Bidders(1), s.Bidders(2), s.Bidders(3), s.Auctions(0), s.Auctions(1),
                        s.Auctions(2), s.Auctions(3)});
  }
  EXPECT_EQ(
      Difference(RunUpsertQuery<DayReport>(ReportDays, SlowSource(),
                                           [](const DayReport& row) { return row.day.ToString(); }),
                 expected),
      "");
}

TEST(AggregateQueriesTest, Query16ReportsChannelsAlsoAcrossAFailure) {
  const std::vector<Event> events = EventsOf(SlowSource());
  std::map<std::pair<std::string, std::string>, Statistics> groups;
  ForEachBid(events, [&](const Bid& bid) {
    groups[{bid.channel.ToString(), Day(bid.date_time)}].Add(bid);
  });
  std::vector<ChannelReport> expected;
  for (const auto& [group, s] : groups) {
    expected.push_back({Text(group.first), Text(group.second), Text(s.last_minute), s.bids[0],
                        s.bids[1], s.bids[2], s.bids[3], s.Bidders(0), s.Bidders(1), s.Bidders(2),
                        s.Bidders(3), s.Auctions(0), s.Auctions(1), s.Auctions(2), s.Auctions(3)});
  }
  EXPECT_EQ(Difference(RunUpsertQuery<ChannelReport>(
                           ReportChannels, SlowSource(),
                           [](const ChannelReport& row) {
                             return std::pair(row.channel.ToString(), row.day.ToString());
                           },
                           /*interrupt=*/true),
                       expected),
            "");
}

TEST(AggregateQueriesTest, Query17ReportsAuctions) {
  const std::vector<Event> events = EventsOf(SlowSource());
  std::map<std::pair<int64_t, std::string>, std::vector<int64_t>> prices;
  ForEachBid(events, [&](const Bid& bid) {
    prices[{bid.auction, Day(bid.date_time)}].push_back(bid.price);
  });
  std::vector<AuctionReport> expected;
  for (const auto& [group, list] : prices) {
    AuctionReport row{group.first, Text(group.second), 0, 0, 0, 0, list[0], list[0], 0, 0};
    for (const int64_t price : list) {
      ++row.total_bids;
      ++(RankOf(price) == 1   ? row.rank1_bids
         : RankOf(price) == 2 ? row.rank2_bids
                              : row.rank3_bids);
      row.min_price = std::min(row.min_price, price);
      row.max_price = std::max(row.max_price, price);
      row.sum_price += price;
    }
    row.avg_price = row.sum_price / row.total_bids;
    expected.push_back(row);
  }
  EXPECT_EQ(Difference(RunUpsertQuery<AuctionReport>(ReportAuctions, SlowSource(),
                                                     [](const AuctionReport& row) {
                                                       return std::pair(row.auction,
                                                                        row.day.ToString());
                                                     }),
                       expected),
            "");
}

TEST(AggregateQueriesTest, Query18FindsLastBids) {
  const std::vector<Event> events = EventsOf(TestSource());
  std::map<std::pair<int64_t, int64_t>, const Bid*> last;
  ForEachBid(events, [&](const Bid& bid) {
    const Bid*& known = last[{bid.bidder, bid.auction}];
    if (known == nullptr || bid.date_time >= known->date_time) known = &bid;
  });
  std::vector<Bid> expected;
  for (const auto& [key, bid] : last) expected.push_back(*bid);
  EXPECT_EQ(Difference(RunUpsertQuery<Bid>(
                           FindLastBids, TestSource(),
                           [](const Bid& row) { return std::pair(row.bidder, row.auction); }),
                       expected),
            "");
}

TEST(AggregateQueriesTest, Query19RanksBidsAlsoAcrossAFailure) {
  const std::vector<Event> events = EventsOf(TestSource());
  std::map<int64_t, std::vector<const Bid*>> auctions;
  ForEachBid(events, [&](const Bid& bid) { auctions[bid.auction].push_back(&bid); });
  std::vector<RankedBid> expected;
  for (auto& [auction, bids] : auctions) {
    std::stable_sort(bids.begin(), bids.end(),
                     [](const Bid* a, const Bid* b) { return a->price > b->price; });
    for (size_t i = 0; i < std::min<size_t>(bids.size(), 10); ++i) {
      const Bid& b = *bids[i];
      expected.push_back({b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, b.extra,
                          static_cast<int64_t>(i + 1)});
    }
  }
  EXPECT_EQ(
      Difference(RunUpsertQuery<RankedBid>(
                     RankBids, TestSource(),
                     [](const RankedBid& row) { return std::pair(row.auction, row.rank_number); },
                     /*interrupt=*/true),
                 expected),
      "");
}

}  // namespace
}  // namespace weir::nexmark
