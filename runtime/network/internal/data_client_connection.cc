#include "runtime/network/internal/data_client_connection.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <utility>
#include <vector>

#include "runtime/base/failure.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/network/connection_loss.h"
#include "runtime/network/internal/frame_compression.h"
#include "runtime/record/stream_element.h"

namespace weir::internal {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

// Decoding runs user code, which may throw anything.
absl::StatusOr<StreamElement> Decode(std::string_view payload, const BatchType& type) {
  try {
    return DeserializeElement(payload, type);
  } catch (const std::exception& exception) {
    return absl::InternalError(
        StrCat("reading a batch failed; mend the record's Serde: error=", exception.what()));
  } catch (...) {
    return absl::InternalError("reading a batch failed; mend the record's Serde:");
  }
}

}  // namespace

DataClientConnection::DataClientConnection(std::shared_ptr<NetworkContext> context,
                                           std::string host, uint16_t port,
                                           const DataClientOptions& options,
                                           std::shared_ptr<NetworkCounters> counters,
                                           Callback on_lost, Callback on_closed)
    : FrameConnection(context, StrandSocket(asio::make_strand(context->io())), Limits{},
                      std::move(counters)),
      host_(std::move(host)),
      port_(port),
      peer_(StrCat(host_, ":", port_)),
      options_(options),
      on_lost_(std::move(on_lost)),
      on_closed_(std::move(on_closed)),
      resolver_(socket().get_executor()),
      retry_(socket().get_executor()) {}

void DataClientConnection::Start() {
  Post([this] {
    backoff_ = absl::ToChronoNanoseconds(options_.initial_backoff);
    connect_deadline_ =
        std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(options_.connect_timeout);
    SetDeadline(options_.connect_timeout,
                DataConnectionLostError("the peer's data server did not answer in time:"));
    Resolve();
  });
}

void DataClientConnection::AddChannel(const ChannelPtr& channel) {
  Post([this, channel] {
    if (ended()) {
      channel->target->Break(
          WithPlace(DataConnectionLostError("the data connection was lost:"), *channel));
      return;
    }
    channel->number = ++last_number_;
    channels_.emplace(channel->number, channel);
    if (open()) Request(*channel);
    Flush();
  });
}

void DataClientConnection::RemoveChannel(const ChannelPtr& channel) {
  Post([this, channel] {
    if (channels_.erase(channel->number) == 0 || !open()) return;
    AppendCancel(channel->number, output());
    Flush();
  });
}

void DataClientConnection::ReturnCreditOf(const ChannelPtr& channel) {
  Post([this, channel] { ReturnCredit(*channel); });
}

void DataClientConnection::Shutdown() {
  Post([this] {
    const absl::Status reason = absl::CancelledError("no channel uses the data connection:");
    if (open()) {
      CloseAfterFlush(reason);
    } else {
      Close(reason);
    }
  });
}

void DataClientConnection::Resolve() {
  if (ended()) return;
  boost::system::error_code not_numeric;
  const auto address = asio::ip::make_address(host_, not_numeric);
  if (!not_numeric) {
    ConnectTo(Endpoints::create(tcp::endpoint(address, port_), host_, ""));
    return;
  }
  resolver_.async_resolve(host_, std::to_string(port_),
                          [this, self = shared_from_this()](const boost::system::error_code& error,
                                                            const Endpoints& endpoints) {
                            if (error) {
                              OnConnectFailed(error);
                            } else {
                              ConnectTo(endpoints);
                            }
                          });
}

void DataClientConnection::ConnectTo(const Endpoints& endpoints) {
  if (ended()) return;
  asio::async_connect(socket(), endpoints,
                      [this, self = shared_from_this()](const boost::system::error_code& error,
                                                        const tcp::endpoint&) {
                        if (error) {
                          OnConnectFailed(error);
                        } else {
                          OnConnected();
                        }
                      });
}

void DataClientConnection::OnConnectFailed(const boost::system::error_code& error) {
  if (ended()) return;
  boost::system::error_code ignored;
  socket().close(ignored);
  if (std::chrono::steady_clock::now() + backoff_ >= connect_deadline_) {
    Close(DataConnectionLostError(
        StrCat("the peer's data server cannot be reached: error=", error.message())));
    return;
  }
  retry_.expires_after(backoff_);
  backoff_ = std::min(backoff_ * 2,
                      std::chrono::nanoseconds(absl::ToChronoNanoseconds(options_.max_backoff)));
  retry_.async_wait([this, self = shared_from_this()](const boost::system::error_code& cancelled) {
    if (!cancelled) Resolve();
  });
}

void DataClientConnection::OnConnected() {
  if (ended()) return;
  AppendHello(options_.cluster_id, output());
  StartReading();
  // In the order of their numbers, which the server expects to grow.
  std::vector<ChannelPtr> waiting;
  for (const auto& [number, channel] : channels_) waiting.push_back(channel);
  std::sort(waiting.begin(), waiting.end(),
            [](const ChannelPtr& a, const ChannelPtr& b) { return a->number < b->number; });
  for (const ChannelPtr& channel : waiting) Request(*channel);
  Flush();
}

void DataClientConnection::Request(Channel& channel) {
  const size_t capacity_bytes = std::max<size_t>(channel.target->capacity_bytes(), 1);
  channel.credit_bytes = static_cast<int64_t>(capacity_bytes);
  AppendRequest(channel.number, {channel.key, capacity_bytes}, output());
  channel.limit_bytes = channel.target->capacity_bytes();
  TellLimit(channel);
}

