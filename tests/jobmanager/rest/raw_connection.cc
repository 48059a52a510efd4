#include "tests/jobmanager/rest/raw_connection.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>

#include "runtime/base/strings.h"

namespace weir {

RawConnection::RawConnection(uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
  const timeval timeout{.tv_sec = 10, .tv_usec = 0};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ADD_FAILURE() << "cannot connect to port " << port;
  }
}

RawConnection::~RawConnection() {
  if (socket_ >= 0) close(socket_);
}

bool RawConnection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool RawConnection::ReadMore() {
  std::array<char, 16384> buffer{};
  const ssize_t size = recv(socket_, buffer.data(), buffer.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    ADD_FAILURE() << "the server sent nothing for ten seconds";
  }
  if (size <= 0) return false;
  received_.append(buffer.data(), static_cast<size_t>(size));
  return true;
}

RawAnswer RawConnection::Receive(bool head_only) {
  size_t head_end = received_.find("\r\n\r\n");
  while (head_end == std::string::npos) {
    if (!ReadMore()) return {};
    head_end = received_.find("\r\n\r\n");
  }
  RawAnswer answer;
  const std::string head = received_.substr(0, head_end);
  received_.erase(0, head_end + 4);
  for (std::string_view line : StrSplit(head, '\n')) {
    const size_t colon = line.find(": ");
    if (line.starts_with("HTTP/1.")) {
      answer.status = std::stoi(std::string(line.substr(9, 3)));
    } else if (colon != std::string_view::npos) {
      std::string name(line.substr(0, colon));
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      answer.headers[name] = StripWhitespace(line.substr(colon + 2));
    }
  }
  if (head_only || answer.status == 100) return answer;
  const size_t size = std::stoul(answer.headers["content-length"]);
  while (received_.size() < size) {
    if (!ReadMore()) return {};
  }
  answer.body = received_.substr(0, size);
  received_.erase(0, size);
  return answer;
}

bool RawConnection::IsClosedByServer() {
  while (ReadMore()) {
  }
  return true;
}

void RawConnection::Reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(socket_);
  socket_ = -1;
}

}  // namespace weir
