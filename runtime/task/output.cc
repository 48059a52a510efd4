#include "runtime/task/output.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace weir {

void OutputPort::EmitBatch(BatchPtr batch) {
  if (targets_.empty()) return;
  num_records_out_ += batch->size();
  if (!batch->event_times().empty()) last_event_time_ = batch->event_times().back();
  for (size_t i = 0; i + 1 < targets_.size(); ++i) targets_[i]->Accept(batch);
  targets_.back()->Accept(std::move(batch));
  UpdateFull();
}

void OutputPort::EmitControl(const StreamElement& element) {
  for (OutputTarget* target : targets_) target->Accept(element);
  UpdateFull();
}

void OutputPort::UpdateFull() {
  full_ = false;
  for (const OutputTarget* target : targets_) full_ = full_ || target->Full();
}

void Output::EmitControl(const StreamElement& element) {
  Flush();
  if (const auto* watermark = std::get_if<Watermark>(&element)) watermark_ = watermark->time;
  for (OutputPort& port : ports_) port.EmitControl(element);
}

void Output::Flush() {
  for (OutputPort& port : ports_) port.FlushPending();
}

bool Output::connected() const {
  return std::any_of(ports_.begin(), ports_.end(),
                     [](const OutputPort& port) { return port.connected(); });
}

uint64_t Output::num_records_out() const {
  uint64_t sum = 0;
  for (const OutputPort& port : ports_) sum += port.num_records_out();
  return sum;
}

}  // namespace weir
