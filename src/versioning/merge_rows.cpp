// What becomes of one row: the three-way rule, and what the strategies make of conflicts.
#include "versioning/merge.h"

namespace datahike::versioning {

namespace {

bool same_cell(const TableMerge* t, int i, const MergeRow* a, const MergeRow* b) {
  if ((a->unknown && a->unknown[i]) || (b->unknown && b->unknown[i])) return false;
  return same_cell(t, i, a->values, a->nulls, b->values, b->nulls);
}

}  // namespace

bool same_row(const TableMerge* t, const MergeRow* a, const MergeRow* b) {
  for (int i = 0; i < t->desc->natts; ++i)
    if (t->compared[i] && !same_cell(t, i, a, b)) return false;
  return true;
}

namespace {

MergeChange* add_change(TableMerge* t, const MergeChange& change) {
  auto* copy = static_cast<MergeChange*>(palloc(sizeof(MergeChange)));
  *copy = change;
  t->changes = lappend(t->changes, copy);
  return copy;
}

void copy_row(TableMerge* t, MergeChange* change, const MergeRow* row) {
  int n = t->desc->natts;
  change->values = static_cast<Datum*>(palloc(sizeof(Datum) * n));
  change->nulls = static_cast<bool*>(palloc(sizeof(bool) * n));
  std::memcpy(change->values, row->values, sizeof(Datum) * n);
  std::memcpy(change->nulls, row->nulls, sizeof(bool) * n);
}

MergeChange* insert_theirs(TableMerge* t, MergeChange change) {
  copy_row(t, &change, change.theirs);
  change.entity = change.theirs->entity;
  return add_change(t, change);
}

// The resolver says what the row is to be; NULL: it is to be deleted.
MergeChange* ask_for_row(TableMerge* t, MergeChange change) {
  const MergeRow* start = change.ours ? change.ours : change.theirs;
  MergeChange asked = change;
  copy_row(t, &asked, start);
  for (int i = 0; i < t->desc->natts; ++i) {
    asked.values[i] = 0;
    asked.nulls[i] = true;
  }
  if (!ask_resolver(t, change, -1, asked.values, asked.nulls))
    return change.ours ? add_change(t, change) : nullptr;
  asked.entity = start->entity;
  MergeRow result{0, 0, asked.values, asked.nulls, nullptr};
  if (change.ours && same_row(t, change.ours, &result)) return nullptr;
  return add_change(t, asked);
}

// One side has deleted the row and the other has changed it.
MergeChange* resolve_row(TableMerge* t, const MergeChange& change) {
  bool ours_deleted = !change.ours;
  note_conflict(t, change, -1, ours_deleted ? "delete/update" : "update/delete");
  switch (t->merge->request->strategy) {
    case MergeStrategy::Theirs:
      return ours_deleted ? insert_theirs(t, change) : add_change(t, change);
    case MergeStrategy::Union:  // the row stays
      return ours_deleted ? insert_theirs(t, change) : nullptr;
    case MergeStrategy::Resolver:
      return ask_for_row(t, change);
    default:
      return nullptr;
  }
}

// Both sides have the cell, each with a value of its own. Sets the merged one.
void resolve_cell(TableMerge* t, MergeChange* change, int i) {
  note_conflict(t, *change, i, change->base ? "cell" : "insert/insert");
  MergeStrategy strategy = t->merge->request->strategy;
  bool theirs = strategy == MergeStrategy::Theirs ||
                (strategy == MergeStrategy::Union && change->ours->nulls[i]);
  if (theirs) {
    change->values[i] = change->theirs->values[i];
    change->nulls[i] = change->theirs->nulls[i];
  }
  if (strategy != MergeStrategy::Resolver) return;
  change->nulls[i] = true;
  ask_resolver(t, *change, i, change->values, change->nulls);
}

MergeChange* merge_cells(TableMerge* t, MergeChange change) {
  const MergeRow *base = change.base, *ours = change.ours, *theirs = change.theirs;
  copy_row(t, &change, ours);
  for (int i = 0; i < t->desc->natts; ++i) {
    if (!t->compared[i] || same_cell(t, i, ours, theirs)) continue;
    if (base && same_cell(t, i, base, theirs)) continue;
    if (base && same_cell(t, i, base, ours)) {
      change.values[i] = theirs->values[i];
      change.nulls[i] = theirs->nulls[i];
      continue;
    }
    resolve_cell(t, &change, i);
  }
  MergeRow result{0, 0, change.values, change.nulls, nullptr};
  if (same_row(t, ours, &result)) return nullptr;
  change.entity = ours->entity;
  return add_change(t, change);
}

// The merge of two commits' rows that is to be a base. A row that one of them has deleted and the
// other has changed is there, and nothing is known of it.
MergeRow* merge_rows_of_base(TableMerge* t, bool base_known, const MergeRow* base, MergeRow* a,
                             MergeRow* b) {
  if (a == b) return a;
  MergeRow* present = a ? a : b;
  if (base_known && !base && !(a && b)) return present;
  if (base && !(a && b) && same_row(t, base, present)) return nullptr;
  int n = t->desc->natts;
  auto* merged = static_cast<MergeRow*>(palloc(sizeof(MergeRow)));
  *merged = *present;
  merged->values = static_cast<Datum*>(palloc(sizeof(Datum) * n));
  merged->nulls = static_cast<bool*>(palloc(sizeof(bool) * n));
  merged->unknown = static_cast<bool*>(palloc(sizeof(bool) * n));
  for (int i = 0; i < n; ++i) {
    const MergeRow* from = nullptr;
    if (!t->compared[i] || (a && b && same_cell(t, i, a, b)))
      from = present;
    else if (a && b && base && same_cell(t, i, base, a))
      from = b;
    else if (a && b && base && same_cell(t, i, base, b))
      from = a;
    merged->unknown[i] = !from || (from->unknown && from->unknown[i]);
    merged->nulls[i] = merged->unknown[i] || from->nulls[i];
    merged->values[i] = merged->nulls[i] ? 0 : from->values[i];
  }
  return merged;
}

}  // namespace

bool same_cell(const TableMerge* t, int i, const Datum* a, const bool* a_nulls, const Datum* b,
               const bool* b_nulls) {
  if (a_nulls[i] || b_nulls[i]) return a_nulls[i] == b_nulls[i];
  FormData_pg_attribute* att = TupleDescAttr(t->desc, i);
  return datum_image_eq(a[i], b[i], att->attbyval, att->attlen);
}

MergeRow* merge_base_rows(TableMerge* t, MergeRow* const* row) {
  const MergeBase& base = t->merge->request->base;
  MergeRow* result[kMostBaseNodes];
  // Operands come before what is made of them.
  for (int i = 0; i < base.nodes; ++i) {
    const MergeBase::Node& node = base.node[i];
    bool known = node.base != kNothingKnown;
    result[i] = node.commit >= 0 ? row[node.commit]
                                 : merge_rows_of_base(t, known, known ? result[node.base] : nullptr,
                                                      result[node.a], result[node.b]);
  }
  if (base.root != kNothingKnown) return result[base.root];
  return merge_rows_of_base(t, false, nullptr, row[0], row[1]);
}

MergeChange* merge_row(TableMerge* t, MergeRow* base, MergeRow* ours, MergeRow* theirs) {
  MergeChange change{};
  change.base = base;
  change.ours = ours;
  change.theirs = theirs;
  if (base && theirs && same_row(t, base, theirs)) return nullptr;  // a version that says the same
  if (!ours && !theirs) return nullptr;
  if (ours && theirs) return merge_cells(t, change);
  if (theirs) return base ? resolve_row(t, change) : insert_theirs(t, change);
  if (!base) return nullptr;
  // They have deleted what stands here as it was.
  return same_row(t, base, ours) ? add_change(t, change) : resolve_row(t, change);
}

}  // namespace datahike::versioning
