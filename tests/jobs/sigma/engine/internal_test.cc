#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "jobs/sigma/engine/cidr.h"
#include "jobs/sigma/engine/internal/encoding.h"
#include "jobs/sigma/engine/internal/literal_scanner.h"
#include "jobs/sigma/engine/internal/literal_trie.h"
#include "jobs/sigma/engine/internal/regex.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "jobs/sigma/engine/predicate.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

bool InBlock(std::string_view block, std::string_view address) {
  const std::optional<CidrBlock> parsed = CidrBlock::Parse(block);
  EXPECT_TRUE(parsed.has_value()) << block;
  const std::optional<IpAddress> ip = ParseIpAddress(address);
  return parsed && ip && parsed->Contains(*ip);
}

TEST(CidrTest, HoldsTheAddressesOfItsPrefix) {
  EXPECT_TRUE(InBlock("172.16.0.0/12", "172.20.1.2"));
  EXPECT_FALSE(InBlock("172.16.0.0/12", "172.32.0.0"));
  EXPECT_TRUE(InBlock("10.1.2.3/8", "10.255.0.1"));
  EXPECT_TRUE(InBlock("0.0.0.0/0", "8.8.8.8"));
  EXPECT_TRUE(InBlock("192.168.1.1", "192.168.1.1"));
  EXPECT_FALSE(InBlock("192.168.1.1", "192.168.1.2"));
  EXPECT_TRUE(InBlock("fe80::/10", "febf::1%eth0"));
  EXPECT_FALSE(InBlock("fe80::/10", "fec0::1"));
}

TEST(CidrTest, TakesMappedAddressesAsIpv4Only) {
  EXPECT_TRUE(InBlock("10.0.0.0/8", "::ffff:10.0.0.1"));
  EXPECT_FALSE(InBlock("::/0", "10.0.0.1"));
  EXPECT_TRUE(InBlock("::/0", "2001:db8::1"));
}

TEST(CidrTest, RefusesWhatIsNoBlock) {
  for (const char* text :
       {"", "10.0.0.0/33", "10.0.0/8", "x", "10.0.0.0/", "10.0.0.0/-1", "::1/129", "1.2.3.4/8x"}) {
    EXPECT_FALSE(CidrBlock::Parse(text).has_value()) << text;
  }
}

TEST(EncodingTest, FindsAllThreeOffsetsOfBase64) {
  EXPECT_THAT(Base64OffsetForms("http://"), ElementsAre("aHR0cDovL", "h0dHA6Ly", "odHRwOi8v"));
  std::string around;
  for (int before = 0; before < 3; ++before) {
    for (int behind = 0; behind < 3; ++behind) {
      const std::string text = std::string(static_cast<size_t>(before), 'x') + "secret" +
                               std::string(static_cast<size_t>(behind), 'y');
      EXPECT_THAT(Base64Encode(text),
                  ::testing::HasSubstr(Base64OffsetForms("secret")[static_cast<size_t>(before)]));
    }
  }
}

TEST(EncodingTest, WritesUtf16) {
  EXPECT_EQ(EncodeUtf16("a\xc3\xa4", false), std::string("a\0\xe4\0", 4));
  EXPECT_EQ(EncodeUtf16("a", true), std::string("\0a", 2));
  EXPECT_EQ(EncodeUtf16("\xf0\x9f\x98\x80", true), "\xd8\x3d\xde" + std::string(1, '\0'));
}

