#include "am/slot.h"

#include "am/added_defaults.h"
#include "am/convert.h"
#include "am/pending.h"
#include "am/row_filter.h"
#include "am/row_locks.h"
#include "pg/bridge.h"
#include "pg/shared.h"
#include "pg/store.h"
#include "versioning/view.h"

namespace datahike::am {

namespace {

using store::Kind;

Slot* as_slot(TupleTableSlot* slot) { return reinterpret_cast<Slot*>(slot); }

constexpr size_t kBlockHeader = MAXALIGN(sizeof(char*));

char*& previous_block(char* block) { return *reinterpret_cast<char**>(block); }

char* allocate_block(Slot* slot, size_t bytes) {
  SlotArena& arena = slot->arena;
  size_t size = std::max<size_t>(bytes + kBlockHeader, std::max<size_t>(arena.size * 2, 512));
  auto* block = static_cast<char*>(MemoryContextAllocHuge(slot->base.base.tts_mcxt, size));
  previous_block(block) = arena.block;
  arena.block = block;
  arena.size = size;
  arena.used = kBlockHeader + bytes;
  return block + kBlockHeader;
}

// Bump allocation in the slot's context. Earlier values stay where they are.
inline char* allocate(Slot* slot, size_t bytes) {
  SlotArena& arena = slot->arena;
  size_t start = MAXALIGN(arena.used);
  if (!arena.block || start + bytes > arena.size) return allocate_block(slot, bytes);
  arena.used = start + bytes;
  return arena.block + start;
}

void free_blocks(char* block) {
  while (block) {
    char* previous = previous_block(block);
    pfree(block);
    block = previous;
  }
}

void reset_arena(Slot* slot) {
  SlotArena& arena = slot->arena;
  if (!arena.block) return;
  free_blocks(previous_block(arena.block));
  previous_block(arena.block) = nullptr;
  arena.used = kBlockHeader;
  if (arena.size > (64 << 10)) {  // a very large row gives its memory back at once
    pfree(arena.block);
    arena = {};
  }
}

// A varlena around the stored bytes: with a 1-byte header where PostgreSQL allows one.
Datum make_varlena(Slot* slot, ByteView bytes, bool plain_storage) {
  if (bytes.size() + VARHDRSZ_SHORT <= VARATT_SHORT_MAX && !plain_storage) {
    char* p = allocate(slot, bytes.size() + VARHDRSZ_SHORT);
    SET_VARSIZE_SHORT(p, bytes.size() + VARHDRSZ_SHORT);
    std::memcpy(VARDATA_SHORT(p), bytes.data(), bytes.size());
    return PointerGetDatum(p);
  }
  char* p = allocate(slot, bytes.size() + VARHDRSZ);
  SET_VARSIZE(p, bytes.size() + VARHDRSZ);
  std::memcpy(VARDATA(p), bytes.data(), bytes.size());
  return PointerGetDatum(p);
}

// One that PostgreSQL compressed.
Datum make_compressed(Slot* slot, ByteView bytes) {
  char* p = allocate(slot, bytes.size() + VARHDRSZ);
  SET_VARSIZE_COMPRESSED(p, bytes.size() + VARHDRSZ);
  std::memcpy(p + VARHDRSZ, bytes.data(), bytes.size());
  return PointerGetDatum(p);
}

Datum make_fixed(Slot* slot, ByteView bytes) {
  char* p = allocate(slot, bytes.size());
  std::memcpy(p, bytes.data(), bytes.size());
  return PointerGetDatum(p);
}

// A value of `reader`, which is not NULL, as its type then was: in the slot's memory.
Datum decode_as(Slot* slot, const store::ColumnReader& reader, Kind kind, bool plain_storage) {
  if (kind <= Kind::Float64) return static_cast<Datum>(reader.bits(slot->row));
  column::ShortScratch scratch;
  const store::StoredBytes value = reader.stored(slot->row, scratch);
  if (kind == Kind::Fixed) return make_fixed(slot, value.bytes);
  return value.compressed ? make_compressed(slot, value.bytes)
                          : make_varlena(slot, value.bytes, plain_storage);
}

// What a value of another type is in attribute `i`.
void convert_into(Slot* slot, int i, Datum value, Oid type, int32_t typmod) {
  TupleTableSlot& base = slot->base.base;
  const Attribute& a = slot->info->attribute[i];
  FormData_pg_attribute* att = TupleDescAttr(base.tts_tupleDescriptor, i);
  Datum converted = pg::call([&] {
    return convert_value(value, type, typmod, *att, base.tts_tableOid, &base.tts_isnull[i]);
  });
  if (base.tts_isnull[i]) return;
  if (a.kind > Kind::Float64) {
    if (a.length == -1) {
      auto* detoasted = pg::call([=] { return PG_DETOAST_DATUM(converted); });
      converted = PointerGetDatum(detoasted);
    }
    Size size = datumGetSize(converted, false, a.length);
    char* copy = allocate(slot, size);
    std::memcpy(copy, DatumGetPointer(converted), size);
    converted = PointerGetDatum(copy);
  }
  base.tts_values[i] = converted;
}

// The row was written before the column was added.
void complete_attribute(Slot* slot, int i) {
  TupleTableSlot& base = slot->base.base;
  const Attribute& a = slot->info->attribute[i];
  base.tts_values[i] = getmissingattr(base.tts_tupleDescriptor, a.number, &base.tts_isnull[i]);
  if (!base.tts_isnull[i]) return;
  const AddedDefault* added = find_added_default(*slot->info, a.number);
  if (!added) return;
  base.tts_isnull[i] = false;
  if (added->type == a.type && added->typmod == a.typmod)
    base.tts_values[i] = added->value;
  else
    convert_into(slot, i, added->value, added->type, added->typmod);
}

// Of a type or modifier that is not the attribute's.
void decode_otherwise(Slot* slot, int i, const store::ColumnReader& reader) {
  const Attribute& a = slot->info->attribute[i];
  const store::ColumnSpec& spec = reader.spec();
  bool older = slot->rowid < slot->info->horizon;
  if (older && (spec.type != a.type || spec.typmod != a.typmod)) {
    bool plain_storage = spec.kind == Kind::Bytes &&
                         pg::call([&] { return get_typstorage(spec.type) == TYPSTORAGE_PLAIN; });
    Datum value = decode_as(slot, reader, spec.kind, plain_storage);
    convert_into(slot, i, value, spec.type, spec.typmod);
    return;
  }
  if (spec.kind != a.kind || spec.width != a.width)
    throw CorruptError("row " + std::to_string(slot->rowid) + " holds a value of type " +
                       std::to_string(spec.type) + " where type " + std::to_string(a.type) +
                       " was expected");
  slot->base.base.tts_values[i] = decode_as(slot, reader, a.kind, a.plain_storage);
}

// A view into the map that has been let go of since is found again: row versions are immutable.
void ensure_segment(Slot* slot) {
  if (!slot->in_store) return;
  store::Environment& env = pg::open_store();
  if (env.generation() == slot->generation) return;
  auto segment = env.segment(slot->table, slot->rowid);
  if (!segment)
    throw CorruptError("row " + std::to_string(slot->rowid) + " has vanished from the store");
  slot->segment = *segment;
  slot->row = static_cast<uint32_t>(slot->rowid - segment->first_rowid());
  slot->generation = env.generation();
  slot->columns.enter(slot->segment, slot->generation);
}

void decode_attribute(Slot* slot, int i) {
  TupleTableSlot& base = slot->base.base;
  const Attribute& a = slot->info->attribute[i];
  SlotColumn& column = slot->columns.column(*slot->info, i, slot->segment, base.tts_mcxt);
  base.tts_values[i] = 0;
  base.tts_isnull[i] = true;
  if (column.stored_as() == StoredAs::Nothing) return;
  if (column.stored_as() == StoredAs::Missing) {
    complete_attribute(slot, i);
    return ensure_segment(slot);  // casts are anybody's functions
  }
  const store::ColumnReader& reader = column.reader();
  if (reader.is_null(slot->row)) return;
  base.tts_isnull[i] = false;
  if (column.stored_as() == StoredAs::Word) {
    base.tts_values[i] =
        static_cast<Datum>(column.word(slot->row, slot->segment.rows(), base.tts_mcxt));
  } else if (column.stored_as() == StoredAs::Otherwise) {
    decode_otherwise(slot, i, reader);
    ensure_segment(slot);
  } else {
    base.tts_values[i] = decode_as(slot, reader, a.kind, a.plain_storage);
  }
}

void init(TupleTableSlot* slot) {
  Slot* s = as_slot(slot);
  s->table = 0;
  s->owned = false;
  s->info = nullptr;
  s->arena = {};
  s->columns = {};
  s->xmin = s->xmax = InvalidTransactionId;
}

void release(TupleTableSlot* slot) {
  Slot* s = as_slot(slot);
  free_blocks(s->arena.block);
  s->arena = {};
  s->columns.release();
  if (s->info) pfree(s->info);
  s->info = nullptr;
}

void clear(TupleTableSlot* slot) {
  Slot* s = as_slot(slot);
  s->table = 0;
  s->owned = false;
  s->xmin = s->xmax = InvalidTransactionId;
  reset_arena(s);
  slot->tts_nvalid = 0;
  slot->tts_flags = (slot->tts_flags & ~TTS_FLAG_SHOULDFREE) | TTS_FLAG_EMPTY;
  ItemPointerSetInvalid(&slot->tts_tid);
}

void get_some_attributes(TupleTableSlot* slot, int natts) {
  pg::guard([=] {
    Slot* s = as_slot(slot);
    if (s->table == 0) return;
    ensure_segment(s);
    int upto = std::min(natts, s->info->attributes);
    for (int i = slot->tts_nvalid; i < upto; ++i) decode_attribute(s, i);
    slot->tts_nvalid = static_cast<AttrNumber>(upto);
  });
}

// What SELECT xmin shows: the writer while 32 bits can tell it apart, else frozen.
TransactionId shown_xmin(Slot* s) {
  if (TransactionIdIsValid(s->xmin)) return s->xmin;
  if (s->table == 0) return FrozenTransactionId;
  ensure_segment(s);
  uint64_t xid = s->segment.xid(s->row);
  auto narrow = static_cast<TransactionId>(xid);
  s->xmin = pg::widen_xid(narrow) == xid ? narrow : FrozenTransactionId;
  return s->xmin;
}

// As tid_base(), for each of many rows: whoever shows them has the table open and locked.
TidBase base_of_open_table(Oid relid) {
  Relation relation = RelationIdGetRelation(relid);
  if (!RelationIsValid(relation)) elog(ERROR, "could not open relation with OID %u", relid);
  TidBase base = relation_info(relation).tid_base;
  RelationClose(relation);
  return base;
}

// What SELECT xmax shows: the transaction that is removing the row. Locks alone are not shown.
TransactionId shown_xmax(Slot* s) {
  const TupleTableSlot& base = s->base.base;
  if (TransactionIdIsValid(s->xmax) || !is_rowid(base.tts_tid)) return s->xmax;
  int32_t branch = versioning::session_view().branch;
  Oid relation = base.tts_tableOid;
  TidBase tids = pg::call([=] { return base_of_open_table(relation); });
  uint64_t rowid = to_rowid(tids, base.tts_tid);
  if (own_removed_any(branch, rowid)) return GetTopTransactionIdIfAny();
  return pg::call([=] { return find_running_remover(branch, rowid); });
}

Datum get_system_attribute(TupleTableSlot* slot, int attnum, bool* isnull) {
  Slot* s = as_slot(slot);
  *isnull = false;
  switch (attnum) {
    case MinTransactionIdAttributeNumber:
      return TransactionIdGetDatum(pg::guard([=] { return shown_xmin(s); }));
    case MaxTransactionIdAttributeNumber:
      return TransactionIdGetDatum(pg::guard([=] { return shown_xmax(s); }));
    case MinCommandIdAttributeNumber:
      return CommandIdGetDatum(s->cmin);
    case MaxCommandIdAttributeNumber:
      return CommandIdGetDatum(0);
    default:
      ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                      errmsg("system column %d cannot be read in this context", attnum)));
      pg_unreachable();
  }
}

