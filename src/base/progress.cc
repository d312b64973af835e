// SPDX-License-Identifier: Apache-2.0
#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

namespace poise {
namespace {

constexpr std::chrono::nanoseconds kTerminalEvery = std::chrono::milliseconds(100);
constexpr std::chrono::nanoseconds kPlainEvery = std::chrono::seconds(5);

double Seconds(std::chrono::nanoseconds d) { return std::chrono::duration<double>(d).count(); }

std::string Remaining(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s left", seconds);
  if (seconds < 5400) return fmt::format("{:.0f} min left", seconds / 60);
  return fmt::format("{:.1f} h left", seconds / 3600);
}

}  // namespace

std::string WithThousands(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

Progress::Progress(const Clock& clock, std::string title, std::string unit, std::uint64_t total,
                   std::FILE* out)
    : clock_(clock),
      title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      out_(out),
      is_terminal_(out != nullptr && isatty(fileno(out)) == 1),
      start_(clock.Steady()),
      last_print_(start_) {}

std::string Progress::Line(std::uint64_t done, std::string_view note, bool is_last) const {
  const double elapsed = Seconds(clock_.Steady() - start_);
  const double rate = elapsed > 0 ? static_cast<double>(done) / elapsed : 0;
  std::string line = fmt::format("{}: {} {}", title_, WithThousands(done), unit_);
  if (total_ > 0 && !is_last) {
    line += fmt::format(" of {} ({:.0f} %)", WithThousands(total_),
                        100.0 * static_cast<double>(done) / static_cast<double>(total_));
  }
  if (rate >= 10) {
    line += fmt::format(", {}/s", WithThousands(static_cast<std::uint64_t>(rate)));
  } else if (rate > 0) {
    line += fmt::format(", {:.2g}/s", rate);
  }
  if (is_last) {
    line += fmt::format(", {:.1f} s", elapsed);
  } else if (total_ > done && rate > 0) {
    line += ", " + Remaining(static_cast<double>(total_ - done) / rate);
  }
  if (!note.empty()) line += fmt::format(", {}", note);
  return line;
}

void Progress::Update(std::uint64_t done, std::string_view note) {
  if (out_ == nullptr) return;
  const auto now = clock_.Steady();
  if (now - last_print_ < (is_terminal_ ? kTerminalEvery : kPlainEvery)) return;
  last_print_ = now;
  fmt::print(out_, "{}{}{}", is_terminal_ ? "\r\x1b[K" : "", Line(done, note, /*is_last=*/false),
             is_terminal_ ? "" : "\n");
  std::fflush(out_);
}

void Progress::Finish(std::uint64_t done, std::string_view note) {
  if (out_ == nullptr) return;
  fmt::print(out_, "{}{}\n", is_terminal_ ? "\r\x1b[K" : "", Line(done, note, /*is_last=*/true));
  std::fflush(out_);
}

}  // namespace poise
