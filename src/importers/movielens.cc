// SPDX-License-Identifier: Apache-2.0
//
// MovieLens 100K and 1M, as GroupLens publishes them, and 1M as rebuilt with a header row.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "importers/files.h"
#include "importers/formats.h"

namespace poise {
namespace {

constexpr double kMostStars = 5;

constexpr std::array<std::string_view, 19> kGenres100k = {
    "unknown",     "Action", "Adventure", "Animation", "Children's", "Comedy",  "Crime",
    "Documentary", "Drama",  "Fantasy",   "Film-Noir", "Horror",     "Musical", "Mystery",
    "Romance",     "Sci-Fi", "Thriller",  "War",       "Western"};

constexpr std::array<std::string_view, 21> kOccupations1m = {"other",
                                                             "academic/educator",
                                                             "artist",
                                                             "clerical/admin",
                                                             "college/grad student",
                                                             "customer service",
                                                             "doctor/health care",
                                                             "executive/managerial",
                                                             "farmer",
                                                             "homemaker",
                                                             "K-12 student",
                                                             "lawyer",
                                                             "programmer",
                                                             "retired",
                                                             "sales/marketing",
                                                             "scientist",
                                                             "self-employed",
                                                             "technician/engineer",
                                                             "tradesman/craftsman",
                                                             "unemployed",
                                                             "writer"};

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kAges1m = {
    {{"1", "under 18"},
     {"18", "18-24"},
     {"25", "25-34"},
     {"35", "35-44"},
     {"45", "45-49"},
     {"50", "50-55"},
     {"56", "56+"}}};

// Films of before 1970 came into the catalog at its beginning: 0 would read as "not known".
Timestamp NotBeforeTheCatalog(Timestamp time) { return std::max(time, Timestamp::FromSeconds(1)); }

// "1 January" of the year in the title's "(1995)".
void SetYear(ItemRecord& item) {
  const std::string& title = item.title;
  if (title.size() < 6 || title.back() != ')' || title[title.size() - 6] != '(') return;
  const std::string year = title.substr(title.size() - 5, 4);
  const auto time = ParseTimestamp(year + "-01-01");
  if (!time.ok()) return;
  item.attributes["year"] = std::stod(year);
  if (item.created == Timestamp{}) item.created = NotBeforeTheCatalog(*time);
}

// "01-Jan-1995"
Timestamp ReleaseDate(std::string_view text) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 11) return {};
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(3, 3));
  if (month == kMonths.end()) return {};
  const auto time = ParseTimestamp(fmt::format("{}-{:02}-{}", text.substr(7, 4),
                                               month - kMonths.begin() + 1, text.substr(0, 2)));
  return time.ok() ? NotBeforeTheCatalog(*time) : Timestamp{};
}

Status Ragged(ImportRun& run, std::size_t expected, std::size_t got) {
  return run.RejectRow("", fmt::format("expected {} fields, got {}", expected, got));
}

// user, item, stars, time and perhaps more.
Status AddRating(std::span<const std::string_view> fields, std::string_view line, EventType type,
                 ImportRun& run) {
  Event event;
  event.user.value = fields[0];
  event.item.value = fields[1];
  event.type = type;
  double stars = 0;
  if (!ParseFinite(fields[2], stars)) {
    return run.RejectRow("rating", "expected a finite number", fields[2]);
  }
  if (stars < 0 || stars > kMostStars) {
    return run.RejectRow("rating", "must be in [0, 5]", fields[2]);
  }
  event.value = stars;
  const auto time = ParseTimestamp(fields[3]);
  if (!time.ok()) return run.RejectRow("timestamp", "expected unix seconds", fields[3]);
  event.time = *time;
  return run.Add(std::move(event), line);
}

Status ReadRatings(const std::string& path, std::string_view separator, std::size_t field_count,
                   std::uint64_t header_rows, ImportRun& run) {
  POISE_ASSIGN_OR_RETURN(const EventType type, MappedType(run, EventType::kRating));
  std::vector<std::string_view> fields;
  return ForEachLine(path, header_rows, run, [&](std::string_view line) -> Status {
    Split(line, separator, fields);
    if (fields.size() != field_count) return Ragged(run, field_count, fields.size());
    return AddRating(fields, line, type, run);
  });
}

Status ReadItems100k(const std::string& path, ImportRun& run) {
  constexpr std::size_t kBefore = 5;
  std::vector<std::string_view> fields;
  return ForEachLine(path, 0, run, [&](std::string_view line) -> Status {
    Split(line, "|", fields);
    if (fields.size() != kBefore + kGenres100k.size()) {
      return Ragged(run, kBefore + kGenres100k.size(), fields.size());
    }
    ItemRecord item;
    item.id.value = fields[0];
    item.title = Latin1OrUtf8(fields[1]);
    item.created = ReleaseDate(fields[2]);
    if (!fields[4].empty()) item.attributes["url"] = Latin1OrUtf8(fields[4]);
    for (std::size_t g = 0; g < kGenres100k.size(); ++g) {
      if (fields[kBefore + g] == "1") item.categories.emplace_back(kGenres100k[g]);
    }
    SetYear(item);
    return run.Add(std::move(item));
  });
}

