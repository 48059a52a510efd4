#pragma once

#include <string>

#include "jobmanager/proto_ids.h"
#include "runtime/graph/job_graph.h"

namespace weir {

inline OperatorId TestOperator(uint64_t number) { return OperatorId(7, number); }
inline JobVertexId TestVertex(uint64_t number) { return JobVertexId(9, number); }

/// A source with a coordinator, hash-partitioned to a sink.
inline JobGraph SourceAndSink(uint32_t source_parallelism, uint32_t sink_parallelism) {
  JobGraph graph;
  graph.job_name = "test job";
  graph.vertices.push_back({.id = TestVertex(1),
                            .name = "Source: gen",
                            .parallelism = source_parallelism,
                            .max_parallelism = 128,
                            .operators = {{.id = TestOperator(1),
                                           .uid = "gen",
                                           .name = "gen",
                                           .is_source = true,
                                           .has_coordinator = true}}});
  graph.vertices.push_back({.id = TestVertex(2),
                            .name = "count -> sink",
                            .parallelism = sink_parallelism,
                            .max_parallelism = 128,
                            .operators = {{.id = TestOperator(2), .uid = "count", .name = "count"},
                                          {.id = TestOperator(3), .uid = "sink", .name = "sink"}}});
  graph.edges.push_back({.source_vertex = TestVertex(1),
                         .source_operator = TestOperator(1),
                         .source_port = 0,
                         .target_vertex = TestVertex(2),
                         .target_input = 0,
                         .strategy = ShipStrategy::kHash});
  return graph;
}

/// SourceAndSink twice, without a channel between them: vertices 1 and 2, and 3 and 4.
inline JobGraph TwoPipelines(uint32_t parallelism) {
  JobGraph graph = SourceAndSink(parallelism, parallelism);
  const JobGraph other = graph;
  for (JobGraph::Vertex vertex : other.vertices) {
    vertex.id = TestVertex(vertex.id.low() + 2);
    for (JobGraph::Operator& op : vertex.operators) {
      op.id = TestOperator(op.id.low() + 3);
      op.uid += "-2";
    }
    graph.vertices.push_back(vertex);
  }
  JobGraph::Edge edge = other.edges[0];
  edge.source_vertex = TestVertex(3);
  edge.source_operator = TestOperator(4);
  edge.target_vertex = TestVertex(4);
  graph.edges.push_back(edge);
  return graph;
}

}  // namespace weir