// An expanded object as a plain value in the slot's memory.
Datum flatten_object(Slot* slot, Datum value) {
  ExpandedObjectHeader* object = DatumGetEOHP(value);
  Size size = EOH_get_flat_size(object);
  char* copy = allocate(slot, size);
  EOH_flatten_into(object, copy, size);
  return PointerGetDatum(copy);
}

// Makes every by-reference value the slot's own memory.
void materialize(TupleTableSlot* slot) {
  Slot* s = as_slot(slot);
  slot_getallattrs(slot);
  if (!s->owned) {
    TupleDesc desc = slot->tts_tupleDescriptor;
    for (int i = 0; i < desc->natts; ++i) {
      FormData_pg_attribute* att = TupleDescAttr(desc, i);
      if (att->attbyval || slot->tts_isnull[i]) continue;
      char* value = DatumGetPointer(slot->tts_values[i]);
      if (att->attlen == -1 && VARATT_IS_EXTERNAL_EXPANDED(value)) {
        slot->tts_values[i] = flatten_object(s, slot->tts_values[i]);
        continue;
      }
      Size size = att->attlen > 0     ? static_cast<Size>(att->attlen)
                  : att->attlen == -1 ? VARSIZE_ANY(value)
                                      : strlen(value) + 1;
      char* copy = allocate(s, size);
      std::memcpy(copy, value, size);
      slot->tts_values[i] = PointerGetDatum(copy);
    }
    s->owned = true;
  }
  if (s->table != 0) pg::guard([=] { return shown_xmin(s); });
  s->table = 0;  // nothing left to decode
}

