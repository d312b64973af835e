// SPDX-License-Identifier: Apache-2.0
#include "http/api/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "crypto/keyed_hash.h"
#include "crypto/random.h"
#include "domain/text.h"
#include "json/reader.h"
#include "json/writer.h"
#include "storage/table.h"

namespace poise {

namespace {

constexpr std::array<std::string_view, kScopeCount> kScopeNames = {"ingest", "recommend", "read",
                                                                   "admin"};
constexpr std::string_view kPrefix = "poise_";
constexpr std::size_t kSecretBytes = 6 + 43;  // 256 bits in base64
constexpr std::size_t kMaxNameBytes = 200;
constexpr std::size_t kMaxKeys = 10'000;

std::string Base64Url(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  std::uint32_t word = 0;
  int bits = 0;
  for (const char c : bytes) {
    word = (word << 8) | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6; bits -= 6) out += kDigits[(word >> (bits - 6)) & 63];
  }
  if (bits > 0) out += kDigits[(word << (6 - bits)) & 63];
  return out;
}

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

bool FromHex(std::string_view text, std::span<std::uint8_t> out) {
  if (text.size() != 2 * out.size()) return false;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = digit(text[2 * i]);
    const int low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(16 * high + low);
  }
  return true;
}

std::string_view View(const std::array<std::uint8_t, 32>& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

}  // namespace

std::string_view ScopeName(Scope scope) { return kScopeNames[static_cast<std::size_t>(scope)]; }

Result<ScopeMask> ParseScopes(const std::vector<std::string>& names) {
  ScopeMask mask = 0;
  for (const std::string& name : names) {
    const auto found = std::find(kScopeNames.begin(), kScopeNames.end(), name);
    if (found == kScopeNames.end()) {
      return InvalidArgument(fmt::format("scopes: unknown scope \"{}\"; known: {}",
                                         name.substr(0, 100), fmt::join(kScopeNames, ", ")));
    }
    mask |= static_cast<ScopeMask>(1U << (found - kScopeNames.begin()));
  }
  if (mask == 0) {
    return InvalidArgument(
        fmt::format("scopes: at least one is needed of {}", fmt::join(kScopeNames, ", ")));
  }
  return mask;
}

std::vector<std::string> ScopeNames(ScopeMask mask) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kScopeCount; ++i) {
    if ((mask >> i) & 1) names.emplace_back(kScopeNames[i]);
  }
  return names;
}

Result<std::unique_ptr<KeyStore>> KeyStore::Open(Tables& tables, const Clock& clock,
                                                 KeyLimits limits) {
  if (!(limits.requests_per_second > 0) || !(limits.burst >= 1)) {
    return InvalidArgument("requests per second must be above 0, and the burst at least 1");
  }
  auto store = std::unique_ptr<KeyStore>(new KeyStore(tables, clock, limits));
  POISE_ASSIGN_OR_RETURN(const std::vector<TableRow> stored, tables.Scan(kTable, "", kMaxKeys));
  Rows rows;
  for (const TableRow& stored_row : stored) {
    Row row;
    POISE_RETURN_IF_ERROR(Decode(stored_row.key, stored_row.value, row));
    row.bucket = std::make_shared<RateBucket>(limits.requests_per_second, limits.burst);
    rows.push_back(std::move(row));
  }
  store->PublishSorted(std::move(rows));
  return store;
}

std::string KeyStore::Encode(const Row& row) {
  JsonWriter json;
  json.BeginObject()
      .Field("name", row.key.name)
      .Field("scopes", ScopeNames(row.key.scopes))
      .Field("created", FormatTimestamp(row.key.created))
      .Field("hash", Hex(View(row.hash)))
      .EndObject();
  return json.Take();
}

