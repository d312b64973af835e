// SPDX-License-Identifier: Apache-2.0
//
// JsonDocument and JsonValue: a parsed JSON text, and a view of one value in it.
// ObjectReader: takes an object's known fields, and refuses what it does not know.
//
//   POISE_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::Parse(body));
//   ObjectReader reader(document.root());
//   reader.Required("itemId", item_id).Optional("value", value).Optional("tags", tags);
//   POISE_RETURN_IF_ERROR(reader.Finish());
//
// A value carries no path: when a getter fails, the path is found by walking the document down to
// the value, so that good input pays nothing for good messages.
//
// Units    Path: "events[3].value"; a name that is not a plain word is quoted: events["a b"].
// Errors   kInvalidArgument "PATH: what was expected, what was there" (no path for the root
// itself).
//          A number beyond a double or beyond 64 bits, text that is not UTF-8, and anything after
//          the value are errors of Parse(). NaN and infinity are not JSON.
//          Not an error: a byte order mark in front.
// Threads  A document may be read by many threads once parsed. A parser belongs to one at a time.
// Cost     Parse: one pass, about 1 GB/s; a JsonParser that is used again does not allocate.
// Getters
//          O(1); a container's size and its n-th element O(elements).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poise {

struct JsonLimits {
  std::size_t max_bytes = 64 * 1024 * 1024;
  std::size_t max_depth = 64;
};

enum class JsonType { kNull, kBool, kNumber, kString, kArray, kObject };
std::string_view JsonTypeName(JsonType type);

class JsonArrayView;
class JsonObjectView;

// A view; valid while its document is.
class JsonValue {
 public:
  JsonValue() = default;  // reads as null

  JsonType type() const;
  bool IsNull() const { return type() == JsonType::kNull; }

  Result<bool> GetBool() const;
  Result<double> GetDouble() const;       // any number; finite
  Result<std::int64_t> GetInt64() const;  // 3 and 3.0, not 3.5
  Result<std::uint64_t> GetUint64() const;
  Result<std::int64_t> GetInt64In(std::int64_t min, std::int64_t max) const;
  Result<std::string_view> GetString() const;
  Result<JsonArrayView> GetArray() const;
  Result<JsonObjectView> GetObject() const;

  // A field of an object by name; null if this is no object or has no such field.
  JsonValue operator[](std::string_view name) const;

  // "events[3].value", empty for the root. O(document before the value).
  std::string Path() const;
  // The status of an error at this value: "PATH: message".
  Status Error(std::string_view message) const;
  // The same value, from which paths now start: for batches whose elements are reported one by one.
  JsonValue AsRoot() const;

  // The value as compact JSON text.
  std::string ToJson() const;

 private:
  friend class JsonParser;
  friend class JsonArrayView;
  friend class JsonObjectView;
  friend class ObjectReader;
  JsonValue(const std::uint64_t* tape, const std::uint8_t* strings, std::uint32_t index,
            std::uint32_t root)
      : tape_(tape), strings_(strings), index_(index), root_(root) {}
  JsonValue At(std::uint32_t index) const { return {tape_, strings_, index, root_}; }
  std::uint32_t IndexAfter() const;
  std::string_view StringAt() const;
  Status Mismatch(std::string_view expected) const;

  // simdjson's tape, whose layout its documentation fixes.
  const std::uint64_t* tape_ = nullptr;
  const std::uint8_t* strings_ = nullptr;
  std::uint32_t index_ = 0;
  std::uint32_t root_ = 0;
};

class JsonArrayView {
 public:
  class Iterator {
   public:
    explicit Iterator(JsonValue at) : at_(at) {}
    JsonValue operator*() const { return at_; }
    Iterator& operator++();
    bool operator!=(const Iterator& other) const { return at_.index_ != other.at_.index_; }

   private:
    JsonValue at_;
  };

  Iterator begin() const;
  Iterator end() const;
  std::size_t size() const;
  bool empty() const { return !(begin() != end()); }

