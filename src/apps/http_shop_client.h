// SPDX-License-Identifier: Apache-2.0
//
// HttpShopClient: the demo's shoppers at the real door: recommendations, events and new items over
// /api/v1, as any shop would send them.
//
// Errors   The connection's; an HTTP status that is no success becomes kUnavailable with the
//          problem's detail.
// Threads  One thread at a time.
#pragma once

#include <string>

#include "http/client/client.h"
#include "worlds/shopper_driver.h"

namespace poise {

class HttpShopClient final : public ShopClient {
 public:
  // `key`: an API key with the scopes ingest and recommend; empty: the server asks for none.
  HttpShopClient(std::string host, int port, const std::string& key);

  Result<ShopSlate> Recommend(const std::string& user_id, int slots) override;
  Status SendEvents(std::span<const Event> events) override;
  Status PutItem(const ItemRecord& item) override;
  // In batches.
  Status PutItems(std::span<const ItemRecord> items);

 private:
  HttpClient client_;
};

}  // namespace poise
