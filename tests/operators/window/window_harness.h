#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "operators/api/data_stream.h"
#include "operators/testing/manual_clock.h"
#include "runtime/base/check.h"
#include "runtime/base/ids.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/graph/stream_graph.h"
#include "runtime/record/typed_batch.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/state_reader.h"
#include "runtime/task/operator.h"
#include "tests/support/connector_contexts.h"

namespace weir {

/// Runs the subtasks of one window operator on the thread of the test: pushes records, watermarks
/// and time, takes snapshots, and restores them at another parallelism. Checks that a suspended
/// operator goes on where it stopped, and that the watermark comes last.
template <class In, class Out>
class WindowHarness {
 public:
  struct Snapshot {
    std::vector<OperatorSubtaskState> subtasks;
    /// Of the keyed state; zero if there is none.
    [[nodiscard]] uint64_t KeyedBytes() const {
      uint64_t bytes = 0;
      for (const OperatorSubtaskState& state : subtasks) {
        if (state.keyed.has_value()) bytes += state.keyed->SizeBytes();
      }
      return bytes;
    }
    /// Of the keyed state, timers included. Where entries were on disk, files outlive them.
    [[nodiscard]] uint64_t NumKeyedEntries() const {
      uint64_t entries = 0;
      for (const OperatorSubtaskState& state : subtasks) {
        if (!state.keyed.has_value()) continue;
        for (const uint64_t of_state : state.keyed->num_entries) entries += of_state;
      }
      return entries;
    }
  };

  /// `stream` is what the operator under test gives out.
  WindowHarness(const DataStream<Out>& stream, std::string directory)
      : graph_(stream.origin().graph),
        node_(stream.origin().ports.front().node),
        store_(std::make_shared<FileStateStore>(directory, "window-test")),
        directory_(std::move(directory)) {
    for (const StreamEdge& edge : graph_->edges()) {
      if (edge.target == node_) hasher_ = edge.partitioning.key_hasher;
    }
  }
  ~WindowHarness() { Close(); }

  /// Gives state no room in memory, from the next Start on: what may leave for the disk does.
  void LimitStateMemory() { budget_ = &no_memory_; }

  absl::Status Start(uint32_t parallelism, const Snapshot* snapshot = nullptr) {
    Close();
    subtasks_.clear();
    std::vector<std::vector<OperatorStateHandle>> operator_states(parallelism);
    if (snapshot != nullptr) {
      std::vector<OperatorStateHandle> old;
      for (const OperatorSubtaskState& state : snapshot->subtasks) {
        old.push_back(state.operator_state.value_or(OperatorStateHandle{}));
      }
      auto redistributed = RedistributeOperatorState(std::move(old), parallelism);
      if (!redistributed.ok()) return redistributed.status();
      operator_states = *std::move(redistributed);
    }
    for (uint32_t i = 0; i < parallelism; ++i) {
      auto subtask = std::make_unique<Subtask>(*this, i, parallelism);
      std::vector<OperatorSubtaskState> restored;
      if (snapshot != nullptr) {
        for (const OperatorSubtaskState& state : snapshot->subtasks) {
          if (state.keyed.has_value() &&
              !state.keyed->key_groups.Intersect(subtask->place_.key_groups).IsEmpty()) {
            restored.emplace_back().keyed = state.keyed;
          }
        }
        for (OperatorStateHandle& handle : operator_states[i]) {
          restored.emplace_back().operator_state = std::move(handle);
        }
      }
      subtask->op = graph_->nodes()[node_].factory->Create();
      const absl::Status opened = subtask->op->Open(*subtask, subtask->output, std::move(restored));
      if (!opened.ok()) return opened;
      subtasks_.push_back(std::move(subtask));
    }
    return absl::OkStatus();
  }
  void Close() {
    for (auto& subtask : subtasks_) subtask->op->Close();
  }