void copy_slot(TupleTableSlot* to, TupleTableSlot* from) {
  TupleDesc desc = from->tts_tupleDescriptor;
  clear(to);
  slot_getallattrs(from);
  for (int i = 0; i < desc->natts; ++i) {
    to->tts_values[i] = from->tts_values[i];
    to->tts_isnull[i] = from->tts_isnull[i];
  }
  if (is_datahike_slot(from)) {
    as_slot(to)->xmin = pg::guard([=] { return shown_xmin(as_slot(from)); });
    as_slot(to)->xmax = as_slot(from)->xmax;
    as_slot(to)->cmin = as_slot(from)->cmin;
  }
  to->tts_tid = from->tts_tid;
  to->tts_tableOid = from->tts_tableOid;
  to->tts_nvalid = static_cast<AttrNumber>(desc->natts);
  to->tts_flags &= ~TTS_FLAG_EMPTY;
  materialize(to);
}

HeapTuple copy_heap_tuple(TupleTableSlot* slot) {
  slot_getallattrs(slot);
  HeapTuple tuple = heap_form_tuple(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
  tuple->t_self = slot->tts_tid;
  tuple->t_tableOid = slot->tts_tableOid;
  return tuple;
}

MinimalTuple copy_minimal_tuple(TupleTableSlot* slot) {
  slot_getallattrs(slot);
  return heap_form_minimal_tuple(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
}

Slot* begin_store(TupleTableSlot* slot, Relation relation, const RelationInfo& info,
                  uint64_t rowid) {
  ExecClearTuple(slot);
  slot->tts_tid = to_tid(info.tid_base, rowid);
  slot->tts_tableOid = RelationGetRelid(relation);
  slot->tts_flags &= ~TTS_FLAG_EMPTY;
  return as_slot(slot);
}

// The attributes as the slot's descriptor has them: while ALTER TABLE rewrites, that is the old
// one.
RelationInfo* describe_slot(TupleTableSlot* slot, const RelationInfo& info) {
  TupleDesc desc = slot->tts_tupleDescriptor;
  size_t bytes = offsetof(RelationInfo, attribute) + sizeof(Attribute) * desc->natts;
  auto* own = static_cast<RelationInfo*>(MemoryContextAllocZero(slot->tts_mcxt, bytes));
  own->table = info.table;
  own->horizon = info.horizon;
  own->added_defaults = info.added_defaults;
  own->attributes = desc->natts;
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    const Attribute* known = i < info.attributes ? &info.attribute[i] : nullptr;
    bool same = known && known->type == att->atttypid && known->typmod == att->atttypmod &&
                known->dropped == att->attisdropped;
    own->attribute[i] = same ? *known : describe_attribute(*att);
  }
  return own;
}

// The row has `written` attributes; the others were added since.
void complete_row(Slot* s, const RelationInfo& info, int written) {
  TupleTableSlot& base = s->base.base;
  base.tts_nvalid = base.tts_tupleDescriptor->natts;
  if (written >= base.tts_tupleDescriptor->natts) return;
  if (!s->info) s->info = describe_slot(&base, info);
  for (int i = written; i < s->info->attributes; ++i)
    if (!s->info->attribute[i].dropped) complete_attribute(s, i);
}

}  // namespace

