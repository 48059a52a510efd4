#include "taskmanager/job_manager_connection.h"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <utility>

#include "proto/control_plane.pb.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "runtime/graph/job_library.h"
#include "runtime/metrics/process_statistics.h"
#include "taskmanager/wire_ids.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "taskmanager";
constexpr std::string_view kVersion = "0.1.0";
constexpr absl::Duration kLossLogInterval = absl::Seconds(10);
// An orphaned TaskManager asks an address so often, and once a stream has ended it waits so long
// for the first answer: a JobManager that lives saw it end too, and may begin the tasks anew.
constexpr absl::Duration kOrphanedPause = absl::Milliseconds(100);
constexpr absl::Duration kFirstAnswerTimeout = absl::Seconds(1);

proto::TaskManagerMessage MakeRegistration(const TaskManagerDescription& description) {
  proto::TaskManagerMessage message;
  proto::Register* const out = message.mutable_register_();
  out->set_task_manager_id(description.id);
  out->set_host(description.host);
  out->set_data_port(description.data_port);
  out->set_num_slots(description.num_slots);
  out->set_num_cores(description.num_cores);
  out->set_memory_bytes(description.memory_bytes);
  out->set_version(std::string(kVersion));
  out->set_abi_stamp(std::string(JobLibrary::ProcessAbiStamp()));
  out->set_pid(getpid());
  out->set_isolates_jobs(description.isolates_jobs);
  out->set_owner_id(description.owner_id);
  if (!description.owner_id.empty()) out->set_job_id(ToWireId(description.job));
  return message;
}

}  // namespace

JobManagerConnection::JobManagerConnection(JobManagerConnectionOptions options, IoStrand* strand,
                                           TimerThread* timers, const MemoryBudget* budget,
                                           std::function<void(absl::Status)> terminated)
    : options_(std::move(options)),
      strand_(strand),
      timers_(timers),
      budget_(budget),
      terminated_(std::move(terminated)),
      client_(options_.client, this, timers) {}

JobManagerConnection::~JobManagerConnection() = default;

void JobManagerConnection::Start(TaskExecutor* executor) {
  executor_ = executor;
  strand_->Post([this] { Connect(); });
}

absl::Status JobManagerConnection::Stop() {
  // Shared with the strand, which may come to it after the wait was given up.
  const auto ended = std::make_shared<std::promise<void>>();
  const bool posted = strand_->Post([this, ended] {
    phase_ = Phase::kTerminated;
    lease_nanos_.store(0, std::memory_order_relaxed);
    if (executor_ == nullptr) return ended->set_value();
    executor_->CancelAll([ended] { ended->set_value(); });
  });
  absl::Status status;
  if (posted && ended->get_future().wait_for(absl::ToChronoMilliseconds(
                    options_.cancellation_timeout)) != std::future_status::ready) {
    status = absl::DeadlineExceededError("tasks did not stop in time");
  }
  client_.Stop();
  return status;
}

bool JobManagerConnection::ReportCrash(const CrashReport& report, absl::Duration timeout) {
  proto::CrashReport message;
  message.set_task_manager_id(report.task_manager_id);
  message.set_pid(report.pid);
  message.set_signal(report.signal);
  message.set_job_id(ToWireId(report.job));
  message.set_attempt(ToWireId(report.attempt));
  message.set_operator_name(report.operator_name);
  message.set_uid(report.uid);
  message.set_subtask(report.subtask);
  message.set_parallelism(report.parallelism);
  message.set_text(report.text);
  const absl::Status told = client_.ReportCrash(message, timeout);
  if (!told.ok()) {
    LogWarning(kComponent, StrCat("the JobManager could not be told of a crash: signal=",
                                  report.signal, " error=", ToStd(told.message())));
  }
  return told.ok();
}

void JobManagerConnection::Connect() {
  if (phase_ == Phase::kTerminated) return;
  phase_ = Phase::kConnecting;
  stream_ended_ = false;
  ++connection_;
  client_.Open(MakeRegistration(options_.description));
  AwaitAnswer();
}

