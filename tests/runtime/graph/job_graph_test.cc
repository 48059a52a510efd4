#include "runtime/graph/job_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/base/strings.h"
#include "runtime/record/typed_batch.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class JobGraphTest : public ::testing::Test {
 protected:
  // Adds an operator that reads `inputs`.
  StreamNodeIndex Add(std::string name, const std::vector<StreamNodeIndex>& inputs,
                      Partitioning partitioning = {}) {
    StreamNode node;
    node.uid = name;
    node.name = std::move(name);
    node.num_inputs = inputs.empty() ? 0 : 1;
    node.outputs.push_back({"", std::make_shared<TypedBatchType<int64_t>>()});
    const StreamNodeIndex index = graph_.AddNode(std::move(node));
    for (const StreamNodeIndex input : inputs) graph_.AddEdge({input, 0, index, 0, partitioning});
    return index;
  }
  StreamNode& Node(StreamNodeIndex index) { return graph_.mutable_nodes()[index]; }

  JobGraph Build(JobGraphOptions options = {}) {
    EXPECT_TRUE(graph_.Finish().ok());
    absl::StatusOr<JobGraph> job = BuildJobGraph(graph_, options);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *job : JobGraph();
  }
  static std::vector<std::string> Names(const JobGraph& job) {
    std::vector<std::string> names;
    for (const JobGraph::Vertex& vertex : job.vertices) names.push_back(vertex.name);
    return names;
  }
  static std::vector<std::string> Groups(const JobGraph& job) {
    std::vector<std::string> groups;
    for (const JobGraph::Vertex& vertex : job.vertices) groups.push_back(vertex.slot_sharing_group);
    return groups;
  }

  StreamGraph graph_;
};

TEST_F(JobGraphTest, ChainsOperatorsThatForwardAtOneParallelism) {
  const auto source = Add("source", {});
  const auto map = Add("map", {source});
  Add("filter", {map});
  EXPECT_THAT(Names(Build()), ElementsAre("Source: source -> map -> filter"));
}

TEST_F(JobGraphTest, AChainBeginsWhereTheOperatorAsksForIt) {
  const auto source = Add("source", {});
  const auto map = Add("map", {source});
  const auto filter = Add("filter", {map});
  Add("last", {filter});
  Node(filter).chaining = ChainingStrategy::kHead;
  EXPECT_THAT(Names(Build()), ElementsAre("Source: source -> map", "filter -> last"));
}

TEST_F(JobGraphTest, AnOperatorWithoutChainingIsAlone) {
  const auto source = Add("source", {});
  const auto map = Add("map", {source});
  const auto filter = Add("filter", {map});
  Add("last", {filter});
  Node(map).chaining = ChainingStrategy::kNever;
  EXPECT_THAT(Names(Build()), ElementsAre("Source: source", "map", "filter -> last"));
}

TEST_F(JobGraphTest, ChainingCanBeTurnedOffForTheWholeJob) {
  const auto source = Add("source", {});
  Add("map", {source});
  EXPECT_THAT(Names(Build({.chaining = false})), ElementsAre("Source: source", "map"));
  graph_.set_chaining_enabled(false);
  const JobGraph job = Build();
  EXPECT_THAT(Names(job), ElementsAre("Source: source", "map"));
  EXPECT_EQ(job.edges[0].strategy, ShipStrategy::kForward);
}

TEST_F(JobGraphTest, AGroupIsInheritedByOperatorsWhoseInputsAgree) {
  const auto a = Add("a", {});
  const auto b = Add("b", {});
  Node(a).slot_sharing_group = "red";
  const auto behind_a = Add("behind a", {a}, {.strategy = ShipStrategy::kRebalance});
  Add("behind both", {behind_a, b});
  EXPECT_THAT(Groups(Build()), ElementsAre("red", "default", "red", "default"));
}

TEST_F(JobGraphTest, OperatorsOfDifferentGroupsDoNotChain) {
  const auto source = Add("source", {});
  const auto map = Add("map", {source});
  Node(map).slot_sharing_group = "heavy";
  Add("sink", {map});
  const JobGraph job = Build();
  EXPECT_THAT(Names(job), ElementsAre("Source: source", "map -> sink"));
  EXPECT_THAT(Groups(job), ElementsAre("default", "heavy"));
  const absl::StatusOr<JobGraph> parsed = ParseJobGraph(SerializeJobGraph(job));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(Groups(*parsed), ElementsAre("default", "heavy"));
}

