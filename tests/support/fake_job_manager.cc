#include "tests/support/fake_job_manager.h"

#include <grpcpp/grpcpp.h>

#include <map>
#include <set>
#include <thread>
#include <utility>

#include "proto/control_plane.grpc.pb.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"
#include "runtime/graph/content_hash.h"

namespace weir {
namespace {

constexpr absl::Duration kDeadline = absl::Seconds(30);
constexpr size_t kChunkBytes = 64 << 10;
constexpr int kMaxMessageBytes = 256 << 20;

using ServerStream = grpc::ServerReaderWriter<proto::JobManagerMessage, proto::TaskManagerMessage>;

}  // namespace

class FakeJobManager::Impl final : public proto::JobManagerService::Service {
 public:
  explicit Impl(Options options) : options_(std::move(options)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(StrCat("127.0.0.1:", options_.port), grpc::InsecureServerCredentials(),
                             &port_);
    builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    heartbeats_ = std::jthread([this](const std::stop_token& stop) { SendHeartbeats(stop); });
  }

  ~Impl() override {
    heartbeats_.request_stop();
    heartbeats_.join();
    DropStreams();
    server_->Shutdown(std::chrono::system_clock::now());
  }

  grpc::Status Connect(grpc::ServerContext* context, ServerStream* stream) override {
    auto connection = std::make_shared<Connection>();
    connection->context = context;
    connection->stream = stream;
    proto::TaskManagerMessage message;
    while (stream->Read(&message)) {
      if (message.kind_case() == proto::TaskManagerMessage::kRegister)
        Register(message.register_(), connection);
      const MutexLock lock(&mutex_);
      if (message.has_batch()) {
        ++num_batches_;
        for (const proto::TaskManagerMessage& one : message.batch().messages()) {
          messages_.push_back({connection->id, one});
        }
      } else {
        messages_.push_back({connection->id, message});
      }
      changed_.SignalAll();
    }
    const MutexLock write_lock(&connection->write_mutex);
    connection->stream = nullptr;
    const MutexLock lock(&mutex_);
    all_.erase(connection);
    if (const auto found = connections_.find(connection->id);
        found != connections_.end() && found->second == connection) {
      connections_.erase(found);
    }
    return grpc::Status::OK;
  }

