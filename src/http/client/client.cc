// SPDX-License-Identifier: Apache-2.0
#include "http/client/client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>

namespace poise {
namespace {

constexpr std::size_t kMaxLineBytes = 64 * 1024;
constexpr std::size_t kMaxHeaders = 256;
constexpr std::size_t kReadBytes = 64 * 1024;

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

Status Malformed(std::string_view what) {
  return DataLoss(fmt::format("the answer is not HTTP/1.1: {}", what));
}

bool ParseSize(std::string_view text, int base, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc{} && end == text.data() + text.size();
}

// A header that holds a line break would be two headers.
bool IsOneLine(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

}  // namespace

std::string_view HttpAnswer::Header(std::string_view name) const {
  for (const auto& [header, value] : headers) {
    if (header == name) return value;
  }
  return {};
}

void HttpClient::Close() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
  in_.clear();
}

Status HttpClient::WaitFor(short what) const {
  pollfd wait{socket_, what, 0};
  while (true) {
    const auto millis =
        std::min<std::int64_t>(options_.timeout.count(), std::numeric_limits<int>::max());
    const int ready = poll(&wait, 1, static_cast<int>(millis));
    if (ready > 0) return Status::Ok();
    if (ready == 0) {
      return DeadlineExceeded(fmt::format("{}:{} did not answer within {} ms", options_.host,
                                          options_.port, options_.timeout.count()));
    }
    if (errno != EINTR) return Unavailable(fmt::format("poll: {}", std::strerror(errno)));
  }
}

Status HttpClient::Connect() {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(options_.host.c_str(), std::to_string(options_.port).c_str(), &hints, &found);
  if (error != 0) {
    return InvalidArgument(fmt::format("{}: {}", options_.host, gai_strerror(error)));
  }
  Status status = Unavailable(options_.host + ": no address");
  for (const addrinfo* at = found; at != nullptr && socket_ < 0; at = at->ai_next) {
    socket_ =
        socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
    if (socket_ < 0) continue;
    status = Status::Ok();
    int failure = connect(socket_, at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;
    if (failure == EINPROGRESS) {
      status = WaitFor(POLLOUT);
      socklen_t size = sizeof failure;
      if (status.ok()) getsockopt(socket_, SOL_SOCKET, SO_ERROR, &failure, &size);
    }
    if (status.ok() && failure != 0) {
      status = Unavailable(
          fmt::format("{}:{}: {}", options_.host, options_.port, std::strerror(failure)));
    }
    if (!status.ok()) Close();
  }
  freeaddrinfo(found);
  if (!status.ok()) return status;
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  is_fresh_ = true;
  return Status::Ok();
}

Status HttpClient::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      POISE_RETURN_IF_ERROR(WaitFor(POLLOUT));
    } else if (errno != EINTR) {
      return Unavailable(fmt::format("sending failed: {}", std::strerror(errno)));
    }
  }
  return Status::Ok();
}

Status HttpClient::ReadMore() {
  const std::size_t before = in_.size();
  while (true) {
    in_.resize(before + kReadBytes);
    const ssize_t got = recv(socket_, in_.data() + before, kReadBytes, 0);
    const int failure = errno;
    in_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got > 0) return Status::Ok();
    if (got == 0) return Unavailable("the server closed the connection");
    if (failure == EAGAIN || failure == EWOULDBLOCK) {
      POISE_RETURN_IF_ERROR(WaitFor(POLLIN));
    } else if (failure != EINTR) {
      return Unavailable(fmt::format("receiving failed: {}", std::strerror(failure)));
    }
  }
}

Result<std::string> HttpClient::ReadLine() {
  std::size_t searched = 0;
  while (true) {
    const std::size_t end = in_.find("\r\n", searched);
    if (end != std::string::npos) {
      std::string line = in_.substr(0, end);
      in_.erase(0, end + 2);
      return line;
    }
    if (in_.size() > kMaxLineBytes) return Malformed("a line without an end");
    searched = in_.empty() ? 0 : in_.size() - 1;
    POISE_RETURN_IF_ERROR(ReadMore());
  }
}

Result<HttpAnswer> HttpClient::ReadHead() {
  POISE_ASSIGN_OR_RETURN(const std::string line, ReadLine());
  HttpAnswer answer;
  std::uint64_t status = 0;
  const bool is_http = line.size() >= 12 && line.starts_with("HTTP/1.") && line[8] == ' ' &&
                       (line.size() == 12 || line[12] == ' ') &&
                       ParseSize(std::string_view(line).substr(9, 3), 10, status) && status >= 100;
  if (!is_http) return Malformed("the status line");
  answer.status = static_cast<int>(status);
  while (true) {
    POISE_ASSIGN_OR_RETURN(const std::string header, ReadLine());
    if (header.empty()) return answer;
    const std::size_t colon = header.find(':');
    if (colon == std::string::npos || colon == 0) return Malformed("a header");
    if (answer.headers.size() == kMaxHeaders) return Malformed("too many headers");
    answer.headers.emplace_back(Lower(header.substr(0, colon)),
                                Trim(std::string_view(header).substr(colon + 1)));
  }
}

