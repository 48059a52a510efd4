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

TEST(FoldCaseTest, CopiesWhatItDoesNotKnow) {
  EXPECT_EQ(FoldCase("日本 \xff\xc3"), "日本 \xff\xc3");
  EXPECT_EQ(FoldCase(""), "");
}

TEST(FoldCaseTest, IsIdempotent) {
  for (uint32_t code = 0x80; code < 0x800; ++code) {
    const std::string text = {static_cast<char>(0xc0 | (code >> 6)),
                              static_cast<char>(0x80 | (code & 0x3f))};
    EXPECT_EQ(FoldCase(FoldCase(text)), FoldCase(text)) << code;
  }
}

}  // namespace
}  // namespace weir::sigma
