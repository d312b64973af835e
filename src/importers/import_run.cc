// SPDX-License-Identifier: Apache-2.0
#include "importers/import_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/hash.h"
#include "base/rng.h"
#include "importers/csv_reader.h"

namespace poise {
namespace {

constexpr std::size_t kMaxReasons = 200;
constexpr std::size_t kExcerptBytes = 80;
constexpr std::size_t kFingerprintBytes = 64 * 1024;
constexpr std::uint64_t kProgressEveryRows = 1024;
constexpr std::string_view kTokenVersion = "poise-import-1";
constexpr std::chrono::hours kClockSkew{24};

std::string FileName(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// At most kExcerptBytes, cut between characters, without control characters.
std::string Excerpt(std::string_view text) {
  std::size_t size = std::min(text.size(), kExcerptBytes);
  while (size > 0 && size < text.size() &&
         (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) {
    --size;
  }
  std::string out(text.substr(0, size));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  if (size < text.size()) out += "...";
  return out;
}

// Keys only need to differ within one user's events.
std::string RowKey(std::uint64_t row, std::string_view row_bytes) {
  return fmt::format("row-{:016x}", MixSeed(StableHash(row_bytes), row));
}

bool NamesPerson(std::string_view column) {
  return column == "userId" || column == "sessionId" || column == "attributes";
}

}  // namespace

ImportRun::ImportRun(const ImportOptions& options, ImportSink& sink, const Clock& clock,
                     std::string format)
    : options_(options), sink_(sink), clock_(clock), now_(clock.Now()), start_(clock.Steady()) {
  report_.format = std::move(format);
  report_.mode = options_.mode;
  options_.batch_size = std::max<std::size_t>(options_.batch_size, 1);
}

ImportRun::~ImportRun() {
  if (rejects_ != nullptr) std::fclose(rejects_);
}

Status ImportRun::Start() {
  if (!options_.resume_from.empty()) POISE_RETURN_IF_ERROR(ParseToken());
  if (options_.rejects_file.empty()) return Status::Ok();
  rejects_ = std::fopen(options_.rejects_file.c_str(), resume_ ? "ab" : "wb");
  if (rejects_ == nullptr) {
    return InvalidArgument(fmt::format("{}: the file of rejects cannot be written: {}",
                                       options_.rejects_file, std::strerror(errno)));
  }
  report_.rejects_file = options_.rejects_file;
  if (!resume_) std::fputs("file,row,column,reason,excerpt\r\n", rejects_);
  return Status::Ok();
}

Status ImportRun::Expect(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    POISE_ASSIGN_OR_RETURN(const auto source, OpenFile(path));
    if (source->size() == 0) return InvalidArgument(fmt::format("{}: the file is empty", path));
    bytes_total_ += source->size();
  }
  progress_.emplace(clock_, "Importing " + report_.format, "kB", bytes_total_ / 1000,
                    options_.progress_out);
  return Status::Ok();
}

Status ImportRun::ReadHead(ByteSource& source) {
  head_.assign(kFingerprintBytes, '\0');
  std::size_t size = 0;
  while (size < head_.size()) {
    POISE_ASSIGN_OR_RETURN(const std::size_t got,
                           source.Read(head_.data() + size, head_.size() - size));
    if (got == 0) break;
    size += got;
  }
  head_.resize(size);
  return source.Seek(0);
}

// Of what is known of the file up to `offset`, so that a file that has grown is still the same.
std::uint64_t ImportRun::Fingerprint(std::uint64_t offset) const {
  return StableHash(std::string_view(head_).substr(0, offset));
}

Result<ImportStage> ImportRun::Open(const std::string& path, Rows rows) {
  ImportStage stage;
  const std::size_t index = stage_count_++;
  POISE_ASSIGN_OR_RETURN(stage.source, OpenFile(path));
  file_ = FileName(path);
  file_size_ = stage.source->size();
  rows_ = rows;
  POISE_RETURN_IF_ERROR(ReadHead(*stage.source));
  done_ = current_ = {index, 0, 0};
  if (!resume_ || index > resume_->stage) return stage;
  if (index < resume_->stage) {
    stage.is_done = true;
    return stage;
  }
  if (resume_->offset == 0) return stage;
  if (resume_->offset > file_size_ || Fingerprint(resume_->offset) != resume_fingerprint_) {
    return FailedPrecondition(
        fmt::format("{}: not the file whose import was cut off; import it from the start", path));
  }
  stage.offset = resume_->offset;
  stage.row = resume_->row;
  done_ = current_ = *resume_;
  return stage;
}

Status ImportRun::At(std::uint64_t row, std::uint64_t next_offset) {
  // A silent pass gives its records at its end, and so is gone on with from its beginning.
  if (rows_ == Rows::kCounted) done_ = current_;
  current_ = {done_.stage, next_offset, row};
  if (rows_ == Rows::kCounted) ++report_.rows;
  if (row % kProgressEveryRows == 0) ShowProgress();
  return MayFlush();
}

Status ImportRun::MayFlush() {
  if (items_.size() + users_.size() + events_.size() >= options_.batch_size) return Flush();
  return Status::Ok();
}

void ImportRun::ShowProgress() {
  if (!progress_) return;
  progress_->Update((bytes_before_ + current_.offset) / 1000,
                    report_.rejected == 0
                        ? fmt::format("{} events", WithThousands(report_.events))
                        : fmt::format("{} events, {} rejected", WithThousands(report_.events),
                                      WithThousands(report_.rejected)));
}

Status ImportRun::Close() {
  bytes_before_ += file_size_;
  done_ = current_ = {done_.stage + 1, 0, 0};
  return Flush();
}

Status ImportRun::Flush() {
  const bool has_records = !items_.empty() || !users_.empty() || !events_.empty();
  if (options_.mode == ImportMode::kApply) {
    if (!items_.empty()) POISE_RETURN_IF_ERROR(sink_.Items(items_));
    if (!users_.empty()) POISE_RETURN_IF_ERROR(sink_.Users(users_));
    if (!events_.empty()) POISE_RETURN_IF_ERROR(sink_.Events(events_));
    if (has_records) {
      if (rejects_ != nullptr) std::fflush(rejects_);
      POISE_RETURN_IF_ERROR(sink_.Checkpoint(Token()));
    }
  }
  items_.clear();
  users_.clear();
  events_.clear();
  return Status::Ok();
}

std::string ImportRun::Token() const {
  return fmt::format("{} {} {} {} {} {:016x}", kTokenVersion, report_.format, done_.stage,
                     done_.offset, done_.row, Fingerprint(done_.offset));
}

Status ImportRun::ParseToken() {
  const Status bad = InvalidArgument("resume token: not one of an import of " + report_.format);
  std::string_view rest = options_.resume_from;
  const auto word = [&rest] {
    const std::size_t space = std::min(rest.find(' '), rest.size());
    const std::string_view text = rest.substr(0, space);
    rest.remove_prefix(std::min(space + 1, rest.size()));
    return text;
  };
  const auto number = [&word](std::uint64_t& out, int base) {
    const std::string_view text = word();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
    return error == std::errc{} && end == text.data() + text.size();
  };
  if (word() != kTokenVersion || word() != report_.format) return bad;
  Position position;
  std::uint64_t stage = 0;
  if (!number(stage, 10) || !number(position.offset, 10) || !number(position.row, 10) ||
      !number(resume_fingerprint_, 16) || !rest.empty()) {
    return bad;
  }
  position.stage = stage;
  resume_ = position;
  return Status::Ok();
}

Status ImportRun::Add(ItemRecord item) {
  if (const Status status = ValidateItem(item); !status.ok()) return RejectStatus(status);
  items_.push_back(std::move(item));
  ++report_.items;
  return Status::Ok();
}

Status ImportRun::Add(UserRecord user) {
  if (const Status status = ValidateUser(user); !status.ok()) return RejectStatus(status);
  users_.push_back(std::move(user));
  ++report_.users;
  return Status::Ok();
}

Status ImportRun::Add(Event event, std::string_view row_bytes) {
  // Before ValidateEvent(), whose message holds the time: rejects are counted by their reason.
  if (event.time > now_ + kClockSkew) {
    return RejectRow("time", "more than a day in the future", FormatTimestamp(event.time));
  }
  if (const Status status = ValidateEvent(event, now_); !status.ok()) return RejectStatus(status);
  if (event.idempotency_key.empty()) event.idempotency_key = RowKey(current_.row, row_bytes);
  ++report_.events;
  ++report_.events_by_type[static_cast<std::size_t>(event.type)];
  events_.push_back(std::move(event));
  return Status::Ok();
}

Status ImportRun::RejectStatus(const Status& status) {
  const std::string_view message = status.message();
  const std::size_t colon = message.find(": ");
  if (colon == std::string_view::npos) return RejectRow("", message);
  return RejectRow(message.substr(0, colon), message.substr(colon + 2));
}

Status ImportRun::RejectRow(std::string_view column, std::string_view reason,
                            std::string_view excerpt) {
  ++report_.rejected;
  Reject reject{file_, current_.row, std::string(column), std::string(reason),
                NamesPerson(column) ? "" : Excerpt(excerpt)};
  if (const auto named = columns_.find(reject.column); named != columns_.end()) {
    reject.column = named->second;
  }
  const auto counted = reject_counts_.find({reject.column, reject.reason});
  if (counted != reject_counts_.end()) {
    ++counted->second;
  } else if (reject_counts_.size() < kMaxReasons) {
    reject_counts_[{reject.column, reject.reason}] = 1;
  } else {
    ++reject_counts_[{"", "other reasons"}];
  }
  if (rejects_ != nullptr &&
      std::fputs(
          fmt::format("{},{},{},{},{}\r\n", CsvField(reject.file), reject.row,
                      CsvField(reject.column), CsvField(reject.reason), CsvField(reject.excerpt))
              .c_str(),
          rejects_) < 0) {
    return ResourceExhausted(options_.rejects_file + ": the file of rejects cannot be written");
  }
  if (report_.first_rejects.size() < options_.kept_rejects) {
    report_.first_rejects.push_back(std::move(reject));
  }
  return Status::Ok();
}

Result<ImportReport> ImportRun::Finish() {
  if (rejects_ != nullptr) {
    const bool is_written = std::fclose(rejects_) == 0;
    rejects_ = nullptr;
    if (!is_written) {
      return ResourceExhausted(options_.rejects_file + ": the file of rejects cannot be written");
    }
  }
  for (const auto& [where, count] : reject_counts_) {
    report_.reject_counts.push_back({where.first, where.second, count});
  }
  std::stable_sort(report_.reject_counts.begin(), report_.reject_counts.end(),
                   [](const RejectCount& a, const RejectCount& b) { return a.count > b.count; });
  report_.seconds = std::chrono::duration<double>(clock_.Steady() - start_).count();
  if (progress_) {
    progress_->Finish(bytes_total_ / 1000, fmt::format("{} events", WithThousands(report_.events)));
  }
  return std::move(report_);
}

}  // namespace poise