void JobManagerConnection::AwaitAnswer() {
  // The client's pause before a stream counts too; it is shorter.
  After(options_.registration_timeout, [this, connection = connection_] {
    if (connection == connection_ && !stream_ended_ && phase_ != Phase::kRegistered) {
      client_.Close(absl::DeadlineExceededError("the JobManager did not answer the registration"));
    }
  });
}

void JobManagerConnection::Orphan(const StreamEnd& end) {
  phase_ = Phase::kOrphaned;
  lease_nanos_.store(0, std::memory_order_release);
  const uint64_t orphanage = ++orphanage_;
  executor_->Orphan();
  // While the leader was there, nobody led elsewhere.
  const absl::Duration rest = std::min(kFirstAnswerTimeout, lease_ - SinceLastHeard());
  const int64_t until = MonotonicNanos() + absl::ToInt64Nanoseconds(rest);
  dead_until_nanos_.clear();
  for (const std::string& address : client_.addresses()) dead_until_nanos_[address] = until;
  LogWarning(kComponent,
             StrCat("the JobManager is gone; tasks go on until another one takes them over: "
                    "tasks=",
                    executor_->num_tasks(), " reason=", ToStd(end.reason.message())));
  After(options_.jobmanager_loss_timeout, [this, orphanage] {
    if (phase_ != Phase::kOrphaned || orphanage != orphanage_) return;
    const absl::Status reason = absl::DeadlineExceededError(
        "no JobManager came to take the tasks over (taskmanager.jobmanager-loss.timeout)");
    Lose(reason);
    client_.Close(reason);
  });
  ConnectOrphaned(orphanage);
  CheckOrphaned(orphanage);
}

void JobManagerConnection::ConnectOrphaned(uint64_t orphanage) {
  if (phase_ != Phase::kOrphaned || orphanage != orphanage_) return;
  stream_ended_ = false;
  ++connection_;
  proto::TaskManagerMessage registration = MakeRegistration(options_.description);
  registration.mutable_register_()->set_leader_epoch(leader_epoch_);
  executor_->Describe(registration.mutable_register_());
  client_.OpenAtOnce(registration);
  AwaitAnswer();
}

void JobManagerConnection::NoteAnswer(const StreamEnd& end) {
  if (!end.refused) return;
  dead_until_nanos_[end.address] = MonotonicNanos() + absl::ToInt64Nanoseconds(lease_);
}

void JobManagerConnection::CheckOrphaned(uint64_t orphanage) {
  if (phase_ != Phase::kOrphaned || orphanage != orphanage_ || LoseIfUnsure()) return;
  After(kOrphanedPause, [this, orphanage] { CheckOrphaned(orphanage); });
}

bool JobManagerConnection::LoseIfUnsure() {
  const int64_t now = MonotonicNanos();
  for (const auto& [address, until] : dead_until_nanos_) {
    if (now <= until) continue;
    const absl::Status reason = absl::DeadlineExceededError(
        StrCat("a JobManager may live that cannot be reached, so the tasks may run elsewhere soon: "
               "address=",
               address));
    Lose(reason);
    client_.Close(reason);
    return true;
  }
  return false;
}

void JobManagerConnection::OnMessage(std::unique_ptr<proto::JobManagerMessage> message) {
  const absl::Duration gap = SinceLastHeard();
  const absl::Duration lease = absl::Nanoseconds(lease_nanos_.load(std::memory_order_acquire));
  if (lease > absl::ZeroDuration() && gap > lease) {
    // The lease lapsed before anybody could notice: this message is of a time that is over.
    strand_->Post([this] { CheckLease(connection_); });
    return;
  }
  last_heard_nanos_.store(MonotonicNanos(), std::memory_order_release);
  strand_->Post([this, shared = std::shared_ptr<const proto::JobManagerMessage>(
                           std::move(message))] { Handle(shared); });
}

void JobManagerConnection::OnStreamEnded(const StreamEnd& end) {
  strand_->Post([this, end] {
    stream_ended_ = true;
    if (phase_ == Phase::kOrphaned) {
      NoteAnswer(end);
      After(kOrphanedPause, [this, orphanage = orphanage_] { ConnectOrphaned(orphanage); });
      return;
    }
    const bool may_go_on = options_.jobmanager_loss_timeout > absl::ZeroDuration() &&
                           SinceLastHeard() <= lease_ && executor_->has_jobs();
    if (phase_ == Phase::kRegistered && may_go_on) return Orphan(end);
    Lose(end.reason);
    ReconnectIfIdle();
  });
}

