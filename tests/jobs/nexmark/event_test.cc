#include "jobs/nexmark/event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "jobs/nexmark/text.h"

namespace weir::nexmark {
namespace {

std::string RandomText(std::mt19937& random) {
  const size_t sizes[] = {0, 1, 14, 15, 16, 17, 80, 5000};
  std::string text(sizes[random() % std::size(sizes)], 'x');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

TEST(TextTest, KeepsItsCharactersThroughCopiesAndMoves) {
  std::mt19937 random(7);
  std::deque<std::string> kept;  // What static texts refer to.
  std::deque<std::pair<Text, std::string>> texts;
  for (int i = 0; i < 9000; ++i) {
    kept.push_back(RandomText(random));
    Text text = i % 3 == 0 ? Text::OfStatic(kept.back()) : Text(kept.back());
    if (i % 5 == 0) text = text.Detached();
    if (i % 7 == 0) text = Text(text);
    texts.emplace_back(std::move(text), kept.back());
    if (texts.size() > 1000) {
      std::swap(texts[random() % 1000], texts.front());
      texts.pop_front();
    }
  }
  for (const auto& [text, expected] : texts) {
    EXPECT_EQ(text.view(), expected);
    EXPECT_EQ(text.empty(), expected.empty());
  }
}

TEST(TextTest, DetachedHasCharactersOfItsOwn) {
  std::string letters(40, 'a');
  const Text text = Text::OfStatic(letters);
  const Text detached = text.Detached();
  EXPECT_EQ(static_cast<const void*>(text.view().data()), letters.data());
  letters[0] = 'b';
  EXPECT_EQ(detached.view(), std::string(40, 'a'));
}

TEST(TextTest, MayBeSharedByThreads) {
  std::vector<Text> texts;
  for (int i = 0; i < 2000; ++i) texts.emplace_back(std::string(40, 'a'));
  const auto copy_all = [](std::vector<Text> own) {
    for (int round = 0; round < 20; ++round) {
      std::vector<Text> copies = own;
      EXPECT_EQ(copies.back().view(), std::string(40, 'a'));
    }
  };
  std::jthread first(copy_all, texts);
  std::jthread second(copy_all, std::move(texts));
}

TEST(TextTest, IsWrittenAsAString) {
  for (const size_t size : {0U, 15U, 16U, 300U}) {
    const std::string text(size, 'q');
    EXPECT_EQ(ToBytes(Text(text)), ToBytes(text));
    Text read;
    ASSERT_TRUE(FromBytes(ToBytes(text), read));
    EXPECT_EQ(read.view(), text);
  }
}

TEST(EventTest, OfEveryKindReadsBackAsWritten) {
  Person person{7,
                Text("Ann"),
                Text("a@b.com"),
                Text("1 2 3 4"),
                Text("Kent"),
                Text("WA"),
                EventTime::FromMillis(5),
                Text(std::string(90, 'x'))};
  Auction auction{8,
                  Text("lamp"),
                  Text("a lamp"),
                  10,
                  20,
                  EventTime::FromMillis(6),
                  EventTime::FromMillis(9),
                  7,
                  12,
                  Text(std::string(200, 'y'))};
  Bid bid{8, 7, 30, Text("Apple"), Text("https://a/b"), EventTime::FromMillis(7), Text("z")};
  for (const Event& event : {Event(person), Event(auction), Event(bid)}) {
    Event read;
    ASSERT_TRUE(FromBytes(ToBytes(event), read));
    EXPECT_EQ(ToBytes(read), ToBytes(event));
    EXPECT_EQ(read.date_time(), event.date_time());
  }
  Event read;
  ASSERT_TRUE(FromBytes(ToBytes(Event(auction)), read));
  EXPECT_EQ(*read.auction(), auction);
  EXPECT_EQ(read.bid(), nullptr);
  EXPECT_EQ(read.person(), nullptr);
  EXPECT_FALSE(FromBytes("\x07", read));
}

TEST(EventTest, AsJsonHasTheBenchmarksColumns) {
  const Bid bid{
      8, 7, 30, Text("Apple"), Text("https://a/\"b"), EventTime::FromMillis(86'400'007), Text("z")};
  std::string json;
  AppendJson(Event(bid), &json);
  EXPECT_EQ(json, R"({"event_type":2,"person":null,"auction":null,"bid":{"auction":8,"bidder":7,)"
                  R"("price":30,"channel":"Apple","url":"https://a/\"b",)"
                  R"("dateTime":"1970-01-02 00:00:00.007","extra":"z"}})");
}

}  // namespace
}  // namespace weir::nexmark