Status KeyStore::Decode(std::string_view id, std::string_view text, Row& out) {
  const auto damaged = [&](std::string_view why) {
    return DataLoss(fmt::format("API key {} cannot be read: {}", id, why));
  };
  const auto document = JsonDocument::Parse(text);
  if (!document.ok()) return damaged(document.status().message());
  std::vector<std::string> scopes;
  std::string created;
  std::string hash;
  ObjectReader reader(document->root());
  reader.Required("name", out.key.name)
      .Required("scopes", scopes)
      .Required("created", created)
      .Required("hash", hash);
  if (const Status status = reader.Finish(); !status.ok()) return damaged(status.message());
  const auto mask = ParseScopes(scopes);
  const auto time = ParseTimestamp(created);
  if (!mask.ok()) return damaged(mask.status().message());
  if (!time.ok()) return damaged(time.status().message());
  if (!FromHex(hash, out.hash)) return damaged("hash: expected 64 hexadecimal digits");
  out.key.id = id;
  out.key.scopes = *mask;
  out.key.created = *time;
  return Status::Ok();
}

void KeyStore::PublishSorted(Rows rows) {
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.hash < b.hash; });
  rows_.Publish(std::make_shared<const Rows>(std::move(rows)));
}

Result<NewApiKey> KeyStore::Create(std::string_view name, ScopeMask scopes) {
  POISE_RETURN_IF_ERROR(ValidateText(name, kMaxNameBytes, TextLines::kOne, "name"));
  const std::lock_guard lock(writing_);
  Rows rows = *rows_.Load();
  if (rows.size() >= kMaxKeys) {
    return FailedPrecondition(fmt::format("there are {} keys already; revoke some", kMaxKeys));
  }
  NewApiKey created;
  created.secret = std::string(kPrefix) + Base64Url(RandomKey());
  std::array<std::uint8_t, 6> id;
  RandomBytes(id);
  Row row;
  row.key = {.id = "key_" + Hex({reinterpret_cast<const char*>(id.data()), id.size()}),
             .name = std::string(name),
             .scopes = scopes,
             .created = clock_.Now()};
  row.hash = HashSecret(created.secret);
  row.bucket = std::make_shared<RateBucket>(limits_.requests_per_second, limits_.burst);
  POISE_RETURN_IF_ERROR(tables_.Put(kTable, row.key.id, Encode(row)));
  created.key = row.key;
  rows.push_back(std::move(row));
  PublishSorted(std::move(rows));
  return created;
}

Status KeyStore::Revoke(std::string_view id) {
  const std::lock_guard lock(writing_);
  Rows rows = *rows_.Load();
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.key.id == id; });
  if (found == rows.end()) return NotFound("keyId: no such key");
  POISE_RETURN_IF_ERROR(tables_.Delete(kTable, id));
  rows.erase(found);
  PublishSorted(std::move(rows));
  return Status::Ok();
}

std::vector<ApiKey> KeyStore::List() const {
  std::vector<ApiKey> keys;
  for (const Row& row : *rows_.Load()) keys.push_back(row.key);
  std::sort(keys.begin(), keys.end(), [](const ApiKey& a, const ApiKey& b) {
    return std::tie(a.created, a.id) < std::tie(b.created, b.id);
  });
  return keys;
}

bool KeyStore::empty() const { return rows_.Load()->empty(); }

std::optional<KeyStore::Grant> KeyStore::Authenticate(std::string_view secret) const {
  if (secret.size() != kSecretBytes || !secret.starts_with(kPrefix)) return std::nullopt;
  const Hash hash = HashSecret(secret);
  const std::shared_ptr<const Rows> rows = rows_.Load();
  // The search compares hashes of what was sent, from which a timing tells nothing about a key.
  const auto found = std::lower_bound(rows->begin(), rows->end(), hash,
                                      [](const Row& row, const Hash& h) { return row.hash < h; });
  if (found == rows->end() || !ConstantTimeEqual(View(found->hash), View(hash))) {
    return std::nullopt;
  }
  return Grant{.scopes = found->key.scopes, .bucket = found->bucket};
}

}  // namespace poise
