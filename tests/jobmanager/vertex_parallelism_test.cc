#include "jobmanager/vertex_parallelism.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "jobmanager/rescale_history.h"
#include "runtime/base/strings.h"
#include "tests/jobmanager/test_graphs.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Sources and sinks with bounds [1, `sources`] and [1, `sinks`].
ResourceRequirements UpTo(uint32_t sources, uint32_t sinks) {
  return {{TestVertex(1), {1, sources}}, {TestVertex(2), {1, sinks}}};
}

VertexParallelism Of(uint32_t sources, uint32_t sinks) {
  return {{TestVertex(1), sources}, {TestVertex(2), sinks}};
}

std::string Problem(const JobGraph& graph, const ResourceRequirements& requirements) {
  const absl::Status status = CheckRequirements(graph, requirements);
  EXPECT_NE(status.code(), absl::StatusCode::kOk);
  return std::string(ToStd(status.message()));
}

TEST(VertexParallelismTest, WantsTheGraphsParallelismUnlessItIsReactive) {
  JobGraph graph = SourceAndSink(2, 3);
  EXPECT_EQ(DefaultRequirements(graph, false), UpTo(2, 3));
  graph.vertices[0].parallelism_configured = true;
  EXPECT_EQ(DefaultRequirements(graph, true), UpTo(2, 128)) << "what the code asks for stays";
  graph.vertices[1].parallelism = 2;
  graph.edges[0].same_parallelism = true;
  EXPECT_EQ(DefaultRequirements(graph, true), UpTo(2, 2)) << "and what follows it by Forward()";
}

TEST(VertexParallelismTest, AcceptsBoundsUpToTheMaxParallelism) {
  EXPECT_TRUE(CheckRequirements(SourceAndSink(2, 3), UpTo(1, 128)).ok());
}

TEST(VertexParallelismTest, NamesEverythingThatIsWrongWithRequirements) {
  const JobGraph graph = SourceAndSink(2, 2);
  EXPECT_THAT(Problem(graph, {{TestVertex(1), {1, 2}}}),
              AllOf(HasSubstr("a vertex is missing"), HasSubstr("name=count -> sink")));
  ResourceRequirements requirements = UpTo(2, 2);
  requirements[TestVertex(7)] = {1, 1};
  EXPECT_THAT(Problem(graph, requirements),
              HasSubstr(StrCat("no such vertex: ", ToString(TestVertex(7)))));
  requirements = {{TestVertex(1), {0, 2}}, {TestVertex(2), {3, 2}}};
  EXPECT_THAT(Problem(graph, requirements),
              AllOf(HasSubstr("lowerBound has to be at least 1"),
                    HasSubstr("lowerBound is above upperBound"), HasSubstr("lowerBound=3")));
  EXPECT_THAT(Problem(graph, UpTo(2, 129)),
              AllOf(HasSubstr("above the vertex's max parallelism"), HasSubstr("upperBound=129"),
                    HasSubstr("max_parallelism=128")));
}

TEST(VertexParallelismTest, KeepsTheEndsOfAForwardEdgeTogether) {
  JobGraph graph = SourceAndSink(2, 2);
  graph.edges[0].same_parallelism = true;
  EXPECT_TRUE(CheckRequirements(graph, UpTo(3, 3)).ok());
  EXPECT_THAT(Problem(graph, UpTo(3, 4)), HasSubstr("by Forward()"));
  // Also where the slots of their groups differ.
  graph.vertices[1].slot_sharing_group = "other";
  EXPECT_EQ(FitParallelism(graph, UpTo(3, 3), 5), Of(2, 2));
}

TEST(VertexParallelismTest, FitsIntoTheSlotsThatThereAre) {
  const JobGraph graph = SourceAndSink(2, 2);
  EXPECT_EQ(FitParallelism(graph, UpTo(2, 4), 8), Of(2, 4)) << "not more than is wanted";
  EXPECT_EQ(FitParallelism(graph, UpTo(2, 4), 3), Of(2, 3));
  EXPECT_EQ(FitParallelism(graph, UpTo(2, 4), 1), Of(1, 1));
  EXPECT_EQ(FitParallelism(graph, UpTo(2, 4), 0), std::nullopt);
  const ResourceRequirements at_least_three = {{TestVertex(1), {1, 2}}, {TestVertex(2), {3, 4}}};
  EXPECT_EQ(FitParallelism(graph, at_least_three, 2), std::nullopt);
  EXPECT_EQ(FitParallelism(graph, at_least_three, 3), Of(2, 3));
}

