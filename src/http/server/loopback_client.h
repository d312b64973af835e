// SPDX-License-Identifier: Apache-2.0
//
// LoopbackClient: for tests: sends bytes to a port of this machine and reads what comes back.
//
// Knows no more of HTTP than where an answer ends, so that tests can send anything.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace poise {

struct LoopbackAnswer {
  int status = 0;                              // 0: the connection ended before an answer
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

class LoopbackClient {
 public:
  explicit LoopbackClient(std::uint16_t port);
  ~LoopbackClient();
  LoopbackClient(const LoopbackClient&) = delete;
  LoopbackClient& operator=(const LoopbackClient&) = delete;

  bool is_connected() const { return socket_ >= 0; }
  // False once the other side has gone.
  bool Send(std::string_view bytes);
  LoopbackAnswer Receive(bool is_head = false);
  // Everything until the other side closes.
  std::string ReceiveAll();
  void CloseSending();

  LoopbackAnswer Call(std::string_view method, std::string_view target, std::string_view body = {},
                      std::string_view extra_headers = {});

 private:
  bool Fill();

  int socket_ = -1;
  std::string in_;
};

}  // namespace poise
