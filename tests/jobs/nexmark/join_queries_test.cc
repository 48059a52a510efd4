#include "jobs/nexmark/join_queries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <unordered_map>
#include <vector>

#include "tests/jobs/nexmark/query_runs.h"

namespace weir::nexmark {
namespace {

class JoinQueriesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    events_ = new std::vector<Event>(EventsOf(TestSource()));
    auctions_ = new std::unordered_map<int64_t, const Auction*>();
    persons_ = new std::unordered_map<int64_t, const Person*>();
    for (const Event& event : *events_) {
      if (event.auction() != nullptr) (*auctions_)[event.auction()->id] = event.auction();
      if (event.person() != nullptr) (*persons_)[event.person()->id] = event.person();
    }
  }
  static void TearDownTestSuite() {
    delete auctions_;
    delete persons_;
    delete events_;
  }
  /// Calls visit(bid, auction) for all bids whose auction there is, be it open or not.
  template <class Visit>
  static void ForEachBid(Visit visit) {
    for (const Event& event : *events_) {
      if (event.bid() == nullptr) continue;
      const auto auction = auctions_->find(event.bid()->auction);
      if (auction != auctions_->end()) visit(*event.bid(), *auction->second);
    }
  }
  static bool WhileOpen(const Bid& bid, const Auction& auction) {
    return auction.date_time <= bid.date_time && bid.date_time <= auction.expires;
  }

  static std::vector<Event>* events_;
  static std::unordered_map<int64_t, const Auction*>* auctions_;
  static std::unordered_map<int64_t, const Person*>* persons_;
};
std::vector<Event>* JoinQueriesTest::events_ = nullptr;
std::unordered_map<int64_t, const Auction*>* JoinQueriesTest::auctions_ = nullptr;
std::unordered_map<int64_t, const Person*>* JoinQueriesTest::persons_ = nullptr;

TEST_F(JoinQueriesTest, Query3FindsLocalItems) {
  std::vector<LocalItem> expected;
  for (const auto& [id, auction] : *auctions_) {
    const auto seller = persons_->find(auction->seller);
    if (auction->category != 10 || seller == persons_->end()) continue;
    const Person& person = *seller->second;
    const std::string state = person.state.ToString();
    if (state == "OR" || state == "ID" || state == "CA") {
      expected.push_back({person.name, person.city, person.state, id});
    }
  }
  EXPECT_GT(expected.size(), 100u);
  EXPECT_EQ(Difference(RunQuery<LocalItem>(FindLocalItems, TestSource()), expected), "");
}

TEST_F(JoinQueriesTest, Query4AveragesFinalPricesAlsoAcrossAFailure) {
  std::map<int64_t, int64_t> final_prices;  // Of auctions.
  ForEachBid([&](const Bid& bid, const Auction& auction) {
    if (!WhileOpen(bid, auction)) return;
    int64_t& price = final_prices[auction.id];
    price = std::max(price, bid.price);
  });
  std::map<int64_t, std::vector<int64_t>> categories;
  for (const auto& [id, price] : final_prices) {
    categories[auctions_->at(id)->category].push_back(price);
  }
  std::vector<CategoryPrice> expected;
  for (const auto& [category, prices] : categories) {
    int64_t sum = 0;
    for (const int64_t price : prices) sum += price;
    expected.push_back({category, sum / static_cast<int64_t>(prices.size())});
  }
  EXPECT_EQ(expected.size(), 5u);
  for (const bool interrupt : {false, true}) {
    EXPECT_EQ(Difference(RunUpsertQuery<CategoryPrice>(
                             AveragePrices, TestSource(),
                             [](const CategoryPrice& row) { return row.category; }, interrupt),
                         expected),
              "");
  }
}

TEST_F(JoinQueriesTest, Query9FindsWinningBidsAlsoAcrossAFailure) {
  std::map<int64_t, const Bid*> winners;
  ForEachBid([&](const Bid& bid, const Auction& auction) {
    if (!WhileOpen(bid, auction)) return;
    const Bid*& winner = winners[auction.id];
    if (winner == nullptr || bid.price > winner->price ||
        (bid.price == winner->price && bid.date_time < winner->date_time)) {
      winner = &bid;
    }
  });
  std::vector<WinningBid> expected;
  for (const auto& [id, bid] : winners) {
    const Auction& a = *auctions_->at(id);
    expected.push_back({a.id, a.item_name, a.description, a.initial_bid, a.reserve, a.date_time,
                        a.expires, a.seller, a.category, a.extra, bid->auction, bid->bidder,
                        bid->price, bid->date_time, bid->extra});
  }
  EXPECT_GT(expected.size(), 100u);
  EXPECT_EQ(Difference(RunUpsertQuery<WinningBid>(
                           FindWinningBids, TestSource(),
                           [](const WinningBid& row) { return row.id; }, /*interrupt=*/true),
                       expected),
            "");
}

TEST_F(JoinQueriesTest, Query20ExpandsBids) {
  std::vector<AuctionBid> expected;
  ForEachBid([&](const Bid& b, const Auction& a) {
    if (a.category != 10) return;
    expected.push_back({b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, b.extra,
                        a.item_name, a.description, a.initial_bid, a.reserve, a.date_time,
                        a.expires, a.seller, a.category, a.extra});
  });
  EXPECT_GT(expected.size(), 100u);
  EXPECT_EQ(Difference(RunQuery<AuctionBid, uint64_t>(ExpandBids, TestSource()), expected), "");
}

TEST_F(JoinQueriesTest, Query23FindsBidsOfSellersAlsoAcrossAFailure) {
  std::multimap<int64_t, const Auction*> by_seller;
  for (const auto& [id, auction] : *auctions_) by_seller.emplace(auction->seller, auction);
  std::vector<SellerBid> expected;
  for (const Event& event : *events_) {
    if (event.bid() == nullptr) continue;
    const Bid& b = *event.bid();
    const auto person = persons_->find(b.bidder);
    if (person == persons_->end()) continue;
    const Person& p = *person->second;
    const auto [begin, end] = by_seller.equal_range(p.id);
    for (auto it = begin; it != end; ++it) {
      const Auction& a = *it->second;
      expected.push_back({b.bidder,  b.price,     b.channel,       b.url,         b.extra,
                          p.id,      p.name,      p.email_address, p.credit_card, p.city,
                          p.state,   p.extra,     a.item_name,     a.description, a.initial_bid,
                          a.reserve, a.date_time, a.expires,       a.seller,      a.category,
                          a.extra});
    }
  }
  EXPECT_GT(expected.size(), 100u);
  EXPECT_EQ(
      Difference(RunQuery<SellerBid, uint64_t>(FindBidsOfSellers, TestSource(), /*interrupt=*/true),
                 expected),
      "");
}

}  // namespace
}  // namespace weir::nexmark
