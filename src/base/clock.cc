// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace poise {
namespace {

// Days since 1970-01-01 of a proleptic Gregorian date, and back.
// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
std::int64_t DaysFromCivil(std::int64_t year, unsigned month, unsigned day) {
  year -= month <= 2;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + static_cast<std::int64_t>(day_of_era) - 719468;
}

struct Civil {
  std::int64_t year;
  unsigned month;
  unsigned day;
};

Civil CivilFromDays(std::int64_t days) {
  days += 719468;
  const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146097);
  const unsigned year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const unsigned day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;
  const unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2), month,
          day_of_year - (153 * shifted_month + 2) / 5 + 1};
}

unsigned DaysInMonth(std::int64_t year, unsigned month) {
  constexpr std::array<unsigned, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && is_leap ? 29 : kDays[month - 1];
}

// Reads fixed-width fields from the front of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool Digits(std::size_t count, unsigned& value) {
    if (text_.size() < count) return false;
    unsigned v = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (text_[i] < '0' || text_[i] > '9') return false;
      v = v * 10 + static_cast<unsigned>(text_[i] - '0');
    }
    text_.remove_prefix(count);
    value = v;
    return true;
  }
  bool Literal(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool IsAtEnd() const { return text_.empty(); }
  bool Fraction(std::int64_t& micros) {
    if (!Literal('.')) return true;
    std::int64_t scale = 100'000;
    std::size_t digits = 0;
    while (!text_.empty() && text_.front() >= '0' && text_.front() <= '9') {
      micros += (text_.front() - '0') * scale;
      scale /= 10;
      text_.remove_prefix(1);
      ++digits;
    }
    return digits > 0 && digits <= 9;
  }

 private:
  std::string_view text_;
};

Status Malformed(std::string_view text) {
  constexpr std::size_t kShown = 40;
  return InvalidArgument("not a time: \"" + std::string(text.substr(0, kShown)) +
                         "\" (expected RFC 3339 such as 2026-01-31T12:00:00Z, or unix seconds)");
}

}  // namespace

std::string FormatTimestamp(Timestamp t) {
  constexpr std::int64_t kDay = 86'400'000'000;
  std::int64_t days = t.micros / kDay;
  std::int64_t rest = t.micros % kDay;
  if (rest < 0) {
    rest += kDay;
    --days;
  }
  const Civil date = CivilFromDays(days);
  const std::int64_t micros = rest % 1'000'000;
  const std::int64_t second = rest / 1'000'000;
  std::array<char, 64> text;
  int length =
      std::snprintf(text.data(), text.size(), "%04lld-%02u-%02uT%02lld:%02lld:%02lld",
                    static_cast<long long>(date.year), date.month, date.day,
                    static_cast<long long>(second / 3600), static_cast<long long>(second / 60 % 60),
                    static_cast<long long>(second % 60));
  std::string out(text.data(), static_cast<std::size_t>(length));
  if (micros != 0) {
    length = std::snprintf(text.data(), text.size(), ".%06lld", static_cast<long long>(micros));
    out.append(text.data(), static_cast<std::size_t>(length));
    while (out.back() == '0') out.pop_back();
  }
  return out + "Z";
}

Result<Timestamp> ParseTimestamp(std::string_view text) {
  constexpr std::size_t kLongestNumber = 17;
  const bool is_number = !text.empty() && text.size() <= kLongestNumber &&
                         text.find_first_not_of("0123456789") == std::string_view::npos;
  if (is_number) {
    const std::int64_t number = std::atoll(std::string(text).c_str());
    // 10^11 s is the year 5138 and 10^11 ms is 1973: the ranges in use do not meet.
    if (number < 100'000'000'000) return Timestamp::FromSeconds(number);
    if (number < 100'000'000'000'000) return Timestamp{number * 1000};
    return Timestamp{number};
  }
  Scanner in(text);
  unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  std::int64_t micros = 0;
  std::int64_t offset_minutes = 0;
  if (!in.Digits(4, year) || !in.Literal('-') || !in.Digits(2, month) || !in.Literal('-') ||
      !in.Digits(2, day) || month < 1 || month > 12 || day < 1 || day > DaysInMonth(year, month)) {
    return Malformed(text);
  }
  if (!in.IsAtEnd()) {
    if (!in.Literal('T') && !in.Literal('t') && !in.Literal(' ')) return Malformed(text);
    if (!in.Digits(2, hour) || !in.Literal(':') || !in.Digits(2, minute) || hour > 23 ||
        minute > 59) {
      return Malformed(text);
    }
    if (in.Literal(':') && (!in.Digits(2, second) || second > 59)) return Malformed(text);
    if (!in.Fraction(micros)) return Malformed(text);
    if (!in.IsAtEnd() && !in.Literal('Z') && !in.Literal('z')) {
      const bool is_west = in.Literal('-');
      unsigned offset_hour = 0, offset_minute = 0;
      if ((!is_west && !in.Literal('+')) || !in.Digits(2, offset_hour) || !in.Literal(':') ||
          !in.Digits(2, offset_minute) || offset_hour > 23 || offset_minute > 59) {
        return Malformed(text);
      }
      offset_minutes = static_cast<std::int64_t>(offset_hour) * 60 + offset_minute;
      if (is_west) offset_minutes = -offset_minutes;
    }
    if (!in.IsAtEnd()) return Malformed(text);
  }
  const std::int64_t seconds =
      DaysFromCivil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
  return Timestamp{(seconds - offset_minutes * 60) * 1'000'000 + micros};
}

Timestamp SystemClock::Now() const {
  return {std::chrono::duration_cast<std::chrono::microseconds>(
              std::chrono::system_clock::now().time_since_epoch())
              .count()};
}

std::chrono::nanoseconds SystemClock::Steady() const {
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace poise
