#include "jobmanager/ha/etcd_ha_store.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <utility>

#include "proto/etcd.grpc.pb.h"
#include "proto/etcd.pb.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

namespace etcd = ::etcdserverpb;

constexpr std::chrono::milliseconds kConnectWait(300);

struct Member {
  explicit Member(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    kv = etcd::KV::NewStub(channel);
    lease = etcd::Lease::NewStub(channel);
  }

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<etcd::KV::Stub> kv;
  std::unique_ptr<etcd::Lease::Stub> lease;
};

// The end of the range of all keys that begin with `prefix`, which ends with no 0xff.
std::string RangeEnd(std::string prefix) {
  ++prefix.back();
  return prefix;
}

}  // namespace

class EtcdHaStore::Impl {
 public:
  explicit Impl(EtcdHaStoreOptions options)
      : options_(std::move(options)),
        leader_key_(StrCat("/weir/", options_.cluster_id, "/leader")),
        data_prefix_(StrCat("/weir/", options_.cluster_id, "/data/")) {
    for (const std::string& endpoint : options_.endpoints) members_.emplace_back(endpoint);
  }

  absl::StatusOr<std::optional<LeaderEpoch>> TryAcquire(const LeaderInformation& self) {
    ASSIGN_OR_RETURN(const std::optional<etcd::KeyValue> present, ReadLeader());
    if (present.has_value()) {
      if (!OwnEpoch(*present).has_value()) return std::nullopt;
      RevokeLease();  // Of a time that is over: each grant has an epoch of its own.
    }
    etcd::LeaseGrantRequest grant;
    grant.set_ttl(std::max<int64_t>(
        1, static_cast<int64_t>(std::ceil(absl::ToDoubleSeconds(options_.lease_duration)))));
    etcd::LeaseGrantResponse granted;
    RETURN_IF_ERROR(Call([&](Member& member, grpc::ClientContext* context) {
      return member.lease->LeaseGrant(context, grant, &granted);
    }));
    lease_id_ = granted.id();
    etcd::TxnRequest request;
    *request.add_compare() = LeaderIs(0);
    etcd::PutRequest* const put = request.add_success()->mutable_request_put();
    put->set_key(leader_key_);
    put->set_value(SerializeLeader(self));
    put->set_lease(lease_id_);
    etcd::TxnResponse response;
    RETURN_IF_ERROR(Transact(request, &response));
    if (response.succeeded()) {
      return LeaderEpoch(static_cast<uint64_t>(response.header().revision()));
    }
    // Another one was quicker, or this is the second try of a request whose answer was lost.
    ASSIGN_OR_RETURN(const std::optional<etcd::KeyValue> winner, ReadLeader());
    const std::optional<LeaderEpoch> own =
        winner.has_value() ? OwnEpoch(*winner) : std::optional<LeaderEpoch>();
    if (!own.has_value()) RevokeLease();
    return own;
  }

  absl::Status Renew(LeaderEpoch epoch) {
    etcd::LeaseKeepAliveRequest request;
    request.set_id(lease_id_);
    etcd::LeaseKeepAliveResponse response;
    RETURN_IF_ERROR(Call([&](Member& member, grpc::ClientContext* context) {
      const auto stream = member.lease->LeaseKeepAlive(context);
      const bool answered = stream->Write(request) && stream->Read(&response);
      stream->WritesDone();
      const grpc::Status status = stream->Finish();
      return answered ? grpc::Status::OK
                      : grpc::Status(status.ok() ? grpc::UNAVAILABLE : status.error_code(),
                                     status.error_message());
    }));
    if (response.ttl() <= 0) return NotLeader(epoch);
    // The key may have been taken away although the lease lasts.
    ASSIGN_OR_RETURN(const std::optional<etcd::KeyValue> leader, ReadLeader());
    return leader.has_value() && Revision(*leader) == epoch ? absl::OkStatus() : NotLeader(epoch);
  }