// Both queues of a channel have one limit.
void DataClientConnection::TellLimit(Channel& channel) {
  const size_t limit_bytes = channel.target->limit_bytes();
  if (limit_bytes == channel.limit_bytes) return;
  channel.limit_bytes = limit_bytes;
  AppendNumber(FrameType::kLimit, channel.number, limit_bytes, output());
}

void DataClientConnection::TellAwaited(Channel& channel) {
  const CheckpointId awaited = channel.target->awaited_barrier();
  if (awaited <= std::max(channel.awaited, channel.received_barrier)) return;
  channel.awaited = awaited;
  AppendNumber(FrameType::kAwait, channel.number, awaited.value(), output());
}

void DataClientConnection::ReturnCredit(Channel& channel) {
  if (!open() || !channels_.contains(channel.number)) return;
  TellLimit(channel);
  TellAwaited(channel);
  const size_t bytes = channel.target->TakeConsumedBytes();
  if (bytes > 0) {
    channel.credit_bytes += static_cast<int64_t>(bytes);
    AppendNumber(FrameType::kCredit, channel.number, bytes, output());
  }
  Flush();
}

absl::Status DataClientConnection::OnFrame(const FrameHeader& header, std::string_view payload) {
  if (header.type == FrameType::kError) {
    Close(ParseStatus(payload));
    return absl::OkStatus();
  }
  if (!introduced_) {
    if (header.type != FrameType::kHello) {
      return absl::DataLossError("the peer does not speak weir's data protocol:");
    }
    RETURN_IF_ERROR(CheckHello(payload, options_.cluster_id));
    introduced_ = true;
    ClearDeadline();
    return absl::OkStatus();
  }
  const auto it = channels_.find(header.channel);
  if (it == channels_.end()) {
    // A frame may cross our cancellation of its channel.
    if (header.channel != 0 && header.channel <= last_number_) return absl::OkStatus();
    return absl::DataLossError(
        StrCat("the peer sent a channel that was never requested: number=", header.channel));
  }
  const ChannelPtr channel = it->second;
  switch (header.type) {
    case FrameType::kData:
      return OnData(channel, payload);
    case FrameType::kCompressedData:
      return OnCompressedData(channel, payload);
    case FrameType::kAnnouncement: {
      ASSIGN_OR_RETURN(const ChannelQueue::Announcement announcement, ParseAnnouncement(payload));
      channel->target->Announce(announcement);
      return absl::OkStatus();
    }
    case FrameType::kBreak:
      BreakChannel(channel, ParseStatus(payload), /*tell_peer=*/false);
      return absl::OkStatus();
    default:
      return absl::DataLossError(
          StrCat("the peer sent an unexpected frame: type=", static_cast<int>(header.type)));
  }
}

absl::Status DataClientConnection::OnCompressedData(const ChannelPtr& channel,
                                                    std::string_view payload) {
  ASSIGN_OR_RETURN(const std::string_view decompressed, DecompressPayload(payload, &decompressed_));
  return OnData(channel, decompressed);
}

absl::Status DataClientConnection::OnData(const ChannelPtr& channel, std::string_view payload) {
  absl::StatusOr<StreamElement> element;
  {
    MutexLock lock(&channel->mutex);
    if (channel->type == nullptr) return absl::OkStatus();
    element = Decode(payload, *channel->type);
  }
  if (!element.ok()) {
    BreakChannel(channel, WithPlace(element.status(), *channel), /*tell_peer=*/true);
    return absl::OkStatus();
  }
  size_t cost_bytes = 0;
  if (IsBatch(*element)) {
    cost_bytes = kFrameHeaderBytes + payload.size();
    // What keeps this process's memory bounded is checked, not trusted. Ahead of a barrier that is
    // awaited comes what the sender had queued before it.
    if (channel->credit_bytes <= 0 && channel->awaited <= channel->received_barrier) {
      return absl::DataLossError(
          StrCat("the peer sent more than its credit: credit_bytes=", channel->credit_bytes));
    }
    channel->credit_bytes -= static_cast<int64_t>(cost_bytes);
  } else if (const auto* barrier = std::get_if<CheckpointBarrier>(&*element)) {
    channel->received_barrier = std::max(channel->received_barrier, barrier->id);
  }
  channel->target->Push(*std::move(element), cost_bytes);
  return absl::OkStatus();
}

void DataClientConnection::BreakChannel(const ChannelPtr& channel, const absl::Status& reason,
                                        bool tell_peer) {
  channels_.erase(channel->number);
  channel->target->SetConsumedListener(0, nullptr);
  if (tell_peer) AppendCancel(channel->number, output());
  channel->target->Break(reason);
}

absl::Status DataClientConnection::WithPlace(const absl::Status& reason,
                                             const Channel& channel) const {
  return WithMessage(
      reason, StrCat(ToStd(reason.message()), " peer=", peer_, " channel=", ToString(channel.key)));
}

void DataClientConnection::OnEnd(const absl::Status& reason) {
  resolver_.cancel();
  retry_.cancel();
  on_lost_(std::static_pointer_cast<DataClientConnection>(shared_from_this()));
  for (const auto& [number, channel] : std::exchange(channels_, {})) {
    channel->target->SetConsumedListener(0, nullptr);
    channel->target->Break(WithPlace(reason, *channel));
  }
}

void DataClientConnection::OnClosed() {
  on_closed_(std::static_pointer_cast<DataClientConnection>(shared_from_this()));
}

}  // namespace weir::internal
