#include "runtime/network/internal/data_server_session.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include "runtime/base/failure.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/network/internal/frame_compression.h"
#include "runtime/record/stream_element.h"

namespace weir::internal {
namespace {

absl::Status ProtocolError(std::string_view what) {
  return absl::DataLossError(StrCat("the peer broke the data protocol: ", what));
}

}  // namespace

DataServerSession::DataServerSession(std::shared_ptr<NetworkContext> context, StrandSocket socket,
                                     const DataServerOptions& options, ChannelRegistry* registry,
                                     std::shared_ptr<NetworkCounters> counters,
                                     ClosedCallback on_closed)
    : FrameConnection(std::move(context), std::move(socket),
                      {.max_payload_bytes = kMaxRequestPayloadBytes,
                       .read_buffer_bytes = size_t{16} << 10,
                       .write_buffer_bytes = options.write_buffer_bytes},
                      std::move(counters)),
      options_(options),
      registry_(registry),
      on_closed_(std::move(on_closed)) {}

void DataServerSession::Start() {
  if (ended()) return;
  boost::system::error_code error;
  const auto endpoint = socket().remote_endpoint(error);
  peer_ = error ? "unknown" : StrCat(endpoint.address().to_string(), ":", endpoint.port());
  SetDeadline(options_.handshake_timeout,
              absl::DeadlineExceededError("the peer did not introduce itself"));
  AppendHello(options_.cluster_id, output());
  StartReading();
  Flush();
}

absl::Status DataServerSession::OnFrame(const FrameHeader& header, std::string_view payload) {
  if (!introduced_) {
    if (header.type != FrameType::kHello) {
      return absl::DataLossError("the peer does not speak weir's data protocol");
    }
    RETURN_IF_ERROR(CheckHello(payload, options_.cluster_id));
    introduced_ = true;
    ClearDeadline();
    return absl::OkStatus();
  }
  switch (header.type) {
    case FrameType::kRequestChannel:
      return OnRequest(header.channel, payload);
    case FrameType::kCredit:
      return OnCredit(header.channel, payload);
    case FrameType::kLimit:
      return OnLimit(header.channel, payload);
    case FrameType::kAwait:
      return OnAwait(header.channel, payload);
    case FrameType::kCancelChannel: {
      RETURN_IF_ERROR(CheckNumber(header.channel));
      const auto it = channels_.find(header.channel);
      if (it == channels_.end()) return absl::OkStatus();
      const ChannelPtr channel = it->second;
      Detach(*channel, absl::CancelledError(StrCat("the consumer closed the channel: peer=", peer_,
                                                   " channel=", ToString(channel->key))));
      channels_.erase(header.channel);
      return absl::OkStatus();
    }
    case FrameType::kError: {
      const absl::Status reason = ParseStatus(payload);
      Close(reason);
      return absl::OkStatus();
    }
    default:
      return ProtocolError(StrCat("unexpected frame type=", static_cast<int>(header.type)));
  }
}

absl::Status DataServerSession::OnRequest(uint32_t number, std::string_view payload) {
  ASSIGN_OR_RETURN(const ChannelRequest request, ParseRequest(payload));
  if (number <= last_number_) {
    return ProtocolError(StrCat("channel numbers must grow: number=", number));
  }
  if (channels_.size() >= options_.max_channels_per_connection) {
    return absl::ResourceExhaustedError(StrCat("a data connection has too many channels: limit=",
                                               options_.max_channels_per_connection));
  }
  last_number_ = number;
  auto channel = std::make_shared<Channel>();
  channel->number = number;
  channel->key = request.key;
  channel->credit_bytes = static_cast<int64_t>(request.credit_bytes);
  channel->initial_credit_bytes = channel->credit_bytes;
  channels_.emplace(number, channel);
  channel->wait =
      registry_->WhenPresent(request.key, [this, weak = weak_from_this(), channel](
                                              absl::StatusOr<std::shared_ptr<ChannelQueue>> queue) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        Post([this, channel, queue = std::move(queue)] { OnPresent(channel, queue); });
      });
  return absl::OkStatus();
}