const TupleTableSlotOps slot_operations = {
    .base_slot_size = sizeof(Slot),
    .init = init,
    .release = release,
    .clear = clear,
    .getsomeattrs = get_some_attributes,
    .getsysattr = get_system_attribute,
    .materialize = materialize,
    .copyslot = copy_slot,
    .get_heap_tuple = nullptr,
    .get_minimal_tuple = nullptr,
    .copy_heap_tuple = copy_heap_tuple,
    .copy_minimal_tuple = copy_minimal_tuple,
};

void store_segment_row(TupleTableSlot* slot, Relation relation, const RelationInfo& info,
                       uint64_t rowid, const store::SegmentReader& segment, uint32_t row,
                       bool in_store) {
  Slot* s = begin_store(slot, relation, info, rowid);
  s->table = info.table;
  s->rowid = rowid;
  s->segment = segment;
  s->row = row;
  s->in_store = in_store;
  s->generation = in_store ? pg::open_store().generation() : 0;
  s->columns.enter(segment, s->generation);
  s->owned = true;
  s->cmin = 0;
  if (!s->info) s->info = describe_slot(slot, info);
}

void mark_written_now(TupleTableSlot* slot, CommandId cid, bool was_locked) {
  if (!is_datahike_slot(slot)) return;
  Slot* s = as_slot(slot);
  s->xmin = GetCurrentTransactionIdIfAny();  // assigned with the first write
  // As on heap a lock that was taken first goes over to the new version; "xmax = 0" is how
  // applications tell an insert from an update after ON CONFLICT.
  s->xmax = was_locked ? s->xmin : InvalidTransactionId;
  s->cmin = cid;
}

