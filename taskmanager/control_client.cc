#include "taskmanager/control_client.h"

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "proto/control_plane.grpc.pb.h"
#include "proto/control_plane.pb.h"
#include "proto/message_batch.h"
#include "runtime/base/clock.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"
#include "taskmanager/address_probe.h"

namespace weir {
namespace {

constexpr int kMaxMessageBytes = 256 << 20;
constexpr int kKeepaliveTimeMs = 20'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kMinConnectTimeoutMs = 1'000;
// How long a stream waits for its connection before it fails. gRPC looks at its sockets while
// somebody waits, else every five seconds only: without this wait a connection that could be had
// times out.
constexpr std::chrono::milliseconds kConnectWait(300);
constexpr absl::Duration kFlushTimeout = absl::Seconds(2);
// After a message has been written, what follows is gathered for so long, and written at once.
constexpr int64_t kGatherNanos = 500'000;

// gRPC's codes and Abseil's are the same numbers.
absl::Status ToStatus(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), StrCat(status.error_message())};
}

// A JobManager that cannot be reached must not keep from the next one for long.
constexpr absl::Duration kMaxBackoffOfSeveral = absl::Milliseconds(500);

std::vector<std::string> SplitAddresses(std::string_view addresses) {
  std::vector<std::string> result;
  for (const std::string_view address : StrSplit(addresses, ',')) {
    const std::string_view stripped = StripWhitespace(address);
    if (!stripped.empty()) result.emplace_back(stripped);
  }
  if (result.empty()) result.emplace_back();  // gRPC says what is wrong with it.
  return result;
}

ControlClientOptions Adjusted(ControlClientOptions options) {
  if (SplitAddresses(options.address).size() > 1) {
    options.max_backoff = std::min(options.max_backoff, kMaxBackoffOfSeveral);
  }
  return options;
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           const ControlClientOptions& options) {
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
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kMinConnectTimeoutMs);  // Of one attempt.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, to_ms(options.max_backoff));
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// A JobManager that may lead.
struct Peer {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<proto::JobManagerService::Stub> stub;
};

std::vector<Peer> MakePeers(const ControlClientOptions& options) {
  std::vector<Peer> peers;
  for (std::string& address : SplitAddresses(options.address)) {
    std::shared_ptr<grpc::Channel> channel = MakeChannel(address, options);
    auto stub = proto::JobManagerService::NewStub(channel);
    peers.push_back({std::move(address), std::move(channel), std::move(stub)});
  }
  return peers;
}

// One stream, with a thread that reads and one that writes. gRPC's callback API would need neither,
// but version 1.51 now and then aborts in its own threads when the last callback channel of a
// process goes away.
class Stream {
 public:
  using MessageHandler = std::function<void(std::unique_ptr<proto::JobManagerMessage>)>;
  using EndHandler = std::function<void(const StreamEnd&)>;

  Stream(const proto::TaskManagerMessage& first, MessageHandler on_message, EndHandler on_end)
      : on_message_(std::move(on_message)), on_end_(std::move(on_end)) {
    queue_.push_back(first);
  }

  void Start(const Peer* peer) {
    reader_ = std::jthread([this, peer] {
      pthread_setname_np(pthread_self(), "weir-jm-read");
      Run(*peer);
    });
  }

  void Send(const proto::TaskManagerMessage& message) {
    const MutexLock lock(&mutex_);
    if (over_ || finishing_) return;
    queue_.push_back(message);
    if (writer_waits_) changed_.Signal();
  }

  // Half-closes the stream behind what is queued.
  void Finish() {
    const MutexLock lock(&mutex_);
    finishing_ = true;
    changed_.Signal();
  }

  void Cancel(const absl::Status& reason) {
    {
      const MutexLock lock(&mutex_);
      if (close_reason_.ok()) close_reason_ = reason;
    }
    context_.TryCancel();
  }

 private:
  using ReaderWriter =
      grpc::ClientReaderWriter<proto::TaskManagerMessage, proto::JobManagerMessage>;

