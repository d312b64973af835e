// SPDX-License-Identifier: Apache-2.0
//
// HttpLoad: a process of its own that sends requests over keep-alive connections and measures.
// RawResponder: the least a server can do: epoll, read, find the end of the head, write a fixed
// answer.
//
// The load runs in a child that is forked before any thread exists, so that the processor time of
// this process is the server's alone. Closed loop: every connection sends its next request when it
// has its answer. Open loop: requests are due at fixed times whatever happens, and latency counts
// from when they were due.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace poise::bench {

[[noreturn]] inline void Fail(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

inline double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Processor seconds of this process.
inline double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

inline void PinThisThread(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof set, &set);
}

// The processors that this process may run on, in order.
inline std::vector<int> Processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<int> all;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) all.push_back(i);
  }
  return all;
}

inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

// What the child shall do.
struct LoadOrder {
  int port = 0;
  int kind = 0;                   // which requests, and how large:
  int size = 0;                   // for MakeRequest
  std::array<char, 64> key = {};  // an API key
  int connections = 16;
  double seconds = 1;
  double rate = 0;  // requests per second in all; 0: closed loop
};

struct LoadReport {
  std::uint64_t answered = 0;
  std::uint64_t failed = 0;  // answers that are no 2xx
  double seconds = 0;
  double latency_us_p50 = 0;
  double latency_us_p99 = 0;
  double latency_us_p999 = 0;
};

// Writes a whole request into `out`.
using MakeRequest =
    std::function<void(const LoadOrder& order, std::uint64_t draw, std::string& out)>;

class HttpLoad {
 public:
  // Forks. Call it before anything starts a thread. `processor` is where the child runs; -1:
  // anywhere.
  HttpLoad(MakeRequest make, int processor) {
    std::array<int, 2> sockets{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
      Fail("socketpair");
    }
    child_ = fork();
    if (child_ < 0) Fail("fork");
    if (child_ == 0) {
      close(sockets[0]);
      if (processor >= 0) PinThisThread(processor);
      Serve(sockets[1], make);
      _exit(0);
    }
    close(sockets[1]);
    socket_ = sockets[0];
  }
  ~HttpLoad() {
    close(socket_);
    waitpid(child_, nullptr, 0);
  }
  HttpLoad(const HttpLoad&) = delete;
  HttpLoad& operator=(const HttpLoad&) = delete;

  LoadReport Run(const LoadOrder& order) {
    LoadReport report;
    if (write(socket_, &order, sizeof order) != sizeof order) Fail("load child");
    if (read(socket_, &report, sizeof report) != sizeof report) Fail("load child");
    return report;
  }

 private:
  struct Client {
    int socket = -1;
    std::string out;
    std::size_t sent = 0;
    std::string in;
    double due = 0;  // when the request under way was due
    bool is_busy = false;
  };

  static std::uint64_t Draw(std::uint64_t& state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }

  static void Serve(int orders, const MakeRequest& make) {
    LoadOrder order;
    std::uint64_t seed = 0x9e3779b97f4a7c15;
    while (read(orders, &order, sizeof order) == sizeof order) {
      const LoadReport report = Measure(order, make, seed);
      if (write(orders, &report, sizeof report) != sizeof report) return;
    }
  }

  static int Connect(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      Fail("connect");
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
  }

  static void Push(Client& client) {
    while (client.sent < client.out.size()) {
      const ssize_t size = send(client.socket, client.out.data() + client.sent,
                                client.out.size() - client.sent, MSG_NOSIGNAL);
      if (size < 0) {
        if (errno == EAGAIN) return;
        Fail("send");
      }
      client.sent += static_cast<std::size_t>(size);
    }
  }

  // The size of the whole answer at the start of `in`, 0 if it is not all there.
  static std::size_t AnswerSize(const std::string& in) {
    const std::size_t head = in.find("\r\n\r\n");
    if (head == std::string::npos) return 0;
    const std::size_t field = in.find("Content-Length: ");
    std::size_t body = 0;
    if (field < head) body = std::strtoull(in.c_str() + field + 16, nullptr, 10);
    return in.size() >= head + 4 + body ? head + 4 + body : 0;
  }

