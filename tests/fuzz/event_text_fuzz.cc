// Texts of events: JSON in all arrangements, split in two blocks as the first byte says, and Zeek
// logs.

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "operators/formats/json/json_value_splitter.h"
#include "operators/formats/zeek/zeek_log_reader.h"
#include "runtime/base/strings.h"
#include "tests/fuzz/fuzzer.h"

namespace weir {
namespace {

std::vector<std::string> Split(std::string_view text, size_t first_block) {
  JsonValueSplitter splitter;
  std::vector<std::string> values;
  const auto take = [&] {
    while (const auto value = splitter.Next()) {
      values.push_back(StrCat(value->line, ":", value->text));
    }
  };
  splitter.Append(text.substr(0, first_block));
  take();
  splitter.Append(text.substr(std::min(first_block, text.size())));
  take();
  splitter.Finish();
  take();
  return values;
}

void ReadZeek(std::string_view text) {
  ZeekLogReader reader;
  for (const std::string_view line : StrSplit(text, '\n')) {
    std::string json;
    const absl::StatusOr<bool> record = reader.ReadLine(line, &json);
    if (record.ok() && *record && (json.front() != '{' || json.back() != '}')) std::abort();
  }
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  return {"\x05{\"a\":1}\n{\"b\":\"\\\"}\"}\n", "\x0a[{\"a\":[1,2]},\n {\"b\":null} ]",
          "\x20{\n  \"a\": {\"x\": \"]\"}\n}\n{}\n",
          "\x01#separator "
          "\\x09\n#set_separator\t,\n#fields\ta\tb\tc\n#types\tcount\tset[string]\tbool\n"
          "1\tx,y\tT\n-\t(empty)\tF\n"};
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  // Where blocks end must make no difference.
  if (weir::Split(text, data[0]) != weir::Split(text, text.size())) std::abort();
  weir::ReadZeek(text);
  return 0;
}
