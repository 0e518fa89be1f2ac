#include "datalog/row_file.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace datahike::datalog {

namespace {

constexpr size_t kHeader = 16;

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<uint32_t>(text.size()));
  out += text;
}

void put_value(std::string& out, const Value& v) {
  put(out, static_cast<uint8_t>(v.kind()));
  switch (v.kind()) {
    case Kind::Nil:
      return;
    case Kind::Boolean:
      return put(out, static_cast<uint8_t>(v.as_boolean()));
    case Kind::Long:
      return put(out, v.as_integer());
    case Kind::Double:
      return put(out, v.as_real());
    case Kind::Char:
      return put(out, static_cast<uint32_t>(v.as_character()));
    case Kind::Instant:
      return put(out, v.as_instant());
    case Kind::BigInt:
    case Kind::BigDec:
    case Kind::String:
    case Kind::Symbol:
    case Kind::Keyword:
    case Kind::Uuid:
    case Kind::Bytes:
      return put_text(out, v.text());
    case Kind::List:
    case Kind::Vector:
    case Kind::Set:
      put(out, static_cast<uint32_t>(v.items().size()));
      for (const Value& item : v.items()) put_value(out, item);
      return;
    case Kind::Map:
      put(out, static_cast<uint32_t>(v.entries().size()));
      for (const auto& [key, value] : v.entries()) {
        put_value(out, key);
        put_value(out, value);
      }
      return;
    case Kind::Tagged:
      put_text(out, v.text());
      put_value(out, v.tagged_value());
      return;
  }
}

// Texts that come again within a block are one in memory, as they mostly were.
class BlockReader {
 public:
  explicit BlockReader(std::string_view bytes) : rest_(bytes) {}

  template <class T>
  T get() {
    T value;
    take(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  void take(char* out, size_t count) {
    if (count > rest_.size()) throw Error("a temporary file of a query is damaged");
    std::memcpy(out, rest_.data(), count);
    rest_.remove_prefix(count);
  }
  Value value() {
    const auto kind = static_cast<Kind>(get<uint8_t>());
    switch (kind) {
      case Kind::Nil:
        return {};
      case Kind::Boolean:
        return Value::boolean(get<uint8_t>());
      case Kind::Long:
        return Value::integer(get<int64_t>());
      case Kind::Double:
        return Value::real(get<double>());
      case Kind::Char:
        return Value::character(get<uint32_t>());
      case Kind::Instant:
        return Value::instant(get<int64_t>());
      case Kind::BigInt:
      case Kind::BigDec:
      case Kind::String:
      case Kind::Symbol:
      case Kind::Keyword:
      case Kind::Uuid:
      case Kind::Bytes:
        return known_text(kind);
      case Kind::List:
        return Value::list(items());
      case Kind::Vector:
        return Value::vector(items());
      case Kind::Set:
        return Value::set(items());
      case Kind::Map: {
        const auto count = get<uint32_t>();
        std::vector<edn::Entry> entries;
        entries.reserve(count);
        for (uint32_t i = 0; i < count; ++i) {
          Value key = value();
          entries.emplace_back(std::move(key), value());
        }
        return Value::map(std::move(entries));
      }
      case Kind::Tagged: {
        std::string tag(text());
        return Value::tagged(std::move(tag), value());
      }
    }
    throw Error("a temporary file of a query is damaged");
  }

 private:
  std::string_view text() {
    const auto length = get<uint32_t>();
    if (length > rest_.size()) throw Error("a temporary file of a query is damaged");
    std::string_view found = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return found;
  }
  std::vector<Value> items() {
    const auto count = get<uint32_t>();
    std::vector<Value> found;
    found.reserve(count);
    for (uint32_t i = 0; i < count; ++i) found.push_back(value());
    return found;
  }
  static Value of_text(Kind kind, std::string_view text) {
    switch (kind) {
      case Kind::BigInt:
        return Value::bigint(text);
      case Kind::BigDec:
        return Value::bigdec(text);
      case Kind::Symbol:
        return Value::symbol(std::string(text));
      case Kind::Keyword:
        return Value::keyword(std::string(text));
      case Kind::Uuid:
        return Value::uuid(text);
      case Kind::Bytes:
        return Value::bytes(std::string(text));
      default:
        return Value::string(std::string(text));
    }
  }
  Value known_text(Kind kind) {
    const std::string_view t = text();
    Value& known = known_[std::hash<std::string_view>()(t) % known_.size()];
    if (!known.is(kind) || known.text() != t) known = of_text(kind, t);
    return known;
  }

  std::string_view rest_;
  std::array<Value, 64> known_;
};

}  // namespace

void RowFile::append(std::span<const Column> columns, size_t from, size_t to) {
  while (from < to) {
    const size_t count = std::min(to - from, block_ - pending_rows_);
    for (size_t c = 0; c < pending_.size(); ++c) pending_[c].append(columns[c], from, from + count);
    from += count;
    rows_ += count;
    pending_rows_ += count;
    if (pending_rows_ == block_) flush();
  }
}

void RowFile::append_row(std::span<const Column> columns, size_t row) {
  for (size_t c = 0; c < pending_.size(); ++c) {
    const Column& column = columns[c];
    if (column.is_integers())
      pending_[c].push_integer(column.integers()[row]);
    else
      pending_[c].push_back(column.at(row));
  }
  ++rows_;
  if (++pending_rows_ == block_) flush();
}

void RowFile::flush() {
  if (pending_rows_ == 0) return;
  std::string bytes(kHeader, '\0');
  for (Column& column : pending_) {
    put(bytes, static_cast<uint8_t>(!column.is_integers()));
    if (column.is_integers()) {
      bytes.append(reinterpret_cast<const char*>(column.integers().data()),
                   column.size() * sizeof(int64_t));
    } else {
      for (size_t row = 0; row < pending_rows_; ++row) put_value(bytes, column.at(row));
    }
    column = Column();
  }
  if (bytes.size() >= UINT32_MAX)
    throw QueryError("54000", "a thousand rows of the query are larger than 4 GB");
  const auto rows = static_cast<uint32_t>(pending_rows_);
  const auto length = static_cast<uint32_t>(bytes.size() - kHeader);
  std::memcpy(bytes.data(), &last_, 8);
  std::memcpy(bytes.data() + 8, &rows, 4);
  std::memcpy(bytes.data() + 12, &length, 4);
  last_ = file_->size();
  if (numbered_) offsets_.push_back(last_);
  file_->append(bytes);
  pending_rows_ = 0;
}

Columns RowFile::read(uint64_t block, uint64_t* before) {
  char header[kHeader];
  uint32_t rows, length;
  file_->read(block, header, kHeader);
  std::memcpy(before, header, 8);
  std::memcpy(&rows, header + 8, 4);
  std::memcpy(&length, header + 12, 4);
  std::string bytes(length, '\0');
  file_->read(block + kHeader, bytes.data(), length);
  BlockReader reader(bytes);
  Columns found(pending_.size());
  for (Column& column : found) {
    if (reader.get<uint8_t>() == 0) {
      std::vector<int64_t> integers(rows);
      reader.take(reinterpret_cast<char*>(integers.data()), rows * sizeof(int64_t));
      column.append(std::move(integers));
      continue;
    }
    column.reserve(rows);
    for (uint32_t row = 0; row < rows; ++row) column.push_back(reader.value());
  }
  return found;
}

size_t rows_of_block(size_t bytes, size_t columns) {
  return std::clamp<size_t>(bytes / (std::max<size_t>(columns, 1) * sizeof(Value)), 16, 1000);
}

}  // namespace datahike::datalog
