#include "jobs/nexmark/stateless_queries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "jobs/nexmark/nexmark_job.h"
#include "tests/jobs/job_runs.h"
#include "tests/jobs/nexmark/query_runs.h"

namespace weir::nexmark {
namespace {

using ::testing::HasSubstr;

// A plain model of each query: a function of one bid that appends its rows.
template <class Row>
using Model = std::function<void(const Bid&, std::vector<Row>*)>;

template <class Row>
void Check(DataStream<Row> (*query)(const DataStream<Event>&), const Model<Row>& model,
           bool interrupt = false) {
  const NexmarkSourceOptions source = TestSource();
  std::vector<Row> expected;
  for (const Event& event : EventsOf(source)) {
    if (event.bid() != nullptr) model(*event.bid(), &expected);
  }
  EXPECT_GT(expected.size(), 100u);
  EXPECT_EQ(Difference(RunQuery<Row, uint64_t>(query, source, interrupt), expected), "");
}

TEST(StatelessQueriesTest, Query0PassesBidsThroughAlsoAcrossAFailure) {
  Check<PassedBid>(
      PassThrough,
      [](const Bid& bid, std::vector<PassedBid>* rows) {
        rows->push_back({bid.auction, bid.bidder, bid.price, bid.date_time, bid.extra});
      },
      /*interrupt=*/true);
}

TEST(StatelessQueriesTest, Query1ConvertsPrices) {
  Check<EuroBid>(ConvertCurrency, [](const Bid& bid, std::vector<EuroBid>* rows) {
    rows->push_back({bid.auction, bid.bidder, {bid.price * 908}, bid.date_time, bid.extra});
  });
}

TEST(StatelessQueriesTest, Query2SelectsAuctions) {
  Check<AuctionPrice>(SelectAuctions, [](const Bid& bid, std::vector<AuctionPrice>* rows) {
    if (bid.auction % 123 == 0) rows->push_back({bid.auction, bid.price});
  });
}

TEST(StatelessQueriesTest, Query14CalculatesForBidsInARangeOfPrices) {
  // A hundred events a second, so that the day has all its hours.
  NexmarkSourceOptions source = TestSource(10, kTestEvents);
  std::vector<CalculatedBid> expected;
  for (const Event& event : EventsOf(source)) {
    const Bid* bid = event.bid();
    if (bid == nullptr) continue;
    const double euro = 0.908 * static_cast<double>(bid->price);
    if (!(euro > 1'000'000 && euro < 50'000'000)) continue;
    std::time_t seconds = bid->date_time.millis() / 1000;
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    const int hour = utc.tm_hour;
    const char* type = hour >= 8 && hour <= 18   ? "dayTime"
                       : hour <= 6 || hour >= 20 ? "nightTime"
                                                 : "otherTime";
    int64_t count = 0;
    for (const char c : bid->extra.ToString()) count += c == 'c' ? 1 : 0;
    expected.push_back({bid->auction,
                        bid->bidder,
                        {bid->price * 908},
                        Text(type),
                        bid->date_time,
                        bid->extra,
                        count});
  }
  EXPECT_GT(expected.size(), static_cast<size_t>(kTestEvents / 5));
  EXPECT_EQ(Difference(RunQuery<CalculatedBid>(Calculate, source), expected), "");
}

TEST(StatelessQueriesTest, Query21FindsChannelIds) {
  const std::regex pattern("(&|^)channel_id=([^&]*)");
  Check<ChannelBid>(AddChannelId, [&](const Bid& bid, std::vector<ChannelBid>* rows) {
    std::string id;
    const std::string channel = bid.channel.ToString();
    if (channel == "Apple") id = "0";
    if (channel == "Google") id = "1";
    if (channel == "Facebook") id = "2";
    if (channel == "Baidu") id = "3";
    const std::string url = bid.url.ToString();
    const size_t at = url.find('?');  // The expression is slow on long texts.
    const std::string rest = url.substr(at == std::string::npos ? 0 : at);
    std::smatch match;
    if (id.empty() && std::regex_search(rest, match, pattern)) id = match[2];
    if (!id.empty()) rows->push_back({bid.auction, bid.bidder, bid.price, bid.channel, Text(id)});
  });
}

TEST(StatelessQueriesTest, Query22SplitsUrls) {
  Check<DirectoryBid>(SplitUrl, [](const Bid& bid, std::vector<DirectoryBid>* rows) {
    std::istringstream url(bid.url.ToString());
    std::vector<Text> parts;
    for (std::string part; std::getline(url, part, '/');) parts.emplace_back(part);
    ASSERT_GE(parts.size(), 6u);
    rows->push_back(
        {bid.auction, bid.bidder, bid.price, bid.channel, parts[3], parts[4], parts[5]});
  });
}

TEST(StatelessQueriesTest, Query13JoinsTheSideInputFile) {
  const TemporaryFolder folder;
  const std::string path = folder.PathOf("side_input.txt");
  std::ofstream file(path);
  for (int key = 0; key < 10'000; key += 3) file << key << ",value of " << key << "\n";
  file << "3,another\n";
  file.close();
  const auto args = JobArgs::Parse({"--side-input", path});
  ASSERT_TRUE(args.ok());
  const auto side_input = ReadSideInput(*args);
  ASSERT_TRUE(side_input.ok()) << side_input.status();
  const NexmarkSourceOptions source = TestSource();
  std::vector<EnrichedBid> expected;
  for (const Event& event : EventsOf(source)) {
    const Bid* bid = event.bid();
    if (bid == nullptr || bid->auction % 10'000 % 3 != 0) continue;
    const int64_t key = bid->auction % 10'000;
    expected.push_back(
        {bid->auction, bid->bidder, bid->price, bid->date_time, Text(StrCat("value of ", key))});
    if (key == 3) expected.push_back(expected.back());
    if (key == 3) expected.back().value = Text("another");
  }
  const auto query = [&](const DataStream<Event>& events) {
    return JoinSideInput(events, *side_input);
  };
  EXPECT_EQ(Difference(RunQuery<EnrichedBid>(query, source), expected), "");
}

TEST(StatelessQueriesTest, RefuseASideInputThatIsNone) {
  const TemporaryFolder folder;
  const std::string path = folder.PathOf("side_input.txt");
  std::ofstream(path) << "1,one\ntwo,2\n";
  const auto args = JobArgs::Parse({"--side-input", path});
  ASSERT_TRUE(args.ok());
  EXPECT_THAT(std::string(ReadSideInput(*args).status().message()), HasSubstr("line=2"));
}

TEST(NexmarkJobTest, WritesRowsAsJsonLines) {
  const TemporaryFolder folder;
  ASSERT_EQ(
      RunJob(BuildNexmark, {"--query", "q1", "--events", "5000", "--out", folder.PathOf("out")}, 2),
      absl::OkStatus());
  const std::vector<std::string> lines = CommittedLines(folder.PathOf("out"), "q1");
  EXPECT_EQ(lines.size(), 4600u);
  const auto row = nlohmann::json::parse(lines.front());
  EXPECT_TRUE(row["price"].is_number_float());
  EXPECT_TRUE(row["dateTime"].is_string());
}

TEST(NexmarkJobTest, RefusesAQueryThatIsNotThere) {
  const absl::Status status = RunJob(BuildNexmark, {"--query", "q99"}, 1);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--query must be one of generator, q0"));
}

}  // namespace
}  // namespace weir::nexmark