Status HttpClient::ReadSized(std::uint64_t size, std::string& body) {
  if (size > options_.max_body_bytes - body.size()) {
    return DataLoss(fmt::format("the answer is larger than {} bytes", options_.max_body_bytes));
  }
  while (size > 0) {
    if (in_.empty()) POISE_RETURN_IF_ERROR(ReadMore());
    const std::size_t count = std::min<std::uint64_t>(size, in_.size());
    body.append(in_, 0, count);
    in_.erase(0, count);
    size -= count;
  }
  return Status::Ok();
}

Status HttpClient::ReadChunks(std::string& body) {
  while (true) {
    POISE_ASSIGN_OR_RETURN(const std::string line, ReadLine());
    std::uint64_t size = 0;
    if (!ParseSize(Trim(std::string_view(line).substr(0, line.find(';'))), 16, size)) {
      return Malformed("the size of a chunk");
    }
    if (size == 0) break;
    POISE_RETURN_IF_ERROR(ReadSized(size, body));
    POISE_ASSIGN_OR_RETURN(const std::string end, ReadLine());
    if (!end.empty()) return Malformed("the end of a chunk");
  }
  while (true) {
    POISE_ASSIGN_OR_RETURN(const std::string trailer, ReadLine());
    if (trailer.empty()) return Status::Ok();
  }
}

Status HttpClient::ReadToEnd(std::string& body) {
  while (true) {
    POISE_RETURN_IF_ERROR(ReadSized(in_.size(), body));
    const Status status = ReadMore();
    if (status.code() == StatusCode::kUnavailable) return Status::Ok();
    POISE_RETURN_IF_ERROR(status);
  }
}

Result<HttpAnswer> HttpClient::ReadAnswer(std::string_view method) {
  POISE_ASSIGN_OR_RETURN(HttpAnswer answer, ReadHead());
  while (answer.status < 200) {
    POISE_ASSIGN_OR_RETURN(answer, ReadHead());
  }
  is_fresh_ = false;
  bool is_closing = Lower(answer.Header("connection")) == "close";
  const bool has_body = method != "HEAD" && answer.status != 204 && answer.status != 304;
  if (has_body && !answer.Header("transfer-encoding").empty()) {
    if (Lower(answer.Header("transfer-encoding")) != "chunked") {
      return Malformed("an unknown transfer encoding");
    }
    POISE_RETURN_IF_ERROR(ReadChunks(answer.body));
  } else if (has_body && !answer.Header("content-length").empty()) {
    std::uint64_t size = 0;
    if (!ParseSize(answer.Header("content-length"), 10, size)) {
      return Malformed("the content length");
    }
    POISE_RETURN_IF_ERROR(ReadSized(size, answer.body));
  } else if (has_body) {
    POISE_RETURN_IF_ERROR(ReadToEnd(answer.body));
    is_closing = true;
  }
  if (is_closing) Close();
  return answer;
}

Result<HttpAnswer> HttpClient::Send(std::string_view method, std::string_view target,
                                    std::string_view body) {
  if (target.empty() || target.front() != '/' || !IsOneLine(target) ||
      target.find(' ') != std::string_view::npos) {
    return InvalidArgument("target: must begin with / and be percent-encoded");
  }
  std::string request = fmt::format("{} {} HTTP/1.1\r\nHost: {}:{}\r\n", method, target,
                                    options_.host, options_.port);
  for (const auto& [name, value] : options_.headers) {
    if (!IsOneLine(name) || !IsOneLine(value)) {
      return InvalidArgument("headers: a header must be one line");
    }
    request += fmt::format("{}: {}\r\n", name, value);
  }
  if (!body.empty()) request += "Content-Type: application/json\r\n";
  if (!body.empty() || method != "GET")
    request += fmt::format("Content-Length: {}\r\n", body.size());
  request += "\r\n";
  request += body;

  while (true) {
    if (socket_ < 0) POISE_RETURN_IF_ERROR(Connect());
    const bool may_be_stale = !is_fresh_;
    Status status = Write(request);
    bool has_begun = false;
    if (status.ok()) {
      // Bytes left over from before would be taken for the answer.
      in_.clear();
      status = ReadMore();
      has_begun = status.ok();
    }
    if (has_begun) {
      Result<HttpAnswer> answer = ReadAnswer(method);
      if (!answer.ok()) Close();
      return answer;
    }
    Close();
    if (!may_be_stale || status.code() != StatusCode::kUnavailable) return status;
  }
}

std::string EncodeSegment(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (is_plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
  }
  return out;
}

}  // namespace poise
