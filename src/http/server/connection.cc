// SPDX-License-Identifier: Apache-2.0
#include "http/server/connection.h"

#include <fmt/format.h>
#include <pthread.h>

#include <array>
#include <boost/asio/post.hpp>
#include <charconv>
#include <ctime>

#include "base/check.h"

namespace poise {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kReadBytes = 8 * 1024;
constexpr std::size_t kBigReadBytes = 64 * 1024;
// More answers to pipelined requests than this are not gathered before they are sent.
constexpr std::size_t kFlushBytes = 256 * 1024;
constexpr std::chrono::milliseconds kTick{50};

std::string HttpDate(Timestamp now) {
  constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = now.seconds();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday],
                     parts.tm_mday, kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour,
                     parts.tm_min, parts.tm_sec);
}

void AppendNumber(std::string& out, std::size_t number) {
  std::array<char, 20> digits;
  out.append(digits.data(),
             std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

}  // namespace

Loop::Loop(ServerContext& context)
    : context_(context),
      io_(1),
      timer_(io_),
      now_(context.clock.Steady()),
      date_(HttpDate(context.clock.Now())) {}

Loop::~Loop() { POISE_CHECK(!thread_.joinable()); }

void Loop::Start() {
  ScheduleTick();
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "poise-http");
    io_.run();
  });
}

void Loop::ScheduleTick() {
  timer_.expires_after(kTick);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) Tick();
  });
}

void Loop::Tick() {
  now_ = context_.clock.Steady();
  date_ = HttpDate(context_.clock.Now());
  // A connection that ends leaves the set.
  const std::vector<std::shared_ptr<Connection>> all(connections_.begin(), connections_.end());
  for (const auto& connection : all) connection->CheckDeadline();
  // A cancel finds no timer to cancel while its handler, this one, is queued or runs.
  if (!IsDrained()) ScheduleTick();
}

void Loop::Adopt(LoopSocket socket) {
  if (is_draining_) {
    --context_.open_count;
    return;
  }
  context_.open.Add(1);
  const auto connection = std::make_shared<Connection>(*this, std::move(socket));
  connections_.insert(connection);
  connection->Start();
}

void Loop::Release(const std::shared_ptr<Connection>& connection) {
  if (connections_.erase(connection) == 0) return;
  context_.open.Add(-1);
  --context_.open_count;
  EndIfDrained();
}

void Loop::EndIfDrained() {
  if (IsDrained()) timer_.cancel();  // the last work of io_.run()
}

void Loop::Drain() {
  asio::post(io_, [this] {
    is_draining_ = true;
    const std::vector<std::shared_ptr<Connection>> all(connections_.begin(), connections_.end());
    for (const auto& connection : all) connection->StopWhenIdle();
    EndIfDrained();
  });
}

void Loop::Join() {
  if (thread_.joinable()) thread_.join();
}

HttpResponder::HttpResponder(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

HttpResponder::~HttpResponder() {
  if (exchange_ == nullptr || exchange_->is_answered()) return;
  exchange_->Answer(ProblemResponse(500, "the request was not answered"));
}

void HttpResponder::operator()(HttpResponse response) {
  POISE_CHECK(exchange_ != nullptr && !exchange_->is_answered());
  exchange_->Answer(std::move(response));
}

void HttpResponder::AnswerWith(std::function<HttpResponse()> make) {
  POISE_CHECK(exchange_ != nullptr && !exchange_->is_answered());
  exchange_->AnswerWith(std::move(make));
}

void HttpResponder::Exchange::Answer(HttpResponse response) {
  std::shared_ptr<Connection> connection = std::move(connection_);
  Loop& loop = connection->loop();
  if (loop.IsThisThread() && is_inline) {
    inline_answer = std::move(response);
    return;
  }
  // The work goes along: released here, it could be the loop's last while the loop is destroyed.
  asio::post(loop.io(), [connection = std::move(connection), work = std::move(work_),
                         response = std::move(response)]() mutable {
    connection->OnAnswer(std::move(response));
  });
}

void HttpResponder::Exchange::AnswerWith(std::function<HttpResponse()> make) {
  Loop& loop = connection_->loop();
  if (loop.IsThisThread() && is_inline) return Answer(make());
  asio::post(loop.io(), [connection = std::move(connection_), work = std::move(work_),
                         make = std::move(make)]() mutable { connection->OnAnswer(make()); });
}

Connection::Connection(Loop& loop, LoopSocket socket)
    : loop_(loop), socket_(std::move(socket)), in_(kReadBytes) {
  boost::system::error_code error;
  const auto remote = socket_.remote_endpoint(error);
  if (!error) remote_address_ = remote.address().to_string();
}

void Connection::Start() {
  boost::system::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  SetDeadline(loop_.context().options.idle_timeout);
  Read();
}

void Connection::SetDeadline(std::chrono::nanoseconds after) { deadline_ = loop_.now() + after; }

void Connection::CheckDeadline() {
  if (phase_ == Phase::kClosed || loop_.now() < deadline_) return;
  if (phase_ == Phase::kHandling && !is_writing_) return;
  if (phase_ == Phase::kIdle && !is_writing_) return Close();
  if (phase_ != Phase::kLinger) loop_.context().timed_out.Increment();
  if (phase_ == Phase::kReading && !is_writing_) {
    return Refuse(408, "the request did not arrive in time");
  }
  Close();
}

void Connection::StopWhenIdle() {
  is_last_ = true;
  if (phase_ == Phase::kLinger || (phase_ != Phase::kHandling && !is_writing_)) Close();
}

void Connection::Read() {
  if (is_reading_ || phase_ == Phase::kClosed) return;
  if (in_begin_ == in_end_) in_begin_ = in_end_ = 0;
  const bool is_body = parser_.has_value() && parser_->is_header_done();
  const std::size_t room =
      is_body ? kBigReadBytes : std::max(kReadBytes, loop_.context().options.max_head_bytes);
  if (in_end_ == in_.size()) {
    if (in_begin_ > 0) {
      std::copy(in_.begin() + static_cast<std::ptrdiff_t>(in_begin_),
                in_.begin() + static_cast<std::ptrdiff_t>(in_end_), in_.begin());
      in_end_ -= in_begin_;
      in_begin_ = 0;
    } else {
      // The parser takes nothing from a full buffer: a chunk's line that never ends.
      if (in_.size() >= room) return Refuse(400, "malformed request: a line is too long");
      in_.resize(std::min(room, 2 * in_.size()));
    }
  } else if (is_body && in_end_ == 0 && in_.size() < kBigReadBytes) {
    in_.resize(kBigReadBytes);
  }
  is_reading_ = true;
  socket_.async_read_some(
      asio::buffer(in_.data() + in_end_, in_.size() - in_end_),
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t size) {
        self->OnRead(error, size);
      });
}

