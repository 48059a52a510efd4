#include "taskmanager/control_client.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <set>
#include <utility>

#include "proto/control_plane.grpc.pb.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr int kMaxMessageBytes = 256 << 20;
constexpr int kKeepaliveTimeMs = 20'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr absl::Duration kFlushTimeout = absl::Seconds(2);

// gRPC's codes and Abseil's are the same numbers.
absl::Status ToStatus(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), StrCat(status.error_message())};
}

std::shared_ptr<grpc::Channel> MakeChannel(const ControlClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  // Several TaskManagers of one process each have their own connection, and lose it alone.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto to_ms = [](absl::Duration duration) {
    return static_cast<int>(absl::ToInt64Milliseconds(duration));
  };
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, to_ms(options.initial_backoff));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, to_ms(options.initial_backoff));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, to_ms(options.max_backoff));
  return grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(), arguments);
}

// One stream. Lives until OnDone, the last that gRPC has to say about it.
class Stream final
    : public grpc::ClientBidiReactor<proto::TaskManagerMessage, proto::JobManagerMessage> {
 public:
  using MessageHandler = std::function<void(std::unique_ptr<proto::JobManagerMessage>)>;
  using EndHandler = std::function<void(const absl::Status&)>;

  Stream(const proto::TaskManagerMessage& first, MessageHandler on_message, EndHandler on_end)
      : first_(first), on_message_(std::move(on_message)), on_end_(std::move(on_end)) {}

  void Start(proto::JobManagerService::Stub* stub, std::shared_ptr<Stream> self) {
    self_ = std::move(self);
    stub->async()->Connect(&context_, this);
    AddHold();  // For the writes that Send starts; given back when the stream is over.
    incoming_ = std::make_unique<proto::JobManagerMessage>();
    StartRead(incoming_.get());
    StartWrite(&first_);
    StartCall();
  }

  void Send(const proto::TaskManagerMessage& message) {
    const proto::TaskManagerMessage* next = nullptr;
    {
      const MutexLock lock(&mutex_);
      if (over_ || finishing_) return;
      queue_.push_back(message);
      if (writing_) return;
      next = TakeNext();
    }
    StartWrite(next);
  }

  // Half-closes the stream behind what is queued.
  void Finish() {
    {
      const MutexLock lock(&mutex_);
      if (over_ || finishing_) return;
      finishing_ = true;
      if (writing_) return;
      writing_ = true;
    }
    StartWritesDone();
  }

  void Cancel(const absl::Status& reason) {
    {
      const MutexLock lock(&mutex_);
      if (close_reason_.ok()) close_reason_ = reason;
    }
    context_.TryCancel();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      EndWrites();
      return;
    }
    on_message_(std::move(incoming_));
    incoming_ = std::make_unique<proto::JobManagerMessage>();
    StartRead(incoming_.get());
  }

  void OnWriteDone(bool ok) override {
    const proto::TaskManagerMessage* next = nullptr;
    bool finish = false;
    bool release = false;
    {
      const MutexLock lock(&mutex_);
      over_ = over_ || !ok;
      if (!over_ && !queue_.empty()) next = TakeNext();
      finish = !over_ && next == nullptr && finishing_;
      writing_ = next != nullptr || finish;
      release = !writing_ && over_ && TakeHold();
    }
    if (next != nullptr) StartWrite(next);
    if (finish) StartWritesDone();
    if (release) RemoveHold();
  }

  void OnWritesDoneDone(bool) override {
    bool release = false;
    {
      const MutexLock lock(&mutex_);
      writing_ = false;
      over_ = true;
      release = TakeHold();
    }
    if (release) RemoveHold();
  }

  void OnDone(const grpc::Status& status) override {
    absl::Status reason = ToStatus(status);
    {
      const MutexLock lock(&mutex_);
      if (!close_reason_.ok()) reason = close_reason_;
    }
    if (reason.ok()) reason = absl::UnavailableError("the JobManager ended the stream");
    const std::shared_ptr<Stream> self = std::move(self_);
    on_end_(reason);
  }

 private:
  // No write starts from now on; one under way gives the hold back itself.
  void EndWrites() {
    bool release = false;
    {
      const MutexLock lock(&mutex_);
      over_ = true;
      release = !writing_ && TakeHold();
    }
    if (release) RemoveHold();
  }

  // Returns the next message to write, which stays where it is until it is written.
  const proto::TaskManagerMessage* TakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    writing_ = true;
    current_ = std::move(queue_.front());
    queue_.pop_front();
    return &current_;
  }

  // Whether the caller shall give the hold back, which happens once.
  bool TakeHold() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return std::exchange(held_, false); }

  const proto::TaskManagerMessage first_;
  const MessageHandler on_message_;
  const EndHandler on_end_;
  grpc::ClientContext context_;
  std::shared_ptr<Stream> self_;
  std::unique_ptr<proto::JobManagerMessage> incoming_;
  Mutex mutex_;
  std::deque<proto::TaskManagerMessage> queue_ ABSL_GUARDED_BY(mutex_);
  proto::TaskManagerMessage current_;  // What is being written; changed only while nothing is.
  bool writing_ ABSL_GUARDED_BY(mutex_) = true;  // The first message, once started.
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  bool held_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Status close_reason_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

