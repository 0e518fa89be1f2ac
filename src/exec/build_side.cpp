#include "exec/build_side.h"

#include <cstring>

#include "column/vector/hash.h"
#include "exec/compile_types.h"
#include "pg/bridge.h"

extern "C" {
#include "executor/executor.h"
#include "executor/nodeHash.h"
#include "miscadmin.h"
#include "utils/memutils.h"
}

namespace datahike::exec {

namespace {

constexpr int kBatchRows = 1024;
constexpr unsigned kMostParts = 4096;  // beyond which parts take what they need
constexpr size_t kBlockBytes = 64 << 10;

enum Tag : char { kNull, kWord, kText };  // kText: its length in 4 bytes, then the text

// Values of some rows, by row. It is PostgreSQL's memory, and owns nothing with a destructor.
struct Batch {
  MemoryContext context;
  int columns;
  const int* from;  // of each column: its place in what the plan returns, from 0
  const bool* is_text;
  Datum* values;
  bool* nulls;
  Size most_bytes;
  int rows;
  bool last;  // no row comes after these
};

// What is not stored as it is has been copied by being read.
Datum copied(Datum value) {
  struct varlena* plain = PG_DETOAST_DATUM_PACKED(value);
  if (PointerGetDatum(plain) != value) return PointerGetDatum(plain);
  Size size = VARSIZE_ANY(plain);
  return PointerGetDatum(memcpy(palloc(size), plain, size));
}

// Up to kBatchRows rows, and fewer where they are wide. What the plan's nodes allocate lives as
// long as they.
void fetch(PlanState* child, Batch* batch) {
  MemoryContext before = MemoryContextSwitchTo(child->state->es_query_cxt);
  MemoryContextReset(batch->context);
  auto places = static_cast<Size>(kBatchRows * std::max(batch->columns, 1));
  batch->values = static_cast<Datum*>(MemoryContextAlloc(batch->context, places * sizeof(Datum)));
  batch->nulls = static_cast<bool*>(MemoryContextAlloc(batch->context, places * sizeof(bool)));
  Size bytes = 0;
  for (batch->rows = 0; batch->rows < kBatchRows && bytes < batch->most_bytes; ++batch->rows) {
    CHECK_FOR_INTERRUPTS();
    TupleTableSlot* slot = ExecProcNode(child);
    batch->last = TupIsNull(slot);
    if (batch->last) break;
    slot_getallattrs(slot);
    MemoryContext old = MemoryContextSwitchTo(batch->context);
    for (int i = 0; i < batch->columns; ++i) {
      int place = batch->rows * batch->columns + i;
      batch->nulls[place] = slot->tts_isnull[batch->from[i]];
      batch->values[place] = slot->tts_values[batch->from[i]];
      if (!batch->is_text[i] || batch->nulls[place]) continue;
      batch->values[place] = copied(batch->values[place]);
      bytes += VARSIZE_ANY(DatumGetPointer(batch->values[place]));
    }
    MemoryContextSwitchTo(old);
  }
  MemoryContextSwitchTo(before);
}

void append(vector::BuildTable& table, const Batch& batch, const std::vector<Oid>& types,
            const std::vector<int>& scales) {
  for (int row = 0; row < batch.rows; ++row) {
    for (int i = 0; i < batch.columns; ++i) {
      int place = row * batch.columns + i;
      Datum value = batch.values[place];
      if (batch.nulls[place]) {
        table.add_null(i);
      } else if (scales[i] >= 0) {
        // What no value of the table can be equal to matches nothing, as NULL.
        if (const auto word = decimal_word(value, scales[i]))
          table.add_word(i, static_cast<uint64_t>(*word));
        else
          table.add_null(i);
      } else if (batch.is_text[i]) {
        auto* text = reinterpret_cast<struct varlena*>(DatumGetPointer(value));
        table.add_text(i, ByteView(reinterpret_cast<const uint8_t*>(VARDATA_ANY(text)),
                                   VARSIZE_ANY_EXHDR(text)));
      } else if (is_float(types[i]) || is_int_like(types[i])) {
        table.add_word(i, word_of(value, types[i]));
      } else {
        table.add_text(i, {});  // only that it is not NULL counts
      }
    }
  }
}

void poll() {
  pg::call([] { CHECK_FOR_INTERRUPTS(); });
}

template <class T>
void put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Reads a file from its beginning, a block at a time.
class Reader {
 public:
  explicit Reader(pg::TemporaryFile& file) : file_(file) {}
  bool at_end() const { return at_ == block_.size() && next_ == file_.size(); }
  template <class T>
  T get() {
    T value;
    memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  // Until the next call.
  const char* take(size_t bytes) {
    if (block_.size() - at_ < bytes) refill(bytes);
    const char* found = block_.data() + at_;
    at_ += bytes;
    return found;
  }

 private:
  void refill(size_t bytes) {
    block_.erase(0, at_);
    at_ = 0;
    const size_t kept = block_.size();
    const size_t more =
        std::min<uint64_t>(std::max(bytes - kept, kBlockBytes), file_.size() - next_);
    block_.resize(kept + more);
    file_.read(next_, block_.data() + kept, more);
    next_ += more;
    if (block_.size() < bytes) throw Error("a temporary file of a join ends within a row");
    poll();
  }
  pg::TemporaryFile& file_;
  uint64_t next_ = 0;  // of the file, behind the block
  std::string block_;
  size_t at_ = 0;
};

}  // namespace

BuildSide::BuildSide(PlanState* child, const Compiler& compiler, const List* columns)
    : types_(compiler.build_types), keys_(compiler.program.join.build_keys) {
  const size_t count = compiler.build_attributes.size();
  std::vector<int> from;
  std::vector<Oid> types;
  std::unique_ptr<bool[]> is_text(new bool[count + 1]);
  for (size_t i = 0; i < count; ++i) {
    int place = 0;
    ListCell* cell;
    foreach (cell, columns) {
      if (lfirst_int(cell) == compiler.build_attributes[i]) break;
      ++place;
    }
    if (place == list_length(columns))
      throw pg::SqlError(ERRCODE_INTERNAL_ERROR, "a join's plan lacks a column");
    from.push_back(place);
    types.push_back(TupleDescAttr(child->ps_ResultTupleDesc, place)->atttypid);
    is_text[i] = types[i] == TEXTOID || types[i] == VARCHAROID || types[i] == BPCHAROID ||
                 compiler.build_scales[i] >= 0;
  }
  Batch batch{};
  batch.columns = static_cast<int>(count);
  batch.from = from.data();
  batch.is_text = is_text.get();
  batch.context = pg::call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "datahike build side",
                                 ALLOCSET_DEFAULT_SIZES);
  });
  const size_t limit = pg::call([] { return get_hash_memory_limit(); });
  batch.most_bytes = std::max(limit / 4, kBlockBytes);
  auto table = std::make_unique<vector::BuildTable>(types_, keys_);
  uint64_t rows = 0, rows_in_memory = 0;
  do {
    pg::call([child, &batch] { fetch(child, &batch); });
    // What it takes to scale numerics goes with the batch.
    const MemoryContext before = MemoryContextSwitchTo(batch.context);
    append(*table, batch, types, compiler.build_scales);
    MemoryContextSwitchTo(before);
    // Vectors have up to twice the room that they need.
    if (table->bytes() / 2 <= limit && !batch.last) continue;
    rows += table->added();
    if (!file_ && batch.last && table->bytes() / 2 <= limit) break;
    rows_in_memory = std::max<uint64_t>(rows_in_memory, table->added());
    write(*table);
    table = std::make_unique<vector::BuildTable>(types_, keys_);
  } while (!batch.last);
  pg::call([&batch] { MemoryContextDelete(batch.context); });
  if (file_) {
    flush();
    const uint64_t parts = 2 * rows / std::max<uint64_t>(rows_in_memory, 1) + 1;
    parts_ = static_cast<unsigned>(std::min<uint64_t>(parts, kMostParts));
  } else {
    table->finish();
    whole_ = std::move(table);
  }
}