void DataServerSession::OnPresent(const ChannelPtr& channel,
                                  const absl::StatusOr<std::shared_ptr<ChannelQueue>>& queue) {
  if (ended() || channel->closed) return;
  channel->wait = 0;
  absl::Status status = queue.status();
  if (status.ok()) status = registry_->ClaimConsumer(channel->key);
  if (!status.ok()) {
    SendBreak(*channel, status, output());
  } else {
    channel->queue = *queue;
    if (channel->limit_bytes > 0) channel->queue->SetLimit(channel->limit_bytes);
    channel->queue->SetDataListener(
        [this, session = weak_from_this(), weak_channel = std::weak_ptr<Channel>(channel)] {
          const auto self = session.lock();
          const ChannelPtr woken = weak_channel.lock();
          if (self != nullptr && woken != nullptr) Wake(woken);
        });
    Announce(*channel);
    MakeReady(channel);
  }
  Flush();
}

absl::Status DataServerSession::OnCredit(uint32_t number, std::string_view payload) {
  RETURN_IF_ERROR(CheckNumber(number));
  ASSIGN_OR_RETURN(const uint64_t bytes, ParseNumber(payload));
  const auto it = channels_.find(number);
  if (it == channels_.end()) return absl::OkStatus();
  const ChannelPtr& channel = it->second;
  const int64_t used_bytes = channel->initial_credit_bytes - channel->credit_bytes;
  if (bytes > static_cast<uint64_t>(used_bytes)) {
    return ProtocolError(
        StrCat("more credit returned than was used: channel=", ToString(channel->key),
               " used_bytes=", used_bytes, " returned_bytes=", bytes));
  }
  channel->credit_bytes += static_cast<int64_t>(bytes);
  MakeReady(channel);
  return absl::OkStatus();
}

absl::Status DataServerSession::OnLimit(uint32_t number, std::string_view payload) {
  RETURN_IF_ERROR(CheckNumber(number));
  ASSIGN_OR_RETURN(const uint64_t bytes, ParseNumber(payload));
  if (bytes == 0) return ProtocolError(StrCat("a limit must be positive: number=", number));
  const auto it = channels_.find(number);
  if (it == channels_.end()) return absl::OkStatus();
  it->second->limit_bytes = static_cast<size_t>(bytes);
  if (it->second->queue != nullptr) it->second->queue->SetLimit(it->second->limit_bytes);
  return absl::OkStatus();
}

absl::Status DataServerSession::OnAwait(uint32_t number, std::string_view payload) {
  RETURN_IF_ERROR(CheckNumber(number));
  ASSIGN_OR_RETURN(const uint64_t id, ParseNumber(payload));
  const auto it = channels_.find(number);
  if (it == channels_.end()) return absl::OkStatus();
  it->second->awaited = std::max(it->second->awaited, CheckpointId(id));
  MakeReady(it->second);
  return absl::OkStatus();
}

// A frame may cross our break of its channel, but not come before the request.
absl::Status DataServerSession::CheckNumber(uint32_t number) const {
  if (number != 0 && number <= last_number_) return absl::OkStatus();
  return ProtocolError(StrCat("channel was never requested: number=", number));
}

// The producer's push happens before its exchange, which happens before ours in HandleWoken: so a
// wake-up that is swallowed here, because one is pending, is seen there.
void DataServerSession::Wake(const ChannelPtr& channel) {
  if (channel->signalled.exchange(true, std::memory_order_acq_rel)) return;
  {
    MutexLock lock(&mutex_);
    woken_.push_back(channel);
    if (woken_.size() > 1) return;
  }
  Post([this] { HandleWoken(); });
}

void DataServerSession::HandleWoken() {
  std::vector<ChannelPtr> woken;
  {
    MutexLock lock(&mutex_);
    woken.swap(woken_);
  }
  if (ended()) return;
  for (const ChannelPtr& channel : woken) {
    channel->signalled.exchange(false, std::memory_order_acq_rel);
    if (channel->closed) continue;
    Announce(*channel);
    MakeReady(channel);
  }
  Flush();
}

void DataServerSession::MakeReady(const ChannelPtr& channel) {
  if (channel->ready || channel->closed || channel->queue == nullptr) return;
  channel->ready = true;
  ready_.push_back(channel);
}

void DataServerSession::Announce(Channel& channel) {
  const CheckpointId newest = channel.queue->announced_checkpoint();
  if (newest <= channel.announced) return;
  channel.announced = newest;
  AppendAnnouncement(channel.number, channel.queue->announcement(), output());
}