void Connection::OnRead(const boost::system::error_code& error, std::size_t size) {
  is_reading_ = false;
  if (phase_ == Phase::kClosed) return;
  if (error) return Close();
  if (phase_ == Phase::kLinger) {
    in_begin_ = in_end_ = 0;
    return Read();
  }
  in_end_ += size;
  Advance();
}

void Connection::Advance() {
  if (is_advancing_) return;  // an answer that came inline; the loop below goes on
  is_advancing_ = true;
  bool was_cut_short = true;
  while (was_cut_short) {
    while (AdvanceOnce()) {
    }
    was_cut_short = out_.size() > kFlushBytes;
    if (!out_.empty()) Flush();
    if (is_writing_ || phase_ == Phase::kClosed || phase_ == Phase::kLinger) break;
  }
  is_advancing_ = false;
  // While a client does not take its answers, no more of its requests are read.
  if (!is_writing_ && (phase_ == Phase::kIdle || phase_ == Phase::kReading) && !is_last_) Read();
}

bool Connection::AdvanceOnce() {
  if (phase_ != Phase::kIdle && phase_ != Phase::kReading) return false;
  if (is_last_ || is_writing_ || out_.size() > kFlushBytes) return false;
  const HttpServerOptions& options = loop_.context().options;
  if (phase_ == Phase::kIdle) {
    // An empty line before a request is to be ignored (RFC 9112, 2.2).
    while (in_begin_ < in_end_ && (in_[in_begin_] == '\r' || in_[in_begin_] == '\n')) ++in_begin_;
    if (in_begin_ == in_end_) return false;
    parser_.emplace(options, loop_.context().bodies);
    phase_ = Phase::kReading;
    is_continue_sent_ = false;
    is_head_timed_ = false;
    SetDeadline(options.head_timeout);
  }
  if (in_begin_ == in_end_) return false;
  const std::size_t taken =
      parser_->Feed(std::string_view(in_.data() + in_begin_, in_end_ - in_begin_));
  in_begin_ += taken;
  if (parser_->failed_status() != 0) {
    Refuse(parser_->failed_status(), parser_->failure());
    return false;
  }
  if (!parser_->is_done()) {
    if (parser_->is_header_done() && !is_head_timed_) {
      is_head_timed_ = true;
      SetDeadline(options.body_timeout);
      if (parser_->expects_continue() && !is_continue_sent_) {
        is_continue_sent_ = true;
        out_ += "HTTP/1.1 100 Continue\r\n\r\n";
      }
    }
    return taken > 0;
  }

  method_ = parser_->method();
  keeps_alive_ = parser_->keep_alive();
  phase_ = Phase::kHandling;
  HttpRequest request = parser_->TakeRequest();
  request.remote_address = remote_address_;
  const auto exchange = std::make_shared<HttpResponder::Exchange>(shared_from_this());
  loop_.context().handler.Handle(std::move(request), HttpResponder(exchange));
  exchange->is_inline = false;
  if (!exchange->inline_answer.has_value()) return false;
  OnAnswer(std::move(*exchange->inline_answer));
  return true;
}