TEST(VertexParallelismTest, DividesSlotsAmongSharingGroupsInProportion) {
  JobGraph graph = SourceAndSink(2, 2);
  graph.vertices[1].slot_sharing_group = "other";
  EXPECT_EQ(NumSlotsOf(graph, Of(2, 6)), 8u);
  EXPECT_EQ(FitParallelism(graph, UpTo(2, 6), 4), Of(1, 3));
  EXPECT_EQ(FitParallelism(graph, UpTo(2, 6), 8), Of(2, 6));
  EXPECT_EQ(FitParallelism(graph, UpTo(2, 6), 1), std::nullopt) << "each group needs one";
}

// More slots never take subtasks from a vertex, so that a job does not flap.
TEST(VertexParallelismTest, GrowsWithEverySlot) {
  JobGraph graph = SourceAndSink(2, 2);
  graph.vertices[1].slot_sharing_group = "other";
  VertexParallelism before = Of(1, 1);
  for (uint32_t slots = 2; slots <= 20; ++slots) {
    const std::optional<VertexParallelism> fits = FitParallelism(graph, UpTo(7, 11), slots);
    ASSERT_TRUE(fits.has_value());
    for (const auto& [id, parallelism] : before) EXPECT_GE(fits->at(id), parallelism);
    EXPECT_EQ(NumSlotsOf(graph, *fits), std::min(slots, 18u));
    before = *fits;
  }
}

TEST(VertexParallelismTest, RebalancesForwardEdgesBetweenDifferentParallelisms) {
  JobGraph graph = SourceAndSink(2, 2);
  graph.edges[0].strategy = ShipStrategy::kForward;
  const auto grown = WithParallelism(graph, Of(2, 4));
  EXPECT_EQ(ParallelismOf(*grown), Of(2, 4));
  EXPECT_EQ(grown->edges[0].strategy, ShipStrategy::kRebalance);
  EXPECT_EQ(WithParallelism(graph, Of(4, 4))->edges[0].strategy, ShipStrategy::kForward);
  EXPECT_EQ(WithParallelism(SourceAndSink(2, 2), Of(2, 4))->edges[0].strategy, ShipStrategy::kHash);
  EXPECT_EQ(ParallelismOf(graph), Of(2, 2)) << "the submitted graph stays";
}

TEST(RescaleHistoryTest, KeepsTheNewestEntriesAndCountsAll) {
  RescaleHistory history(2);
  const absl::Time begin = absl::FromUnixSeconds(1000);
  for (int i = 0; i < 3; ++i) {
    history.Begin(RescaleCause::kUpdateRequirement, StrCat("reason ", i), {},
                  RescalePhase::kCheckpoint, begin);
    EXPECT_TRUE(history.in_progress());
    history.Enter(RescalePhase::kStop, begin + absl::Milliseconds(50));
    history.Enter(RescalePhase::kStop, begin + absl::Milliseconds(60));
    history.Enter(RescalePhase::kStart, begin + absl::Milliseconds(70));
    history.Complete(begin + absl::Milliseconds(100));
  }
  const std::vector<RescaleEntry> entries = history.Entries();
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_EQ(entries[0].reason, "reason 2");
  EXPECT_EQ(entries[0].number, 3u);
  ASSERT_THAT(entries[0].phases, SizeIs(3)) << "a phase that lasts goes on";
  EXPECT_EQ(entries[0].phases[1].end - entries[0].phases[1].begin, absl::Milliseconds(20));
  EXPECT_EQ(entries[0].Downtime(absl::InfiniteFuture()), absl::Milliseconds(50));
  EXPECT_EQ(history.num_completed(), 3u);
  history.Fail("nothing is under way", begin);
  EXPECT_EQ(history.newest()->result, RescaleResult::kCompleted);
}

}  // namespace
}  // namespace weir