bool JobManagerConnection::Holds() const {
  const absl::Duration lease = absl::Nanoseconds(lease_nanos_.load(std::memory_order_acquire));
  return lease > absl::ZeroDuration() && SinceLastHeard() <= lease && !executor_->awaits_adoption();
}

void JobManagerConnection::Report(const proto::TaskManagerMessage& message) {
  client_.Send(message);
}

void JobManagerConnection::Handle(const std::shared_ptr<const proto::JobManagerMessage>& message) {
  switch (message->kind_case()) {
    case proto::JobManagerMessage::kBatch:
      for (const proto::JobManagerMessage& one : message->batch().messages()) {
        Handle(std::shared_ptr<const proto::JobManagerMessage>(message, &one));
      }
      return;
    case proto::JobManagerMessage::kRegistered:
      return HandleRegistered(*message);
    case proto::JobManagerMessage::kRefused:
      return Terminate(absl::FailedPreconditionError(
          StrCat("the JobManager refused this TaskManager: ", message->refused().reason())));
    case proto::JobManagerMessage::kDismissed: {
      const absl::Status reason = absl::AbortedError(
          StrCat("the JobManager has given this TaskManager up: ", message->dismissed().reason()));
      Lose(reason);
      return client_.Close(reason);
    }
    case proto::JobManagerMessage::kAdopt:
      if (IsStale(message->adopt().leader_epoch())) return;
      break;
    case proto::JobManagerMessage::kHeartbeat:
      static_cast<void>(IsStale(message->heartbeat().leader_epoch()));
      return;
    case proto::JobManagerMessage::kDeploy:
      if (IsStale(message->deploy().leader_epoch())) return;
      break;
    case proto::JobManagerMessage::kRunJobProcess:
      if (IsStale(message->run_job_process().leader_epoch())) return;
      break;
    default:
      break;
  }
  if (phase_ == Phase::kRegistered) executor_->Handle(message);
}

void JobManagerConnection::HandleRegistered(const proto::JobManagerMessage& message) {
  const proto::Registered& registered = message.registered();
  const bool orphaned = phase_ == Phase::kOrphaned;
  // A process that was stopped for long may find an answer that is as old.
  if (orphaned && LoseIfUnsure()) return;
  if (phase_ != Phase::kConnecting && !orphaned) {
    client_.Close(absl::CancelledError("the tasks that were registered are being cancelled"));
    return;
  }
  if (IsStale(registered.leader_epoch())) {
    client_.Close(absl::AbortedError("the JobManager is not the leader any more"));
    return;
  }
  if (orphaned && registered.leader_epoch() == leader_epoch_) {
    // It lives and saw the stream end, so it has begun the tasks anew.
    const absl::Status reason =
        absl::AbortedError("the JobManager that the tasks are of takes them for lost");
    Lose(reason);
    client_.Close(reason);
    return;
  }
  leader_epoch_ = registered.leader_epoch();
  phase_ = Phase::kRegistered;
  metrics_encoder_.Reset();
  client_.ResetBackoff();
  heartbeat_interval_ =
      absl::Milliseconds(std::max<int64_t>(1, registered.heartbeat_interval_ms()));
  const absl::Duration timeout = absl::Milliseconds(registered.heartbeat_timeout_ms());
  lease_ = std::max(timeout / 2, timeout - heartbeat_interval_);
  lease_nanos_.store(absl::ToInt64Nanoseconds(lease_), std::memory_order_release);
  LogInfo(kComponent, StrCat("registered with the JobManager: address=", client_.address(),
                             " id=", options_.description.id, " leader_epoch=", leader_epoch_));
  SendHeartbeat(connection_);
  CheckLease(connection_);
}

