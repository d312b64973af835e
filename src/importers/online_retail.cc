// SPDX-License-Identifier: Apache-2.0
//
// Online Retail (UCI 352 and 502): the invoice lines of a gift shop, with or without invoice
// numbers and stock codes, as a shop would read them:
// - a sale is a purchase, a line with a negative quantity is a return;
// - a sale without a customer is kept under an anonymous visitor named by the invoice: it says
//   nothing of a person, but which items go together;
// - postage, fees, discounts and corrections are no products, and a price of 0 or less is no sale.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <unordered_map>

#include "importers/csv_reader.h"
#include "importers/files.h"
#include "importers/formats.h"

namespace poise {
namespace {

constexpr std::array<std::string_view, 15> kNoProductCodes = {
    "POST", "DOT",         "C2",        "C3",     "M",       "D",       "S",      "B",
    "CRUK", "BANKCHARGES", "AMAZONFEE", "ADJUST", "ADJUST2", "TEST001", "TEST002"};
constexpr std::array<std::string_view, 13> kNoProductWords = {
    "POSTAGE",         "DOTCOM POSTAGE", "MANUAL",     "CARRIAGE",     "NEXT DAY CARRIAGE",
    "DISCOUNT",        "SAMPLES",        "AMAZON FEE", "BANK CHARGES", "CRUK COMMISSION",
    "ADJUST BAD DEBT", "AMAZON",         "ADJUSTMENT"};

enum Column { kInvoice, kStockCode, kDescription, kQuantity, kDate, kPrice, kCustomer, kCountry };
constexpr std::size_t kColumnCount = 8;
constexpr std::array<std::string_view, kColumnCount> kColumnNames = {
    "InvoiceNo",   "StockCode", "Description", "Quantity",
    "InvoiceDate", "UnitPrice", "CustomerID",  "Country"};
// Of both editions, without case and spaces.
constexpr std::array<std::array<std::string_view, 2>, kColumnCount> kAliases = {
    {{"invoiceno", "invoice"},
     {"stockcode", ""},
     {"description", ""},
     {"quantity", ""},
     {"invoicedate", ""},
     {"unitprice", "price"},
     {"customerid", ""},
     {"country", ""}}};
constexpr std::array<Column, 4> kNeeded = {kDescription, kQuantity, kDate, kPrice};

struct Layout {
  std::array<std::size_t, kColumnCount> places{};  // 1 + place of each column, 0: not there
  std::size_t count = 0;
  char delimiter = ',';

  bool Has(Column column) const { return places[column] != 0; }
  std::string_view Of(Column column, std::span<const std::string_view> fields) const {
    return Has(column) ? Trim(fields[places[column] - 1]) : std::string_view();
  }
};

std::string Upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return out;
}

// "LUNCH BAG  BLACK SKULL." -> "LUNCH BAG BLACK SKULL."
std::string Collapsed(std::string_view text) {
  std::string out;
  for (const char c : Trim(text)) {
    if (c != ' ' || out.empty() || out.back() != ' ') out += c;
  }
  return Latin1OrUtf8(out);
}

// "LUNCH BAG  BLACK SKULL." -> "lunch-bag-black-skull"
std::string Slug(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    const bool is_kept = is_upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                         static_cast<unsigned char>(c) >= 0x80;
    if (is_kept) {
      out += is_upper ? static_cast<char>(c + 32) : c;
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  if (!out.empty() && out.back() == '-') out.pop_back();
  return out;
}

// RFC 3339, or "12/1/2010 8:26" as the spreadsheet writes it.
Result<Timestamp> InvoiceTime(std::string_view text) {
  if (text.find('/') == std::string_view::npos) return ParseTimestamp(text);
  std::array<int, 5> parts{};
  const char* at = text.data();
  const char* const end = at + text.size();
  constexpr std::string_view kBetween = "// :";
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto [next, error] = std::from_chars(at, end, parts[i]);
    if (error != std::errc{} || parts[i] < 0) return InvalidArgument("not a date");
    at = next;
    if (i + 1 < parts.size()) {
      if (at == end || *at != kBetween[i]) return InvalidArgument("not a date");
      ++at;
    }
  }
  if (at != end) return InvalidArgument("not a date");
  return ParseTimestamp(fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:00Z", parts[2], parts[0],
                                    parts[1], parts[3], parts[4]));
}

struct Line {
  std::string item;
  std::string title;
  std::string customer;
  std::string session;
  std::string_view country;
  double price = 0;
  std::uint32_t quantity = 1;
  bool is_return = false;
  Timestamp time;
};

struct Refusal {
  Column column = kDescription;
  std::string_view reason;
};