  /// Gives the records, with their event times, as one batch to each subtask that owns a key.
  void Push(const std::vector<std::pair<In, EventTime>>& records) {
    TypedBatchBuilder<In> all;
    for (const auto& [record, time] : records) all.Add(record, time);
    const BatchPtr batch = all.Finish();
    std::vector<uint64_t> hashes(records.size());
    if (hasher_ != nullptr) hasher_->HashKeys(*batch, &hashes);
    std::vector<TypedBatchBuilder<In>> parts(subtasks_.size());
    for (size_t i = 0; i < records.size(); ++i) {
      TypedBatchBuilder<In>& part =
          parts[SubtaskOfHash(hashes[i], 128, static_cast<uint32_t>(subtasks_.size()))];
      part.Add(records[i].first, records[i].second);
      part.SetLastHash(hashes[i]);
    }
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].size() == 0) continue;
      BatchCursor cursor{parts[i].Finish(), 0};
      Run(*subtasks_[i], [&](Subtask& s) { return s.op->ProcessBatch(0, cursor, s.output); });
    }
  }
  void PushWatermark(EventTime time) {
    for (auto& subtask : subtasks_) {
      Run(*subtask, [&](Subtask& s) { return s.op->ProcessWatermark({time}, s.output); });
      CHECK(subtask->watermark == time) << "the watermark was not passed on last";
    }
  }
  /// Moves the clock, and lets the operators do what is due.
  void AdvanceTime(absl::Duration duration) {
    clock_.Advance(duration);
    Wake();
  }
  void Wake() {
    for (auto& subtask : subtasks_) {
      Run(*subtask, [&](Subtask& s) { return s.op->OnWake(s.output); });
    }
  }
  /// Lets the operators do one slice of what is due, then stop with what they emitted.
  void WakeOnce() {
    for (auto& subtask : subtasks_) {
      subtask->output.UpdateFull();
      CHECK(subtask->op->OnWake(subtask->output).ok());
      subtask->full = false;
    }
  }

  absl::StatusOr<Snapshot> TakeSnapshot(bool completes = true) {
    Snapshot snapshot;
    const CheckpointId id(++checkpoints_);
    for (auto& subtask : subtasks_) {
      subtask->output.Flush();
      subtask->full = false;
      absl::StatusOr<OperatorSnapshot> taken = subtask->op->Snapshot(id);
      if (!taken.ok()) return taken.status();
      absl::StatusOr<OperatorSubtaskState> written = taken->write(*store_);
      if (!written.ok()) return written.status();
      if (taken->finish) taken->finish(true);
      snapshot.subtasks.push_back(*std::move(written));
    }
    for (auto& subtask : subtasks_) {
      if (completes) (void)subtask->op->NotifyCheckpointComplete(id);
    }
    return snapshot;
  }

  /// Returns how many entries the files of a snapshot hold: what lives in RocksDB, where entries
  /// were on disk.
  [[nodiscard]] size_t NumRows(const Snapshot& snapshot) {
    size_t rows = 0;
    for (const OperatorSubtaskState& state : snapshot.subtasks) {
      if (!state.keyed.has_value()) continue;
      const absl::Status read =
          VisitKeyedState(*state.keyed, *store_, directory_ + "/rows", [&](const KeyedStateEntry&) {
            ++rows;
            return absl::OkStatus();
          });
      CHECK(read.ok()) << read.ToString();
    }
    return rows;
  }

  /// Everything emitted so far, with its event time.
  [[nodiscard]] std::vector<std::pair<Out, EventTime>>& results() { return results_; }
  /// What went to side output `port` - 1; of type In.
  [[nodiscard]] std::vector<In>& side_output() { return side_output_; }
  [[nodiscard]] uint64_t CounterValue(std::string_view name) const {
    uint64_t sum = 0;
    for (const auto& subtask : subtasks_) sum += subtask->metrics_.AddCounter(name)->value();
    return sum;
  }
  [[nodiscard]] ManualClock& clock() { return clock_; }
  /// Makes each emitted batch fill the output until the operator is called again.
  void set_fills_up(bool fills_up) { fills_up_ = fills_up; }
  [[nodiscard]] int num_suspensions() const { return num_suspensions_; }

 private:
  struct Subtask final : public OperatorContext {
    Subtask(WindowHarness& harness_in, uint32_t index, uint32_t parallelism)
        : harness(harness_in),
          output(
              static_cast<uint32_t>(harness_in.graph_->nodes()[harness_in.node_].outputs.size())) {
      place_.subtask = index;
      place_.parallelism = parallelism;
      place_.max_parallelism = 128;
      place_.key_groups = RangeOfSubtask(index, 128, parallelism);
      place_.attempt = RandomId<ExecutionAttemptId>();
      place_.local_dir = StrCat(harness.directory_, "/local-", ToString(place_.attempt));
      for (uint32_t port = 0; port < output.num_ports(); ++port) {
        targets.push_back(std::make_unique<Target>(*this, port));
        output.port(port).AddTarget(targets.back().get());
      }
    }
    [[nodiscard]] const Place& place() const override { return place_; }
    [[nodiscard]] MemoryBudget* memory_budget() const override { return harness.budget_; }
    [[nodiscard]] IoPool* io_pool() const override { return nullptr; }
    [[nodiscard]] const Clock* clock() const override { return &harness.clock_; }
    [[nodiscard]] MetricGroup* metrics() const override { return &metrics_; }
    [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const override { return handle_; }
    [[nodiscard]] const std::shared_ptr<StateFileStore>& state_store() const override {
      return harness.state_store_;
    }
    void SendToCoordinator(std::string) override {}

    WindowHarness& harness;
    Place place_;
    mutable MetricGroup metrics_;
    const std::shared_ptr<TaskHandle> handle_ = std::make_shared<FakeTaskHandle>();
    std::unique_ptr<StreamOperator> op;
    Output output;
    std::vector<std::unique_ptr<OutputTarget>> targets;
    EventTime watermark = EventTime::Min();
    bool full = false;
  };

  class Target final : public OutputTarget {
   public:
    Target(Subtask& subtask, uint32_t port) : subtask_(subtask), port_(port) {}
    void Accept(StreamElement element) override {
      WindowHarness& harness = subtask_.harness;
      if (const auto* batch = std::get_if<BatchPtr>(&element)) {
        subtask_.full = harness.fills_up_;
        for (size_t row = 0; row < (*batch)->size(); ++row) {
          if (port_ == 0) {
            harness.results_.emplace_back(BatchValues<Out>(**batch)[row],
                                          (*batch)->event_time(row));
          } else {
            harness.side_output_.push_back(BatchValues<In>(**batch)[row]);
          }
        }
      } else if (const auto* watermark = std::get_if<Watermark>(&element)) {
        subtask_.watermark = watermark->time;
      }
    }
    [[nodiscard]] bool Full() const override { return subtask_.full; }

   private:
    Subtask& subtask_;
    const uint32_t port_;
  };

  template <class Call>
  void Run(Subtask& subtask, Call&& call) {
    while (true) {
      subtask.full = false;
      subtask.output.UpdateFull();
      const absl::StatusOr<Progress> progress = call(subtask);
      CHECK(progress.ok()) << progress.status().ToString();
      if (*progress == Progress::kDone) break;
      ++num_suspensions_;
    }
    subtask.output.Flush();
    subtask.full = false;
  }

  StreamGraph* const graph_;
  const StreamNodeIndex node_;
  std::shared_ptr<const KeyHasher> hasher_;
  const std::shared_ptr<FileStateStore> store_;
  const std::shared_ptr<StateFileStore> state_store_ = store_;
  const std::string directory_;
  ManualClock clock_{absl::FromUnixMillis(1'000'000)};
  MemoryBudget no_memory_{1};
  MemoryBudget* budget_ = nullptr;
  std::vector<std::unique_ptr<Subtask>> subtasks_;
  std::vector<std::pair<Out, EventTime>> results_;
  std::vector<In> side_output_;
  uint64_t checkpoints_ = 0;
  bool fills_up_ = false;
  int num_suspensions_ = 0;
};

}  // namespace weir
