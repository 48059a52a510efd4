#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/record/batch.h"
#include "runtime/record/event_time.h"
#include "runtime/record/stream_element.h"

namespace weir {

/// Takes what a port emits: an operator further down the chain, or the writer of an outgoing edge.
class OutputTarget {
 public:
  virtual ~OutputTarget() = default;
  /// Takes the element in any case; order is kept.
  virtual void Accept(StreamElement element) = 0;
  /// Whether the operator should pause before it emits more.
  [[nodiscard]] virtual bool Full() const = 0;
};

class OutputPort;

/// Something that holds records back until they make a batch. Implemented by Collector.
class PendingRecords {
 public:
  virtual ~PendingRecords() = default;
  /// Emits what is held, if anything.
  virtual void Flush() = 0;
};

/// One output of an operator: the main one or a side output. Batches go out in the order they are
/// emitted. Threads: within a step only.
class OutputPort {
 public:
  void AddTarget(OutputTarget* target) { targets_.push_back(target); }
  void SetPending(PendingRecords* pending) { pending_ = pending; }

  void EmitBatch(BatchPtr batch);
  void EmitControl(const StreamElement& element);
  void FlushPending() {
    if (pending_ != nullptr) pending_->Flush();
  }
  [[nodiscard]] bool Full() const { return full_; }
  void UpdateFull();
  /// The most records that may be held back to fill a batch; at least 1.
  void set_max_batch_records(size_t records) { max_batch_records_ = records; }
  [[nodiscard]] size_t max_batch_records() const { return max_batch_records_; }
  [[nodiscard]] bool connected() const { return !targets_.empty(); }
  [[nodiscard]] uint64_t num_records_out() const { return num_records_out_; }
  /// Event time of the newest record that had one; Min before it.
  [[nodiscard]] EventTime last_event_time() const { return last_event_time_; }

 private:
  std::vector<OutputTarget*> targets_;
  PendingRecords* pending_ = nullptr;
  bool full_ = false;
  size_t max_batch_records_ = kMaxBatchRecords;
  uint64_t num_records_out_ = 0;
  EventTime last_event_time_ = EventTime::Min();
};

/// All outputs of one operator: port 0 is the main output, side outputs follow.
/// Threads: within a step only.
class Output {
 public:
  explicit Output(uint32_t num_ports) : ports_(num_ports) {}

  [[nodiscard]] OutputPort& port(uint32_t index) { return ports_[index]; }
  [[nodiscard]] uint32_t num_ports() const { return static_cast<uint32_t>(ports_.size()); }

  /// Whether the operator should suspend: some target cannot take more. Asked after each record.
  [[nodiscard]] bool Full() const {
    for (const OutputPort& port : ports_) {
      if (port.Full()) return true;
    }
    return false;
  }
  /// Asks the targets anew; called before the operator goes on.
  void UpdateFull() {
    for (OutputPort& port : ports_) port.UpdateFull();
  }
  /// Emits a control element on every port, behind all records emitted so far.
  void EmitControl(const StreamElement& element);
  void EmitWatermark(EventTime time) { EmitControl(Watermark{time}); }
  /// Emits held-back records, so that they do not wait for more.
  void Flush();
  [[nodiscard]] uint64_t num_records_out() const;
  /// The newest watermark emitted; Min before the first.
  [[nodiscard]] EventTime watermark() const { return watermark_; }
  /// Whether anything takes what is emitted.
  [[nodiscard]] bool connected() const;

 private:
  std::vector<OutputPort> ports_;
  EventTime watermark_ = EventTime::Min();
};

}  // namespace weir
