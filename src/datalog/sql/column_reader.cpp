#include "datalog/sql/column_reader.h"

#include "pg/bridge.h"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace datahike::query {

namespace {

bool is_text(Oid type) { return type == TEXTOID || type == VARCHAROID; }

// Bounds are for values that they can be compared with.
bool is_alike(const Value& bound, const Value& v) {
  return bound.is_number() ? v.is_number() : bound.kind() == v.kind();
}

}  // namespace

// In a database that is not encoded in UTF-8 text is converted by the general way.
ColumnReader::Form ColumnReader::form_of(Oid type) {
  switch (type) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
      return Form::Integer;
    case OIDOID:
      return Form::Oid;
    case BOOLOID:
      return Form::Boolean;
    case FLOAT4OID:
      return Form::Single;
    case FLOAT8OID:
      return Form::Double;
    default:
      return is_text(type) && GetDatabaseEncoding() == PG_UTF8 ? Form::Text : Form::Other;
  }
}

bool ColumnReader::reads(Oid type) {
  switch (type) {
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
    case BYTEAOID:
    case UUIDOID:
    case NUMERICOID:
    case JSONBOID:
    case JSONOID:
    case DATEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
      return true;
    default:
      return form_of(type) != Form::Other;
  }
}

ColumnReader::ColumnReader(const ScannedColumn& wanted, ::Relation relation,
                           const am::RelationInfo& info, MemoryContext memory)
    : wanted_(wanted),
      relation_(relation),
      info_(info),
      memory_(memory),
      form_(form_of(wanted.type)) {
  CellType* type = &type_;
  Oid oid = wanted.type;
  pg::call([=] { describe_type(oid, type); });
  has_condition_ = wanted.constant || wanted.least || wanted.greatest || wanted.some;
  all_integers_ = form_ == Form::Integer;
  for (const auto* condition : {&wanted.constant, &wanted.least, &wanted.greatest})
    all_integers_ = all_integers_ && (!*condition || (*condition)->is(Kind::Long));
  if (all_integers_) {
    if (wanted.least) low_ = wanted.least->as_integer();
    if (wanted.greatest) high_ = wanted.greatest->as_integer();
    if (wanted.constant) {
      low_ = std::max(low_, wanted.constant->as_integer());
      high_ = std::min(high_, wanted.constant->as_integer());
    }
  }
  if (!wanted.some) return;
  size_t bits = 1024;
  while (bits < wanted.some->size() * 32) bits *= 2;
  some_.assign(bits / 64, 0);
  for (const Value& v : *wanted.some) {
    uint64_t hash = v.hash() & (bits - 1);
    some_[hash / 64] |= uint64_t{1} << hash % 64;
  }
}

bool ColumnReader::may_be_some(uint64_t hash) const {
  if (some_.empty()) return true;
  hash &= some_.size() * 64 - 1;
  return some_[hash / 64] >> hash % 64 & 1;
}

bool ColumnReader::fits(const Value& v) const {
  if (wanted_.constant && !(v == *wanted_.constant)) return false;
  if (wanted_.least && is_alike(*wanted_.least, v) && v < *wanted_.least) return false;
  if (wanted_.greatest && is_alike(*wanted_.greatest, v) && *wanted_.greatest < v) return false;
  return may_be_some(v.hash());
}

Value ColumnReader::of_word(uint64_t bits) const {
  switch (form_) {
    case Form::Boolean:
      return Value::boolean(bits != 0);
    case Form::Oid:
      return Value::integer(static_cast<uint32_t>(bits));
    case Form::Single:
      return Value::real(DatumGetFloat4(bits));
    case Form::Double:
      return Value::real(DatumGetFloat8(bits));
    default:
      return Value::integer(static_cast<int64_t>(bits));
  }
}

Value ColumnReader::of_missing() {
  am::MissingValue missing = am::missing_value(relation_, info_, wanted_.number - 1);
  if (missing.null) return Value();
  CellType* type = &type_;
  Datum value = missing.value;
  MemoryContext memory = memory_;
  Cell cell = pg::call([=] {
    MemoryContext before = MemoryContextSwitchTo(memory);
    Cell c = cell_of(value, false, type);
    MemoryContextSwitchTo(before);
    return c;
  });
  Value v = value_of(cell);
  pg::call([=] { MemoryContextReset(memory); });
  return v;
}

bool ColumnReader::open(const store::SegmentReader& segment) {
  segment_ = &segment;
  at_ = segment.find(wanted_.number);
  of_codes_.clear();
  coded_ = false;
  has_nulls_ = at_ >= 0 && segment.nulls(at_) > 0;
  if (at_ < 0) {
    missing_ = of_missing();
    return !missing_.is_nil() && (!has_condition_ || fits(missing_));
  }
  if (form_ == Form::Integer && all_integers_) {
    store::ZoneMap zone = segment.zone(at_);
    if (zone.ordered && (zone.max < low_ || zone.min > high_)) return false;
  }
  uint32_t codes = form_ == Form::Text ? segment.code_count(at_) : 0;
  coded_ = codes > 0 && codes <= segment.rows();
  if (coded_) {
    of_codes_.assign(codes, Value());
    code_fits_.assign(codes, kUnknown);
  }
  return true;
}

const Value& ColumnReader::of_code(uint32_t code) {
  Value& v = of_codes_[code];
  if (v.is_nil()) {
    ByteView text = segment_->coded(at_, code);
    v = Value::string(std::string(reinterpret_cast<const char*>(text.data()), text.size()));
  }
  return v;
}

