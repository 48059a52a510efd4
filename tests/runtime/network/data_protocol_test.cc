#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "runtime/network/channel_registry.h"
#include "runtime/network/data_client.h"
#include "runtime/network/data_server.h"
#include "runtime/network/internal/frame.h"
#include "runtime/network/network_threads.h"
#include "tests/runtime/network/network_test_support.h"

namespace weir {
namespace {

using internal::FrameHeader;
using internal::FrameType;
using internal::kFrameHeaderBytes;
using ::testing::HasSubstr;

const TypedBatchType<std::string>& TextType() {
  static const TypedBatchType<std::string> type;
  return type;
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

struct Frame {
  FrameHeader header;
  std::string payload;
};

// A peer written by hand on a plain socket, which can say anything.
class RawPeer {
 public:
  explicit RawPeer(int socket) : socket_(socket) {}
  static RawPeer ConnectTo(uint16_t port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = Loopback(port);
    EXPECT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return RawPeer(socket);
  }
  RawPeer(RawPeer&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  ~RawPeer() {
    if (socket_ >= 0) ::close(socket_);
  }

  // The peer may have hung up already.
  void Send(const std::string& bytes) {
    (void)::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void SendHello() {
    std::string hello;
    internal::AppendHello("test", &hello);
    Send(hello);
  }
  void Request(uint32_t channel, const ChannelKey& key, uint64_t credit_bytes) {
    std::string request;
    internal::AppendRequest(channel, {key, credit_bytes}, &request);
    Send(request);
  }
  void Credit(uint32_t channel, uint64_t bytes) {
    std::string credit;
    internal::AppendNumber(FrameType::kCredit, channel, bytes, &credit);
    Send(credit);
  }

  // Returns the next frame; nothing at the end of the connection.
  std::optional<Frame> Next() {
    std::string bytes;
    if (!ReadExactly(kFrameHeaderBytes, &bytes)) return std::nullopt;
    Frame frame;
    frame.header = internal::ReadFrameHeader(bytes.data());
    if (!ReadExactly(frame.header.payload_bytes, &frame.payload)) return std::nullopt;
    return frame;
  }
  // Reads frames up to the next of `type`.
  std::optional<Frame> Await(FrameType type) {
    while (auto frame = Next()) {
      if (frame->header.type == type) return frame;
    }
    return std::nullopt;
  }
  bool HasInput() {
    pollfd poll{socket_, POLLIN, 0};
    return ::poll(&poll, 1, 0) > 0;
  }

 private:
  bool ReadExactly(size_t size, std::string* bytes) {
    bytes->resize(size);
    for (size_t done = 0; done < size;) {
      pollfd poll{socket_, POLLIN, 0};
      if (::poll(&poll, 1, 60'000) <= 0) {
        ADD_FAILURE() << "the peer says nothing";
        return false;
      }
      const ssize_t got = ::recv(socket_, bytes->data() + done, size - done, 0);
      if (got <= 0) return false;
      done += static_cast<size_t>(got);
    }
    return true;
  }

  int socket_;
};

class DataServerProtocolTest : public ::testing::Test {
 protected:
  DataServerProtocolTest() { EXPECT_TRUE(server_.Start().ok()); }

  RawPeer Introduced() {
    RawPeer peer = RawPeer::ConnectTo(server_.port());
    peer.SendHello();
    EXPECT_EQ(peer.Next()->header.type, FrameType::kHello);
    return peer;
  }
  absl::Status ErrorFor(const std::string& bytes) {
    RawPeer peer = Introduced();
    peer.Send(bytes);
    const auto error = peer.Await(FrameType::kError);
    if (!error.has_value()) return absl::OkStatus();
    EXPECT_FALSE(peer.Next().has_value()) << "an error is the last frame";
    return internal::ParseStatus(error->payload);
  }

  ChannelRegistry registry_{size_t{1} << 20, nullptr};
  NetworkThreads threads_{1};
  DataServer server_{{.cluster_id = "test"}, &threads_, &registry_};
};

TEST_F(DataServerProtocolTest, NeverSendsMoreThanTheCreditAndOneElement) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) queue->Push(Text(random() % 300));
  RawPeer peer = Introduced();
  peer.Request(1, TestKey(0), 1000);
  int64_t credit = 1000;
  int64_t unreturned = 0;
  for (int i = 0; i < 500; ++i) {
    if (credit <= 0) {
      // A control element comes without credit, and before any further batch if there is one.
      ASSERT_FALSE(peer.HasInput());
      peer.Credit(1, static_cast<uint64_t>(unreturned));
      credit += std::exchange(unreturned, 0);
    }
    const auto frame = peer.Next();
    ASSERT_TRUE(frame.has_value());
    ASSERT_EQ(frame->header.type, FrameType::kData);
    ASSERT_GT(credit, 0);
    const auto bytes = static_cast<int64_t>(kFrameHeaderBytes + frame->payload.size());
    credit -= bytes;
    unreturned += bytes;
  }
}

TEST_F(DataServerProtocolTest, ServesChannelsInTurn) {
  for (uint32_t i = 0; i < 3; ++i) {
    const auto queue = registry_.GetOrCreate(TestKey(i));
    for (int n = 0; n < 50; ++n) queue->Push(Text(10));
  }
  RawPeer peer = RawPeer::ConnectTo(server_.port());
  std::string all;
  internal::AppendHello("test", &all);
  for (uint32_t i = 0; i < 3; ++i) internal::AppendRequest(i + 1, {TestKey(i), 1 << 20}, &all);
  peer.Send(all);
  std::vector<int> received(3, 0);
  for (int n = 0; n < 150; ++n) {
    const auto frame = peer.Await(FrameType::kData);
    ASSERT_TRUE(frame.has_value());
    ++received[frame->header.channel - 1];
  }
  EXPECT_THAT(received, ::testing::Each(50));
}

TEST_F(DataServerProtocolTest, RefusesOtherVersionsAndClustersWithAnErrorFrame) {
  std::string hello;
  internal::AppendHello("elsewhere", &hello);
  for (const bool other_version : {false, true}) {
    if (other_version) hello[kFrameHeaderBytes + 4] = 9;
    RawPeer peer = RawPeer::ConnectTo(server_.port());
    peer.Send(hello);
    const auto error = peer.Await(FrameType::kError);
    ASSERT_TRUE(error.has_value());
    EXPECT_THAT(internal::ParseStatus(error->payload).ToString(),
                HasSubstr(other_version ? "another version" : "another cluster"));
    EXPECT_FALSE(peer.Next().has_value());
  }
}

TEST_F(DataServerProtocolTest, GivesUpPeersThatBreakTheRules) {
  std::string request;
  internal::AppendRequest(1, {TestKey(0), 100}, &request);
  EXPECT_THAT(ErrorFor(request + request).ToString(), HasSubstr("channel numbers must grow"));

  std::string credit;
  internal::AppendRequest(1, {TestKey(1), 100}, &credit);
  internal::AppendNumber(FrameType::kCredit, 1, 1, &credit);
  EXPECT_THAT(ErrorFor(credit).ToString(), HasSubstr("more credit returned than was used"));

  std::string limit;
  internal::AppendRequest(1, {TestKey(2), 100}, &limit);
  internal::AppendNumber(FrameType::kLimit, 1, 0, &limit);
  EXPECT_THAT(ErrorFor(limit).ToString(), HasSubstr("a limit must be positive"));

  std::string unknown;
  internal::AppendCancel(5, &unknown);
  EXPECT_THAT(ErrorFor(unknown).ToString(), HasSubstr("never requested"));

  std::string data;
  internal::EndFrame(internal::BeginFrame(FrameType::kData, 1, &data), &data);
  EXPECT_THAT(ErrorFor(data).ToString(), HasSubstr("unexpected frame"));

  std::string large;
  EXPECT_EQ(internal::BeginFrame(FrameType::kCredit, 1, &large), 0u);
  large.append(internal::kMaxRequestPayloadBytes + 1, 'x');
  internal::EndFrame(0, &large);
  EXPECT_THAT(ErrorFor(large).ToString(), HasSubstr("too large"));
}

TEST_F(DataServerProtocolTest, TellsTheProducersOfAPeerItGivesUp) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  queue->Push(Text(1));
  RawPeer peer = Introduced();
  peer.Request(1, TestKey(0), 100);
  ASSERT_TRUE(peer.Await(FrameType::kData).has_value());
  peer.Send("anything that is not a frame");
  ASSERT_TRUE(peer.Await(FrameType::kError).has_value());
  EXPECT_EQ(queue->status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(queue->status().ToString(), HasSubstr("channel=" + ToString(TestKey(0))));
}

TEST_F(DataServerProtocolTest, SurvivesRandomBytes) {
  std::minstd_rand random(20);
  for (int round = 0; round < 200; ++round) {
    RawPeer peer = RawPeer::ConnectTo(server_.port());
    if (round % 2 == 0) peer.SendHello();
    std::string bytes;
    for (auto i = random() % 20; i > 0; --i) {
      // Half of the rounds are well-formed frames with random content.
      const bool framed = round % 4 < 2;
      if (framed) {
        const size_t begin = internal::BeginFrame(static_cast<FrameType>(random() % 12),
                                                  static_cast<uint32_t>(random() % 4), &bytes);
        for (auto n = random() % 48; n > 0; --n) bytes.push_back(static_cast<char>(random()));
        internal::EndFrame(begin, &bytes);
      } else {
        for (auto n = random() % 64; n > 0; --n) bytes.push_back(static_cast<char>(random()));
      }
    }
    peer.Send(bytes);
    if (round % 3 == 0) (void)peer.Next();
  }
  // It still serves.
  registry_.GetOrCreate(TestKey(0))->Push(Text(4));
  RawPeer peer = Introduced();
  peer.Request(1, TestKey(0), 100);
  EXPECT_TRUE(peer.Await(FrameType::kData).has_value());
}

TEST_F(DataServerProtocolTest, ClosesAConnectionThatSaysNothing) {
  DataServer server({.cluster_id = "test", .handshake_timeout = absl::Milliseconds(20)}, &threads_,
                    &registry_);
  ASSERT_TRUE(server.Start().ok());
  RawPeer peer = RawPeer::ConnectTo(server.port());
  EXPECT_TRUE(peer.Next().has_value());
  EXPECT_FALSE(peer.Next().has_value());
}

// Plays the server for a real client.
class DataClientProtocolTest : public ::testing::Test {
 protected:
  DataClientProtocolTest() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = Loopback(0);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_, 5), 0);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    target_->SetDataListener([this] { waiter_.Notify(); });
    handle_ = client_.Connect("127.0.0.1", port_, TestKey(0), target_, &TextType());
  }
  ~DataClientProtocolTest() override { ::close(listener_); }

