// SPDX-License-Identifier: Apache-2.0
#include "json/reader.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "json/writer.h"

namespace poise {

namespace {

constexpr std::uint64_t kPayload = (std::uint64_t{1} << 56) - 1;

char TagOf(std::uint64_t word) { return static_cast<char>(word >> 56); }

bool IsPlainName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

void AppendName(std::string& path, std::string_view name) {
  constexpr std::size_t kShown = 64;  // a name is the caller's, and may be a megabyte
  if (IsPlainName(name) && name.size() <= kShown) {
    if (!path.empty()) path += '.';
    path += name;
    return;
  }
  JsonWriter quoted;
  quoted.Value(name.substr(0, kShown));
  path += '[';
  path += quoted.text();
  path += ']';
}

Status WithPath(const std::string& path, std::string_view message) {
  if (path.empty()) return InvalidArgument(std::string(message));
  return InvalidArgument(fmt::format("{}: {}", path, message));
}

}  // namespace

std::string_view JsonTypeName(JsonType type) {
  switch (type) {
    case JsonType::kNull:
      return "null";
    case JsonType::kBool:
      return "bool";
    case JsonType::kNumber:
      return "number";
    case JsonType::kString:
      return "string";
    case JsonType::kArray:
      return "array";
    case JsonType::kObject:
      return "object";
  }
  return "value";
}

JsonType JsonValue::type() const {
  if (tape_ == nullptr) return JsonType::kNull;
  switch (TagOf(tape_[index_])) {
    case 't':
    case 'f':
      return JsonType::kBool;
    case 'l':
    case 'u':
    case 'd':
      return JsonType::kNumber;
    case '"':
      return JsonType::kString;
    case '[':
      return JsonType::kArray;
    case '{':
      return JsonType::kObject;
    default:
      return JsonType::kNull;
  }
}

std::uint32_t JsonValue::IndexAfter() const {
  switch (TagOf(tape_[index_])) {
    case '[':
    case '{':
      return static_cast<std::uint32_t>(tape_[index_]);
    case 'l':
    case 'u':
    case 'd':
      return index_ + 2;
    default:
      return index_ + 1;
  }
}

std::string_view JsonValue::StringAt() const {
  const std::uint8_t* at = strings_ + (tape_[index_] & kPayload);
  std::uint32_t size;
  std::memcpy(&size, at, sizeof size);
  return {reinterpret_cast<const char*>(at + sizeof size), size};
}

Status JsonValue::Error(std::string_view message) const { return WithPath(Path(), message); }

Status JsonValue::Mismatch(std::string_view expected) const {
  return Error(fmt::format("expected {}, got {}", expected, JsonTypeName(type())));
}

JsonValue JsonValue::AsRoot() const { return {tape_, strings_, index_, index_}; }

std::string JsonValue::Path() const {
  std::string path;
  if (tape_ == nullptr || index_ < root_) return path;
  JsonValue at = At(root_);
  while (at.index_ < index_) {
    const char tag = TagOf(tape_[at.index_]);
    if (tag != '[' && tag != '{') break;
    JsonValue child = At(at.index_ + 1);
    std::size_t place = 0;
    std::string_view name;
    while (true) {
      if (tag == '{') {
        name = child.StringAt();
        if (child.index_ == index_) return path;  // the name itself stands for its object
        ++child.index_;
      }
      const std::uint32_t after = child.IndexAfter();
      if (index_ < after) break;
      child.index_ = after;
      ++place;
    }
    if (tag == '{') {
      AppendName(path, name);
    } else {
      path += fmt::format("[{}]", place);
    }
    at = child;
  }
  return path;
}

Result<bool> JsonValue::GetBool() const {
  if (type() != JsonType::kBool) return Mismatch("true or false");
  return TagOf(tape_[index_]) == 't';
}

Result<double> JsonValue::GetDouble() const {
  if (type() != JsonType::kNumber) return Mismatch("a number");
  const std::uint64_t word = tape_[index_ + 1];
  switch (TagOf(tape_[index_])) {
    case 'l':
      return static_cast<double>(static_cast<std::int64_t>(word));
    case 'u':
      return static_cast<double>(word);
    default:
      return std::bit_cast<double>(word);
  }
}

Result<std::int64_t> JsonValue::GetInt64() const {
  if (type() != JsonType::kNumber) return Mismatch("an integer");
  const std::uint64_t word = tape_[index_ + 1];
  switch (TagOf(tape_[index_])) {
    case 'l':
      return static_cast<std::int64_t>(word);
    case 'u':  // simdjson uses it only for what does not fit a signed integer
      return Error(fmt::format("expected a signed 64-bit integer, got {}", word));
    default: {
      const auto number = std::bit_cast<double>(word);
      if (number != std::floor(number)) {
        return Error(fmt::format("expected an integer, got {}", number));
      }
      if (std::abs(number) > 0x1p53) {
        return Error(fmt::format("expected an integer within 2^53 of 0, got {}", number));
      }
      return static_cast<std::int64_t>(number);
    }
  }
}

Result<std::uint64_t> JsonValue::GetUint64() const {
  if (type() == JsonType::kNumber && TagOf(tape_[index_]) == 'u') return tape_[index_ + 1];
  POISE_ASSIGN_OR_RETURN(const std::int64_t number, GetInt64());
  if (number < 0) return Error(fmt::format("must not be negative, got {}", number));
  return static_cast<std::uint64_t>(number);
}

Result<std::int64_t> JsonValue::GetInt64In(std::int64_t min, std::int64_t max) const {
  POISE_ASSIGN_OR_RETURN(const std::int64_t number, GetInt64());
  if (number < min || number > max) {
    return Error(fmt::format("must be between {} and {}, got {}", min, max, number));
  }
  return number;
}

Result<std::string_view> JsonValue::GetString() const {
  if (type() != JsonType::kString) return Mismatch("a string");
  return StringAt();
}

Result<JsonArrayView> JsonValue::GetArray() const {
  if (type() != JsonType::kArray) return Mismatch("an array");
  return JsonArrayView(*this);
}

Result<JsonObjectView> JsonValue::GetObject() const {
  if (type() != JsonType::kObject) return Mismatch("an object");
  return JsonObjectView(*this);
}

JsonValue JsonValue::operator[](std::string_view name) const {
  if (type() != JsonType::kObject) return {};
  for (const JsonField field : JsonObjectView(*this)) {
    if (field.name == name) return field.value;
  }
  return {};
}

namespace {

void WriteValue(JsonValue value, JsonWriter& out) {
  switch (value.type()) {
    case JsonType::kNull:
      out.Null();
      return;
    case JsonType::kBool:
      out.Value(*value.GetBool());
      return;
    case JsonType::kNumber:
      if (const auto integer = value.GetInt64(); integer.ok()) {
        out.Value(*integer);
      } else if (const auto natural = value.GetUint64(); natural.ok()) {
        out.Value(*natural);
      } else {
        out.Value(*value.GetDouble());
      }
      return;
    case JsonType::kString:
      out.Value(*value.GetString());
      return;
    case JsonType::kArray:
      out.BeginArray();
      for (const JsonValue element : *value.GetArray()) WriteValue(element, out);
      out.EndArray();
      return;
    case JsonType::kObject:
      out.BeginObject();
      for (const JsonField field : *value.GetObject()) {
        out.Key(field.name);
        WriteValue(field.value, out);
      }
      out.EndObject();
      return;
  }
}

}  // namespace

std::string JsonValue::ToJson() const {
  JsonWriter out;
  WriteValue(*this, out);
  return out.Take();
}

JsonArrayView::Iterator& JsonArrayView::Iterator::operator++() {
  at_.index_ = at_.IndexAfter();
  return *this;
}

JsonArrayView::Iterator JsonArrayView::begin() const {
  return Iterator(array_.At(array_.index_ + 1));
}

JsonArrayView::Iterator JsonArrayView::end() const {
  return Iterator(array_.At(array_.IndexAfter() - 1));
}

std::size_t JsonArrayView::size() const {
  std::size_t size = 0;
  const Iterator stop = end();
  for (Iterator at = begin(); at != stop; ++at) ++size;
  return size;
}

JsonField JsonObjectView::Iterator::operator*() const {
  return {at_.StringAt(), at_.At(at_.index_ + 1)};
}

JsonObjectView::Iterator& JsonObjectView::Iterator::operator++() {
  at_.index_ = at_.At(at_.index_ + 1).IndexAfter();
  return *this;
}

JsonObjectView::Iterator JsonObjectView::begin() const {
  return Iterator(object_.At(object_.index_ + 1));
}

JsonObjectView::Iterator JsonObjectView::end() const {
  return Iterator(object_.At(object_.IndexAfter() - 1));
}

struct JsonParser::State {
  explicit State(JsonLimits l) : limits(l) {}