bool IsNoProduct(std::string_view code, std::string_view title) {
  std::string compact = Upper(code);
  std::erase(compact, ' ');
  const std::string words = Upper(title);
  return std::find(kNoProductCodes.begin(), kNoProductCodes.end(), compact) !=
             kNoProductCodes.end() ||
         std::find(kNoProductWords.begin(), kNoProductWords.end(), words) != kNoProductWords.end();
}

// Reads a row; false with the reason where it is no sale and no return.
bool ReadRow(const Layout& layout, std::span<const std::string_view> fields, Line& line,
             Refusal& refusal) {
  const auto refuse = [&refusal](Column column, std::string_view reason) {
    refusal = {column, reason};
    return false;
  };
  double quantity = 0;
  if (!ParseFinite(layout.Of(kQuantity, fields), quantity) || quantity != std::floor(quantity) ||
      std::abs(quantity) > std::numeric_limits<std::uint32_t>::max()) {
    return refuse(kQuantity, "expected a whole number");
  }
  if (quantity == 0) return refuse(kQuantity, "0: nothing was sold or returned");
  if (!ParseFinite(layout.Of(kPrice, fields), line.price)) {
    return refuse(kPrice, "expected a finite number");
  }
  if (line.price < 0) return refuse(kPrice, "negative: a correction of the accounts");
  if (line.price == 0) return refuse(kPrice, "0: written off or given away, not sold");
  const auto time = InvoiceTime(layout.Of(kDate, fields));
  if (!time.ok()) return refuse(kDate, "expected a date and a time");
  line.time = *time;
  line.title = Collapsed(layout.Of(kDescription, fields));
  const std::string_view code = layout.Of(kStockCode, fields);
  if (IsNoProduct(code, line.title)) {
    return refuse(layout.Has(kStockCode) ? kStockCode : kDescription,
                  "not a product: postage, a fee, a discount or a correction");
  }
  line.item = layout.Has(kStockCode) ? Upper(code) : Slug(line.title);
  if (line.item.empty()) {
    return refuse(layout.Has(kStockCode) ? kStockCode : kDescription, "empty: no item is named");
  }
  line.is_return = quantity < 0;
  line.quantity = static_cast<std::uint32_t>(std::abs(quantity));
  line.country = layout.Of(kCountry, fields);
  line.customer = layout.Of(kCustomer, fields);
  // Spreadsheets that were read as floats write 17850.0.
  if (line.customer.ends_with(".0")) line.customer.resize(line.customer.size() - 2);
  line.session.clear();
  if (line.customer.empty()) {
    const std::string_view invoice = layout.Of(kInvoice, fields);
    line.session = invoice.empty()
                       ? fmt::format("till-{}-{}", FormatTimestamp(line.time), Slug(line.country))
                       : fmt::format("invoice-{}", invoice);
  }
  return true;
}