TEST(NumberTest, WritesEqualNumbersAlike) {
  EXPECT_EQ(CanonicalNumber("4624.0"), "4624");
  EXPECT_EQ(CanonicalNumber("4.624e3"), "4624");
  EXPECT_EQ(CanonicalNumber("1.50"), "1.5");
  EXPECT_EQ(CanonicalNumber("-0"), "0");
  EXPECT_EQ(CanonicalNumber("18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(CanonicalNumber("99999999999999999999999"), "99999999999999999999999");
  EXPECT_EQ(CanonicalNumber("abc"), "abc");
  EXPECT_FALSE(ParseNumber("inf").has_value());
  EXPECT_FALSE(ParseNumber("0x10").has_value());
  EXPECT_FALSE(ParseNumber("").has_value());
  EXPECT_FALSE(ParseNumber("-").has_value());
}

std::vector<std::string> Required(const std::string& expression) {
  auto regex = Regex::Compile(expression);
  EXPECT_TRUE(regex.ok());
  return (*regex)->required_literals();
}

TEST(RegexTest, NamesLiteralsThatEveryMatchHolds) {
  EXPECT_THAT(Required("Invoke-(Mimikatz|Obfuscation)"),
              ElementsAre("invoke-mimikatz", "invoke-obfuscation"));
  EXPECT_THAT(Required("(?i)KERBEROS"), ElementsAre("kerberos"));
  EXPECT_THAT(Required("a+b*"), IsEmpty());
  EXPECT_THAT(Required("foo|b"), IsEmpty());
}

TEST(RegexTest, SearchesAnywhereAndHeedsCaseUnlessTold) {
  EXPECT_TRUE((*Regex::Compile("b+"))->Matches("abbc"));
  EXPECT_FALSE((*Regex::Compile("B"))->Matches("b"));
  EXPECT_TRUE((*Regex::Compile("(?i)B"))->Matches("b"));
  EXPECT_FALSE(Regex::Compile("a(?=b)").ok());
}

TEST(RegexTest, NeverRequiresALiteralThatAMatchLacks) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::vector<std::string> parts = {"abc", "(?i:aBc)", "cab", "(abc|bca)", "a?",      "[ab]",
                                          ".*",  "(abc)*",   "c+",  "k",         "(?i:kas)"};
  for (int i = 0; i < 300; ++i) {
    std::string expression;
    for (size_t n = 1 + random() % 4; n > 0; --n) {
      expression += parts[random() % parts.size()];
      if (random() % 6 == 0) expression += "|";
    }
    const auto regex = Regex::Compile(expression);
    ASSERT_TRUE(regex.ok()) << expression;
    if ((*regex)->required_literals().empty()) continue;
    for (int j = 0; j < 200; ++j) {
      std::string text;
      static const std::vector<std::string> kPieces = {
          "a", "b", "c", "B", "abc", "bca", "k", "\xe2\x84\xaa", "\xc5\xbf"};
      for (size_t n = random() % 9; n > 0; --n) text += kPieces[random() % kPieces.size()];
      if (!(*regex)->Matches(text)) continue;
      const std::string folded = FoldCase(text);
      EXPECT_TRUE(std::any_of(
          (*regex)->required_literals().begin(), (*regex)->required_literals().end(),
          [&](const std::string& literal) { return folded.find(literal) != std::string::npos; }))
          << expression << " " << text;
    }
  }
}

TEST(LiteralIndexTest, FindsWhatAPlainSearchFinds) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto draw = [&](size_t least, size_t most) {
    std::string text;
    for (size_t n = least + random() % (most - least + 1); n > 0; --n)
      text.push_back("abc"[random() % 3]);
    return text;
  };
  for (const size_t count : {3U, 40U, 400U}) {
    std::set<std::string> distinct;
    for (size_t i = 0; i < count; ++i) distinct.insert(draw(1, 7));
    const std::vector<std::string> literals(distinct.begin(), distinct.end());
    std::vector<std::pair<std::string, uint32_t>> pairs;
    for (uint32_t i = 0; i < literals.size(); ++i) pairs.emplace_back(literals[i], i);
    const LiteralTrie starts(LiteralTrie::Side::kStart, pairs);
    const LiteralTrie ends(LiteralTrie::Side::kEnd, pairs);
    const LiteralScanner scanner(literals);
    for (int i = 0; i < 500; ++i) {
      const std::string text = draw(0, 20);
      std::set<uint32_t> found_start, found_end, found, want_start, want_end, want;
      starts.Find(text, [&](uint32_t id) { found_start.insert(id); });
      ends.Find(text, [&](uint32_t id) { found_end.insert(id); });
      scanner.Scan(text, [&](uint32_t id) { found.insert(id); });
      for (uint32_t id = 0; id < literals.size(); ++id) {
        if (text.starts_with(literals[id])) want_start.insert(id);
        if (text.ends_with(literals[id])) want_end.insert(id);
        if (text.find(literals[id]) != std::string::npos) want.insert(id);
      }
      ASSERT_EQ(found_start, want_start) << text;
      ASSERT_EQ(found_end, want_end) << text;
      ASSERT_EQ(found, want) << text;
    }
  }
}

}  // namespace
}  // namespace weir::sigma