bool ColumnReader::code_fits(uint32_t code) {
  uint8_t& known = code_fits_[code];
  if (known == kUnknown) known = fits(of_code(code));
  return known;
}

template <class Keep>
void ColumnReader::keep(std::vector<uint32_t>& rows, Keep&& wanted) {
  size_t kept = 0;
  for (uint32_t row : rows) {
    rows[kept] = row;
    kept += nulls_[row / 64] >> row % 64 & 1 ? 0 : wanted(row);
  }
  rows.resize(kept);
}

void ColumnReader::filter(uint32_t first, uint32_t count, std::vector<uint32_t>& rows) {
  if (at_ < 0) return;  // open() has looked at the one value
  nulls_.resize((count + 63) / 64);
  segment_->null_bits(at_, first, nulls_);
  if (form_ < Form::Text) {
    words_.resize(count);
    if (is_sparse(rows, count)) {
      const store::ColumnReader column = segment_->column_reader(at_);
      for (uint32_t row : rows)
        if (!(nulls_[row / 64] >> row % 64 & 1)) words_[row] = column.bits(first + row);
    } else {
      segment_->bits(at_, first, words_);
    }
    if (!has_condition_ && !has_nulls_) return;
    if (!has_condition_) return keep(rows, [](uint32_t) { return true; });
    if (!all_integers_) return keep(rows, [&](uint32_t row) { return fits(of_word(words_[row])); });
    keep(rows, [&](uint32_t row) {
      auto i = static_cast<int64_t>(words_[row]);
      return i >= low_ && i <= high_;
    });
    if (!some_.empty())
      keep(rows, [&](uint32_t row) {
        return may_be_some(Value::integer(static_cast<int64_t>(words_[row])).hash());
      });
    return;
  }
  if (coded_) {
    codes_.resize(count);
    segment_->codes(at_, first, codes_);
    if (!has_condition_ && !has_nulls_) return;
    if (!has_condition_) return keep(rows, [](uint32_t) { return true; });
    return keep(rows, [&](uint32_t row) { return code_fits(codes_[row]); });
  }
  keep(rows, [](uint32_t) { return true; });
  if (!has_condition_) return;
  // Text that cannot be the constant is not made a value.
  if (form_ == Form::Text && wanted_.constant) {
    if (!wanted_.constant->is(Kind::String)) return rows.clear();
    const std::string& text = wanted_.constant->text();
    column::Scratch scratch;
    keep(rows, [&](uint32_t row) {
      ByteView bytes = segment_->bytes(at_, first + row, scratch);
      return bytes.size() == text.size() && !std::memcmp(bytes.data(), text.data(), text.size());
    });
  }
  datalog::Values values = values_of(first, rows);
  size_t kept = 0;
  for (size_t i = 0; i < rows.size(); ++i)
    if (fits(values[i])) rows[kept++] = rows[i];
  rows.resize(kept);
}

// Of columns that are neither words nor codes.
datalog::Values ColumnReader::values_of(uint32_t first, const std::vector<uint32_t>& rows) {
  datalog::Values values;
  values.reserve(rows.size());
  if (form_ == Form::Text) {
    column::Scratch scratch;
    for (uint32_t row : rows) {
      ByteView text = segment_->bytes(at_, first + row, scratch);
      values.push_back(
          Value::string(std::string(reinterpret_cast<const char*>(text.data()), text.size())));
    }
    return values;
  }
  // As PostgreSQL has them, in pieces of bounded memory.
  column::Scratch scratch;
  bool word = column::is_word(info_.attribute[wanted_.number - 1].kind);
  for (size_t from = 0; from < rows.size(); from += kAtOnce) {
    size_t to = std::min(rows.size(), from + kAtOnce);
    for (size_t i = from; i < to; ++i) {
      uint64_t bits = word ? segment_->bits(at_, first + rows[i]) : 0;
      ByteView bytes = word ? ByteView() : segment_->bytes(at_, first + rows[i], scratch);
      bool varlena = info_.attribute[wanted_.number - 1].length == -1;
      const ByteView* b = &bytes;
      CellType* type = &type_;
      MemoryContext memory = memory_;
      Cell cell = pg::call([=] {
        MemoryContext before = MemoryContextSwitchTo(memory);
        Datum datum = bits;
        if (!word) {
          size_t header = varlena ? VARHDRSZ : 0;
          auto* p = static_cast<char*>(palloc(header + b->size() + 1));
          if (varlena) SET_VARSIZE(p, header + b->size());
          std::memcpy(p + header, b->data(), b->size());
          datum = PointerGetDatum(p);
        }
        Cell c = cell_of(datum, false, type);
        MemoryContextSwitchTo(before);
        return c;
      });
      values.push_back(value_of(cell));
    }
    MemoryContext memory = memory_;
    pg::call([=] { MemoryContextReset(memory); });
  }
  return values;
}

void ColumnReader::append(uint32_t first, const std::vector<uint32_t>& rows, Column& out) {
  if (at_ < 0) {
    for (size_t i = 0; i < rows.size(); ++i) out.push_back(missing_);
  } else if (form_ == Form::Integer) {
    std::vector<int64_t> integers(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) integers[i] = static_cast<int64_t>(words_[rows[i]]);
    out.append(std::move(integers));
  } else if (form_ < Form::Text) {
    for (uint32_t row : rows) out.push_back(of_word(words_[row]));
  } else if (coded_) {
    datalog::Values values;
    values.reserve(rows.size());
    for (uint32_t row : rows) values.push_back(of_code(codes_[row]));
    out.append(std::move(values));
  } else {
    out.append(values_of(first, rows));
  }
}

}  // namespace datahike::query