Status ReadUsers100k(const std::string& path, ImportRun& run) {
  std::vector<std::string_view> fields;
  return ForEachLine(path, 0, run, [&](std::string_view line) -> Status {
    Split(line, "|", fields);
    if (fields.size() != 5) return Ragged(run, 5, fields.size());
    UserRecord user;
    user.id.value = fields[0];
    double age = 0;
    if (!ParseFinite(fields[1], age)) return run.RejectRow("age", "expected a finite number");
    user.attributes["age"] = age;
    user.attributes["gender"] = std::string(fields[2]);
    user.attributes["occupation"] = std::string(fields[3]);
    user.attributes["zip"] = std::string(fields[4]);
    return run.Add(std::move(user));
  });
}

Status ReadItems1m(const std::string& path, ImportRun& run) {
  std::vector<std::string_view> fields;
  std::vector<std::string_view> genres;
  return ForEachLine(path, 0, run, [&](std::string_view line) -> Status {
    Split(line, "::", fields);
    if (fields.size() != 3) return Ragged(run, 3, fields.size());
    ItemRecord item;
    item.id.value = fields[0];
    item.title = Latin1OrUtf8(fields[1]);
    Split(fields[2], "|", genres);
    for (const std::string_view genre : genres) {
      if (!genre.empty()) item.categories.push_back(Latin1OrUtf8(genre));
    }
    SetYear(item);
    return run.Add(std::move(item));
  });
}

Status ReadUsers1m(const std::string& path, ImportRun& run) {
  std::vector<std::string_view> fields;
  return ForEachLine(path, 0, run, [&](std::string_view line) -> Status {
    Split(line, "::", fields);
    if (fields.size() != 5) return Ragged(run, 5, fields.size());
    UserRecord user;
    user.id.value = fields[0];
    user.attributes["gender"] = std::string(fields[1]);
    for (const auto& [code, words] : kAges1m) {
      if (code == fields[2]) user.attributes["age"] = std::string(words);
    }
    std::size_t occupation = kOccupations1m.size();
    std::from_chars(fields[3].data(), fields[3].data() + fields[3].size(), occupation);
    if (occupation < kOccupations1m.size()) {
      user.attributes["occupation"] = std::string(kOccupations1m[occupation]);
    }
    user.attributes["zip"] = std::string(fields[4]);
    return run.Add(std::move(user));
  });
}

// Titles and people stand beside the ratings, if at all.
struct MovieLensFiles {
  std::string ratings;
  std::string items;
  std::string users;

  std::vector<std::string> All() const {
    std::vector<std::string> all;
    for (const std::string& file : {items, users, ratings}) {
      if (!file.empty()) all.push_back(file);
    }
    return all;
  }
};

Result<MovieLensFiles> FindFiles(const std::string& path,
                                 const std::vector<std::string_view>& ratings,
                                 std::string_view items, std::string_view users) {
  MovieLensFiles files;
  const std::string folder = IsFolder(path) ? path : FolderOf(path);
  if (IsFolder(path)) {
    for (const std::string_view name : ratings) {
      if (files.ratings.empty() && IsFile(Join(path, name))) files.ratings = Join(path, name);
    }
    if (files.ratings.empty()) {
      return NotFound(fmt::format("{}: holds none of {}", path, fmt::join(ratings, ", ")));
    }
  } else {
    files.ratings = path;
  }
  if (IsFile(Join(folder, items))) files.items = Join(folder, items);
  if (IsFile(Join(folder, users))) files.users = Join(folder, users);
  return files;
}

Result<bool> HasHeader(const std::string& path, std::string& first) {
  POISE_ASSIGN_OR_RETURN(const auto source, OpenFile(path));
  LineReader lines(*source);
  if (lines.Next() == LineReader::Outcome::kLine) first = lines.line();
  return first.find_first_of("abcdefghijklmnopqrstuvwxyz") != std::string::npos;
}

}  // namespace

Status ReadMovieLens100k(const std::string& path, ImportRun& run) {
  POISE_ASSIGN_OR_RETURN(const MovieLensFiles files,
                         FindFiles(path, {"u.data"}, "u.item", "u.user"));
  POISE_RETURN_IF_ERROR(run.Expect(files.All()));
  if (!files.items.empty()) POISE_RETURN_IF_ERROR(ReadItems100k(files.items, run));
  if (!files.users.empty()) POISE_RETURN_IF_ERROR(ReadUsers100k(files.users, run));
  return ReadRatings(files.ratings, "\t", 4, 0, run);
}

Status ReadMovieLens1m(const std::string& path, ImportRun& run) {
  POISE_ASSIGN_OR_RETURN(
      const MovieLensFiles files,
      FindFiles(path, {"ratings.dat", "ratings_rebuilt.tsv"}, "movies.dat", "users.dat"));
  POISE_RETURN_IF_ERROR(run.Expect(files.All()));
  if (!files.items.empty()) POISE_RETURN_IF_ERROR(ReadItems1m(files.items, run));
  if (!files.users.empty()) POISE_RETURN_IF_ERROR(ReadUsers1m(files.users, run));
  std::string first;
  POISE_ASSIGN_OR_RETURN(const bool has_header, HasHeader(files.ratings, first));
  const std::string_view separator = first.find("::") != std::string::npos ? "::" : "\t";
  std::vector<std::string_view> columns;
  Split(first, separator, columns);
  if (columns.size() < 4) {
    return InvalidArgument(fmt::format(
        "{}: expected user, item, rating and time with tabs or \"::\" between", files.ratings));
  }
  return ReadRatings(files.ratings, separator, columns.size(), has_header ? 1 : 0, run);
}

}  // namespace poise
