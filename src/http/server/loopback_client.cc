// SPDX-License-Identifier: Apache-2.0
#include "http/server/loopback_client.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

namespace poise {

LoopbackClient::LoopbackClient(std::uint16_t port) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{.tv_sec = 60, .tv_usec = 0};  // a test that hangs should say where
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(socket_);
    socket_ = -1;
  }
}

LoopbackClient::~LoopbackClient() {
  if (socket_ >= 0) ::close(socket_);
}

bool LoopbackClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

bool LoopbackClient::Fill() {
  std::array<char, 65536> chunk;
  const ssize_t size = ::recv(socket_, chunk.data(), chunk.size(), 0);
  if (size <= 0) return false;
  in_.append(chunk.data(), static_cast<std::size_t>(size));
  return true;
}

LoopbackAnswer LoopbackClient::Receive(bool is_head) {
  std::size_t end;
  while ((end = in_.find("\r\n\r\n")) == std::string::npos) {
    if (!Fill()) return {};
  }
  LoopbackAnswer answer;
  const std::string head = in_.substr(0, end + 2);
  in_.erase(0, end + 4);
  answer.status = std::atoi(head.substr(head.find(' ') + 1).c_str());
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const std::size_t line_end = head.find("\r\n", at);
    const std::string line = head.substr(at, line_end - at);
    const std::size_t colon = line.find(": ");
    std::string name = line.substr(0, colon);
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    answer.headers[name] = line.substr(colon + 2);
    at = line_end + 2;
  }
  const std::string length = answer.headers["content-length"];
  if (is_head || length.empty()) return answer;
  const std::size_t size = std::strtoull(length.c_str(), nullptr, 10);
  while (in_.size() < size) {
    if (!Fill()) return {};
  }
  answer.body = in_.substr(0, size);
  in_.erase(0, size);
  return answer;
}

std::string LoopbackClient::ReceiveAll() {
  while (Fill()) {
  }
  return std::exchange(in_, {});
}

void LoopbackClient::CloseSending() { ::shutdown(socket_, SHUT_WR); }

LoopbackAnswer LoopbackClient::Call(std::string_view method, std::string_view target,
                                    std::string_view body, std::string_view extra_headers) {
  std::string request =
      fmt::format("{} {} HTTP/1.1\r\nHost: test\r\n{}", method, target, extra_headers);
  if (!body.empty() || method == "POST" || method == "PUT") {
    request += fmt::format("Content-Length: {}\r\n", body.size());
  }
  request += "\r\n";
  request += body;
  Send(request);  // an answer may come before everything is sent
  return Receive(method == "HEAD");
}

}  // namespace poise
