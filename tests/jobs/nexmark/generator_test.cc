#include "jobs/nexmark/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "jobs/nexmark/nexmark_source.h"

namespace weir::nexmark {
namespace {

using ::testing::HasSubstr;

std::vector<Event> Generate(const GeneratorOptions& options, int64_t generators = 1) {
  std::vector<Event> events;
  for (const GeneratorRange& range : SplitEvents(options, generators)) {
    Generator generator(options, range);
    while (!generator.AtEnd()) {
      EventTime time;
      events.push_back(generator.Next(&time));
      EXPECT_EQ(events.back().date_time(), time);
    }
  }
  return events;
}

GeneratorOptions Options(int64_t events) {
  GeneratorOptions options;
  options.events = events;
  return options;
}

double Share(size_t part, size_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

/// Averages over the bids (or others) of a run.
class GeneratorTest : public ::testing::Test {
 protected:
  void Make(const GeneratorOptions& options, int64_t generators = 1) {
    events_ = Generate(options, generators);
    for (const Event& event : events_) {
      if (const Person* person = event.person()) persons_.push_back(*person);
      if (const Auction* auction = event.auction()) auctions_.push_back(*auction);
      if (const Bid* bid = event.bid()) bids_.push_back(*bid);
    }
  }
  template <class Predicate>
  double ShareOfBids(Predicate predicate) const {
    return Share(static_cast<size_t>(std::count_if(bids_.begin(), bids_.end(), predicate)),
                 bids_.size());
  }

  std::vector<Event> events_;
  std::vector<Person> persons_;
  std::vector<Auction> auctions_;
  std::vector<Bid> bids_;
};

TEST_F(GeneratorTest, MakesPersonsAuctionsAndBidsInTheirProportions) {
  Make(Options(100'000));
  EXPECT_EQ(persons_.size(), 2'000u);
  EXPECT_EQ(auctions_.size(), 6'000u);
  EXPECT_EQ(bids_.size(), 92'000u);
  std::set<int64_t> ids;
  for (const Auction& auction : auctions_) ids.insert(auction.id);
  EXPECT_EQ(ids.size(), auctions_.size());
}

TEST_F(GeneratorTest, GivesSeveralGeneratorsIdsOfTheirOwnAndOneTimeLine) {
  Make(Options(100'001), 3);
  EXPECT_EQ(events_.size(), 100'001u);
  std::set<int64_t> ids;
  for (const Person& person : persons_) ids.insert(person.id);
  EXPECT_EQ(ids.size(), persons_.size());
  EventTime last = EventTime::Min();
  for (const Event& event : events_) last = std::max(last, event.date_time());
  // 100,000 events at 10,000 a second.
  EXPECT_NEAR(static_cast<double>(last.millis() - GeneratorOptions().base_time.millis()), 10'000,
              5);
}

TEST_F(GeneratorTest, SpacesEventsByTheRate) {
  GeneratorOptions options = Options(10'000);
  options.rate = 2'000;
  Make(options);
  for (size_t i = 0; i < events_.size(); ++i) {
    ASSERT_EQ(events_[i].date_time(), options.base_time + static_cast<int64_t>(i + 1) / 2);
  }
}

TEST_F(GeneratorTest, SendsBidsToHotAuctionsByHotBiddersThroughHotChannels) {
  Make(Options(400'000));
  // The first auction of a hundred; others hit one of them now and then.
  EXPECT_NEAR(ShareOfBids([](const Bid& bid) { return bid.auction % 100 == 0; }), 0.505, 0.01);
  EXPECT_NEAR(ShareOfBids([](const Bid& bid) { return bid.bidder % 100 == 1; }), 0.7525, 0.01);
  EXPECT_NEAR(
      ShareOfBids([](const Bid& bid) { return !bid.channel.view().starts_with("channel-"); }), 0.5,
      0.01);
  EXPECT_NEAR(ShareOfBids([](const Bid& bid) {
                return bid.url.view().find("&channel_id=") != std::string_view::npos;
              }),
              0.45, 0.01);
  size_t hot_sellers = 0;
  for (const Auction& auction : auctions_) hot_sellers += auction.seller % 100 == 0 ? 1 : 0;
  EXPECT_NEAR(Share(hot_sellers, auctions_.size()), 0.7525, 0.02);
}

TEST_F(GeneratorTest, TakesItsRatiosFromTheOptions) {
  GeneratorOptions options = Options(400'000);
  options.hot_auction_ratio = 10;
  options.hot_bidders_ratio = 1;
  Make(options);
  EXPECT_NEAR(ShareOfBids([](const Bid& bid) { return bid.auction % 100 == 0; }), 0.901, 0.01);
  // One in 1: no bidder is hot, so every one of the last 1,000 is as likely.
  EXPECT_NEAR(ShareOfBids([](const Bid& bid) { return bid.bidder % 100 == 1; }), 0.01, 0.003);
}

TEST_F(GeneratorTest, SpreadsPricesEvenlyByTheirLogarithm) {
  Make(Options(400'000));
  EXPECT_NEAR(ShareOfBids([](const Bid& bid) { return bid.price < 1'000; }), 1.0 / 6, 0.01);
  EXPECT_NEAR(ShareOfBids([](const Bid& bid) { return bid.price < 1'000'000; }), 4.0 / 6, 0.01);
  for (const Bid& bid : bids_) {
    ASSERT_GE(bid.price, 100);
    ASSERT_LE(bid.price, 100'000'000);
  }
}

TEST_F(GeneratorTest, PadsRecordsToTheirAverageSizes) {
  Make(Options(200'000));
  double bid_bytes = 0;
  for (const Bid& bid : bids_) bid_bytes += 32 + static_cast<double>(bid.extra.size());
  EXPECT_NEAR(bid_bytes / static_cast<double>(bids_.size()), 100, 1);
  double auction_bytes = 0;
  for (const Auction& auction : auctions_) {
    auction_bytes += static_cast<double>(48 + auction.item_name.size() +
                                         auction.description.size() + auction.extra.size());
  }
  EXPECT_NEAR(auction_bytes / static_cast<double>(auctions_.size()), 500, 3);
  double person_bytes = 0;
  for (const Person& person : persons_) {
    person_bytes += static_cast<double>(8 + person.name.size() + person.email_address.size() +
                                        person.credit_card.size() + person.city.size() +
                                        person.state.size() + person.extra.size());
  }
  EXPECT_NEAR(person_bytes / static_cast<double>(persons_.size()), 200, 2);
}

TEST_F(GeneratorTest, OpensAuctionsForAsLongAsTheOptionsSayOnAverage) {
  Make(Options(400'000));
  double milliseconds = 0;
  for (const Auction& auction : auctions_) {
    milliseconds += static_cast<double>(auction.expires.millis() - auction.date_time.millis());
  }
  // A hundred auctions are 1,667 events are 167 ms.
  EXPECT_NEAR(milliseconds / static_cast<double>(auctions_.size()), 167, 5);
}

TEST_F(GeneratorTest, ScattersEventsWithinTheirGroup) {
  GeneratorOptions options = Options(100'000);
  std::vector<std::string> in_order;
  for (const Event& event : Generate(options)) in_order.push_back(ToBytes(event));
  options.out_of_order_group_size = 1000;
  std::vector<std::string> scattered;
  size_t behind = 0;
  EventTime latest = EventTime::Min();
  for (const Event& event : Generate(options)) {
    scattered.push_back(ToBytes(event));
    behind += event.date_time() < latest ? 1 : 0;
    latest = std::max(latest, event.date_time());
    EXPECT_GE(event.date_time(), latest - 100);
  }
  EXPECT_GT(Share(behind, scattered.size()), 0.9);
  // The last group is cut off, so that other events of it are left out.
  in_order.resize(98'000);
  std::sort(in_order.begin(), in_order.end());
  std::sort(scattered.begin(), scattered.end());
  EXPECT_TRUE(std::includes(scattered.begin(), scattered.end(), in_order.begin(), in_order.end()));
}

TEST_F(GeneratorTest, MakesSomeBidsLate) {
  GeneratorOptions options = Options(100'000);
  options.late_probability = 0.1;
  options.late_by_ms = 60'000;
  Make(options);
  EXPECT_NEAR(ShareOfBids([&](const Bid& bid) { return bid.date_time < options.base_time; }), 0.1,
              0.01);
}

TEST(GeneratorPositionTest, GoesOnWhereItStoppedAndDependsOnTheSeed) {
  GeneratorOptions options = Options(20'000);
  const std::vector<Event> all = Generate(options);
  const GeneratorRange range = SplitEvents(options, 1).front();
  for (const int64_t position : {0, 1, 777, 19'999}) {
    Generator generator(options, range, position);
    EventTime time;
    EXPECT_EQ(ToBytes(generator.Next(&time)), ToBytes(all[static_cast<size_t>(position)]));
    EXPECT_EQ(generator.position(), position + 1);
  }
  options.seed = 2;
  EXPECT_NE(ToBytes(Generate(options)[10]), ToBytes(all[10]));
}

TEST(GeneratorOptionsTest, RefusesWhatCannotBe) {
  const auto message = [](std::vector<std::string> arguments) {
    const auto args = JobArgs::Parse(arguments);
    EXPECT_TRUE(args.ok());
    return std::string(ParseNexmarkSourceOptions(*args).status().message());
  };
  EXPECT_THAT(message({"--rate", "0"}), HasSubstr("--rate must be above 0"));
  EXPECT_THAT(message({"--hot-auction-ratio", "0"}),
              HasSubstr("--hot-auction-ratio must be at least 1"));
  EXPECT_THAT(message({"--late-probability", "2"}), HasSubstr("must be in 0..1"));
  EXPECT_THAT(message({"--bid-bytes", "100000"}), HasSubstr("at most 65536"));
  EXPECT_THAT(message({"--generators", "-1"}), HasSubstr("--generators must be in"));
  EXPECT_EQ(message({"--events", "5", "--paced"}), "");
}

}  // namespace
}  // namespace weir::nexmark
