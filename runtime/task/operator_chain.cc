#include "runtime/task/operator_chain.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>

#include "runtime/base/clock.h"
#include "runtime/base/failure.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/state/keyed_state_backend.h"
#include "runtime/state/state_error.h"
#include "runtime/task/current_operator.h"

namespace weir {
namespace {

// Says where a failure happened. The one place that adds it.
absl::Status WithPlace(const absl::Status& status, const OperatorContext::Place& place,
                       std::string_view position) {
  return WithMessage(
      status, StrCat(ToStd(status.message()), " (operator=", place.name, " uid=", place.uid,
                     " subtask=", place.subtask, "/", place.parallelism, position,
                     place.declared_at.empty() ? "" : ", declared at ", place.declared_at, ")"));
}

absl::Status ThrownStatus(std::string_view what) {
  return ThrownByUserCode(StrCat("user code threw an exception: ", what));
}

// Calls into the operator at `place`. The one place where what user code throws is caught.
template <class Call>
auto Guarded(const OperatorContext::Place& place, Call&& call) -> decltype(call()) {
  const CurrentOperatorScope scope(place);
  try {
    return call();
  } catch (const StateError& error) {
    return error.status();
  } catch (const std::exception& exception) {
    return ThrownStatus(exception.what());
  } catch (...) {
    return ThrownStatus("of unknown type");
  }
}

absl::StatusOr<Progress> WakeOperator(StreamOperator& op, Output& output,
                                      const OperatorContext& context) {
  absl::StatusOr<Progress> progress = Guarded(context.place(), [&] { return op.OnWake(output); });
  return progress.ok() ? progress : WithPlace(progress.status(), context.place(), "");
}

// Records now - event time of the batch's records: of all if they are few, else of some, evenly
// spread, so that a batch costs about the same whatever its size.
void RecordEventTimeLag(const Batch& batch, absl::Time now, Histogram* lag_ms) {
  constexpr size_t kMaxRecorded = 32;
  const std::span<const EventTime> times = batch.event_times();
  if (times.empty()) return;
  const int64_t now_ms = absl::ToUnixMillis(now);
  const size_t num_recorded = std::min(times.size(), kMaxRecorded);
  for (size_t i = 0; i < num_recorded; ++i) {
    const EventTime time = times[i * times.size() / num_recorded];
    if (time == EventTime::Min() || time == EventTime::Max()) continue;
    lag_ms->Record(now_ms - time.millis());
  }
}

}  // namespace

struct OperatorChain::ChainedOperator final : public OutputTarget {
  explicit ChainedOperator(Link link)
      : op(std::move(link.op)),
        context(std::move(link.context)),
        output(link.num_ports),
        num_inputs(link.num_inputs),
        metrics_name(StrCat(num_inputs == 0 ? "Source: " : "", context->place().name)),
        inputs_ended(link.num_inputs),
        inputs_caught_up(link.num_inputs) {}

  void Accept(StreamElement element) override { queue.emplace_back(0, std::move(element)); }
  [[nodiscard]] bool Full() const override { return !queue.empty(); }
  void RecordLatency(const LatencyMarker& marker);

  std::unique_ptr<StreamOperator> op;
  std::unique_ptr<OperatorContext> context;
  Output output;
  const uint32_t num_inputs;
  // A source's as its vertex is called, which is how Flink's autoscaler finds it.
  const std::string metrics_name;
  std::deque<std::pair<uint32_t, StreamElement>> queue;
  std::optional<BatchCursor> cursor;  // Of the batch at the front of the queue, once begun.
  std::vector<bool> inputs_ended;
  std::vector<bool> inputs_caught_up;
  absl::Status DeliverEvent(std::string_view event);
  // Called when an element has left the queue.
  absl::Status DeliverHeldEvents();

