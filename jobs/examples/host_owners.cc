#include "jobs/examples/host_owners.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "jobs/examples/logins.h"
#include "operators/api/async_data_stream.h"
#include "runtime/base/status_macros.h"

namespace weir::examples {
namespace {

/// Stands for a service that takes its time: answers every question, in order, at the earliest five
/// milliseconds after it was asked. Threads: any may ask; answers come on the directory's own.
class Directory {
 public:
  using Answer = std::function<void(std::string owner)>;

  Directory() : thread_([this](const std::stop_token& stop) { Run(stop); }) {}

  void LookUp(std::string host, Answer answer) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      questions_.push_back(
          {Time::clock::now() + std::chrono::milliseconds(5), std::move(host), std::move(answer)});
    }
    asked_.notify_one();
  }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Question {
    Time due;
    std::string host;
    Answer answer;
  };

  void Run(const std::stop_token& stop) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (asked_.wait(lock, stop, [this] { return !questions_.empty(); })) {
      const Time due = questions_.front().due;
      asked_.wait_until(lock, stop, due, [] { return false; });
      if (stop.stop_requested()) return;
      Question question = std::move(questions_.front());
      questions_.pop_front();
      lock.unlock();
      question.answer(question.host == "host-0" ? "alice" : "bob");
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any asked_;
  std::deque<Question> questions_;
  std::jthread thread_;  // Last: it uses the others.
};

class FindOwner final : public AsyncFunction<Login, std::string> {
 public:
  absl::Status Open(OpenContext&) override {
    directory_ = std::make_shared<Directory>();  // One a subtask.
    return absl::OkStatus();
  }
  void AsyncInvoke(const Login& login, ResultFuture<std::string> future) override {
    directory_->LookUp(login.host, [login, future](const std::string& owner) {
      future.Complete({JsonLine({{"owner", owner},
                                 {"host", login.host},
                                 {"user", login.user},
                                 {"at", login.time.millis() / 1000}})});
    });
  }
  void Close() override { directory_.reset(); }

 private:
  std::shared_ptr<Directory> directory_;
};

}  // namespace

absl::Status BuildHostOwners(StreamEnvironment& environment, const JobArgs& args) {
  ASSIGN_OR_RETURN(const DataStream<Login> logins, Logins(environment, args, 300));
  WriteLines(AsyncDataStream::UnorderedWait(
                 logins.Filter([](const Login& login) { return login.failed; }), FindOwner(),
                 /*timeout=*/absl::Seconds(10), /*capacity=*/100)
                 .Uid("owners"),
             args);
  return absl::OkStatus();
}

}  // namespace weir::examples