bool JobManagerConnection::IsStale(uint64_t leader_epoch) {
  if (leader_epoch >= leader_epoch_) return false;
  num_stale_messages_.fetch_add(1, std::memory_order_relaxed);
  LogWarning(kComponent, StrCat("dropped a message of an older leader: leader_epoch=", leader_epoch,
                                " newest_epoch=", leader_epoch_));
  return true;
}

void JobManagerConnection::SendHeartbeat(uint64_t connection) {
  if (connection != connection_ || phase_ != Phase::kRegistered) return;
  proto::TaskManagerMessage message;
  proto::TaskManagerHeartbeat* const heartbeat = message.mutable_heartbeat();
  heartbeat->set_memory_used_bytes(budget_->used_bytes());
  heartbeat->set_resident_bytes(ReadResidentBytes());
  executor_->AddMetrics(MonotonicNanos(), heartbeat);
  client_.Send(message);
  After(heartbeat_interval_, [this, connection] { SendHeartbeat(connection); });
}

void JobManagerConnection::SendMetrics(const CollectedMetrics& metrics) {
  if (phase_ != Phase::kRegistered) return;
  metrics_encoder_.Encode(
      metrics, [this](const proto::TaskManagerMessage& message) { client_.Send(message); });
}

void JobManagerConnection::CheckLease(uint64_t connection) {
  if (connection != connection_ || phase_ != Phase::kRegistered) return;
  const absl::Duration lease = absl::Nanoseconds(lease_nanos_.load(std::memory_order_relaxed));
  const absl::Duration gap = SinceLastHeard();
  if (gap <= lease) {
    After(lease - gap + absl::Milliseconds(1), [this, connection] { CheckLease(connection); });
    return;
  }
  const absl::Status reason = absl::DeadlineExceededError(
      StrCat("no heartbeat of the JobManager: last_ms=", absl::ToInt64Milliseconds(gap),
             " lease_ms=", absl::ToInt64Milliseconds(lease)));
  Lose(reason);  // The tasks first.
  client_.Close(reason);
}

void JobManagerConnection::Lose(const absl::Status& reason) {
  if (phase_ == Phase::kLost || phase_ == Phase::kTerminated) return;
  lease_nanos_.store(0, std::memory_order_release);
  phase_ = Phase::kLost;
  tasks_ended_ = false;
  const uint64_t connection = connection_;
  executor_->CancelAll([this, connection] {
    if (connection != connection_) return;
    tasks_ended_ = true;
    ReconnectIfIdle();
  });
  LogLoss(reason);
  After(options_.cancellation_timeout, [this, connection] {
    if (connection == connection_ && !tasks_ended_) {
      Terminate(absl::InternalError("tasks did not stop in time after the JobManager was lost"));
    }
  });
}

void JobManagerConnection::ReconnectIfIdle() {
  if (phase_ != Phase::kLost || !tasks_ended_ || !stream_ended_) return;
  if (options_.only_once) {
    Terminate(absl::UnavailableError(
        "the tasks are cancelled, and the process of a job has nothing else to do"));
  } else {
    Connect();
  }
}

void JobManagerConnection::Terminate(const absl::Status& reason) {
  if (phase_ == Phase::kTerminated) return;
  phase_ = Phase::kTerminated;
  lease_nanos_.store(0, std::memory_order_release);
  LogError(kComponent, ToStd(reason.message()));
  terminated_(reason);
}

void JobManagerConnection::LogLoss(const absl::Status& reason) {
  const int64_t now = MonotonicNanos();
  if (last_loss_log_nanos_ != 0 && absl::Nanoseconds(now - last_loss_log_nanos_) < kLossLogInterval)
    return;
  last_loss_log_nanos_ = now;
  LogWarning(kComponent,
             StrCat("not connected to the JobManager; trying again until it is there: address=",
                    options_.client.address, " reason=", ToStd(reason.message())));
}

void JobManagerConnection::After(absl::Duration delay, std::function<void()> work) {
  timers_->ScheduleAfter(delay, [this, work = std::move(work)] { strand_->Post(work); });
}

absl::Duration JobManagerConnection::SinceLastHeard() const {
  return absl::Nanoseconds(MonotonicNanos() - last_heard_nanos_.load(std::memory_order_acquire));
}

}  // namespace weir
