#include "jobmanager/control_server.h"

#include <grpcpp/grpcpp.h>

#include <deque>
#include <utility>

#include "proto/control_plane.grpc.pb.h"
#include "proto/message_batch.h"
#include "runtime/base/logging.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr int kMaxMessageBytes = 256 << 20;
constexpr size_t kMaxQueuedMessages = 100'000;
constexpr size_t kBlobChunkBytes = 1 << 20;

class ControlStream;

// One connection: the gateway that the main thread holds, and what remains of the stream when gRPC
// has let go of it. The lock is for the hand-over only.
class Connection final : public TaskManagerGateway,
                         public std::enable_shared_from_this<Connection> {
 public:
  Connection(ControlStream* stream, MainThreadExecutor* executor, ControlMessageHandler* handler)
      : stream_(stream), executor_(executor), handler_(handler) {}

  void Send(const proto::JobManagerMessage& message) override;
  void Close() override;
  const std::string& id() const override { return registration_.task_manager_id(); }
  const std::string& host() const override { return registration_.host(); }
  uint16_t data_port() const override { return static_cast<uint16_t>(registration_.data_port()); }
  uint32_t num_slots() const override { return registration_.num_slots(); }
  const std::string& owner_id() const override {
    return registration_.owner_id().empty() ? id() : registration_.owner_id();
  }

  // From the stream's reactions.
  void OnRead(bool ok, proto::TaskManagerMessage* message);
  void OnWritten(bool ok);
  void OnEnded();
  void OnStreamDone();

 private:
  void ReadNext();
  void PostClosed();
  void Flush();
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finish(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  ControlStream* stream_ ABSL_GUARDED_BY(mutex_);
  std::deque<proto::JobManagerMessage> queue_ ABSL_GUARDED_BY(mutex_);
  proto::JobManagerMessage outgoing_ ABSL_GUARDED_BY(mutex_);  // gRPC's while it writes.
  bool flush_posted_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_posted_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_registered_ ABSL_GUARDED_BY(mutex_) = false;
  proto::Register registration_;  // Does not change once the handler has been told.
  MainThreadExecutor* const executor_;
  ControlMessageHandler* const handler_;
};

// gRPC's side of a connection; deletes itself when gRPC says that it is done.
class ControlStream final
    : public grpc::ServerBidiReactor<proto::TaskManagerMessage, proto::JobManagerMessage> {
 public:
  ControlStream(MainThreadExecutor* executor, ControlMessageHandler* handler)
      : connection_(std::make_shared<Connection>(this, executor, handler)) {
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override { connection_->OnRead(ok, &incoming_); }
  void OnWriteDone(bool ok) override { connection_->OnWritten(ok); }
  void OnCancel() override { connection_->OnEnded(); }
  void OnDone() override {
    connection_->OnStreamDone();
    delete this;
  }

  void ReadNext() { StartRead(&incoming_); }

 private:
  proto::TaskManagerMessage incoming_;
  const std::shared_ptr<Connection> connection_;
};

void Connection::Send(const proto::JobManagerMessage& message) {
  MutexLock lock(&mutex_);
  if (closing_ || finished_) return;
  if (queue_.size() >= kMaxQueuedMessages) {
    // It reads nothing any more: better lost than the JobManager without memory.
    Finish(grpc::Status(grpc::RESOURCE_EXHAUSTED, "the TaskManager does not read its messages"));
    return;
  }
  queue_.push_back(message);
  if (writing_ || flush_posted_) return;
  // Behind the mail that waits already, so that what all of it has to say goes out together.
  flush_posted_ = true;
  executor_->Post([self = shared_from_this()] { self->Flush(); });
}

void Connection::Close() {
  MutexLock lock(&mutex_);
  closing_ = true;
  if (writing_) return;
  if (queue_.empty()) {
    Finish(grpc::Status::OK);
  } else {
    WriteNext();
  }
}

void Connection::Flush() {
  MutexLock lock(&mutex_);
  flush_posted_ = false;
  if (!writing_ && !queue_.empty()) WriteNext();
}

void Connection::WriteNext() {
  if (finished_) return;
  writing_ = true;
  outgoing_ = proto::TakeBatch(&queue_);
  stream_->StartWrite(&outgoing_);
}

void Connection::Finish(const grpc::Status& status) {
  if (finished_) return;
  finished_ = true;
  stream_->Finish(status);
}

void Connection::OnRead(bool ok, proto::TaskManagerMessage* message) {
  if (!ok) {
    OnEnded();
    return;
  }
  bool is_first = false;
  {
    MutexLock lock(&mutex_);
    is_first = !std::exchange(is_registered_, true);
    if (is_first && !message->has_register_()) {
      is_registered_ = false;
      Finish(grpc::Status(grpc::INVALID_ARGUMENT, "the first message must be Register"));
      return;
    }
  }
  if (is_first) {
    registration_ = std::move(*message->mutable_register_());
    executor_->Post([self = shared_from_this()] {
      self->handler_->OnRegister(self, self->registration_);
      self->ReadNext();
    });
    return;
  }
  executor_->Post([self = shared_from_this(), taken = std::move(*message)] {
    if (taken.has_batch()) {
      for (const proto::TaskManagerMessage& one : taken.batch().messages()) {
        self->handler_->OnMessage(self.get(), one);
      }
    } else {
      self->handler_->OnMessage(self.get(), taken);
    }
    self->ReadNext();
  });
}

void Connection::ReadNext() {
  MutexLock lock(&mutex_);
  if (stream_ != nullptr && !finished_) stream_->ReadNext();
}

void Connection::OnWritten(bool ok) {
  MutexLock lock(&mutex_);
  writing_ = false;
  outgoing_ = {};
  if (!ok) queue_.clear();
  if (!queue_.empty()) {
    WriteNext();
  } else if (closing_) {
    Finish(grpc::Status::OK);
  }
}

void Connection::OnEnded() {
  PostClosed();
  MutexLock lock(&mutex_);
  Finish(grpc::Status::OK);
}

void Connection::OnStreamDone() {
  PostClosed();
  MutexLock lock(&mutex_);
  finished_ = true;
  stream_ = nullptr;
  queue_.clear();
}

void Connection::PostClosed() {
  {
    MutexLock lock(&mutex_);
    if (std::exchange(closed_posted_, true) || !is_registered_) return;
  }
  executor_->Post([self = shared_from_this()] { self->handler_->OnClosed(self.get()); });
}

class BlobStream;

// What a transfer shares between gRPC and the I/O pool.
struct BlobTransfer {
  Mutex mutex;
  BlobStream* stream ABSL_GUARDED_BY(mutex) = nullptr;
  bool finished ABSL_GUARDED_BY(mutex) = false;
  std::string content;  // Written before the first chunk is sent.
  size_t sent = 0;
  proto::BlobChunk chunk;
};

class BlobStream final : public grpc::ServerWriteReactor<proto::BlobChunk> {
 public:
  BlobStream(std::string hash, MainThreadExecutor* executor, const BlobStore* blobs)
      : transfer_(std::make_shared<BlobTransfer>()) {
    {
      MutexLock lock(&transfer_->mutex);
      transfer_->stream = this;
    }
    executor->RunBlocking([transfer = transfer_, hash = std::move(hash), blobs]() -> Mail {
      absl::StatusOr<std::string> content = blobs->Read(hash);
      MutexLock lock(&transfer->mutex);
      if (transfer->stream == nullptr || transfer->finished) return nullptr;
      if (content.ok()) {
        transfer->content = *std::move(content);
        SendNext(*transfer);
      } else {
        const absl::Status& error = content.status();
        FinishTransfer(*transfer, grpc::Status(static_cast<grpc::StatusCode>(error.code()),
                                               std::string(ToStd(error.message()))));
      }
      return nullptr;
    });
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(&transfer_->mutex);
    if (ok) {
      SendNext(*transfer_);
    } else {
      FinishTransfer(*transfer_, grpc::Status(grpc::UNAVAILABLE, "the connection was closed"));
    }
  }
  void OnCancel() override {
    MutexLock lock(&transfer_->mutex);
    FinishTransfer(*transfer_, grpc::Status::CANCELLED);
  }
  void OnDone() override {
    {
      MutexLock lock(&transfer_->mutex);
      transfer_->stream = nullptr;
    }
    delete this;
  }

 private:
  static void SendNext(BlobTransfer& transfer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transfer.mutex) {
    if (transfer.finished) return;
    if (transfer.sent == transfer.content.size()) {
      FinishTransfer(transfer, grpc::Status::OK);
      return;
    }
    transfer.chunk.set_data(transfer.content.substr(transfer.sent, kBlobChunkBytes));
    transfer.sent += transfer.chunk.data().size();
    transfer.stream->StartWrite(&transfer.chunk);
  }

  static void FinishTransfer(BlobTransfer& transfer, const grpc::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transfer.mutex) {
    if (std::exchange(transfer.finished, true)) return;
    transfer.stream->Finish(status);
  }

  const std::shared_ptr<BlobTransfer> transfer_;
};

class Service final : public proto::JobManagerService::CallbackService {
 public:
  Service(MainThreadExecutor* executor, const BlobStore* blobs, ControlMessageHandler* handler)
      : executor_(executor), blobs_(blobs), handler_(handler) {}

  grpc::ServerBidiReactor<proto::TaskManagerMessage, proto::JobManagerMessage>* Connect(
      grpc::CallbackServerContext*) override {
    return new ControlStream(executor_, handler_);
  }
  grpc::ServerUnaryReactor* ReportCrash(grpc::CallbackServerContext* context,
                                        const proto::CrashReport* report,
                                        proto::CrashReportReceived*) override {
    executor_->Post([handler = handler_, taken = *report] { handler->OnCrash(taken); });
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerWriteReactor<proto::BlobChunk>* FetchBlob(
      grpc::CallbackServerContext*, const proto::FetchBlobRequest* request) override {
    return new BlobStream(request->hash(), executor_, blobs_);
  }

 private:
  MainThreadExecutor* const executor_;
  const BlobStore* const blobs_;
  ControlMessageHandler* const handler_;
};

}  // namespace

class ControlServer::Impl {
 public:
  Impl(MainThreadExecutor* executor, const BlobStore* blobs, ControlMessageHandler* handler)
      : service_(executor, blobs, handler) {}

  absl::Status Bind(const ControlServerOptions& options) {
    const auto keepalive_ms = static_cast<int>(absl::ToInt64Milliseconds(options.keepalive));
    const std::string address = StrCat(options.bind_address, ":", options.port);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
    builder.SetMaxSendMessageSize(kMaxMessageBytes);
    // Two JobManagers must not share a port by accident.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_ms);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    // Clients ping as well; by default gRPC takes that for an attack.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
    server_ = builder.BuildAndStart();
    if (server_ != nullptr && port_ != 0) return absl::OkStatus();
    return absl::FailedPreconditionError(
        StrCat("cannot listen for TaskManagers; is the port in use? Take another by "
               "jobmanager.rpc.port: ",
               address));
  }

  void Stop() {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
    server_->Wait();
    server_.reset();
  }

  uint16_t port() const { return static_cast<uint16_t>(port_); }

 private:
  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Start(
    const ControlServerOptions& options, MainThreadExecutor* executor, const BlobStore* blobs,
    ControlMessageHandler* handler) {
  auto impl = std::make_unique<Impl>(executor, blobs, handler);
  if (const absl::Status status = impl->Bind(options); !status.ok()) return status;
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControlServer::~ControlServer() { Stop(); }

void ControlServer::Stop() { impl_->Stop(); }

uint16_t ControlServer::port() const { return impl_->port(); }

}  // namespace weir