  // Events of the coordinator, each with the number of queued elements ahead of it.
  std::deque<std::pair<size_t, std::string>> held_events;
  bool ended = false;
  // Counted by the step; `published` is what other threads may read of it.
  uint64_t num_records_in = 0;
  EventTime input_watermark = EventTime::Min();
  struct Published {
    std::atomic<uint64_t> num_records_in{0};
    std::atomic<uint64_t> num_records_out{0};
    std::atomic<int64_t> input_watermark{EventTime::Min().millis()};
    std::atomic<int64_t> output_watermark{EventTime::Min().millis()};
    std::atomic<int64_t> emit_nanos{0};
    std::atomic<int64_t> emit_event_time_lag_ms{OperatorMetrics::kNoLag};
  } published;
  Histogram* event_time_lag = nullptr;  // Of a sink.
  bool blocked = false;                 // Waits for something outside, as far as this Run knows.
  bool wake_due = false;                // There was no room for its OnWake.
  bool suspended = false;               // By a barrier that stops the task.
  std::map<OperatorId, Histogram*> latencies;  // By source; made at the first marker of each.
};

void OperatorChain::ChainedOperator::RecordLatency(const LatencyMarker& marker) {
  Histogram*& histogram = latencies[marker.source];
  if (histogram == nullptr) {
    histogram =
        context->metrics()->AddHistogram(StrCat("source_id.", ToString(marker.source), ".latency"));
  }
  histogram->Record(absl::ToUnixMillis(context->clock()->Now()) - marker.emit_time_ms);
}

OperatorChain::OperatorChain(std::vector<Link> links, Events events) : events_(std::move(events)) {
  for (Link& link : links) {
    links_.push_back(std::make_unique<ChainedOperator>(std::move(link)));
  }
  if (links_.front()->num_inputs == 0)
    source_ = static_cast<SourceOperator*>(links_.front()->op.get());
}

OperatorChain::~OperatorChain() { Close(); }

void OperatorChain::Join(size_t from, uint32_t port, size_t to) {
  links_[from]->output.port(port).AddTarget(links_[to].get());
}

void OperatorChain::AddTarget(size_t from, uint32_t port, OutputTarget* target) {
  links_[from]->output.port(port).AddTarget(target);
}

void OperatorChain::SetMaxBatchRecords(size_t records) {
  for (const auto& link : links_) {
    for (uint32_t i = 0; i < link->output.num_ports(); ++i) {
      link->output.port(i).set_max_batch_records(records);
    }
  }
}

void OperatorChain::SetMaxBatchRecords(size_t index, uint32_t port, size_t records) {
  links_[index]->output.port(port).set_max_batch_records(records);
}

const KeyedStateBackendBase* OperatorChain::keyed_state(size_t index) const {
  return links_[index]->op->keyed_state();
}

absl::Status OperatorChain::Open(std::vector<std::vector<OperatorSubtaskState>> restored) {
  for (size_t i = links_.size(); i-- > 0;) {
    ChainedOperator& link = *links_[i];
    if (link.num_inputs > 0 && !link.output.connected()) {
      link.event_time_lag = link.context->metrics()->AddHistogram("eventTimeLag");
    }
    absl::Status opened = Guarded(link.context->place(), [&] {
      return link.op->Open(*link.context, link.output, std::move(restored[i]));
    });
    if (!opened.ok()) return WithPlace(opened, link.context->place(), " while opening");
  }
  return absl::OkStatus();
}

void OperatorChain::Feed(uint32_t input, StreamElement element) {
  if (const auto* batch = std::get_if<BatchPtr>(&element)) records_in_ += (*batch)->size();
  links_.front()->queue.emplace_back(input, std::move(element));
}

absl::StatusOr<OperatorChain::RunResult> OperatorChain::Run(int64_t deadline_nanos) {
  for (const auto& link : links_) link->blocked = false;
  while (true) {
    ChainedOperator* next = nullptr;
    RunResult none = RunResult::kDrained;
    for (size_t i = links_.size(); i-- > 0 && next == nullptr;) {
      if (links_[i]->queue.empty()) continue;
      links_[i]->output.UpdateFull();
      const bool blocked = links_[i]->blocked;
      if (!blocked && !links_[i]->output.Full()) {
        next = links_[i].get();
      } else if (none == RunResult::kDrained) {
        none = blocked ? RunResult::kBlocked : RunResult::kBackPressured;
      }
    }
    if (next == nullptr) {
      // Those below have made room: nothing else would come back to an operator without input.
      bool woke = false;
      for (const auto& link : links_) {
        if (!link->wake_due) continue;
        link->output.UpdateFull();
        if (link->output.Full()) continue;
        ASSIGN_OR_RETURN(const Progress progress,
                         WakeOperator(*link->op, link->output, *link->context));
        link->wake_due = progress == Progress::kSuspended;
        woke = true;
      }
      if (!woke) return none;
    } else {
      ASSIGN_OR_RETURN(const Progress progress, Process(*next));
      if (progress == Progress::kDone) {
        next->queue.pop_front();
        next->cursor.reset();
        RETURN_IF_ERROR(next->DeliverHeldEvents());
      }
      next->blocked = progress == Progress::kBlocked;
    }
    if (MonotonicNanos() >= deadline_nanos) return RunResult::kQuantumOver;
  }
}

absl::StatusOr<Progress> OperatorChain::Process(ChainedOperator& link) {
  const auto& [input, element] = link.queue.front();
  absl::StatusOr<Progress> progress =
      Guarded(link.context->place(), [&] { return ProcessElement(link, input, element); });
  if (!progress.ok()) {
    std::string position;
    if (link.cursor.has_value() && link.cursor->batch) {
      position =
          StrCat(" record=", link.cursor->row, "/", link.cursor->batch->size(), " of its batch");
    }
    return WithPlace(progress.status(), link.context->place(), position);
  }
  return progress;
}

absl::StatusOr<Progress> OperatorChain::ProcessElement(ChainedOperator& link, uint32_t input,
                                                       const StreamElement& element) {
  if (const auto* batch = std::get_if<BatchPtr>(&element)) {
    if (!link.cursor.has_value()) {
      // The queue's own reference would keep the batch from being unique, and its records from
      // being moved.
      link.cursor.emplace(BatchCursor{std::move(*const_cast<BatchPtr*>(batch)), 0});
      link.num_records_in += link.cursor->batch->size();
      if (link.event_time_lag != nullptr) {
        RecordEventTimeLag(*link.cursor->batch, link.context->clock()->Now(), link.event_time_lag);
      }
    }
    return link.op->ProcessBatch(input, *link.cursor, link.output);
  }
  if (const auto* watermark = std::get_if<Watermark>(&element)) {
    link.input_watermark = watermark->time;
    return link.op->ProcessWatermark(*watermark, link.output);
  }
  if (const auto* barrier = std::get_if<CheckpointBarrier>(&element)) {
    RETURN_IF_ERROR(TakeSnapshot(link, *barrier));
    return Progress::kDone;
  }
  if (const auto* status = std::get_if<WatermarkStatus>(&element)) {
    link.op->ProcessWatermarkStatus(*status, link.output);
    return Progress::kDone;
  }
  if (std::holds_alternative<EndOfInput>(element)) return ProcessEnd(link, input);
  if (std::holds_alternative<CaughtUp>(element)) return ProcessCaughtUp(link, input);
  if (const auto* marker = std::get_if<LatencyMarker>(&element)) link.RecordLatency(*marker);
  link.output.EmitControl(element);
  return Progress::kDone;
}

absl::StatusOr<Progress> OperatorChain::ProcessEnd(ChainedOperator& link, uint32_t input) {
  ASSIGN_OR_RETURN(const Progress progress, link.op->EndInput(input, link.output));
  if (progress != Progress::kDone) return progress;
  link.inputs_ended[input] = true;
  if (!link.ended && std::find(link.inputs_ended.begin(), link.inputs_ended.end(), false) ==
                         link.inputs_ended.end()) {
    link.ended = true;
    ++num_ended_;
    link.output.EmitControl(EndOfInput{});
  }
  return Progress::kDone;
}

absl::StatusOr<Progress> OperatorChain::ProcessCaughtUp(ChainedOperator& link, uint32_t input) {
  ASSIGN_OR_RETURN(const Progress progress, link.op->ProcessCaughtUp(input, link.output));
  if (progress != Progress::kDone) return progress;
  auto& caught_up = link.inputs_caught_up;
  const bool had_all = std::find(caught_up.begin(), caught_up.end(), false) == caught_up.end();
  caught_up[input] = true;
  const bool has_all = std::find(caught_up.begin(), caught_up.end(), false) == caught_up.end();
  if (has_all && !had_all) link.output.EmitControl(CaughtUp{});
  return Progress::kDone;
}

absl::Status OperatorChain::TakeSnapshot(ChainedOperator& link, const CheckpointBarrier& barrier) {
  // What was emitted before the barrier belongs before it.
  link.output.Flush();
  if (num_snapshots_ == 0) {
    snapshots_.clear();
    snapshots_.resize(links_.size());
    accepts_snapshot_ = events_.accepts_snapshot(barrier);
  }
  if (accepts_snapshot_) {
    // An abort may be here before the barrier.
    link.suspended = StopsTask(barrier.kind) && barrier.id > newest_aborted_;
    ASSIGN_OR_RETURN(OperatorSnapshot snapshot, link.op->Snapshot(barrier.id));
    for (size_t i = 0; i < links_.size(); ++i) {
      if (links_[i].get() == &link) snapshots_[i] = std::move(snapshot);
    }
  }
  CheckpointBarrier passed = barrier;
  // Behind the end there is nothing to overtake; and who is downstream of tasks that this
  // checkpoint ends must have seen their end, as they send no other barrier.
  if (link.ended) passed.unaligned = false;
  link.output.EmitControl(passed);
  if (++num_snapshots_ < links_.size()) return absl::OkStatus();
  num_snapshots_ = 0;
  return accepts_snapshot_ ? events_.on_snapshot(barrier, std::exchange(snapshots_, {}))
                           : absl::OkStatus();
}

absl::StatusOr<SourceOperator::PollResult> OperatorChain::PollSource() {
  ChainedOperator& head = *links_.front();
  head.output.UpdateFull();
  if (source_ended_ || head.output.Full()) return SourceOperator::PollResult::kNothing;
  absl::StatusOr<SourceOperator::PollResult> result =
      Guarded(head.context->place(), [&] { return source_->Poll(head.output); });
  if (!result.ok()) return WithPlace(result.status(), head.context->place(), "");
  if (*result == SourceOperator::PollResult::kEnd) NoteSourceEnded();
  return result;
}

void OperatorChain::NoteSourceEnded() {
  ChainedOperator& head = *links_.front();
  source_ended_ = true;
  head.ended = true;
  ++num_ended_;
  head.output.EmitControl(EndOfInput{});
}

absl::Status OperatorChain::EndSource() {
  if (source_ == nullptr || source_ended_) return absl::OkStatus();
  ChainedOperator& head = *links_.front();
  // Key selectors of the edges behind it run here, on records that were held back.
  const absl::Status ended = Guarded(head.context->place(), [&] {
    head.output.EmitWatermark(EventTime::Max());
    NoteSourceEnded();
    return absl::OkStatus();
  });
  return ended.ok() ? ended : WithPlace(ended, head.context->place(), "");
}

bool OperatorChain::GrowthMustWait() const {
  return std::any_of(links_.begin(), links_.end(), [](const auto& link) {
    const KeyedStateBackendBase* const state = link->op->keyed_state();
    return state != nullptr && state->GrowthMustWait();
  });
}

bool OperatorChain::suspended() const { return links_.front()->suspended; }

absl::StatusOr<bool> OperatorChain::EmitLatencyMarker(int64_t now_ms) {
  ChainedOperator& head = *links_.front();
  head.output.UpdateFull();
  if (head.output.Full()) return false;
  const OperatorContext::Place& place = head.context->place();
  const absl::Status emitted = Guarded(place, [&] {
    head.output.EmitControl(LatencyMarker{now_ms, place.operator_id, place.subtask});
    return absl::OkStatus();
  });
  if (!emitted.ok()) return WithPlace(emitted, place, "");
  return true;
}

absl::StatusOr<bool> OperatorChain::WakeOperators() {
  bool more = false;
  for (const auto& link : links_) {
    link->output.UpdateFull();
    link->wake_due = !link->suspended && link->output.Full();
    if (link->suspended) continue;
    if (link->wake_due) continue;
    ASSIGN_OR_RETURN(const Progress progress,
                     WakeOperator(*link->op, link->output, *link->context));
    more = more || progress == Progress::kSuspended;
  }
  return more;
}

absl::StatusOr<bool> OperatorChain::Flush() {
  bool queued = false;
  for (const auto& link : links_) {
    if (link->queue.empty()) {
      // Key selectors and partitioners of the edges behind it run here.
      const absl::Status flushed = Guarded(link->context->place(), [&] {
        link->output.Flush();
        return absl::OkStatus();
      });
      if (!flushed.ok()) return WithPlace(flushed, link->context->place(), "");
    }
    queued = queued || !link->queue.empty();
  }
  return queued;
}

absl::Status OperatorChain::ForEachOperator(
    const std::function<absl::Status(StreamOperator&)>& call) {
  for (const auto& link : links_) {
    const absl::Status status = Guarded(link->context->place(), [&] { return call(*link->op); });
    if (!status.ok()) return WithPlace(status, link->context->place(), "");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<OperatorSnapshot>> OperatorChain::TakeFinalSnapshot(
    CheckpointId checkpoint) {
  std::vector<OperatorSnapshot> snapshots;
  RETURN_IF_ERROR(ForEachOperator([&](StreamOperator& op) -> absl::Status {
    ASSIGN_OR_RETURN(snapshots.emplace_back(), op.Snapshot(checkpoint));
    return absl::OkStatus();
  }));
  return snapshots;
}

absl::Status OperatorChain::NotifyIdle() {
  return ForEachOperator([](StreamOperator& op) { return op.OnIdle(); });
}

absl::Status OperatorChain::NotifyCheckpointComplete(CheckpointId checkpoint) {
  return ForEachOperator(
      [&](StreamOperator& op) { return op.NotifyCheckpointComplete(checkpoint); });
}

absl::Status OperatorChain::NotifyCheckpointAborted(CheckpointId checkpoint) {
  newest_aborted_ = std::max(newest_aborted_, checkpoint);
  for (const auto& link : links_) link->suspended = false;
  return ForEachOperator(
      [&](StreamOperator& op) { return op.NotifyCheckpointAborted(checkpoint); });
}

absl::Status OperatorChain::HandleCoordinatorEvent(OperatorId id, std::string_view event) {
  for (const auto& link : links_) {
    if (link->context->place().operator_id != id) continue;
    // Behind what is queued, a barrier above all: what the coordinator sent after its snapshot must
    // not be in the operator's.
    if (!link->queue.empty()) {
      link->held_events.emplace_back(link->queue.size(), std::string(event));
      return absl::OkStatus();
    }
    return link->DeliverEvent(event);
  }
  return absl::InternalError(
      StrCat("event for an operator that is not in this task: operator_id=", ToString(id)));
}

absl::Status OperatorChain::ChainedOperator::DeliverEvent(std::string_view event) {
  const absl::Status status =
      Guarded(context->place(), [&] { return op->HandleCoordinatorEvent(event); });
  return status.ok() ? status : WithPlace(status, context->place(), "");
}

absl::Status OperatorChain::ChainedOperator::DeliverHeldEvents() {
  for (auto& [num_ahead, event] : held_events) --num_ahead;
  while (!held_events.empty() && held_events.front().first == 0) {
    const std::string event = std::move(held_events.front().second);
    held_events.pop_front();
    RETURN_IF_ERROR(DeliverEvent(event));
  }
  return absl::OkStatus();
}

bool OperatorChain::HasPendingCommits() const {
  return std::any_of(links_.begin(), links_.end(),
                     [](const auto& link) { return link->op->HasPendingCommits(); });
}

void OperatorChain::PublishMetrics(int64_t now_nanos) {
  for (const auto& link : links_) {
    link->op->PublishMetrics(now_nanos);
    auto& published = link->published;
    const uint64_t records_out = link->output.num_records_out();
    if (records_out != published.num_records_out.load(std::memory_order_relaxed)) {
      published.num_records_out.store(records_out, std::memory_order_relaxed);
      published.emit_nanos.store(now_nanos, std::memory_order_relaxed);
      // Asked of the clock only for a source, whose lag it is that counts.
      const EventTime time = link->output.port(0).last_event_time();
      if (link->num_inputs == 0 && time != EventTime::Min() && time != EventTime::Max()) {
        published.emit_event_time_lag_ms.store(
            absl::ToUnixMillis(link->context->clock()->Now()) - time.millis(),
            std::memory_order_relaxed);
      }
    }
    // A source takes in what it emits.
    published.num_records_in.store(link->num_inputs == 0 ? records_out : link->num_records_in,
                                   std::memory_order_relaxed);
    published.input_watermark.store(link->input_watermark.millis(), std::memory_order_relaxed);
    published.output_watermark.store(link->output.watermark().millis(), std::memory_order_relaxed);
  }
}

std::vector<OperatorMetrics> OperatorChain::operator_metrics() const {
  std::vector<OperatorMetrics> metrics;
  metrics.reserve(links_.size());
  for (const auto& link : links_) {
    const auto& published = link->published;
    OperatorMetrics& added = metrics.emplace_back();
    const OperatorContext::Place& place = link->context->place();
    added.id = place.operator_id;
    added.is_source = link->num_inputs == 0;
    added.name = link->metrics_name;
    added.num_records_in = published.num_records_in.load(std::memory_order_relaxed);
    added.num_records_out = published.num_records_out.load(std::memory_order_relaxed);
    added.input_watermark =
        EventTime::FromMillis(published.input_watermark.load(std::memory_order_relaxed));
    added.output_watermark =
        EventTime::FromMillis(published.output_watermark.load(std::memory_order_relaxed));
    added.emit_nanos = published.emit_nanos.load(std::memory_order_relaxed);
    added.emit_event_time_lag_ms = published.emit_event_time_lag_ms.load(std::memory_order_relaxed);
    added.group = link->context->metrics();
  }
  return metrics;
}

uint64_t OperatorChain::records_out() const { return links_.back()->output.num_records_out(); }

void OperatorChain::Close() {
  if (closed_) return;
  closed_ = true;
  for (const auto& link : links_) {
    (void)Guarded(link->context->place(), [&] {
      link->op->Close();
      return absl::OkStatus();
    });
  }
}

}  // namespace weir