  grpc::Status FetchBlob(grpc::ServerContext*, const proto::FetchBlobRequest* request,
                         grpc::ServerWriter<proto::BlobChunk>* writer) override {
    std::string content;
    {
      const MutexLock lock(&mutex_);
      ++num_fetches_;
      const auto found = blobs_.find(request->hash());
      if (found == blobs_.end()) return {grpc::StatusCode::NOT_FOUND, "no such blob"};
      content = found->second;
    }
    for (size_t begin = 0; begin < content.size(); begin += kChunkBytes) {
      proto::BlobChunk chunk;
      chunk.set_data(content.substr(begin, kChunkBytes));
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }

  bool Send(const std::string& id, const proto::JobManagerMessage& message) {
    std::shared_ptr<Connection> connection;
    {
      const MutexLock lock(&mutex_);
      const auto found = connections_.find(id);
      if (found == connections_.end()) return false;
      connection = found->second;
    }
    return Write(*connection, message);
  }

  void DropStreams() {
    const MutexLock lock(&mutex_);
    for (const auto& connection : all_) connection->context->TryCancel();
    connections_.clear();
  }

  std::string PutBlob(const std::string& hash, std::string content) {
    const MutexLock lock(&mutex_);
    blobs_[hash] = std::move(content);
    return hash;
  }

  void StopHeartbeats() {
    const MutexLock lock(&mutex_);
    silent_ = true;
  }

  void SetLeaderEpoch(uint64_t epoch) {
    const MutexLock lock(&mutex_);
    options_.leader_epoch = epoch;
  }

  bool WaitUntil(const std::function<bool(const Messages&)>& condition) {
    const absl::Time deadline = absl::Now() + kDeadline;
    const MutexLock lock(&mutex_);
    while (!condition(messages_)) {
      if (absl::Now() > deadline) return false;
      changed_.WaitFor(&mutex_, deadline - absl::Now());
    }
    return true;
  }

  Messages messages() {
    const MutexLock lock(&mutex_);
    return messages_;
  }
  int num_fetches() {
    const MutexLock lock(&mutex_);
    return num_fetches_;
  }
  int num_batches() {
    const MutexLock lock(&mutex_);
    return num_batches_;
  }
  [[nodiscard]] int port() const { return port_; }

 private:
  struct Connection {
    std::string id;
    grpc::ServerContext* context = nullptr;
    Mutex write_mutex;
    ServerStream* stream = nullptr;  // Null once the call has ended.
  };

  void Register(const proto::Register& registration,
                const std::shared_ptr<Connection>& connection) {
    connection->id = registration.task_manager_id();
    proto::JobManagerMessage answer;
    {
      const MutexLock lock(&mutex_);
      all_.insert(connection);
      if (!options_.mute && options_.refuse_reason.empty()) {
        proto::Registered* const registered = answer.mutable_registered();
        registered->set_leader_epoch(options_.leader_epoch);
        registered->set_heartbeat_interval_ms(
            absl::ToInt64Milliseconds(options_.heartbeat_interval));
        registered->set_heartbeat_timeout_ms(absl::ToInt64Milliseconds(options_.heartbeat_timeout));
      } else if (!options_.mute) {
        answer.mutable_refused()->set_reason(options_.refuse_reason);
      }
    }
    if (answer.kind_case() != proto::JobManagerMessage::KIND_NOT_SET) Write(*connection, answer);
    const MutexLock lock(&mutex_);
    connections_[connection->id] = connection;
  }

  static bool Write(Connection& connection, const proto::JobManagerMessage& message) {
    const MutexLock lock(&connection.write_mutex);
    return connection.stream != nullptr && connection.stream->Write(message);
  }

  void SendHeartbeats(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::vector<std::shared_ptr<Connection>> connections;
      proto::JobManagerMessage heartbeat;
      {
        const MutexLock lock(&mutex_);
        changed_.WaitFor(&mutex_, options_.heartbeat_interval);
        heartbeat.mutable_heartbeat()->set_leader_epoch(options_.leader_epoch);
        if (silent_ || options_.mute) continue;
        for (const auto& [id, connection] : connections_) connections.push_back(connection);
      }
      for (const auto& connection : connections) Write(*connection, heartbeat);
    }
  }

  Options options_ ABSL_GUARDED_BY(mutex_);
  int port_ = 0;
  Mutex mutex_;
  CondVar changed_;
  bool silent_ ABSL_GUARDED_BY(mutex_) = false;
  int num_fetches_ ABSL_GUARDED_BY(mutex_) = 0;
  int num_batches_ ABSL_GUARDED_BY(mutex_) = 0;
  Messages messages_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> blobs_ ABSL_GUARDED_BY(mutex_);
  std::set<std::shared_ptr<Connection>> all_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
  std::jthread heartbeats_;
};

FakeJobManager::FakeJobManager(Options options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
FakeJobManager::~FakeJobManager() = default;
std::string FakeJobManager::address() const { return StrCat("127.0.0.1:", impl_->port()); }
int FakeJobManager::port() const { return impl_->port(); }
std::string FakeJobManager::PutBlob(std::string content) {
  const std::string hash = ContentHash(content);
  return impl_->PutBlob(hash, std::move(content));
}
void FakeJobManager::PutBlobAs(const std::string& hash, std::string content) {
  impl_->PutBlob(hash, std::move(content));
}
int FakeJobManager::num_fetches() const { return impl_->num_fetches(); }
int FakeJobManager::num_batches() const { return impl_->num_batches(); }
bool FakeJobManager::Send(const std::string& task_manager_id,
                          const proto::JobManagerMessage& message) {
  return impl_->Send(task_manager_id, message);
}
void FakeJobManager::DropStreams() { impl_->DropStreams(); }
void FakeJobManager::StopHeartbeats() { impl_->StopHeartbeats(); }
void FakeJobManager::SetLeaderEpoch(uint64_t epoch) { impl_->SetLeaderEpoch(epoch); }
bool FakeJobManager::WaitUntil(const std::function<bool(const Messages&)>& condition) {
  return impl_->WaitUntil(condition);
}
FakeJobManager::Messages FakeJobManager::messages() const { return impl_->messages(); }

}  // namespace weir
