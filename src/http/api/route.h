// SPDX-License-Identifier: Apache-2.0
//
// Route: one row of the table that dispatches requests and from which the OpenAPI document is made.
//
// Place    AllRoutes() -> Router (finds the row) -> ApiHandler (checks and runs it)
//                      -> OpenApiDocument()
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "http/api/keys.h"
#include "http/server/message.h"

namespace poise {

struct ApiCall;
struct ApiContext;

struct RouteParameter {
  std::string_view name;
  std::string_view type;  // "string", "integer", "boolean", "[string]": as often as it is given
  std::string_view sentence;
};

struct Route {
  HttpMethod method;
  std::string_view path;  // with at most one {parameter}
  std::string_view summary;
  std::optional<Scope> scope;  // none: open to all
  std::span<const RouteParameter> query;
  std::string_view request;   // a schema; empty: no body
  std::string_view response;  // a schema; empty: no body; "text": not JSON
  int success = 200;

  // One of these. Only the first runs on the connection's thread: the others may wait for a disk
  // (an event of a person never seen before stores their key first), and a large batch takes long
  // to parse.
  Result<HttpResponse> (*run_inline)(ApiContext&, const ApiCall&) = nullptr;
  Result<HttpResponse> (*run_blocking)(ApiContext&, const ApiCall&) = nullptr;
  void (*start)(ApiContext&, ApiCall) = nullptr;  // answers when it is done
};

std::span<const Route> AllRoutes();

struct RouteMatch {
  std::size_t route = 0;       // in AllRoutes()
  std::string_view parameter;  // still encoded
};

// Finds rows by path: fixed paths by hash, the others segment by segment.
class Router {
 public:
  explicit Router(std::span<const Route> routes);

  // The row for this method. None: `allow` lists the methods of the path ("GET, PUT"), and is empty
  // if there is no such path.
  std::optional<RouteMatch> Find(HttpMethod method, std::string_view path,
                                 std::string& allow) const;

 private:
  struct Pattern {
    std::string_view before;  // "/api/v1/items/"
    std::string_view after;   // "" or "/similar"
    std::size_t route = 0;
  };

  std::span<const Route> routes_;
  std::unordered_map<std::string_view, std::vector<std::size_t>> fixed_;
  std::vector<Pattern> patterns_;
};

// OpenAPI 3.1, as JSON.
std::string OpenApiDocument(std::span<const Route> routes);

}  // namespace poise
