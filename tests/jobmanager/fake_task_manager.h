#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "jobmanager/task_manager_gateway.h"
#include "proto/control_plane.pb.h"

namespace weir {

/// A TaskManager that only writes down what it is told.
class FakeTaskManager final : public TaskManagerGateway {
 public:
  FakeTaskManager(std::string id, uint32_t num_slots) : id_(std::move(id)), num_slots_(num_slots) {}
  /// The process that RunJobProcess asks `owner` for.
  FakeTaskManager(const FakeTaskManager& owner, const proto::RunJobProcess& run)
      : isolates_jobs(false),
        id_(run.process_id()),
        num_slots_(run.num_slots()),
        owner_id_(owner.id()),
        job_id_(run.job_id()) {}

  void Send(const proto::JobManagerMessage& message) override {
    if (!closed) received.push_back(message);
  }
  void Close() override { closed = true; }
  const std::string& id() const override { return id_; }
  const std::string& host() const override { return host_; }
  uint16_t data_port() const override { return 7000; }
  uint32_t num_slots() const override { return num_slots_; }
  const std::string& owner_id() const override { return owner_id_.empty() ? id_ : owner_id_; }

  [[nodiscard]] proto::Register Registration() const {
    proto::Register registration;
    registration.set_task_manager_id(id_);
    registration.set_host(host_);
    registration.set_num_slots(num_slots_);
    registration.set_num_cores(2);
    registration.set_pid(pid);
    registration.set_isolates_jobs(isolates_jobs);
    registration.set_owner_id(owner_id_);
    registration.set_job_id(job_id_);
    return registration;
  }

  /// Returns the messages of one kind, in order, and forgets them.
  std::vector<proto::JobManagerMessage> Take(proto::JobManagerMessage::KindCase kind) {
    std::vector<proto::JobManagerMessage> taken;
    std::erase_if(received, [&](const proto::JobManagerMessage& message) {
      if (message.kind_case() != kind) return false;
      taken.push_back(message);
      return true;
    });
    return taken;
  }

  std::vector<proto::JobManagerMessage> received;
  bool closed = false;
  /// What its registration says.
  bool isolates_jobs = false;
  int64_t pid = 0;

 private:
  const std::string id_;
  const std::string host_ = "host";
  const uint32_t num_slots_;
  const std::string owner_id_;  // Of a job's process.
  const std::string job_id_;
};

}  // namespace weir
