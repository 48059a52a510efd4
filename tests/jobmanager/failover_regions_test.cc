#include "jobmanager/failover_regions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/jobmanager/test_graphs.h"

namespace weir {
namespace {

using ::testing::ElementsAre;

// Source and sink of two subtasks each, without a coordinator.
JobGraph Pair(ShipStrategy strategy) {
  JobGraph graph = SourceAndSink(2, 2);
  graph.vertices[0].operators[0].has_coordinator = false;
  graph.edges[0].strategy = strategy;
  return graph;
}

std::vector<size_t> RegionsOf(const JobGraph& graph,
                              FailoverStrategy strategy = FailoverStrategy::kRegion) {
  const FailoverRegions regions(graph, strategy);
  std::vector<size_t> all;
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    for (uint32_t subtask = 0; subtask < vertex.parallelism; ++subtask) {
      all.push_back(regions.RegionOf(vertex.id, subtask));
    }
  }
  return all;
}

TEST(FailoverRegionsTest, JoinsWhatChannelsJoin) {
  EXPECT_THAT(RegionsOf(Pair(ShipStrategy::kForward)), ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(RegionsOf(Pair(ShipStrategy::kHash)), ElementsAre(0, 0, 0, 0));
  JobGraph rescaled = Pair(ShipStrategy::kRescale);
  rescaled.vertices[1].parallelism = 4;
  EXPECT_THAT(RegionsOf(rescaled), ElementsAre(0, 1, 0, 0, 1, 1));
}

TEST(FailoverRegionsTest, JoinsTheSubtasksThatShareACoordinator) {
  JobGraph graph = Pair(ShipStrategy::kForward);
  graph.vertices[0].operators[0].has_coordinator = true;
  EXPECT_THAT(RegionsOf(graph), ElementsAre(0, 0, 0, 0));
}

TEST(FailoverRegionsTest, KeepsDisconnectedPipelinesApart) {
  EXPECT_THAT(RegionsOf(TwoPipelines(2)), ElementsAre(0, 0, 0, 0, 1, 1, 1, 1));
}

TEST(FailoverRegionsTest, MakesTheWholeJobOneRegionWhereAsked) {
  EXPECT_THAT(RegionsOf(TwoPipelines(2), FailoverStrategy::kFull),
              ElementsAre(0, 0, 0, 0, 0, 0, 0, 0));
}

}  // namespace
}  // namespace weir