  void Run(const Peer& peer) {
    // Asked outright, because gRPC says why it could not connect to people only.
    if (ProbeAddress(peer.address, absl::FromChrono(kConnectWait)) == ProbeResult::kRefused) {
      {
        const MutexLock lock(&mutex_);
        over_ = true;
      }
      on_end_({absl::UnavailableError("nobody listens there"), peer.address, /*refused=*/true});
      return;
    }
    peer.channel->WaitForConnected(std::chrono::system_clock::now() + kConnectWait);
    const std::unique_ptr<ReaderWriter> stream = peer.stub->Connect(&context_);
    std::jthread writer([this, &stream] {
      pthread_setname_np(pthread_self(), "weir-jm-write");
      Write(*stream);
    });
    auto message = std::make_unique<proto::JobManagerMessage>();
    while (stream->Read(message.get())) {
      on_message_(std::move(message));
      message = std::make_unique<proto::JobManagerMessage>();
    }
    {
      const MutexLock lock(&mutex_);
      over_ = true;
      changed_.Signal();
    }
    writer.join();
    absl::Status reason = ToStatus(stream->Finish());
    {
      const MutexLock lock(&mutex_);
      if (!close_reason_.ok()) reason = close_reason_;
    }
    if (reason.ok()) reason = absl::UnavailableError("the JobManager ended the stream");
    on_end_({std::move(reason), peer.address, /*refused=*/false});
  }

  void Write(ReaderWriter& stream) {
    std::deque<proto::TaskManagerMessage> taken;
    bool is_first = true;  // It opens the stream, and goes alone.
    int64_t written_nanos = 0;
    while (Take(is_first, written_nanos, &taken)) {
      while (!taken.empty()) {
        if (!stream.Write(proto::TakeBatch(&taken))) return;  // The reader hears of it too.
      }
      is_first = false;
      written_nanos = MonotonicNanos();
    }
    {
      const MutexLock lock(&mutex_);
      if (over_) return;
    }
    stream.WritesDone();
  }

  // Waits for messages and takes them; false if no more are to be written.
  bool Take(bool one, int64_t written_nanos, std::deque<proto::TaskManagerMessage>* taken) {
    const MutexLock lock(&mutex_);
    writer_waits_ = true;
    while (queue_.empty() && !over_ && !finishing_) changed_.Wait(&mutex_);
    writer_waits_ = false;
    while (!over_ && !finishing_) {
      const int64_t rest = written_nanos + kGatherNanos - MonotonicNanos();
      if (rest <= 0) break;
      changed_.WaitFor(&mutex_, absl::Nanoseconds(rest));
    }
    if (over_ || queue_.empty()) return false;
    if (one) {
      taken->push_back(std::move(queue_.front()));
      queue_.pop_front();
    } else {
      taken->swap(queue_);
    }
    return true;
  }

  const MessageHandler on_message_;
  const EndHandler on_end_;
  grpc::ClientContext context_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<proto::TaskManagerMessage> queue_ ABSL_GUARDED_BY(mutex_);
  bool writer_waits_ ABSL_GUARDED_BY(mutex_) = false;  // For a message to come.
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status close_reason_ ABSL_GUARDED_BY(mutex_);
  std::jthread reader_;  // Last: it uses all of the above.
};

}  // namespace

