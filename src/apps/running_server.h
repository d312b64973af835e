// SPDX-License-Identifier: Apache-2.0
//
// RunningServer: an engine behind its HTTP door, until told to stop.
#pragma once

#include <memory>
#include <string>

#include "apps/command.h"
#include "http/api/api.h"
#include "http/api/keys.h"
#include "http/server/server.h"

namespace poise {

class RunningServer {
 public:
  // Opens the data directory, makes an administrator's key if there is none, and listens.
  static Result<std::unique_ptr<RunningServer>> Start(const Configuration& configuration);
  // Answers what is under way, then closes the engine.
  ~RunningServer();

  Engine& engine() { return local_->engine(); }
  const Clock& clock() const { return local_->clock(); }
  std::uint16_t port() const { return server_->port(); }
  std::string url() const;
  // The key that was made at this start; empty if there was one already.
  const std::string& new_key() const { return new_key_; }
  KeyStore& keys() { return *keys_; }

 private:
  RunningServer() = default;

  std::unique_ptr<LocalEngine> local_;
  std::unique_ptr<KeyStore> keys_;
  std::unique_ptr<ApiHandler> handler_;
  std::unique_ptr<HttpServer> server_;
  std::string address_;
  std::string new_key_;
};

// Blocks SIGINT and SIGTERM in this thread and those it starts from now on; call it first.
void BlockStopSignals();
// Returns when one of them came.
void WaitForStopSignal();
// Returns true when one of them came, false after `timeout`.
bool WaitForStopSignal(std::chrono::milliseconds timeout);

}  // namespace poise
