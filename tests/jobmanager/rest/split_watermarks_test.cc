#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "jobmanager/rest/internal/json_rendering.h"

namespace weir::internal {
namespace {

using Json = nlohmann::json;

// Row B8 of the features.
TEST(SplitWatermarksTest, NamesTheSplitThatHoldsTimeBackAndItsAge) {
  VertexDetails vertex;
  vertex.name = "Source: logins";
  const absl::Time now = absl::FromUnixSeconds(1000);
  for (uint32_t i = 0; i < 2; ++i) {
    SubtaskDetails& subtask = vertex.subtasks.emplace_back();
    subtask.index = i;
    subtask.splits.push_back({.id = "fast-" + std::to_string(i),
                              .watermark_ms = 9000 + i,
                              .since = now - absl::Milliseconds(10)});
  }
  vertex.subtasks[0].splits.push_back({.id = "silent", .since = now, .idle = true});
  vertex.subtasks[1].splits.push_back(
      {.id = "logins-17", .watermark_ms = 100, .since = now - absl::Seconds(4)});
  Json json = Json::parse(RenderSplits(vertex, now));
  EXPECT_EQ(json["holder"]["id"], "logins-17");
  EXPECT_EQ(json["holder"]["subtask"], 1);
  EXPECT_EQ(json["holder"]["age"], 4000);
  EXPECT_EQ(json["holder"]["watermark"], 100);
  EXPECT_EQ(json["subtasks"][0]["splits"][1]["id"], "silent");
  EXPECT_EQ(json["subtasks"][0]["splits"][1]["watermark"], nullptr);

  vertex.subtasks[0].splits.push_back({.id = "not begun", .since = now - absl::Seconds(9)});
  json = Json::parse(RenderSplits(vertex, now));
  EXPECT_EQ(json["holder"]["id"], "not begun") << "it has no watermark at all yet";
}

TEST(SplitWatermarksTest, AVertexWithoutSplitsHasNoHolder) {
  VertexDetails vertex;
  vertex.subtasks.emplace_back();
  EXPECT_EQ(Json::parse(RenderSplits(vertex, absl::Now()))["holder"], nullptr);
}

}  // namespace
}  // namespace weir::internal
