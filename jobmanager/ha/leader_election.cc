#include "jobmanager/ha/leader_election.h"

#include <pthread.h>

#include <utility>

#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "leader-election";

}  // namespace

LeaderElection::LeaderElection(LeaderElectionOptions options, HaStore* store,
                               LeaderInformation self, LeaderContender* contender,
                               const Clock* clock)
    : options_(options),
      store_(store),
      self_(std::move(self)),
      contender_(contender),
      clock_(clock) {}

LeaderElection::~LeaderElection() { Stop(); }

void LeaderElection::Start() {
  thread_ = std::jthread([this] {
    pthread_setname_np(pthread_self(), "jm-election");
    while (true) {
      Step();
      const MutexLock lock(&mutex_);
      if (!stopping_) changed_.WaitFor(&mutex_, options_.retry_period);
      if (stopping_) return;
    }
  });
}

void LeaderElection::Stop() {
  {
    const MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
  if (lease_ != nullptr) Revoke(absl::CancelledError("the JobManager stops"));
}

void LeaderElection::Release() {
  if (!last_epoch_.has_value()) return;
  const absl::Status status = store_->Release(*last_epoch_);
  if (!status.ok()) LogWarning(kComponent, ToStd(status.message()));
  last_epoch_.reset();
}

void LeaderElection::Step() {
  if (lease_ == nullptr) {
    Campaign();
  } else if (!lease_->Holds()) {
    Revoke(absl::DeadlineExceededError(
        "the lease has lapsed; the process was stopped, or could not reach the store in time"));
  } else {
    Renew();
  }
}

void LeaderElection::Campaign() {
  // The store counts from later on, so this process stops to believe in its lease before others do.
  const int64_t begin = clock_->MonotonicNanos();
  const absl::StatusOr<std::optional<LeaderEpoch>> epoch = store_->TryAcquire(self_);
  const bool failed = !epoch.ok();
  if (failed && !store_failed_) {
    LogWarning(kComponent,
               StrCat("cannot campaign, trying again: ", ToStd(epoch.status().message())));
  }
  store_failed_ = failed;
  if (failed) return;
  if (!epoch->has_value()) {
    absl::StatusOr<std::optional<LeaderInformation>> leader = store_->FindLeader();
    if (leader.ok()) SetLeader(*std::move(leader));
    return;
  }
  last_epoch_ = *epoch;
  lease_ = std::make_shared<LeaderLease>(
      **epoch, begin + absl::ToInt64Nanoseconds(options_.lease_duration), clock_);
  LeaderInformation own = self_;
  own.epoch = **epoch;
  SetLeader(own);
  LogInfo(kComponent, StrCat("this JobManager leads: leader_epoch=", (*epoch)->value()));
  contender_->OnGranted(lease_);
}

void LeaderElection::Renew() {
  const int64_t begin = clock_->MonotonicNanos();
  const absl::Status status = store_->Renew(lease_->epoch());
  if (status.ok()) {
    lease_->Extend(begin + absl::ToInt64Nanoseconds(options_.lease_duration));
  } else if (absl::IsAborted(status)) {
    Revoke(status);
  } else {
    // The lease lasts a little longer; perhaps the store comes back.
    LogWarning(kComponent, StrCat("cannot renew the lease: ", ToStd(status.message())));
  }
}

void LeaderElection::Revoke(const absl::Status& reason) {
  LogWarning(kComponent, StrCat("this JobManager leads no more: leader_epoch=",
                                lease_->epoch().value(), ": ", ToStd(reason.message())));
  lease_->End();
  lease_.reset();
  SetLeader(std::nullopt);
  contender_->OnRevoked(reason);
}

void LeaderElection::SetLeader(std::optional<LeaderInformation> leader) {
  const MutexLock lock(&mutex_);
  leader_ = std::move(leader);
}

std::optional<LeaderInformation> LeaderElection::leader() const {
  const MutexLock lock(&mutex_);
  return leader_;
}

}  // namespace weir