  RawPeer Accept() { return RawPeer(::accept(listener_, nullptr, nullptr)); }
  RawPeer AcceptIntroduced() {
    RawPeer peer = Accept();
    peer.SendHello();
    EXPECT_TRUE(peer.Await(FrameType::kRequestChannel).has_value());
    return peer;
  }
  static std::string DataFrame(size_t size) {
    std::string bytes;
    const size_t begin = internal::BeginFrame(FrameType::kData, 1, &bytes);
    SerializeElement(Text(size), &bytes);
    internal::EndFrame(begin, &bytes);
    return bytes;
  }
  absl::Status BrokenStatus() {
    EXPECT_TRUE(waiter_.Until([&] {
      while (target_->Pop().has_value()) {
      }
      return !target_->status().ok();
    }));
    EXPECT_THAT(target_->status().ToString(), HasSubstr("127.0.0.1:" + std::to_string(port_)));
    EXPECT_THAT(target_->status().ToString(), HasSubstr(ToString(TestKey(0))));
    return target_->status();
  }

  Waiter waiter_;
  std::shared_ptr<ChannelQueue> target_ = std::make_shared<ChannelQueue>(100, nullptr);
  NetworkThreads threads_{1};
  DataClient client_{{.cluster_id = "test"}, &threads_};
  int listener_;
  uint16_t port_ = 0;
  ChannelHandle handle_;
};

TEST_F(DataClientProtocolTest, AConnectionCutInTheMiddleOfAFrameIsUnavailable) {
  {
    RawPeer peer = AcceptIntroduced();
    const std::string frame = DataFrame(50);
    peer.Send(frame + frame.substr(0, 20));
  }
  ASSERT_TRUE(waiter_.Until([&] { return target_->Pop().has_value(); })) << "one came whole";
  EXPECT_EQ(BrokenStatus().code(), absl::StatusCode::kUnavailable);
}

TEST_F(DataClientProtocolTest, GarbageIsDataLoss) {
  RawPeer peer = Accept();
  peer.Send("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_EQ(BrokenStatus().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DataClientProtocolTest, AnUnknownVersionIsUnavailable) {
  RawPeer peer = Accept();
  std::string hello;
  internal::AppendHello("test", &hello);
  hello[kFrameHeaderBytes + 4] = 9;
  peer.Send(hello);
  EXPECT_EQ(BrokenStatus().code(), absl::StatusCode::kUnavailable);
}

TEST_F(DataClientProtocolTest, MoreThanTheCreditIsDataLoss) {
  RawPeer peer = AcceptIntroduced();
  peer.Send(DataFrame(200) + DataFrame(1));
  ASSERT_TRUE(waiter_.Until([&] { return target_->Pop().has_value(); }));
  EXPECT_EQ(BrokenStatus().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DataClientProtocolTest, ReturnsCreditOnlyForWhatIsConsumed) {
  RawPeer peer = AcceptIntroduced();
  const std::string frame = DataFrame(80);
  peer.Send(frame);
  ASSERT_TRUE(waiter_.Until([&] { return target_->queued_bytes() == frame.size(); }));
  EXPECT_FALSE(peer.HasInput());
  EXPECT_TRUE(target_->Pop().has_value());
  const auto credit = peer.Await(FrameType::kCredit);
  ASSERT_TRUE(credit.has_value());
  EXPECT_EQ(*internal::ParseNumber(credit->payload), frame.size());
}

TEST_F(DataClientProtocolTest, ADamagedSizeTakesNoMemoryAhead) {
  RawPeer peer = AcceptIntroduced();
  std::string bytes = DataFrame(10);
  const uint32_t huge = uint32_t{1} << 31;
  bytes.replace(0, sizeof(huge), reinterpret_cast<const char*>(&huge), sizeof(huge));
  peer.Send(bytes);
  EXPECT_EQ(BrokenStatus().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace weir
