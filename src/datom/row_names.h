// References to rows of tables as a dump has them: by the names of the table and of the row's key,
// because the restored row is another entity. decode() refuses them, so that nobody reads them as
// anything else; relink_rows() makes them references again. The grammar is at the head of
// row_names.cpp.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "datom/attribute.h"

namespace datahike::datom {

inline constexpr bool is_row(int64_t e) { return e >= kFirstRow && e < kFirstTx; }

inline constexpr char kRowName = 16;  // in the place of a datom::Type
// What rows of datahike.facts have as r where their value is or has a row name.
inline constexpr int64_t kToRowName = -1;

struct RowName {
  // UTF-8. Without a table there was no such row; `entity` tells it from others like it.
  std::string schema, table;
  std::vector<std::pair<std::string, std::optional<std::string>>> key;  // nullopt: NULL
  int64_t entity = 0;
  bool is_known() const { return !table.empty(); }
};

std::string encode_row_name(const RowName& name);
RowName decode_row_name(std::string_view encoded);  // CorruptError
// As `public.person with (id) = (5)`.
std::string describe(const RowName& name);
// 55000: names what the fact refers to, with a hint.
[[noreturn]] void refuse_row_name(std::string_view encoded);

// Of encoded values (encoding.h), tuples' elements included.
bool refers_to_rows(std::string_view encoded);
bool has_row_names(std::string_view encoded);
// The value with each reference, by number or by name, replaced by what `replace` makes of it;
// all of them encoded.
using Replace = std::function<std::string(std::string_view)>;
std::string replace_references(std::string_view encoded, const Replace& replace);

// Whether a row name may stand for the value, or a part of it.
bool may_be_row_name(const Value& value);

}  // namespace datahike::datom