class ControlClient::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(ControlClientOptions options, ControlListener* listener, TimerThread* timers)
      : options_(std::move(options)),
        listener_(listener),
        timers_(timers),
        stub_(proto::JobManagerService::NewStub(MakeChannel(options_))),
        backoff_(absl::ZeroDuration()) {}

  void Open(const proto::TaskManagerMessage& first) {
    absl::Duration pause;
    {
      const MutexLock lock(&mutex_);
      if (stopping_) return;
      pause = backoff_;
      backoff_ = backoff_ == absl::ZeroDuration() ? options_.initial_backoff
                                                  : std::min(backoff_ * 2, options_.max_backoff);
    }
    if (pause == absl::ZeroDuration()) {
      StartStream(first);
      return;
    }
    timers_->ScheduleAfter(pause, [weak = weak_from_this(), first] {
      if (const auto self = weak.lock()) self->StartStream(first);
    });
  }

  void ResetBackoff() {
    const MutexLock lock(&mutex_);
    backoff_ = options_.initial_backoff;
  }

  void Send(const proto::TaskManagerMessage& message) {
    if (const auto stream = CurrentStream()) stream->Send(message);
  }

  void Close(const absl::Status& reason) {
    if (const auto stream = CurrentStream()) stream->Cancel(reason);
  }

  absl::Status FetchBlob(const std::string& hash,
                         const std::function<absl::Status(std::string_view)>& sink) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         absl::ToChronoMilliseconds(options_.fetch_timeout));
    {
      const MutexLock lock(&mutex_);
      if (stopping_) return absl::UnavailableError("the TaskManager is stopping");
      fetches_.insert(&context);
    }
    proto::FetchBlobRequest request;
    request.set_hash(hash);
    const auto reader = stub_->FetchBlob(&context, request);
    proto::BlobChunk chunk;
    absl::Status sunk;
    while (sunk.ok() && reader->Read(&chunk)) sunk = sink(chunk.data());
    if (!sunk.ok()) context.TryCancel();
    const grpc::Status status = reader->Finish();
    {
      const MutexLock lock(&mutex_);
      fetches_.erase(&context);
      fetch_ended_.SignalAll();
    }
    return sunk.ok() ? ToStatus(status) : sunk;
  }

  void Stop() {
    std::shared_ptr<Stream> stream;
    {
      const MutexLock lock(&mutex_);
      stopping_ = true;
      stream = stream_;
      for (grpc::ClientContext* const fetch : fetches_) fetch->TryCancel();
    }
    if (stream != nullptr) stream->Finish();
    const bool ended = WaitForStreamEnd(kFlushTimeout);
    if (!ended) stream->Cancel(absl::CancelledError("the TaskManager stops"));
    const MutexLock lock(&mutex_);
    while (stream_ != nullptr || telling_) stream_ended_.Wait(&mutex_);
    while (!fetches_.empty()) fetch_ended_.Wait(&mutex_);
  }

 private:
  void StartStream(const proto::TaskManagerMessage& first) {
    const auto on_message =
        [self = shared_from_this()](std::unique_ptr<proto::JobManagerMessage> message) {
          self->listener_->OnMessage(std::move(message));
        };
    const auto on_end = [self = shared_from_this()](const absl::Status& reason) {
      self->OnEnd(reason);
    };
    auto stream = std::make_shared<Stream>(first, on_message, on_end);
    {
      const MutexLock lock(&mutex_);
      if (stopping_) return;
      stream_ = stream;
    }
    stream->Start(stub_.get(), stream);
  }

  void OnEnd(const absl::Status& reason) {
    {
      const MutexLock lock(&mutex_);
      stream_ = nullptr;
      telling_ = true;
    }
    listener_->OnStreamEnded(reason);
    const MutexLock lock(&mutex_);
    telling_ = false;
    stream_ended_.SignalAll();
  }

  std::shared_ptr<Stream> CurrentStream() {
    const MutexLock lock(&mutex_);
    return stream_;
  }

  bool WaitForStreamEnd(absl::Duration timeout) {
    const absl::Time deadline = absl::Now() + timeout;
    const MutexLock lock(&mutex_);
    while (stream_ != nullptr && absl::Now() < deadline) {
      stream_ended_.WaitFor(&mutex_, deadline - absl::Now());
    }
    return stream_ == nullptr;
  }

  const ControlClientOptions options_;
  ControlListener* const listener_;
  TimerThread* const timers_;
  const std::unique_ptr<proto::JobManagerService::Stub> stub_;
  Mutex mutex_;
  CondVar stream_ended_;
  CondVar fetch_ended_;
  std::shared_ptr<Stream> stream_ ABSL_GUARDED_BY(mutex_);
  std::set<grpc::ClientContext*> fetches_ ABSL_GUARDED_BY(mutex_);
  absl::Duration backoff_ ABSL_GUARDED_BY(mutex_);
  bool telling_ ABSL_GUARDED_BY(mutex_) = false;  // OnStreamEnded is under way.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

ControlClient::ControlClient(ControlClientOptions options, ControlListener* listener,
                             TimerThread* timers)
    : impl_(std::make_shared<Impl>(std::move(options), listener, timers)) {}
ControlClient::~ControlClient() { Stop(); }
void ControlClient::Open(const proto::TaskManagerMessage& first) { impl_->Open(first); }
void ControlClient::ResetBackoff() { impl_->ResetBackoff(); }
void ControlClient::Send(const proto::TaskManagerMessage& message) { impl_->Send(message); }
void ControlClient::Close(const absl::Status& reason) { impl_->Close(reason); }
absl::Status ControlClient::FetchBlob(const std::string& hash,
                                      const std::function<absl::Status(std::string_view)>& sink) {
  return impl_->FetchBlob(hash, sink);
}
void ControlClient::Stop() { impl_->Stop(); }

}  // namespace weir
