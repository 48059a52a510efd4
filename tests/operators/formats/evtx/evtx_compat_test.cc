// Compares what the reader makes of SigmaHQ's event logs with the JSON that lies beside each. They
// are not part of this project.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "operators/formats/evtx/evtx_reader.h"

namespace weir::evtx {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kData = WEIR_SIGMA_DATA;

// In this one the JSON was edited: a path in it has another case than in the log.
constexpr std::string_view kEditedByHand = "proc_creation_win_susp_right_to_left_override";

std::vector<Json> ReadJson(const fs::path& path) {
  std::vector<Json> events;
  std::ifstream stream(path, std::ios::binary);
  while (stream >> std::ws && !stream.eof()) stream >> events.emplace_back();
  return events;
}

// The JSON was made by several versions of a tool that differ in two ways: some cut blanks at the
// end of texts, some write nanoseconds.
void Normalize(Json* value) {
  if (value->is_structured()) {
    for (Json& child : *value) Normalize(&child);
  }
  if (!value->is_string()) return;
  std::string text = value->get<std::string>();
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  const bool is_time = text.size() == 30 && text[10] == 'T' && text[19] == '.' && text[29] == 'Z';
  if (is_time) text.erase(26, 3);
  *value = text;
}

TEST(EvtxCompatTest, ReadsWhatLiesBesideEachLogAsJson) {
  if (!fs::exists(kData / "regression_data")) {
    GTEST_SKIP() << "SKIPPED: no SigmaHQ regression data at " << kData
                 << "; put a copy there to run this test";
  }
  size_t num_logs = 0;
  size_t num_events = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kData / "regression_data")) {
    if (entry.path().extension() != ".evtx") continue;
    fs::path json = entry.path();
    json.replace_extension(".json");
    if (!fs::exists(json) || entry.path().string().find(kEditedByHand) != std::string::npos)
      continue;
    std::vector<Json> expected = ReadJson(json);
    absl::StatusOr<EvtxReader> reader = EvtxReader::Open(entry.path().string());
    ASSERT_TRUE(reader.ok()) << entry.path() << ": " << reader.status();
    std::vector<Json> events;
    while (reader->Next()) {
      std::string text;
      ASSERT_TRUE(reader->AppendJson(&text).ok()) << entry.path();
      events.push_back(Json::parse(text));
    }
    for (Json& event : expected) Normalize(&event);
    for (Json& event : events) Normalize(&event);
    EXPECT_EQ(events, expected) << entry.path();
    EXPECT_TRUE(reader->damages().empty()) << entry.path();
    ++num_logs;
    num_events += events.size();
  }
  std::printf("logs compared: %zu, events: %zu\n", num_logs, num_events);
  EXPECT_GE(num_logs, 100u);
}

}  // namespace
}  // namespace weir::evtx
