// Reading the build side of a join: all rows that its plan returns.
#include "exec/aggregate.h"
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
// The planner keeps what it expects below the limit; it may be wrong by as much.
constexpr size_t kMostLimits = 8;

// Values of some rows, by row. It is PostgreSQL's memory, and owns nothing with a destructor.
struct Batch {
  MemoryContext context;
  int columns;
  const int* from;  // of each column: its place in what the plan returns, from 0
  const bool* is_text;
  Datum* values;
  bool* nulls;
  int rows;
};

Datum copied(Datum value) {
  struct varlena* plain = PG_DETOAST_DATUM_PACKED(value);
  Size size = VARSIZE_ANY(plain);
  return PointerGetDatum(memcpy(palloc(size), plain, size));
}

// Up to kBatchRows rows; none at the end. What the plan's nodes allocate lives as long as they.
void fetch(PlanState* child, Batch* batch) {
  MemoryContext before = MemoryContextSwitchTo(child->state->es_query_cxt);
  MemoryContextReset(batch->context);
  auto places = static_cast<Size>(kBatchRows * std::max(batch->columns, 1));
  batch->values = static_cast<Datum*>(MemoryContextAlloc(batch->context, places * sizeof(Datum)));
  batch->nulls = static_cast<bool*>(MemoryContextAlloc(batch->context, places * sizeof(bool)));
  for (batch->rows = 0; batch->rows < kBatchRows; ++batch->rows) {
    CHECK_FOR_INTERRUPTS();
    TupleTableSlot* slot = ExecProcNode(child);
    if (TupIsNull(slot)) break;
    slot_getallattrs(slot);
    MemoryContext old = MemoryContextSwitchTo(batch->context);
    for (int i = 0; i < batch->columns; ++i) {
      int place = batch->rows * batch->columns + i;
      batch->nulls[place] = slot->tts_isnull[batch->from[i]];
      batch->values[place] = slot->tts_values[batch->from[i]];
      if (batch->is_text[i] && !batch->nulls[place])
        batch->values[place] = copied(batch->values[place]);
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

}  // namespace

std::shared_ptr<const vector::BuildTable> read_build_side(PlanState* child,
                                                          const Compiler& compiler,
                                                          const List* columns) {
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
  auto table =
      std::make_shared<vector::BuildTable>(compiler.build_types, compiler.program.join.build_keys);
  Batch batch{};
  batch.columns = static_cast<int>(count);
  batch.from = from.data();
  batch.is_text = is_text.get();
  batch.context = pg::call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "datahike build side",
                                 ALLOCSET_DEFAULT_SIZES);
  });
  const size_t limit = pg::call([] { return get_hash_memory_limit(); });
  const size_t most = limit > SIZE_MAX / kMostLimits ? SIZE_MAX : limit * kMostLimits;
  do {
    pg::call([child, &batch] { fetch(child, &batch); });
    // What it takes to scale numerics goes with the batch.
    const MemoryContext before = MemoryContextSwitchTo(batch.context);
    append(*table, batch, types, compiler.build_scales);
    MemoryContextSwitchTo(before);
    if (table->bytes() > most)
      throw pg::SqlError(ERRCODE_OUT_OF_MEMORY,
                         "the rows to join with need more memory than they may have",
                         "Raise work_mem, ANALYZE the tables, or set datahike.vectorized = off.");
  } while (batch.rows == kBatchRows);
  pg::call([&batch] { MemoryContextDelete(batch.context); });
  table->finish();
  return table;
}

}  // namespace datahike::exec
