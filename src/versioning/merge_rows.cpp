// What becomes of one row: the three-way rule, and what the strategies make of conflicts.
#include "versioning/merge.h"

namespace datahike::versioning {

namespace {

bool same_cell(const TableMerge* t, int i, const MergeRow* a, const MergeRow* b) {
  return same_cell(t, i, a->values, a->nulls, b->values, b->nulls);
}

bool same_row(const TableMerge* t, const MergeRow* a, const MergeRow* b) {
  for (int i = 0; i < t->desc->natts; ++i)
    if (t->compared[i] && !same_cell(t, i, a, b)) return false;
  return true;
}

MergeChange* add_change(TableMerge* t, const MergeChange& change) {
  auto* copy = static_cast<MergeChange*>(palloc(sizeof(MergeChange)));
  *copy = change;
  if (copy->base) copy->base->change = copy;
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

void insert_theirs(TableMerge* t, MergeChange change) {
  copy_row(t, &change, change.theirs);
  change.entity = change.theirs->entity;
  add_change(t, change);
}

// The resolver says what the row is to be; NULL: it is to be deleted.
void ask_for_row(TableMerge* t, MergeChange change) {
  Datum answer;
  if (!ask_resolver(t, change, -1, &answer)) {
    if (change.ours) add_change(t, change);
    return;
  }
  const MergeRow* start = change.ours ? change.ours : change.theirs;
  copy_row(t, &change, start);
  for (int i = 0; i < t->desc->natts; ++i) {
    change.values[i] = 0;
    change.nulls[i] = true;
  }
  set_from_jsonb(t, answer, change.values, change.nulls);
  change.entity = start->entity;
  MergeRow result{0, 0, change.values, change.nulls, nullptr};
  if (change.ours && same_row(t, change.ours, &result)) return;
  add_change(t, change);
}

// One side has deleted the row and the other has changed it.
void resolve_row(TableMerge* t, const MergeChange& change) {
  bool ours_deleted = !change.ours;
  note_conflict(t, change, -1, ours_deleted ? "delete/update" : "update/delete");
  switch (t->merge->request->strategy) {
    case MergeStrategy::Fail:
    case MergeStrategy::Ours:
      return;
    case MergeStrategy::Theirs:
      if (ours_deleted)
        insert_theirs(t, change);
      else
        add_change(t, change);
      return;
    case MergeStrategy::Union:  // the row stays
      if (ours_deleted) insert_theirs(t, change);
      return;
    case MergeStrategy::Resolver:
      ask_for_row(t, change);
      return;
  }
}

// Both sides have the cell, each with a value of its own. Sets the merged one; what the resolver
// says goes to `answers`.
void resolve_cell(TableMerge* t, MergeChange* change, int i, List** answers) {
  note_conflict(t, *change, i, change->base ? "cell" : "insert/insert");
  MergeStrategy strategy = t->merge->request->strategy;
  bool theirs = strategy == MergeStrategy::Theirs ||
                (strategy == MergeStrategy::Union && change->ours->nulls[i]);
  if (theirs) {
    change->values[i] = change->theirs->values[i];
    change->nulls[i] = change->theirs->nulls[i];
  }
  if (strategy != MergeStrategy::Resolver) return;
  Datum answer;
  change->nulls[i] = true;
  if (!ask_resolver(t, *change, i, &answer)) return;
  auto* resolved = static_cast<ResolvedCell*>(palloc(sizeof(ResolvedCell)));
  *resolved = {i, answer};
  *answers = lappend(*answers, resolved);
}

void merge_cells(TableMerge* t, MergeChange change) {
  const MergeRow *base = change.base, *ours = change.ours, *theirs = change.theirs;
  copy_row(t, &change, ours);
  List* answers = NIL;
  for (int i = 0; i < t->desc->natts; ++i) {
    if (!t->compared[i] || same_cell(t, i, ours, theirs)) continue;
    if (base && same_cell(t, i, base, theirs)) continue;
    if (base && same_cell(t, i, base, ours)) {
      change.values[i] = theirs->values[i];
      change.nulls[i] = theirs->nulls[i];
      continue;
    }
    resolve_cell(t, &change, i, &answers);
  }
  set_answers(t, answers, &change);
  MergeRow result{0, 0, change.values, change.nulls, nullptr};
  if (same_row(t, ours, &result)) return;
  change.entity = ours->entity;
  add_change(t, change);
}

}  // namespace

bool same_cell(const TableMerge* t, int i, const Datum* a, const bool* a_nulls, const Datum* b,
               const bool* b_nulls) {
  if (a_nulls[i] || b_nulls[i]) return a_nulls[i] == b_nulls[i];
  FormData_pg_attribute* att = TupleDescAttr(t->desc, i);
  return datum_image_eq(a[i], b[i], att->attbyval, att->attlen);
}

void merge_row(TableMerge* t, MergeRow* base, MergeRow* ours, MergeRow* theirs) {
  MergeChange change{};
  change.base = base;
  change.ours = ours;
  change.theirs = theirs;
  if (base && theirs && same_row(t, base, theirs)) return;  // a new version that says the same
  if (!ours && !theirs) return;
  if (ours && theirs) {
    merge_cells(t, change);
  } else if (theirs) {
    if (base)
      resolve_row(t, change);
    else
      insert_theirs(t, change);
  } else if (same_row(t, base, ours)) {
    add_change(t, change);  // they have deleted what stands here as it was
  } else {
    resolve_row(t, change);
  }
}

}  // namespace datahike::versioning
