#include "operators/api/stream_origin.h"

#include <stdexcept>
#include <string_view>

#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

// Returns "file.cc:42": where the file was when the job was built says little where it runs.
std::string PlaceOf(CallSite at) {
  const std::string_view path = at.file_name();
  if (path.empty()) return {};
  return StrCat(path.substr(path.find_last_of('/') + 1), ":", at.line());
}

// Adds the node; what it puts out is its port 0.
StreamOrigin AddNode(StreamGraph* graph, StreamNode node, std::shared_ptr<const BatchType> type,
                     std::shared_ptr<SideOutputs> side_outputs) {
  node.outputs.push_back({"", std::move(type)});
  StreamOrigin out;
  out.graph = graph;
  out.side_outputs = std::move(side_outputs);
  out.ports = {{graph->AddNode(std::move(node)), 0}};
  return out;
}

}  // namespace

void StreamOrigin::ConnectTo(StreamNodeIndex target, uint32_t input) const {
  for (const Port& port : ports) {
    graph->AddEdge({port.node, port.port, target, input, port.partitioning});
  }
}

StreamOrigin StreamOrigin::With(const Partitioning& partitioning) const {
  StreamOrigin origin = *this;
  for (Port& port : origin.ports) port.partitioning = partitioning;
  return origin;
}

StreamOrigin StreamOrigin::ReadAt(CallSite at) const {
  StreamOrigin origin = *this;
  origin.next_at = at;
  return origin;
}

StreamOrigin AddOperatorOf(const StreamOrigin& origin, std::string name,
                           std::shared_ptr<const BatchType> type,
                           std::shared_ptr<const OperatorFactory> factory,
                           std::shared_ptr<SideOutputs> side_outputs) {
  StreamNode node;
  node.name = std::move(name);
  node.declared_at = PlaceOf(origin.next_at);
  node.factory = std::move(factory);
  StreamOrigin out =
      AddNode(origin.graph, std::move(node), std::move(type), std::move(side_outputs));
  origin.ConnectTo(out.ports.front().node, 0);
  return out;
}

StreamOrigin AddTwoInputOperatorOf(const StreamOrigin& first, const StreamOrigin& second,
                                   bool start_after, std::string name,
                                   std::shared_ptr<const BatchType> type,
                                   std::shared_ptr<const OperatorFactory> factory,
                                   std::shared_ptr<SideOutputs> side_outputs) {
  StreamNode node;
  node.name = std::move(name);
  node.factory = std::move(factory);
  node.declared_at = PlaceOf(first.next_at);
  node.num_inputs = 2;
  if (start_after) node.start_after.emplace_back(0, 1);
  StreamOrigin out =
      AddNode(first.graph, std::move(node), std::move(type), std::move(side_outputs));
  first.ConnectTo(out.ports.front().node, 0);
  second.ConnectTo(out.ports.front().node, 1);
  return out;
}

StreamOrigin AddSource(StreamGraph* graph, CallSite at, std::string name,
                       std::shared_ptr<const BatchType> type,
                       std::shared_ptr<const CoordinatorFactory> coordinator,
                       std::shared_ptr<const OperatorFactory> factory,
                       std::shared_ptr<SideOutputs> side_outputs) {
  StreamNode node;
  node.name = std::move(name);
  node.declared_at = PlaceOf(at);
  node.num_inputs = 0;
  node.coordinator = std::move(coordinator);
  node.factory = std::move(factory);
  return AddNode(graph, std::move(node), std::move(type), std::move(side_outputs));
}

StreamNodeIndex AddSink(const StreamOrigin& origin, std::string name,
                        std::shared_ptr<const OperatorFactory> factory) {
  StreamNode node;
  node.name = std::move(name);
  node.declared_at = PlaceOf(origin.next_at);
  node.factory = std::move(factory);
  const StreamNodeIndex index = origin.graph->AddNode(std::move(node));
  origin.ConnectTo(index, 0);
  return index;
}

StreamOrigin SideOutputOf(const StreamOrigin& origin, const std::string& tag,
                          std::unique_ptr<SideCollectorBase> (*make)(),
                          std::shared_ptr<const BatchType> (*type)()) {
  if (origin.side_outputs == nullptr) {
    throw std::invalid_argument(
        StrCat("only process functions and windows have side outputs; call GetSideOutput on their "
               "result, before Union and other operators: tag=",
               tag));
  }
  StreamNode& node = origin.graph->mutable_nodes()[origin.ports.front().node];
  uint32_t port = 0;
  for (uint32_t i = 1; i < node.outputs.size(); ++i) {
    if (node.outputs[i].tag == tag) port = i;
  }
  if (port == 0) {
    origin.side_outputs->entries.push_back({tag, make});
    node.outputs.push_back({tag, type()});
    port = static_cast<uint32_t>(node.outputs.size() - 1);
  }
  StreamOrigin out;
  out.graph = origin.graph;
  out.ports = {{origin.ports.front().node, port}};
  return out;
}

void CheckNotAligned(const std::string& alignment_group) {
  if (alignment_group.empty()) return;
  throw std::invalid_argument(
      StrCat("only a source can align watermarks; give the strategy with WithWatermarkAlignment to "
             "FromSource: group=",
             alignment_group));
}

void ThrowBadPartition(int64_t returned, uint32_t num_channels) {
  throw std::out_of_range(StrCat(
      "the custom partitioner chose a partition that does not exist; it must return 0 to the "
      "number of partitions - 1: returned=",
      returned, " partitions=", num_channels));
}

}  // namespace weir::internal
