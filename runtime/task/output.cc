#include "runtime/task/output.h"

#include <utility>

namespace weir {

void OutputPort::EmitBatch(BatchPtr batch) {
  if (targets_.empty()) return;
  num_records_out_ += batch->size();
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
  for (OutputPort& port : ports_) port.EmitControl(element);
}

void Output::Flush() {
  for (OutputPort& port : ports_) port.FlushPending();
}

uint64_t Output::num_records_out() const {
  uint64_t sum = 0;
  for (const OutputPort& port : ports_) sum += port.num_records_out();
  return sum;
}

}  // namespace weir
