#include "taskmanager/coordinator_host.h"

#include <exception>
#include <utility>

#include "runtime/base/failure.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/task/current_operator.h"

namespace weir {

CoordinatorHost::CoordinatorHost(CoordinatorDescription description,
                                 CoordinatorEnvironment environment)
    : graph_(std::move(description.graph)),
      description_(std::move(description)),
      environment_(environment),
      strand_(environment.coordinator_pool) {
  place_.job = description_.job;
  place_.operator_id = description_.operator_id;
  place_.attempt = description_.attempt;
  place_.name = StrCat("coordinator of ", description_.operator_name);
  place_.parallelism = description_.parallelism;
}

void CoordinatorHost::Start() {
  strand_.Post([self = shared_from_this()] {
    if (self->phase_ != Phase::kCreated) return;
    self->phase_ = Phase::kRunning;
    self->Run([host = self.get()]() -> absl::Status {
      const StreamNode& node = host->graph_->nodes()[host->description_.node];
      host->coordinator_ = node.coordinator->Create();
      const std::optional<std::string>& restored = host->description_.restored;
      return host->coordinator_->Start(*host, restored.has_value() ? &*restored : nullptr);
    });
  });
}

void CoordinatorHost::HandleEvent(uint32_t subtask, std::string event) {
  Post([this, subtask, event = std::move(event)] {
    return coordinator_->HandleEvent(subtask, event);
  });
}

void CoordinatorHost::HandleCoordinatorEvent(OperatorId sender, std::string event) {
  Post([host = this, sender, event = std::move(event)] {
    return host->coordinator_->HandleCoordinatorEvent(sender, event);
  });
}

void CoordinatorHost::TriggerCheckpoint(CheckpointId checkpoint) {
  strand_.Post([self = shared_from_this(), checkpoint] {
    if (self->phase_ != Phase::kRunning) return;
    absl::StatusOr<std::string> state = absl::UnknownError("no snapshot");
    absl::AnyInvocable<absl::Status()> call = [&] {
      state = self->coordinator_->Snapshot(checkpoint);
      return absl::OkStatus();
    };
    // A snapshot that fails costs the checkpoint, not the job.
    if (absl::Status thrown = self->Guard(call); !thrown.ok()) state = std::move(thrown);
    self->environment_.listener->OnCoordinatorSnapshot(self->description_, checkpoint,
                                                       std::move(state));
  });
}

void CoordinatorHost::NotifyCheckpointComplete(CheckpointId checkpoint) {
  Post([this, checkpoint] { return coordinator_->NotifyCheckpointComplete(checkpoint); });
}

void CoordinatorHost::Close() {
  ended_.store(true, std::memory_order_release);
  strand_.Post([self = shared_from_this()] {
    if (self->phase_ == Phase::kClosed) return;
    self->phase_ = Phase::kClosed;
    self->DestroyCoordinator();
    self->graph_.reset();
    self->closed_.store(true, std::memory_order_release);
  });
}

void CoordinatorHost::DestroyCoordinator() {
  if (coordinator_ == nullptr) return;
  absl::AnyInvocable<absl::Status()> close = [this] {
    coordinator_->Close();
    coordinator_.reset();
    return absl::OkStatus();
  };
  if (const absl::Status status = Guard(close); !status.ok()) {
    LogWarning("coordinator", ToStd(status.message()));
  }
}

void CoordinatorHost::SendEvent(uint32_t subtask, std::string event) {
  if (ended_.load(std::memory_order_acquire)) return;
  environment_.listener->OnCoordinatorEvent(description_, subtask, std::move(event));
}

void CoordinatorHost::SendToCoordinators(std::string event) {
  if (ended_.load(std::memory_order_acquire)) return;
  environment_.listener->OnEventToCoordinators(description_, std::move(event));
}

void CoordinatorHost::Post(absl::AnyInvocable<absl::Status()> mail) {
  strand_.Post([self = shared_from_this(), mail = std::move(mail)]() mutable {
    self->Run(std::move(mail));
  });
}

void CoordinatorHost::PostAfter(absl::Duration delay, absl::AnyInvocable<absl::Status()> mail) {
  environment_.timers->ScheduleAfter(delay,
                                     [weak = weak_from_this(), mail = std::move(mail)]() mutable {
                                       if (const auto self = weak.lock())
                                         self->Post(std::move(mail));
                                     });
}

void CoordinatorHost::Fail(absl::Status reason) {
  strand_.Post([self = shared_from_this(), reason = std::move(reason)] { self->FailNow(reason); });
}

void CoordinatorHost::Run(absl::AnyInvocable<absl::Status()> call) {
  if (phase_ != Phase::kRunning) return;
  if (const absl::Status status = Guard(call); !status.ok()) FailNow(status);
}

absl::Status CoordinatorHost::Guard(absl::AnyInvocable<absl::Status()>& call) {
  const auto thrown = [this](std::string_view what) {
    return ThrownByUserCode(StrCat("an operator coordinator threw an exception: operator=",
                                   description_.operator_name, " what=", what));
  };
  const CurrentOperatorScope scope(place_);
  try {
    return call();
  } catch (const std::exception& exception) {
    return thrown(exception.what());
  } catch (...) {
    return thrown("(not a std::exception)");
  }
}

void CoordinatorHost::FailNow(const absl::Status& reason) {
  if (phase_ != Phase::kRunning) return;
  phase_ = Phase::kFailed;
  if (ended_.exchange(true, std::memory_order_acq_rel)) return;  // Closed meanwhile.
  environment_.listener->OnCoordinatorFailed(description_, reason);
}

}  // namespace weir