 private:
  friend class JsonValue;
  explicit JsonArrayView(JsonValue array) : array_(array) {}
  JsonValue array_;
};

struct JsonField {
  std::string_view name;
  JsonValue value;
};

// Fields in the order of the text; a name that stands twice comes twice.
class JsonObjectView {
 public:
  class Iterator {
   public:
    explicit Iterator(JsonValue at) : at_(at) {}
    JsonField operator*() const;
    Iterator& operator++();
    bool operator!=(const Iterator& other) const { return at_.index_ != other.at_.index_; }

   private:
    JsonValue at_;  // the name
  };

  Iterator begin() const;
  Iterator end() const;

 private:
  friend class JsonValue;
  explicit JsonObjectView(JsonValue object) : object_(object) {}
  JsonValue object_;
};

// Parses one text after another into the same memory.
class JsonParser {
 public:
  explicit JsonParser(JsonLimits limits = {});
  ~JsonParser();
  JsonParser(JsonParser&&) noexcept;
  JsonParser& operator=(JsonParser&&) noexcept;

  // The value is valid until the next Parse() or the parser's end; `text` need not outlive the
  // call.
  Result<JsonValue> Parse(std::string_view text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class JsonDocument {
 public:
  static Result<JsonDocument> Parse(std::string_view text, JsonLimits limits = {});
  JsonValue root() const { return root_; }

 private:
  JsonDocument(JsonParser parser, JsonValue root) : parser_(std::move(parser)), root_(root) {}
  JsonParser parser_;
  JsonValue root_;
};

// Takes fields by name and keeps the first error, also of not being an object. A field that is null
// counts as absent.
class ObjectReader {
 public:
  static constexpr std::size_t kMaxFields = 64;

  explicit ObjectReader(JsonValue object);

  // `out` keeps its value when the field is absent.
  template <typename T>
  ObjectReader& Optional(std::string_view name, T& out) {
    if (const JsonValue value = Take(name); !value.IsNull()) Keep(Read(value, out));
    return *this;
  }
  template <typename T>
  ObjectReader& Required(std::string_view name, T& out) {
    if (const JsonValue value = TakeRequired(name); !value.IsNull()) Keep(Read(value, out));
    return *this;
  }
  ObjectReader& OptionalIn(std::string_view name, std::int64_t min, std::int64_t max, int& out);

  // The field's value, null if it is absent: for fields that need their own reading.
  JsonValue Take(std::string_view name);
  // Remembers `status` if it is the first error.
  ObjectReader& Keep(Status status);
  // True if the field stands in the object, even as null. Does not take it.
  bool Has(std::string_view name) const;

  // Errors  kInvalidArgument: the first of: no object, more than kMaxFields fields, a field
  // missing,
  //         of the wrong type, given twice, unknown (with the known ones listed).
  [[nodiscard]] Status Finish();

 private:
  // Left uninitialised beyond the counts: a reader is made for every event of a batch.
  struct Slot {
    const char* name;
    std::uint32_t name_size;
    std::uint32_t value_index;
    std::string_view view() const { return {name, name_size}; }
  };
  JsonValue TakeRequired(std::string_view name);

  static Status Read(JsonValue value, bool& out);
  static Status Read(JsonValue value, double& out);
  static Status Read(JsonValue value, std::int64_t& out);
  static Status Read(JsonValue value, std::uint64_t& out);
  static Status Read(JsonValue value, std::int32_t& out);
  static Status Read(JsonValue value, std::uint32_t& out);
  static Status Read(JsonValue value, std::string& out);
  static Status Read(JsonValue value, std::string_view& out);
  static Status Read(JsonValue value, std::vector<std::string>& out);
  static Status Read(JsonValue value, JsonValue& out);

  JsonValue object_;
  Slot slots_[kMaxFields];
  Slot known_[kMaxFields];
  std::uint64_t taken_ = 0;  // bit of each slot
  std::size_t slot_count_ = 0;
  std::size_t known_count_ = 0;
  std::size_t cursor_ = 0;  // fields mostly come in the order they are asked for
  Status first_error_;
};

}  // namespace poise
