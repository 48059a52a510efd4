#include "jobs/sigma/engine/internal/text_fold.h"

#include "gtest/gtest.h"

namespace weir::sigma {
namespace {

TEST(FoldCaseTest, LowersAsciiAndLeavesItsNeighboursAlone) {
  EXPECT_EQ(FoldCase("AZaz@[`{09\\"), "azaz@[`{09\\");
  EXPECT_EQ(FoldCase("C:\\WINDOWS\\System32\\CMD.EXE /C Whoami"),
            "c:\\windows\\system32\\cmd.exe /c whoami");
}

TEST(FoldCaseTest, LowersLatinGreekAndCyrillic) {
  EXPECT_EQ(FoldCase("ÄÖÜ×Ÿ ŁŽĞ ΑΩΆΣς ДЖЁ Ａｂ"), "äöü×ÿ łžğ αωάσσ джё ａｂ");
}

TEST(FoldCaseTest, LowersTheSignsThatEqualLettersForRegularExpressions) {
  EXPECT_EQ(FoldCase("\xe2\x84\xaa\xe2\x84\xab\xc5\xbf"), "k\xc3\xa5s");
}

TEST(FoldCaseTest, LowersLettersOfThreeAndFourBytes) {
  EXPECT_EQ(FoldCase("ἈΘ Ꙁ Ⅷ ᲛᲗᲐ 𐐀"), "ἀθ ꙁ ⅷ მთა 𐐨");
  EXPECT_EQ(FoldCase("ẞ"), "ß");
}

TEST(FoldCaseTest, NeverLengthensAndIsIdempotentOnAllOfUnicode) {
  for (uint32_t code = 1; code < 0x110000; ++code) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    std::string text;
    if (code < 0x80) {
      text = {static_cast<char>(code)};
    } else if (code < 0x800) {
      text = {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
    } else if (code < 0x10000) {
      text = {static_cast<char>(0xe0 | (code >> 12)),
              static_cast<char>(0x80 | ((code >> 6) & 0x3f)),
              static_cast<char>(0x80 | (code & 0x3f))};
    } else {
      text = {
          static_cast<char>(0xf0 | (code >> 18)), static_cast<char>(0x80 | ((code >> 12) & 0x3f)),
          static_cast<char>(0x80 | ((code >> 6) & 0x3f)), static_cast<char>(0x80 | (code & 0x3f))};
    }
    const std::string folded = FoldCase(text);
    ASSERT_LE(folded.size(), text.size()) << code;
    ASSERT_EQ(FoldCase(folded), folded) << code;
  }
}

TEST(FoldCaseTest, CopiesWhatItDoesNotKnow) {
  EXPECT_EQ(FoldCase("日本 \xff\xc3"), "日本 \xff\xc3");
  EXPECT_EQ(FoldCase(""), "");
}

}  // namespace
}  // namespace weir::sigma
