#include "jobs/nexmark/window_queries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "tests/jobs/nexmark/query_runs.h"

namespace weir::nexmark {
namespace {

constexpr int64_t kSecond = 1000;

template <class Visit>
void ForEachBid(const std::vector<Event>& events, Visit visit) {
  for (const Event& event : events) {
    if (event.bid() != nullptr) visit(*event.bid());
  }
}

// Out of order, within what the watermarks wait for.
NexmarkSourceOptions DisorderedSource() {
  NexmarkSourceOptions options = TestSource();
  options.generator.out_of_order_group_size = 10'000;
  return options;
}

TEST(WindowQueriesTest, Query5FindsHotItemsAlsoAcrossAFailure) {
  const std::vector<Event> events = EventsOf(DisorderedSource());
  std::map<int64_t, std::unordered_map<int64_t, int64_t>> windows;  // By end.
  ForEachBid(events, [&](const Bid& bid) {
    const int64_t first = bid.date_time.millis() / (2 * kSecond) * (2 * kSecond) + 2 * kSecond;
    for (int64_t end = first; end < first + 10 * kSecond; end += 2 * kSecond) {
      ++windows[end][bid.auction];
    }
  });
  std::vector<HotItem> expected;
  for (const auto& [end, counts] : windows) {
    int64_t most = 0;
    for (const auto& [auction, count] : counts) most = std::max(most, count);
    for (const auto& [auction, count] : counts) {
      if (count == most) expected.push_back({auction, count});
    }
  }
  for (const bool interrupt : {false, true}) {
    EXPECT_EQ(Difference(RunQuery<HotItem>(FindHotItems, DisorderedSource(), interrupt), expected),
              "");
  }
}

TEST(WindowQueriesTest, Query7FindsHighestBidsAlsoAcrossAFailure) {
  const NexmarkSourceOptions source = DisorderedSource();
  const std::vector<Event> events = EventsOf(source);
  std::map<int64_t, int64_t> highest;  // By the window's start.
  ForEachBid(events, [&](const Bid& bid) {
    int64_t& price = highest[bid.date_time.millis() / (10 * kSecond) * (10 * kSecond)];
    price = std::max(price, bid.price);
  });
  std::vector<HighestBid> expected;
  for (const auto& [start, price] : highest) {
    ForEachBid(events, [&, begin = start, highest_price = price](const Bid& bid) {
      const int64_t time = bid.date_time.millis();
      if (bid.price == highest_price && begin <= time && time <= begin + 10 * kSecond) {
        expected.push_back({bid.auction, bid.price, bid.bidder, bid.date_time, bid.extra});
      }
    });
  }
  EXPECT_GE(expected.size(), highest.size());
  for (const bool interrupt : {false, true}) {
    EXPECT_EQ(Difference(RunQuery<HighestBid>(FindHighestBids, source, interrupt), expected), "");
  }
}

TEST(WindowQueriesTest, Query8FindsNewUsers) {
  const std::vector<Event> events = EventsOf(DisorderedSource());
  std::map<std::pair<int64_t, int64_t>, Text> came;  // Person and window.
  std::set<std::pair<int64_t, int64_t>> opened;
  for (const Event& event : events) {
    const int64_t window = event.date_time().millis() / (10 * kSecond) * (10 * kSecond);
    if (event.person() != nullptr) came[{event.person()->id, window}] = event.person()->name;
    if (event.auction() != nullptr) opened.insert({event.auction()->seller, window});
  }
  std::vector<NewUser> expected;
  for (const auto& [key, name] : came) {
    if (opened.contains(key)) {
      expected.push_back({key.first, name, EventTime::FromMillis(key.second)});
    }
  }
  EXPECT_GT(expected.size(), 100u);
  EXPECT_EQ(Difference(RunQuery<NewUser>(FindNewUsers, DisorderedSource()), expected), "");
}

TEST(WindowQueriesTest, Query11CountsSessionsAlsoAcrossAFailure) {
  // So slow that sessions end.
  NexmarkSourceOptions source = TestSource(1'000);
  source.generator.out_of_order_group_size = 1'000;
  const std::vector<Event> events = EventsOf(source);
  std::map<int64_t, std::multiset<int64_t>> times;  // Of bidders.
  ForEachBid(events, [&](const Bid& bid) { times[bid.bidder].insert(bid.date_time.millis()); });
  std::vector<BidCount> expected;
  for (const auto& [bidder, sorted] : times) {
    BidCount session{bidder, 0, EventTime::Min(), EventTime::Min()};
    for (const int64_t time : sorted) {
      if (session.bid_count > 0 && time > session.endtime.millis()) {
        expected.push_back(session);
        session.bid_count = 0;
      }
      if (session.bid_count++ == 0) session.starttime = EventTime::FromMillis(time);
      session.endtime = EventTime::FromMillis(time + 10 * kSecond);
    }
    expected.push_back(session);
  }
  EXPECT_GT(expected.size(), times.size());
  for (const bool interrupt : {false, true}) {
    EXPECT_EQ(Difference(RunQuery<BidCount>(CountSessions, source, interrupt), expected), "");
  }
}

TEST(WindowQueriesTest, Query12CountsEachBidInOneWindowOfProcessingTime) {
  const std::vector<Event> events = EventsOf(TestSource());
  std::map<int64_t, int64_t> expected;
  ForEachBid(events, [&](const Bid& bid) { ++expected[bid.bidder]; });
  std::map<int64_t, int64_t> counted;
  std::set<std::pair<int64_t, EventTime>> windows;
  for (const BidCount& row : RunQuery<BidCount>(CountByProcessingTime, TestSource())) {
    counted[row.bidder] += row.bid_count;
    EXPECT_TRUE(windows.insert({row.bidder, row.starttime}).second) << "a window came twice";
    EXPECT_EQ(row.starttime.millis() % (10 * kSecond), 0);
    EXPECT_EQ(row.endtime, row.starttime + 10 * kSecond);
  }
  EXPECT_EQ(counted, expected);
}

}  // namespace
}  // namespace weir::nexmark