std::string Compact(std::string_view name) {
  std::string out;
  for (const char c : Upper(name)) {
    if (c != ' ' && c != '_') out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  return out;
}

CsvOptions CsvOptionsFor(char delimiter) {
  CsvOptions options;
  options.delimiter = delimiter;
  // With tabs between, a quote is an inch.
  options.has_quotes = delimiter != '\t';
  return options;
}

Result<Layout> ReadLayout(const std::string& path) {
  POISE_ASSIGN_OR_RETURN(const auto source, OpenFile(path));
  CsvReader csv(*source);
  const CsvReader::Outcome outcome = csv.Next();
  if (outcome == CsvReader::Outcome::kFailed) return csv.status();
  if (outcome != CsvReader::Outcome::kRow) {
    return InvalidArgument(path + ": expected a header row with the names of the columns");
  }
  Layout layout;
  layout.delimiter = csv.delimiter();
  layout.count = csv.fields().size();
  for (std::size_t place = 0; place < layout.count; ++place) {
    const std::string name = Compact(csv.fields()[place]);
    for (std::size_t column = 0; column < kColumnCount; ++column) {
      if (!name.empty() && (name == kAliases[column][0] || name == kAliases[column][1])) {
        layout.places[column] = place + 1;
      }
    }
  }
  for (const Column column : kNeeded) {
    if (layout.Has(column)) continue;
    return InvalidArgument(fmt::format("{}: no column {} in the header; it has {}", path,
                                       kColumnNames[column], fmt::join(csv.fields(), ", ")));
  }
  return layout;
}

// Calls `row(fields)` for the rows behind the header, then `after()`.
template <typename Row, typename After>
Status ForEachRow(const std::string& path, const Layout& layout, Rows rows, ImportRun& run,
                  Row&& row, After&& after) {
  POISE_ASSIGN_OR_RETURN(const ImportStage stage, run.Open(path, rows));
  if (stage.is_done) return run.Close();
  CsvReader csv(*stage.source, CsvOptionsFor(layout.delimiter));
  csv.ExpectColumns(layout.count);
  if (stage.offset > 0) POISE_RETURN_IF_ERROR(csv.Seek(stage.offset, stage.row));
  while (true) {
    const CsvReader::Outcome outcome = csv.Next();
    if (outcome == CsvReader::Outcome::kEnd) break;
    if (outcome == CsvReader::Outcome::kFailed) return csv.status();
    if (csv.row() == 1) continue;
    POISE_RETURN_IF_ERROR(run.At(csv.row(), csv.next_offset()));
    if (outcome == CsvReader::Outcome::kReject) {
      if (rows == Rows::kCounted) POISE_RETURN_IF_ERROR(run.RejectRow("", csv.reason()));
      continue;
    }
    POISE_RETURN_IF_ERROR(row(csv.fields()));
  }
  POISE_RETURN_IF_ERROR(after());
  return run.Close();
}

struct ItemFacts {
  std::map<std::string, std::uint32_t> titles;
  double price = 0;
  Timestamp first;
  Timestamp latest;
};

struct UserFacts {
  std::string country;
  Timestamp first;
};

// A first pass: titles and prices are only known at the end of the file.
Status ReadCatalog(const std::string& path, const Layout& layout, ImportRun& run) {
  std::unordered_map<std::string, ItemFacts> items;
  std::unordered_map<std::string, UserFacts> users;
  Line line;
  Refusal refusal;
  const auto gather = [&](std::span<const std::string_view> fields) -> Status {
    if (!ReadRow(layout, fields, line, refusal)) return Status::Ok();
    const auto [found, is_first] = items.try_emplace(line.item);
    ItemFacts& item = found->second;
    ++item.titles[line.title];
    if (is_first || line.time < item.first) item.first = line.time;
    if (line.time >= item.latest && !line.is_return) {
      item.latest = line.time;
      item.price = line.price;
    }
    if (!line.customer.empty()) {
      const auto [user, is_new] = users.try_emplace(line.customer);
      if (is_new || line.time < user->second.first) {
        user->second = {Latin1OrUtf8(line.country), line.time};
      }
    }
    return Status::Ok();
  };
  const auto emit = [&]() -> Status {
    for (auto& [id, facts] : items) {
      ItemRecord item;
      item.id.value = id;
      const auto common =
          std::max_element(facts.titles.begin(), facts.titles.end(),
                           [](const auto& a, const auto& b) { return a.second < b.second; });
      item.title = common->first;
      item.price = facts.price;
      item.created = facts.first;
      POISE_RETURN_IF_ERROR(run.Add(std::move(item)));
      POISE_RETURN_IF_ERROR(run.MayFlush());
    }
    for (auto& [id, facts] : users) {
      UserRecord user;
      user.id.value = id;
      if (!facts.country.empty()) user.attributes["country"] = facts.country;
      user.created = facts.first;
      POISE_RETURN_IF_ERROR(run.Add(std::move(user)));
      POISE_RETURN_IF_ERROR(run.MayFlush());
    }
    return Status::Ok();
  };
  return ForEachRow(path, layout, Rows::kSilent, run, gather, emit);
}

}  // namespace

Status ReadOnlineRetail(const std::string& path, ImportRun& run) {
  std::string file = path;
  if (IsFolder(path)) {
    file = Join(path, "online_retail.tsv");
    if (!IsFile(file)) return NotFound(path + ": holds no online_retail.tsv");
  }
  POISE_RETURN_IF_ERROR(run.Expect({file, file}));
  POISE_ASSIGN_OR_RETURN(const Layout layout, ReadLayout(file));
  POISE_RETURN_IF_ERROR(ReadCatalog(file, layout, run));
  Line line;
  Refusal refusal;
  std::string row_bytes;
  const auto add = [&](std::span<const std::string_view> fields) -> Status {
    if (!ReadRow(layout, fields, line, refusal)) {
      return run.RejectRow(kColumnNames[refusal.column], refusal.reason,
                           layout.Of(refusal.column, fields));
    }
    row_bytes.clear();
    for (const std::string_view field : fields) (row_bytes += field) += '\t';
    Event event;
    event.user.value = line.customer;
    event.session = line.session;
    event.item.value = line.item;
    event.type = line.is_return ? EventType::kReturn : EventType::kPurchase;
    event.value = line.price;
    event.quantity = line.quantity;
    event.time = line.time;
    return run.Add(std::move(event), row_bytes);
  };
  return ForEachRow(file, layout, Rows::kCounted, run, add, [] { return Status::Ok(); });
}

}  // namespace poise