uint64_t BuildSide::hash_of(const vector::BuildTable& table, size_t row) const {
  uint64_t hash = 0;
  for (const int key : keys_) {
    const uint64_t word = table.words(key)[row];
    hash = vector::mix(
        hash ^ (types_[key] == vector::Type::Text
                    ? vector::text_hash(table.texts(key).text(static_cast<uint32_t>(word)))
                    : vector::hashed_word(types_[key] == vector::Type::Float, word, false)));
  }
  return hash;
}

// Appends its rows to the file. Those with a NULL key match nothing.
void BuildSide::write(const vector::BuildTable& table) {
  if (!file_)
    file_ = std::make_unique<pg::TemporaryFile>(CurrentMemoryContext, CurrentResourceOwner);
  for (size_t row = 0; row < table.added(); ++row) {
    if (std::ranges::any_of(keys_, [&](int key) { return table.nulls(key)[row] != 0; })) continue;
    put(waiting_, hash_of(table, row));
    for (size_t i = 0; i < types_.size(); ++i) {
      const auto column = static_cast<int>(i);
      const uint64_t word = table.words(column)[row];
      if (table.nulls(column)[row]) {
        waiting_ += kNull;
      } else if (types_[i] != vector::Type::Text) {
        waiting_ += kWord;
        put(waiting_, word);
      } else {
        const ByteView text = table.texts(column).text(static_cast<uint32_t>(word));
        waiting_ += kText;
        put(waiting_, static_cast<uint32_t>(text.size()));
        waiting_.append(reinterpret_cast<const char*>(text.data()), text.size());
      }
    }
    if (waiting_.size() >= kBlockBytes) flush();
  }
}

void BuildSide::flush() {
  if (waiting_.empty()) return;
  poll();
  file_->append(waiting_);
  waiting_.clear();
}

std::shared_ptr<const vector::BuildTable> BuildSide::part(unsigned number) {
  if (whole_) return whole_;
  auto table = std::make_shared<vector::BuildTable>(types_, keys_);
  for (Reader reader(*file_); !reader.at_end();) {
    const bool wanted = vector::part_of(reader.get<uint64_t>(), parts_) == number;
    for (size_t i = 0; i < types_.size(); ++i) {
      const auto column = static_cast<int>(i);
      const Tag tag = static_cast<Tag>(reader.get<char>());
      if (tag == kNull) {
        if (wanted) table->add_null(column);
      } else if (tag == kWord) {
        const auto word = reader.get<uint64_t>();
        if (wanted) table->add_word(column, word);
      } else {
        const auto size = reader.get<uint32_t>();
        const auto* text = reinterpret_cast<const uint8_t*>(reader.take(size));
        if (wanted) table->add_text(column, ByteView(text, size));
      }
    }
  }
  table->finish();
  return table;
}

}  // namespace datahike::exec
