// SPDX-License-Identifier: Apache-2.0
//
// ServedEngine: the whole product in this process, as `poise serve` wires it, on one server thread.
#pragma once

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "engine/engine.h"
#include "http/api/api.h"
#include "http/server/server.h"
#include "http_load.h"
#include "metrics/metrics.h"
#include "storage/env.h"

namespace poise::bench {

template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) Fail(result.status().ToString());
  return std::move(*result);
}
inline void Must(const Status& status) {
  if (!status.ok()) Fail(status.ToString());
}

class ServedEngine {
 public:
  // The folder is made anew, and removed at the end.
  ServedEngine(Configuration configuration, const std::string& folder)
      : folder_(folder), configuration_(std::move(configuration)) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    configuration_.data_dir = folder_;
    configuration_.server.port = 0;
    configuration_.server.threads = 1;
    configuration_.limits.requests_per_second = 1e7;
    configuration_.limits.burst = 1e7;
    configuration_.training.enabled = false;
    engine_ = Must(Engine::Open(configuration_, env_, clock_, metrics_));
  }
  ~ServedEngine() {
    server_.reset();
    handler_.reset();
    if (const Status closed = engine_->Close(); !closed.ok()) {
      std::fprintf(stderr, "%s\n", closed.ToString().c_str());
    }
    engine_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void Serve() {
    engine_->StartBackground();
    keys_ = Must(KeyStore::Open(engine_->tables(), clock_, ApiOptionsOf(configuration_).limits));
    key_ = Must(keys_->Create("bench", Bit(Scope::kAdmin))).secret;
    handler_ = std::make_unique<ApiHandler>(*engine_, keys_.get(), ApiOptionsOf(configuration_),
                                            clock_, metrics_);
    server_ =
        Must(HttpServer::Listen(HttpServerOptionsOf(configuration_), *handler_, clock_, metrics_));
  }

  // Where to send, and with which key.
  void Address(LoadOrder& order) const {
    order.port = server_->port();
    std::strncpy(order.key.data(), key_.c_str(), order.key.size() - 1);
  }
  Engine& engine() { return *engine_; }
  const Clock& clock() const { return clock_; }

 private:
  std::string folder_;
  Configuration configuration_;
  SystemClock clock_;
  MetricsRegistry metrics_;
  PosixEnv env_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<KeyStore> keys_;
  std::string key_;
  std::unique_ptr<ApiHandler> handler_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace poise::bench