class ControlClient::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(ControlClientOptions options, ControlListener* listener, TimerThread* timers)
      : options_(Adjusted(std::move(options))),
        listener_(listener),
        timers_(timers),
        peers_(MakePeers(options_)),
        newest_(peers_.size() - 1),
        backoff_(absl::ZeroDuration()) {}

  void Open(const proto::TaskManagerMessage& first, bool at_once) {
    absl::Duration pause;
    {
      const MutexLock lock(&mutex_);
      if (stopping_) return;
      newest_ = (newest_ + 1) % peers_.size();
      pause = at_once ? absl::ZeroDuration() : backoff_;
      if (!at_once) {
        backoff_ = backoff_ == absl::ZeroDuration() ? options_.initial_backoff
                                                    : std::min(backoff_ * 2, options_.max_backoff);
      }
    }
    // Always by the timer's thread, so that streams start one at a time.
    timers_->ScheduleAfter(pause, [weak = weak_from_this(), first] {
      if (const auto self = weak.lock()) self->StartStream(first);
    });
  }

  std::string address() {
    const MutexLock lock(&mutex_);
    return peers_[newest_].address;
  }

  std::vector<std::string> addresses() const {
    std::vector<std::string> addresses;
    for (const Peer& peer : peers_) addresses.push_back(peer.address);
    return addresses;
  }

  void ResetBackoff() {
    const MutexLock lock(&mutex_);
    backoff_ = options_.initial_backoff;
  }

  void Send(const proto::TaskManagerMessage& message) {
    if (const auto stream = OpenStream()) stream->Send(message);
  }

  void Close(const absl::Status& reason) {
    if (const auto stream = OpenStream()) stream->Cancel(reason);
  }

  absl::Status ReportCrash(const proto::CrashReport& report, absl::Duration timeout) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
    proto::CrashReportReceived received;
    return ToStatus(NewestPeer()->stub->ReportCrash(&context, report, &received));
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
    const auto reader = NewestPeer()->stub->FetchBlob(&context, request);
    proto::BlobChunk chunk;
    absl::Status sunk;
    while (sunk.ok() && reader->Read(&chunk)) sunk = sink(chunk.data());
    if (!sunk.ok()) context.TryCancel();
    const grpc::Status status = reader->Finish();
    {
      const MutexLock lock(&mutex_);
      fetches_.erase(&context);
      changed_.SignalAll();
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
    if (!WaitForStreamEnd(kFlushTimeout)) {
      stream->Cancel(absl::CancelledError("the TaskManager stops"));
    }
    const MutexLock lock(&mutex_);
    while (stream_open_ || telling_ || !fetches_.empty()) changed_.Wait(&mutex_);
  }

 private:
  void StartStream(const proto::TaskManagerMessage& first) {
    const auto on_message = [this](std::unique_ptr<proto::JobManagerMessage> message) {
      listener_->OnMessage(std::move(message));
    };
    auto stream =
        std::make_shared<Stream>(first, on_message, [this](const StreamEnd& end) { OnEnd(end); });
    std::shared_ptr<Stream> earlier;  // Joined without the lock: its thread is just about to end.
    {
      const MutexLock lock(&mutex_);
      if (stopping_) return;
      earlier = std::exchange(stream_, stream);
      stream_open_ = true;
    }
    stream->Start(NewestPeer());
  }

  void OnEnd(const StreamEnd& end) {
    {
      const MutexLock lock(&mutex_);
      stream_open_ = false;
      telling_ = true;
    }
    listener_->OnStreamEnded(end);
    const MutexLock lock(&mutex_);
    telling_ = false;
    changed_.SignalAll();
  }

  const Peer* NewestPeer() {
    const MutexLock lock(&mutex_);
    return &peers_[newest_];
  }

  std::shared_ptr<Stream> OpenStream() {
    const MutexLock lock(&mutex_);
    return stream_open_ ? stream_ : nullptr;
  }

  bool WaitForStreamEnd(absl::Duration timeout) {
    const absl::Time deadline = absl::Now() + timeout;
    const MutexLock lock(&mutex_);
    while ((stream_open_ || telling_) && absl::Now() < deadline) {
      changed_.WaitFor(&mutex_, deadline - absl::Now());
    }
    return !stream_open_;
  }

  const ControlClientOptions options_;
  ControlListener* const listener_;
  TimerThread* const timers_;
  const std::vector<Peer> peers_;
  Mutex mutex_;
  size_t newest_ ABSL_GUARDED_BY(mutex_);  // Whom the newest stream is to.
  CondVar changed_;
  std::shared_ptr<Stream> stream_ ABSL_GUARDED_BY(mutex_);  // The newest, open or not.
  bool stream_open_ ABSL_GUARDED_BY(mutex_) = false;
  bool telling_ ABSL_GUARDED_BY(mutex_) = false;  // OnStreamEnded is under way.
  std::set<grpc::ClientContext*> fetches_ ABSL_GUARDED_BY(mutex_);
  absl::Duration backoff_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

ControlClient::ControlClient(ControlClientOptions options, ControlListener* listener,
                             TimerThread* timers)
    : impl_(std::make_shared<Impl>(std::move(options), listener, timers)) {}
ControlClient::~ControlClient() { Stop(); }
void ControlClient::Open(const proto::TaskManagerMessage& first) {
  impl_->Open(first, /*at_once=*/false);
}
void ControlClient::OpenAtOnce(const proto::TaskManagerMessage& first) {
  impl_->Open(first, /*at_once=*/true);
}
std::vector<std::string> ControlClient::addresses() const { return impl_->addresses(); }
std::string ControlClient::address() const { return impl_->address(); }
void ControlClient::ResetBackoff() { impl_->ResetBackoff(); }
void ControlClient::Send(const proto::TaskManagerMessage& message) { impl_->Send(message); }
void ControlClient::Close(const absl::Status& reason) { impl_->Close(reason); }
absl::Status ControlClient::FetchBlob(const std::string& hash,
                                      const std::function<absl::Status(std::string_view)>& sink) {
  return impl_->FetchBlob(hash, sink);
}
void ControlClient::WarmUp() { grpc_init(); }  // For as long as the process lives.

absl::Status ControlClient::ReportCrash(const proto::CrashReport& report, absl::Duration timeout) {
  return impl_->ReportCrash(report, timeout);
}
void ControlClient::Stop() { impl_->Stop(); }

}  // namespace weir
