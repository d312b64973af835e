// SPDX-License-Identifier: Apache-2.0
#include "http/api/route.h"

namespace poise {

Router::Router(std::span<const Route> routes) : routes_(routes) {
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const std::string_view path = routes[i].path;
    const std::size_t open = path.find('{');
    if (open == std::string_view::npos) {
      fixed_[path].push_back(i);
    } else {
      patterns_.push_back({path.substr(0, open), path.substr(path.find('}') + 1), i});
    }
  }
}

std::optional<RouteMatch> Router::Find(HttpMethod method, std::string_view path,
                                       std::string& allow) const {
  allow.clear();
  if (method == HttpMethod::kHead) method = HttpMethod::kGet;
  const auto allows = [&](HttpMethod other) {
    if (!allow.empty()) allow += ", ";
    allow += HttpMethodName(other);
    if (other == HttpMethod::kGet) allow += ", HEAD";
  };
  const auto found = fixed_.find(path);
  if (found != fixed_.end()) {
    for (const std::size_t i : found->second) {
      if (routes_[i].method == method) return RouteMatch{i, {}};
    }
    for (const std::size_t i : found->second) allows(routes_[i].method);
  }
  std::vector<std::size_t> others;
  for (const Pattern& pattern : patterns_) {
    if (path.size() < pattern.before.size() + pattern.after.size() ||
        !path.starts_with(pattern.before) || !path.ends_with(pattern.after)) {
      continue;
    }
    const std::string_view parameter = path.substr(
        pattern.before.size(), path.size() - pattern.before.size() - pattern.after.size());
    if (parameter.find('/') != std::string_view::npos) continue;
    if (routes_[pattern.route].method == method) {
      allow.clear();
      return RouteMatch{pattern.route, parameter};
    }
    others.push_back(pattern.route);
  }
  for (const std::size_t i : others) allows(routes_[i].method);
  return std::nullopt;
}

}  // namespace poise
