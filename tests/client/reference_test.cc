// The reference in docs/ says what the program says. WEIR_TEST_UPDATE_DOCS=1 writes it anew.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "client/command_line.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr std::string_view kBegin = "<!-- generated: WEIR_TEST_UPDATE_DOCS=1 client_test -->\n";
constexpr std::string_view kEnd = "<!-- end of what is generated -->\n";

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return std::move(content).str();
}

/// Returns `page` with `generated` between its two marks, or nothing if it has none.
std::string WithGenerated(const std::string& page, const std::string& generated) {
  const size_t begin = page.find(kBegin);
  const size_t end = page.find(kEnd);
  if (begin == page.npos || end == page.npos || end < begin) return {};
  return StrCat(std::string_view(page).substr(0, begin + kBegin.size()), "\n", generated,
                std::string_view(page).substr(end));
}

void ExpectUpToDate(const std::string& path, const std::string& generated) {
  const std::string page = ReadFile(path);
  const std::string expected = WithGenerated(page, generated);
  ASSERT_FALSE(expected.empty()) << path << " lacks the marks around what is generated";
  if (std::getenv("WEIR_TEST_UPDATE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary) << expected;
  } else {
    EXPECT_TRUE(page == expected)
        << path << " is out of date; write it anew with WEIR_TEST_UPDATE_DOCS=1 client_test";
  }
}

// Tests run in the repository's root.

TEST(ReferenceTest, ListsEveryCommandAsItsHelpDoes) {
  ExpectUpToDate("docs/reference/cli.md", CommandLineReference());
}

TEST(ReferenceTest, ListsEverySettingAsTheProgramKnowsIt) {
  ExpectUpToDate("docs/reference/configuration.md", WeirOptions()->DescribeAsMarkdown() + "\n");
}

}  // namespace
}  // namespace weir
