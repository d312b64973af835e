// SPDX-License-Identifier: Apache-2.0
#include "apps/running_server.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <cerrno>

#include "base/log.h"

namespace poise {
namespace {

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

Result<std::unique_ptr<RunningServer>> RunningServer::Start(const Configuration& configuration) {
  auto running = std::unique_ptr<RunningServer>(new RunningServer());
  POISE_ASSIGN_OR_RETURN(running->local_, LocalEngine::Open(configuration));
  LocalEngine& local = *running->local_;
  const LimitsSection& limits = configuration.limits;
  POISE_ASSIGN_OR_RETURN(running->keys_,
                         KeyStore::Open(local.engine().tables(), local.clock(),
                                        {limits.requests_per_second, limits.burst}));
  if (configuration.server.authentication && running->keys_->empty()) {
    POISE_ASSIGN_OR_RETURN(const NewApiKey made,
                           running->keys_->Create("first", Bit(Scope::kAdmin)));
    running->new_key_ = made.secret;
  }
  running->handler_ =
      std::make_unique<ApiHandler>(local.engine(), running->keys_.get(),
                                   ApiOptionsOf(configuration), local.clock(), local.metrics());
  POISE_ASSIGN_OR_RETURN(running->server_,
                         HttpServer::Listen(HttpServerOptionsOf(configuration), *running->handler_,
                                            local.clock(), local.metrics()));
  running->address_ = configuration.server.address;
  local.engine().StartBackground();
  return running;
}

RunningServer::~RunningServer() {
  if (server_ != nullptr) server_->Stop();
}

std::string RunningServer::url() const {
  const bool is_v6 = address_.find(':') != std::string::npos;
  return fmt::format("http://{}{}{}:{}", is_v6 ? "[" : "", address_, is_v6 ? "]" : "", port());
}

void BlockStopSignals() {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void WaitForStopSignal() {
  const sigset_t signals = StopSignals();
  int signal = 0;
  sigwait(&signals, &signal);
  LogInfo("stopping: answering what is under way and saving state");
}

bool WaitForStopSignal(std::chrono::milliseconds timeout) {
  const sigset_t signals = StopSignals();
  const timespec limit{.tv_sec = timeout.count() / 1000,
                       .tv_nsec = timeout.count() % 1000 * 1'000'000};
  return sigtimedwait(&signals, nullptr, &limit) > 0;
}

}  // namespace poise