  absl::Status Release(LeaderEpoch epoch) {
    etcd::TxnRequest request;
    *request.add_compare() = LeaderIs(epoch.value());
    request.add_success()->mutable_request_delete_range()->set_key(leader_key_);
    etcd::TxnResponse response;
    RETURN_IF_ERROR(Transact(request, &response));
    RevokeLease();
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<LeaderInformation>> FindLeader() {
    ASSIGN_OR_RETURN(const std::optional<etcd::KeyValue> stored, ReadLeader());
    if (!stored.has_value()) return std::nullopt;
    ASSIGN_OR_RETURN(LeaderInformation leader, ParseLeader(stored->value()));
    leader.epoch = Revision(*stored);
    return leader;
  }

  absl::Status Put(LeaderEpoch epoch, std::string_view key, std::string_view value) {
    etcd::TxnRequest request;
    etcd::PutRequest* const put = request.add_success()->mutable_request_put();
    put->set_key(StrCat(data_prefix_, key));
    put->set_value(std::string(value));
    return TransactAsLeader(epoch, &request).status();
  }

  absl::Status Remove(LeaderEpoch epoch, std::string_view key) {
    etcd::TxnRequest request;
    request.add_success()->mutable_request_delete_range()->set_key(StrCat(data_prefix_, key));
    return TransactAsLeader(epoch, &request).status();
  }

  absl::StatusOr<std::map<std::string, std::string>> List(LeaderEpoch epoch,
                                                          std::string_view prefix) {
    etcd::TxnRequest request;
    etcd::RangeRequest* const range = request.add_success()->mutable_request_range();
    range->set_key(StrCat(data_prefix_, prefix));
    range->set_range_end(RangeEnd(StrCat(data_prefix_, prefix)));
    ASSIGN_OR_RETURN(const etcd::TxnResponse response, TransactAsLeader(epoch, &request));
    std::map<std::string, std::string> values;
    for (const etcd::KeyValue& entry : response.responses(0).response_range().kvs()) {
      values.emplace(entry.key().substr(data_prefix_.size()), entry.value());
    }
    return values;
  }

 private:
  static LeaderEpoch Revision(const etcd::KeyValue& entry) {
    return LeaderEpoch(static_cast<uint64_t>(entry.create_revision()));
  }

  std::optional<LeaderEpoch> OwnEpoch(const etcd::KeyValue& leader) const {
    if (lease_id_ == 0 || leader.lease() != lease_id_) return std::nullopt;
    return Revision(leader);
  }

  etcd::Compare LeaderIs(uint64_t epoch) const {
    etcd::Compare compare;
    compare.set_target(etcd::Compare::CREATE);
    compare.set_result(etcd::Compare::EQUAL);
    compare.set_key(leader_key_);
    compare.set_create_revision(static_cast<int64_t>(epoch));
    return compare;
  }

  absl::StatusOr<std::optional<etcd::KeyValue>> ReadLeader() {
    etcd::RangeRequest request;
    request.set_key(leader_key_);
    etcd::RangeResponse response;
    RETURN_IF_ERROR(Call([&](Member& member, grpc::ClientContext* context) {
      return member.kv->Range(context, request, &response);
    }));
    if (response.kvs_size() == 0) return std::nullopt;
    return response.kvs(0);
  }

  absl::Status Transact(const etcd::TxnRequest& request, etcd::TxnResponse* response) {
    return Call([&](Member& member, grpc::ClientContext* context) {
      return member.kv->Txn(context, request, response);
    });
  }

  absl::StatusOr<etcd::TxnResponse> TransactAsLeader(LeaderEpoch epoch, etcd::TxnRequest* request) {
    *request->add_compare() = LeaderIs(epoch.value());
    etcd::TxnResponse response;
    RETURN_IF_ERROR(Transact(*request, &response));
    if (!response.succeeded()) return NotLeader(epoch);
    return response;
  }

  // What is not revoked lapses.
  void RevokeLease() {
    etcd::LeaseRevokeRequest request;
    request.set_id(std::exchange(lease_id_, 0));
    etcd::LeaseRevokeResponse response;
    static_cast<void>(Call([&](Member& member, grpc::ClientContext* context) {
      return member.lease->LeaseRevoke(context, request, &response);
    }));
  }

  // Calls the member that answered last, and the others if it does not.
  template <class Rpc>
  absl::Status Call(Rpc rpc) {
    grpc::Status status;
    const size_t first = current_.load(std::memory_order_relaxed);
    for (size_t i = 0; i < members_.size(); ++i) {
      // Other threads may move `current_` meanwhile: each member is asked once all the same.
      const size_t member = (first + i) % members_.size();
      // gRPC looks at its sockets while somebody waits, else every five seconds only: without this
      // wait a member that has come back would not be found.
      members_[member].channel->WaitForConnected(std::chrono::system_clock::now() + kConnectWait);
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() +
                           absl::ToChronoMilliseconds(options_.rpc_timeout));
      status = rpc(members_[member], &context);
      if (status.ok()) {
        if (i > 0) current_.store(member, std::memory_order_relaxed);
        return absl::OkStatus();
      }
    }
    return absl::UnavailableError(
        StrCat("etcd does not do what it is asked: endpoints=", StrJoin(options_.endpoints, ","),
               " code=", static_cast<int>(status.error_code()), ": ", status.error_message()));
  }

  const EtcdHaStoreOptions options_;
  const std::string leader_key_;
  const std::string data_prefix_;
  std::vector<Member> members_;
  std::atomic<size_t> current_{0};
  int64_t lease_id_ = 0;  // The electing thread's own.
};

EtcdHaStore::EtcdHaStore(EtcdHaStoreOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
EtcdHaStore::~EtcdHaStore() = default;
absl::StatusOr<std::optional<LeaderEpoch>> EtcdHaStore::TryAcquire(const LeaderInformation& self) {
  return impl_->TryAcquire(self);
}
absl::Status EtcdHaStore::Renew(LeaderEpoch epoch) { return impl_->Renew(epoch); }
absl::Status EtcdHaStore::Release(LeaderEpoch epoch) { return impl_->Release(epoch); }
absl::StatusOr<std::optional<LeaderInformation>> EtcdHaStore::FindLeader() {
  return impl_->FindLeader();
}
absl::Status EtcdHaStore::Put(LeaderEpoch epoch, std::string_view key, std::string_view value) {
  return impl_->Put(epoch, key, value);
}
absl::Status EtcdHaStore::Remove(LeaderEpoch epoch, std::string_view key) {
  return impl_->Remove(epoch, key);
}
absl::StatusOr<std::map<std::string, std::string>> EtcdHaStore::List(LeaderEpoch epoch,
                                                                     std::string_view prefix) {
  return impl_->List(epoch, prefix);
}

}  // namespace weir