TEST_F(JobGraphTest, ForwardBecomesRebalanceBetweenParallelismsUnlessItWasAskedFor) {
  const auto source = Add("source", {});
  const auto map = Add("map", {source});
  Node(map).parallelism = 3;
  EXPECT_EQ(Build().edges[0].strategy, ShipStrategy::kRebalance);
  Add("asked", {map}, {.strategy = ShipStrategy::kForward, .same_parallelism = true});
  ASSERT_TRUE(graph_.Finish().ok());
  const absl::StatusOr<JobGraph> job = BuildJobGraph(graph_, {});
  EXPECT_TRUE(absl::IsInvalidArgument(job.status()));
  EXPECT_THAT(job.status().ToString(), HasSubstr("from=map parallelism=3 to=asked parallelism=1"));
}

TEST_F(JobGraphTest, SaysWhatARescaleHasToKeep) {
  const auto source = Add("source", {});
  const auto map = Add("map", {source}, {.strategy = ShipStrategy::kRebalance});
  Node(map).parallelism = 1;
  Node(Add("asked", {map}, {.strategy = ShipStrategy::kForward, .same_parallelism = true}))
      .chaining = ChainingStrategy::kHead;
  const absl::StatusOr<JobGraph> parsed = ParseJobGraph(SerializeJobGraph(Build()));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_FALSE(parsed->vertices[0].parallelism_configured);
  EXPECT_TRUE(parsed->vertices[1].parallelism_configured) << "asked for, though it is the job's";
  EXPECT_FALSE(parsed->edges[0].same_parallelism);
  EXPECT_TRUE(parsed->edges[1].same_parallelism);
}

TEST_F(JobGraphTest, EveryStrategyKeepsFlinksNameOnTheWire) {
  const auto source = Add("source", {});
  std::vector<std::string> expected;
  for (int i = 0; i <= static_cast<int>(kLastShipStrategy); ++i) {
    const auto strategy = static_cast<ShipStrategy>(i);
    Node(Add(StrCat("target ", i), {source}, {.strategy = strategy})).chaining =
        ChainingStrategy::kHead;
    expected.emplace_back(ToString(strategy));
  }
  EXPECT_THAT(expected, ElementsAre("FORWARD", "HASH", "REBALANCE", "BROADCAST", "RESCALE",
                                    "SHUFFLE", "GLOBAL", "CUSTOM"));
  const absl::StatusOr<JobGraph> parsed = ParseJobGraph(SerializeJobGraph(Build()));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  std::vector<std::string> names;
  for (const JobGraph::Edge& edge : parsed->edges) names.emplace_back(ToString(edge.strategy));
  EXPECT_EQ(names, expected);
}

// Every channel has both ends, whatever the parallelisms; pointwise strategies connect no more
// than the larger side has subtasks.
TEST_F(JobGraphTest, ProducersAndConsumersOfAnEdgeAgree) {
  for (const ShipStrategy strategy :
       {ShipStrategy::kForward, ShipStrategy::kRescale, ShipStrategy::kHash}) {
    for (uint32_t producers = 1; producers <= 17; ++producers) {
      for (uint32_t consumers = 1; consumers <= 17; ++consumers) {
        if (strategy == ShipStrategy::kForward && producers != consumers) continue;
        const std::string place = StrCat(ToString(strategy), " ", producers, " to ", consumers);
        uint32_t num_channels = 0;
        for (uint32_t p = 0; p < producers; ++p) {
          const SubtaskRange to = ConsumersOf(strategy, p, producers, consumers);
          ASSERT_LT(to.begin, to.end) << place;
          num_channels += to.size();
          for (uint32_t c = 0; c < consumers; ++c) {
            const SubtaskRange from = ProducersOf(strategy, c, producers, consumers);
            ASSERT_LT(from.begin, from.end) << place;
            ASSERT_EQ(to.begin <= c && c < to.end, from.begin <= p && p < from.end)
                << place << " at " << p << " " << c;
          }
        }
        EXPECT_EQ(num_channels, strategy == ShipStrategy::kHash ? producers * consumers
                                                                : std::max(producers, consumers))
            << place;
      }
    }
  }
}

}  // namespace
}  // namespace weir