void Connection::OnAnswer(HttpResponse response) {
  if (phase_ == Phase::kClosed) return;
  POISE_CHECK(phase_ == Phase::kHandling);
  parser_.reset();
  phase_ = Phase::kIdle;
  if (!keeps_alive_ || loop_.is_draining()) is_last_ = true;
  Append(response, is_last_);
  SetDeadline(loop_.context().options.idle_timeout);
  if (!is_advancing_) Advance();
}

void Connection::Append(const HttpResponse& response, bool is_last) {
  out_.reserve(out_.size() + 256 + response.body.size());
  out_ += "HTTP/1.1 ";
  AppendNumber(out_, static_cast<std::size_t>(response.status));
  out_ += ' ';
  out_ += HttpReason(response.status);
  out_ += "\r\nDate: ";
  out_ += loop_.date();
  if (!response.content_type.empty()) {
    out_ += "\r\nContent-Type: ";
    out_ += response.content_type;
  }
  const bool has_body = response.status >= 200 && response.status != 204 && response.status != 304;
  if (has_body) {
    out_ += "\r\nContent-Length: ";
    AppendNumber(out_, response.body.size());
  }
  for (const auto& [name, value] : response.headers) {
    out_ += "\r\n";
    out_ += name;
    out_ += ": ";
    // What a header carries may have come from a client: a line break would let it write headers.
    for (const char c : value) out_ += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  if (is_last) out_ += "\r\nConnection: close";
  out_ += "\r\n\r\n";
  if (has_body && method_ != HttpMethod::kHead) out_ += response.body;
}

void Connection::Refuse(int status, std::string_view detail) {
  loop_.context().malformed.Increment();
  is_last_ = true;
  is_refused_ = true;
  method_ = HttpMethod::kGet;
  if (status == 503) {
    HttpResponse response = ProblemResponse(status, detail);
    response.headers.emplace_back("Retry-After", "1");
    Append(response, true);
  } else {
    Append(ProblemResponse(status, detail), true);
  }
  parser_.reset();
  phase_ = Phase::kIdle;
  Flush();
}

void Connection::Flush() {
  if (is_writing_ || phase_ == Phase::kClosed) return;
  if (out_.empty()) return AfterFlush();
  writing_.swap(out_);
  out_.clear();
  written_ = 0;
  // Mostly everything fits into the socket's buffer: then nothing has to wait for the loop.
  boost::system::error_code error;
  const std::size_t size = socket_.write_some(asio::buffer(writing_), error);
  if (error && error != asio::error::would_block) return Close();
  if (!error) written_ = size;
  if (written_ == writing_.size()) {
    writing_.clear();
    return AfterFlush();
  }
  is_writing_ = true;
  deadline_ = loop_.now() + loop_.context().options.write_timeout;
  socket_.async_write_some(asio::buffer(writing_.data() + written_, writing_.size() - written_),
                           [self = shared_from_this()](const boost::system::error_code& e,
                                                       std::size_t s) { self->OnWritten(e, s); });
}

void Connection::OnWritten(const boost::system::error_code& error, std::size_t size) {
  if (phase_ == Phase::kClosed) return;
  if (error) return Close();
  written_ += size;
  if (written_ < writing_.size()) {
    socket_.async_write_some(asio::buffer(writing_.data() + written_, writing_.size() - written_),
                             [self = shared_from_this()](const boost::system::error_code& e,
                                                         std::size_t s) { self->OnWritten(e, s); });
    return;
  }
  is_writing_ = false;
  writing_.clear();
  if (phase_ == Phase::kIdle) SetDeadline(loop_.context().options.idle_timeout);
  if (phase_ == Phase::kReading) SetDeadline(loop_.context().options.body_timeout);
  if (!out_.empty()) {
    Flush();
    if (is_writing_ || phase_ == Phase::kClosed) return;
  }
  AfterFlush();
  if (phase_ == Phase::kIdle || phase_ == Phase::kReading) Advance();
}

void Connection::AfterFlush() {
  if (writing_.capacity() > kFlushBytes) writing_ = {};
  if (out_.capacity() > kFlushBytes && out_.empty()) out_ = {};
  if (!is_last_ || phase_ == Phase::kHandling || phase_ == Phase::kClosed) return;
  // A socket that is closed with bytes unread sends a reset, which may overtake our answer.
  if (is_refused_ || in_begin_ < in_end_) return Linger();
  Close();
}

void Connection::Linger() {
  if (phase_ == Phase::kLinger) return;
  boost::system::error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  phase_ = Phase::kLinger;
  in_begin_ = in_end_ = 0;
  SetDeadline(loop_.context().options.linger_timeout);
  Read();
}

void Connection::Close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  boost::system::error_code ignored;
  socket_.close(ignored);
  parser_.reset();
  loop_.Release(shared_from_this());
}

}  // namespace poise