  static LoadReport Measure(const LoadOrder& order, const MakeRequest& make, std::uint64_t& seed) {
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    std::vector<Client> clients(static_cast<std::size_t>(order.connections));
    for (std::size_t i = 0; i < clients.size(); ++i) {
      clients[i].socket = Connect(order.port);
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLET;
      event.data.u64 = i;
      epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].socket, &event);
    }
    LoadReport report;
    std::vector<float> latencies;
    latencies.reserve(1 << 20);
    std::vector<std::size_t> idle;
    const double start = Now();
    const double stop = start + order.seconds;
    std::uint64_t due_count = 0;  // open loop: requests sent so far
    const auto begin = [&](std::size_t i, double due) {
      Client& client = clients[i];
      client.out.clear();
      client.sent = 0;
      make(order, Draw(seed), client.out);
      client.due = due;
      client.is_busy = true;
      Push(client);
    };
    for (std::size_t i = 0; i < clients.size(); ++i) {
      if (order.rate > 0) {
        idle.push_back(i);
      } else {
        begin(i, Now());
      }
    }
    std::array<epoll_event, 256> events;
    std::array<char, 65536> chunk;
    std::size_t busy = order.rate > 0 ? 0 : clients.size();
    while (true) {
      double now = Now();
      if (order.rate > 0) {
        while (!idle.empty() && now < stop) {
          const double due = start + static_cast<double>(due_count) / order.rate;
          if (due > now) break;
          ++due_count;
          const std::size_t i = idle.back();
          idle.pop_back();
          begin(i, due);
          ++busy;
        }
      }
      if (now >= stop && busy == 0) break;
      // An open loop polls: sleeping for less than a millisecond is not to be had.
      const int count = epoll_wait(epoll, events.data(), events.size(), order.rate > 0 ? 0 : 1000);
      for (int e = 0; e < count; ++e) {
        const std::size_t i = events[static_cast<std::size_t>(e)].data.u64;
        Client& client = clients[i];
        if (events[static_cast<std::size_t>(e)].events & EPOLLOUT) Push(client);
        if (!(events[static_cast<std::size_t>(e)].events & EPOLLIN)) continue;
        while (true) {
          const ssize_t size = recv(client.socket, chunk.data(), chunk.size(), 0);
          if (size == 0) Fail("the server closed a connection");
          if (size < 0) break;
          client.in.append(chunk.data(), static_cast<std::size_t>(size));
          if (static_cast<std::size_t>(size) < chunk.size()) break;
        }
        const std::size_t answer = AnswerSize(client.in);
        if (answer == 0 || !client.is_busy) continue;
        now = Now();
        if (client.in.compare(9, 1, "2") != 0) {
          if (report.failed++ == 0) {
            std::fprintf(stderr, "first failed answer: %s\n", client.in.substr(0, 600).c_str());
          }
        }
        client.in.erase(0, answer);
        client.is_busy = false;
        --busy;
        if (now < stop) {
          ++report.answered;
          if (latencies.size() < latencies.capacity()) {
            latencies.push_back(static_cast<float>((now - client.due) * 1e6));
          }
        }
        if (order.rate > 0) {
          idle.push_back(i);
        } else if (now < stop) {
          begin(i, now);
          ++busy;
        }
      }
    }
    report.seconds = order.seconds;
    for (Client& client : clients) close(client.socket);
    close(epoll);
    std::sort(latencies.begin(), latencies.end());
    const auto quantile = [&](double q) -> double {
      if (latencies.empty()) return 0;
      return latencies[static_cast<std::size_t>(q * static_cast<double>(latencies.size() - 1))];
    };
    report.latency_us_p50 = quantile(0.5);
    report.latency_us_p99 = quantile(0.99);
    report.latency_us_p999 = quantile(0.999);
    return report;
  }

  pid_t child_ = -1;
  int socket_ = -1;
};

// One thread, one epoll: answers every head with `body`.
class RawResponder {
 public:
  explicit RawResponder(std::size_t body_bytes) {
    answer_ = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
              std::to_string(body_bytes) + "\r\n\r\n" + std::string(body_bytes, 'x');
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        listen(listener_, 1024) != 0) {
      Fail("listen");
    }
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    stop_ = eventfd(0, EFD_CLOEXEC);
    thread_ = std::thread([this] { Run(); });
  }
  ~RawResponder() {
    const std::uint64_t one = 1;
    if (write(stop_, &one, sizeof one) != sizeof one) std::abort();
    thread_.join();
    close(listener_);
    close(stop_);
  }
  RawResponder(const RawResponder&) = delete;
  RawResponder& operator=(const RawResponder&) = delete;
  int port() const { return port_; }

 private:
  void Run() {
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    const auto watch = [&](int fd) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.fd = fd;
      epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    };
    watch(listener_);
    watch(stop_);
    std::array<epoll_event, 256> events;
    std::array<char, 8192> in;
    while (true) {
      const int count = epoll_wait(epoll, events.data(), events.size(), -1);
      for (int e = 0; e < count; ++e) {
        const int fd = events[static_cast<std::size_t>(e)].data.fd;
        if (fd == stop_) {
          close(epoll);
          return;
        }
        if (fd == listener_) {
          const int client = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
          const int on = 1;
          setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          watch(client);
          continue;
        }
        const ssize_t size = recv(fd, in.data(), in.size(), 0);
        if (size <= 0) {
          close(fd);
          continue;
        }
        // A request of the load comes whole; its end is looked for as a server must.
        const std::string_view text(in.data(), static_cast<std::size_t>(size));
        if (!text.ends_with("\r\n\r\n") && text.find("\r\n\r\n") == std::string_view::npos)
          continue;
        if (send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL) < 0) close(fd);
      }
    }
  }

  std::string answer_;
  int listener_ = -1;
  int stop_ = -1;
  int port_ = 0;
  std::thread thread_;
};

struct Measured {
  std::vector<double> per_second;
  std::vector<double> cpu_us;
};

// One closed-loop round; processor time is this process's.
inline void MeasureRound(HttpLoad& load, const LoadOrder& order, Measured& out) {
  const double cpu = CpuSeconds();
  const LoadReport report = load.Run(order);
  const double spent = CpuSeconds() - cpu;
  if (report.failed > 0) {
    std::fprintf(stderr, "%llu answers failed\n", static_cast<unsigned long long>(report.failed));
    std::exit(1);
  }
  out.per_second.push_back(static_cast<double>(report.answered) / report.seconds);
  out.cpu_us.push_back(spent * 1e6 / static_cast<double>(report.answered));
}

}  // namespace poise::bench