void mark_own(TupleTableSlot* slot, TransactionId xmin, CommandId cmin) {
  Slot* s = as_slot(slot);
  s->table = 0;
  s->owned = true;
  s->xmin = xmin;
  s->xmax = InvalidTransactionId;
  s->cmin = cmin;
}

void store_pending_row(TupleTableSlot* slot, Relation relation, const RelationInfo& info,
                       uint64_t rowid, MinimalTuple tuple) {
  Slot* s = begin_store(slot, relation, info, rowid);
  char* copy = allocate(s, tuple->t_len);
  std::memcpy(copy, tuple, tuple->t_len);
  HeapTupleData heap{};
  heap.t_len = tuple->t_len + MINIMAL_TUPLE_OFFSET;
  heap.t_data = reinterpret_cast<HeapTupleHeader>(copy - MINIMAL_TUPLE_OFFSET);
  heap_deform_tuple(&heap, slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
  complete_row(s, info, HeapTupleHeaderGetNatts(heap.t_data));
}

void store_pending_row(TupleTableSlot* slot, Relation relation, const RelationInfo& info,
                       uint64_t rowid, const Shape& shape, const store::SegmentColumns& columns,
                       uint32_t row) {
  Slot* s = begin_store(slot, relation, info, rowid);
  TupleDesc desc = slot->tts_tupleDescriptor;
  const int written = static_cast<int>(shape.attributes.size());
  size_t at = 0;
  for (int i = 0; i < std::min(written, desc->natts); ++i) {
    const Attribute& a = shape.attributes[static_cast<size_t>(i)];
    slot->tts_values[i] = 0;
    slot->tts_isnull[i] = true;
    if (a.dropped) continue;
    const column::Values& column = columns.values[at++];
    if (column.is_null(row) || TupleDescAttr(desc, i)->attisdropped) continue;
    slot->tts_isnull[i] = false;
    if (a.kind <= Kind::Float64)
      slot->tts_values[i] = static_cast<Datum>(column.words()[row]);
    else if (a.kind == Kind::Fixed)
      slot->tts_values[i] = make_fixed(s, column.bytes(row));
    else if (column.is_compressed(row))
      slot->tts_values[i] = make_compressed(s, column.bytes(row));
    else
      slot->tts_values[i] = make_varlena(s, column.bytes(row), a.plain_storage);
  }
  complete_row(s, info, written);
}

void set_row_filter(TupleTableSlot* slot, RowFilter* filter) { as_slot(slot)->filter = filter; }

RowFilter* row_filter(const TupleTableSlot* slot) {
  return is_datahike_slot(slot) ? reinterpret_cast<const Slot*>(slot)->filter : nullptr;
}

}  // namespace datahike::am
