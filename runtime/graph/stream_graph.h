#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "runtime/graph/ids.h"
#include "runtime/graph/operator_factory.h"
#include "runtime/record/batch.h"

namespace weir {

/// How the records of an edge spread over the subtasks of its target.
enum class ShipStrategy : uint8_t {
  kForward,    ///< Subtask i to subtask i; the one strategy that lets operators chain.
  kHash,       ///< By key group of the key.
  kRebalance,  ///< In turns; every subtask gets as many records as any other, within 1 %.
  kBroadcast,  ///< Every record to every subtask.
  kRescale,    ///< In turns over the subtasks of a share of the target: no all-to-all connection.
  kShuffle,    ///< Each record to a random subtask.
  kGlobal,     ///< Every record to subtask 0.
  kCustom,     ///< Where the user's partitioner says.
};
inline constexpr ShipStrategy kLastShipStrategy = ShipStrategy::kCustom;

/// Returns Flink's name of the strategy, e.g. "HASH".
[[nodiscard]] std::string_view ToString(ShipStrategy strategy);

/// Returns the id of the operator that has this uid, in every version of a job.
[[nodiscard]] OperatorId OperatorIdOfUid(std::string_view uid);

/// Computes the keys' hashes of a batch; what KeyBy makes of the user's key function. Stateless;
/// any thread.
class KeyHasher {
 public:
  virtual ~KeyHasher() = default;
  /// Replaces `*hashes` by one KeyHash per record. The user's key function may throw.
  virtual void HashKeys(const Batch& batch, std::vector<uint64_t>* hashes) const = 0;
};

/// Chooses the target subtask of each record; what PartitionCustom makes of the user's partitioner.
/// Stateless; any thread.
class Partitioner {
 public:
  virtual ~Partitioner() = default;
  /// Replaces `*channels` by one index below `num_channels` per record. The user's function may
  /// throw, and an index out of range is thrown as std::out_of_range.
  virtual void Partition(const Batch& batch, uint32_t num_channels,
                         std::vector<uint32_t>* channels) const = 0;
};

/// How the records of an edge find their target subtask.
struct Partitioning {
  ShipStrategy strategy = ShipStrategy::kForward;
  /// Set for kHash.
  std::shared_ptr<const KeyHasher> key_hasher = nullptr;
  /// Set for kCustom.
  std::shared_ptr<const Partitioner> partitioner = nullptr;
  /// Asked for by Forward(): a target of another parallelism is an error rather than a rebalance.
  bool same_parallelism = false;
};

/// Whether an operator may share a task with its neighbours.
enum class ChainingStrategy : uint8_t {
  kAlways,
  kHead,   ///< Begins a chain: not with what it reads from.
  kNever,  ///< Alone in its task.
};

/// The slot sharing group of operators that name none and read from none that does.
inline constexpr std::string_view kDefaultSlotSharingGroup = "default";

using StreamNodeIndex = uint32_t;

/// One operator of the logical graph.
struct StreamNode {
  /// Ties state to the operator across versions of the job; empty = derived from the operator's
  /// place.
  std::string uid;
  std::string name;
  /// Where in the job's source, like "word_count.cc:42"; empty = unknown. For messages.
  std::string declared_at;
  std::shared_ptr<const OperatorFactory> factory;
  /// Non-null for sources and other operators with a coordinator.
  std::shared_ptr<const CoordinatorFactory> coordinator;
  uint32_t num_inputs = 1;
  /// Type of the main output (port 0) and of each side output. Empty for sinks.
  struct Output {
    std::string tag;
    std::shared_ptr<const BatchType> type;
  };
  std::vector<Output> outputs;
  std::optional<uint32_t> parallelism;
  std::optional<uint32_t> max_parallelism;
  ChainingStrategy chaining = ChainingStrategy::kAlways;
  /// Subtasks of different groups never share a slot. Empty = the group of the inputs if that is
  /// one, else the default group.
  std::string slot_sharing_group;
  /// Pairs (input, other): `input` is not read until `other` has caught up.
  std::vector<std::pair<uint32_t, uint32_t>> start_after;

  [[nodiscard]] bool is_source() const { return num_inputs == 0; }
};

/// Returns what follows an operator's name in messages: ", declared at word_count.cc:42", or
/// nothing.
[[nodiscard]] std::string DeclaredAt(const StreamNode& node);

struct StreamEdge {
  StreamNodeIndex source = 0;
  uint32_t source_port = 0;
  StreamNodeIndex target = 0;
  uint32_t target_input = 0;
  Partitioning partitioning = {};
};

/// What a job's Build describes: operators and edges, before chaining and parallelism.
///
/// Lifecycle: built once per process that needs it, then immutable. Threads: one while building;
/// any after. Invariant: an edge leads from an earlier node to a later one, so there is no cycle.
class StreamGraph {
 public:
  /// Adds an operator; its inputs follow by AddEdge, before any later node is added to read from
  /// it.
  StreamNodeIndex AddNode(StreamNode node);
  void AddEdge(StreamEdge edge);

  /// Notes a mistake that a job made while it described its graph; OK is ignored. Finish returns
  /// the first one.
  void AddError(absl::Status error) {
    if (error_.ok()) error_ = std::move(error);
  }

  /// Gives every node without uid one derived from its name, inputs and place among equals. Errors:
  /// kInvalidArgument for a uid given twice, an operator without input, or an empty graph.
  [[nodiscard]] absl::Status Finish();

  [[nodiscard]] const std::vector<StreamNode>& nodes() const { return nodes_; }
  [[nodiscard]] std::vector<StreamNode>& mutable_nodes() { return nodes_; }
  [[nodiscard]] const std::vector<StreamEdge>& edges() const { return edges_; }
  [[nodiscard]] OperatorId operator_id(StreamNodeIndex node) const { return ids_[node]; }
  /// Returns the node of `id`, or nothing.
  [[nodiscard]] std::optional<StreamNodeIndex> FindNode(OperatorId id) const;

  /// Hash of operators, types and edges, without parallelism and settings.
  [[nodiscard]] uint64_t Fingerprint() const;

  /// Configuration keys that the job sets for itself.
  std::map<std::string, std::string>& settings() { return settings_; }
  [[nodiscard]] const std::map<std::string, std::string>& settings() const { return settings_; }
  [[nodiscard]] const std::string& job_name() const { return job_name_; }
  void set_job_name(std::string name) { job_name_ = std::move(name); }
  /// Without chaining every operator is a task of its own: for finding out which one is slow.
  [[nodiscard]] bool chaining_enabled() const { return chaining_enabled_; }
  void set_chaining_enabled(bool enabled) { chaining_enabled_ = enabled; }

 private:
  [[nodiscard]] std::string DerivedUid(StreamNodeIndex node) const;

  absl::Status error_;
  std::string job_name_;
  std::vector<StreamNode> nodes_;
  std::vector<StreamEdge> edges_;
  std::vector<OperatorId> ids_;
  std::map<std::string, std::string> settings_;
  bool chaining_enabled_ = true;
};

}  // namespace weir