  JsonLimits limits;
  simdjson::dom::parser parser;
  std::string padded;
};

JsonParser::JsonParser(JsonLimits limits) : state_(std::make_unique<State>(limits)) {}
JsonParser::~JsonParser() = default;
JsonParser::JsonParser(JsonParser&&) noexcept = default;
JsonParser& JsonParser::operator=(JsonParser&&) noexcept = default;

Result<JsonValue> JsonParser::Parse(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  State& state = *state_;
  if (text.size() > state.limits.max_bytes) {
    return InvalidArgument(fmt::format("JSON of {} bytes is longer than the limit of {}",
                                       text.size(), state.limits.max_bytes));
  }
  // simdjson grows its memory only with its own depth, so ours is set whenever it must grow.
  if (text.size() > state.parser.capacity() || state.parser.max_depth() != state.limits.max_depth) {
    const std::size_t capacity = std::max<std::size_t>(text.size(), 256);
    if (state.parser.allocate(capacity, state.limits.max_depth) != simdjson::SUCCESS) {
      return ResourceExhausted("not enough memory to parse the JSON");
    }
  }
  state.padded.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  state.padded.assign(text);
  const auto parsed = state.parser.parse(state.padded.data(), state.padded.size(), false);
  switch (parsed.error()) {
    case simdjson::SUCCESS:
      break;
    case simdjson::EMPTY:
      return InvalidArgument("JSON expected, got nothing");
    case simdjson::DEPTH_ERROR:
      return InvalidArgument(
          fmt::format("JSON is nested deeper than the limit of {} levels", state.limits.max_depth));
    case simdjson::UTF8_ERROR:
      return InvalidArgument("JSON is not valid UTF-8");
    case simdjson::NUMBER_ERROR:
      return InvalidArgument("JSON holds a number that is malformed or out of range");
    case simdjson::STRING_ERROR:
    case simdjson::UNCLOSED_STRING:
    case simdjson::UNESCAPED_CHARS:
      return InvalidArgument("JSON holds a malformed string");
    case simdjson::MEMALLOC:
      return ResourceExhausted("not enough memory to parse the JSON");
    default:
      return InvalidArgument("JSON is malformed: " +
                             std::string(simdjson::error_message(parsed.error())));
  }
  return JsonValue(state.parser.doc.tape.get(), state.parser.doc.string_buf.get(), 1, 1);
}

Result<JsonDocument> JsonDocument::Parse(std::string_view text, JsonLimits limits) {
  JsonParser parser(limits);
  POISE_ASSIGN_OR_RETURN(const JsonValue root, parser.Parse(text));
  return JsonDocument(std::move(parser), root);
}

ObjectReader::ObjectReader(JsonValue object) : object_(object) {
  const auto fields = object.GetObject();
  if (!fields.ok()) {
    first_error_ = fields.status();
    return;
  }
  for (const JsonField field : *fields) {
    if (slot_count_ == kMaxFields) {
      Keep(object_.Error(fmt::format("has more than {} fields", kMaxFields)));
      return;
    }
    slots_[slot_count_++] = {field.name.data(), static_cast<std::uint32_t>(field.name.size()),
                             field.value.index_};
  }
}

JsonValue ObjectReader::Take(std::string_view name) {
  if (known_count_ < kMaxFields) {
    known_[known_count_++] = {name.data(), static_cast<std::uint32_t>(name.size()), 0};
  }
  for (std::size_t step = 0; step < slot_count_; ++step) {
    const std::size_t place =
        cursor_ + step < slot_count_ ? cursor_ + step : cursor_ + step - slot_count_;
    if (slots_[place].view() != name) continue;
    taken_ |= std::uint64_t{1} << place;
    cursor_ = place + 1 == slot_count_ ? 0 : place + 1;
    return object_.At(slots_[place].value_index);
  }
  return {};
}

JsonValue ObjectReader::TakeRequired(std::string_view name) {
  const JsonValue value = Take(name);
  if (value.IsNull() && first_error_.ok()) {
    std::string path = object_.Path();
    AppendName(path, name);
    Keep(WithPath(path, Has(name) ? "must not be null" : "is required"));
  }
  return value;
}

ObjectReader& ObjectReader::OptionalIn(std::string_view name, std::int64_t min, std::int64_t max,
                                       int& out) {
  const JsonValue value = Take(name);
  if (value.IsNull()) return *this;
  const auto number = value.GetInt64In(min, max);
  if (!number.ok()) return Keep(number.status());
  out = static_cast<int>(*number);
  return *this;
}

ObjectReader& ObjectReader::Keep(Status status) {
  if (first_error_.ok()) first_error_ = std::move(status);
  return *this;
}

bool ObjectReader::Has(std::string_view name) const {
  return std::any_of(slots_, slots_ + slot_count_,
                     [&](const Slot& slot) { return slot.view() == name; });
}

Status ObjectReader::Finish() {
  if (!first_error_.ok()) return first_error_;
  for (std::size_t place = 0; place < slot_count_; ++place) {
    if ((taken_ >> place) & 1) continue;
    const std::string_view name = slots_[place].view();
    std::string path = object_.Path();
    AppendName(path, name);
    const auto is_name = [&](const Slot& slot) { return slot.view() == name; };
    if (std::any_of(known_, known_ + known_count_, is_name)) {
      return WithPath(path, "is given twice");
    }
    std::string known;
    for (std::size_t i = 0; i < known_count_; ++i) {
      if (i > 0) known += ", ";
      known += known_[i].view();
    }
    return WithPath(path, fmt::format("unknown field; known: {}", known));
  }
  return Status::Ok();
}

Status ObjectReader::Read(JsonValue value, bool& out) {
  POISE_ASSIGN_OR_RETURN(out, value.GetBool());
  return Status::Ok();
}

Status ObjectReader::Read(JsonValue value, double& out) {
  POISE_ASSIGN_OR_RETURN(out, value.GetDouble());
  return Status::Ok();
}

Status ObjectReader::Read(JsonValue value, std::int64_t& out) {
  POISE_ASSIGN_OR_RETURN(out, value.GetInt64());
  return Status::Ok();
}

Status ObjectReader::Read(JsonValue value, std::uint64_t& out) {
  POISE_ASSIGN_OR_RETURN(out, value.GetUint64());
  return Status::Ok();
}

Status ObjectReader::Read(JsonValue value, std::int32_t& out) {
  POISE_ASSIGN_OR_RETURN(const std::int64_t number, value.GetInt64In(INT32_MIN, INT32_MAX));
  out = static_cast<std::int32_t>(number);
  return Status::Ok();
}

Status ObjectReader::Read(JsonValue value, std::uint32_t& out) {
  POISE_ASSIGN_OR_RETURN(const std::int64_t number, value.GetInt64In(0, UINT32_MAX));
  out = static_cast<std::uint32_t>(number);
  return Status::Ok();
}

Status ObjectReader::Read(JsonValue value, std::string& out) {
  POISE_ASSIGN_OR_RETURN(out, value.GetString());
  return Status::Ok();
}

Status ObjectReader::Read(JsonValue value, std::string_view& out) {
  POISE_ASSIGN_OR_RETURN(out, value.GetString());
  return Status::Ok();
}

Status ObjectReader::Read(JsonValue value, std::vector<std::string>& out) {
  POISE_ASSIGN_OR_RETURN(const JsonArrayView array, value.GetArray());
  out.clear();
  for (const JsonValue element : array) {
    POISE_ASSIGN_OR_RETURN(const std::string_view text, element.GetString());
    out.emplace_back(text);
  }
  return Status::Ok();
}

Status ObjectReader::Read(JsonValue value, JsonValue& out) {
  out = value;
  return Status::Ok();
}

}  // namespace poise