void DataServerSession::FillOutput(std::string* out) {
  while (out->size() < limits().write_buffer_bytes && !ready_.empty()) {
    ChannelPtr channel = std::move(ready_.front());
    ready_.pop_front();
    channel->ready = false;
    if (!channel->closed && SendNext(*channel, out)) MakeReady(channel);
  }
}

// Sends one element; returns whether there may be more to send now.
bool DataServerSession::SendNext(Channel& channel, std::string* out) {
  // Only when the barrier is queued is what lies ahead of it bounded.
  const bool is_awaited =
      channel.awaited > channel.sent_barrier && channel.queue->pushed_barrier() >= channel.awaited;
  const bool has_credit = channel.credit_bytes > 0 || is_awaited;
  std::optional<ChannelQueue::Popped> popped =
      has_credit ? channel.queue->Pop() : channel.queue->PopControl();
  if (!popped.has_value()) {
    if (const absl::Status broken = channel.queue->status(); !broken.ok()) {
      SendBreak(channel, broken, out);
    }
    return false;
  }
  const size_t begin = out->size();
  const absl::StatusOr<size_t> cost_bytes = AppendElement(channel, popped->element, out);
  if (!cost_bytes.ok()) {
    out->resize(begin);
    SendBreak(channel, cost_bytes.status(), out);
    return false;
  }
  if (IsBatch(popped->element)) {
    channel.credit_bytes -= static_cast<int64_t>(*cost_bytes);
  } else if (const auto* barrier = std::get_if<CheckpointBarrier>(&popped->element)) {
    channel.sent_barrier = std::max(channel.sent_barrier, barrier->id);
  }
  return true;
}

absl::StatusOr<size_t> DataServerSession::AppendElement(const Channel& channel,
                                                        const StreamElement& element,
                                                        std::string* out) {
  const size_t begin = BeginFrame(FrameType::kData, channel.number, out);
  // Serialising runs user code, which may throw anything.
  try {
    SerializeElement(element, out);
  } catch (const std::exception& exception) {
    return absl::InternalError(StrCat("serialising a batch failed; mend the record's Serde: error=",
                                      exception.what(), " channel=", ToString(channel.key)));
  } catch (...) {
    return absl::InternalError(StrCat(
        "serialising a batch failed; mend the record's Serde: channel=", ToString(channel.key)));
  }
  const size_t payload_bytes = out->size() - begin - kFrameHeaderBytes;
  if (payload_bytes > kMaxPayloadBytes) {
    return absl::ResourceExhaustedError(
        StrCat("a batch is too large to be sent; make the records smaller: bytes=", payload_bytes,
               " limit=", kMaxPayloadBytes, " channel=", ToString(channel.key)));
  }
  if (options_.compress && CompressPayload(begin + kFrameHeaderBytes, out, &compressed_)) {
    SetFrameType(begin, FrameType::kCompressedData, out);
  }
  EndFrame(begin, out);
  return kFrameHeaderBytes + payload_bytes;
}

void DataServerSession::SendBreak(Channel& channel, const absl::Status& reason, std::string* out) {
  AppendStatus(FrameType::kBreak, channel.number, reason, out);
  Detach(channel, reason);
  channels_.erase(channel.number);
}

// Lets go of the queue. It takes nothing more, and what it still holds will never be sent.
void DataServerSession::Detach(Channel& channel, const absl::Status& reason) {
  channel.closed = true;
  registry_->CancelWait(std::exchange(channel.wait, 0));
  if (channel.queue == nullptr) return;
  channel.queue->SetDataListener(nullptr);
  channel.queue->Break(reason);
  while (channel.queue->Pop().has_value()) {
  }
  channel.queue.reset();
}

void DataServerSession::OnEnd(const absl::Status& reason) {
  for (const auto& [number, channel] : channels_) {
    Detach(*channel, WithMessage(reason, StrCat(ToStd(reason.message()), " peer=", peer_,
                                                " channel=", ToString(channel->key))));
  }
  channels_.clear();
  ready_.clear();
}

void DataServerSession::OnClosed() { on_closed_(shared_from_this()); }

}  // namespace weir::internal
