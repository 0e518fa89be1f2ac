#include "store/descent.h"

#include "store/ancestry.h"

namespace datahike::store {

namespace {

// The other parent that descends from `from`: one does.
const Uuid& way_out_of(Ancestry& ancestry, const Commit& merge, const Uuid& from) {
  for (size_t i = 1; i < merge.parents.size(); ++i)
    if (ancestry.is_ancestor(from, merge.parents[i])) return merge.parents[i];
  throw CorruptError("no parent of commit " + format_uuid(merge.id) + " descends from " +
                     format_uuid(from));
}

}  // namespace

bool visit_descent(Environment& env, const std::optional<Uuid>& from, const Uuid& to,
                   const std::function<void(const Step&)>& visit) {
  Ancestry ancestry(env);
  const uint64_t from_tx = from ? load_known_commit(env, *from).tx : 0;
  Uuid at = to;
  while (true) {
    // The oldest commit of the line that descends from `from`.
    std::optional<HistoryEntry> last;
    if (from) {
      last = ancestry.first_with(from_tx, *from, at);
      if (!last) return false;
    }
    Commit commit = load_known_commit(env, at);
    while (last ? commit.id != last->id : !commit.parents.empty()) {
      const Uuid parent = first_parent(commit);
      visit({parent, commit.id});
      commit = load_known_commit(env, parent);
    }
    if (!from || commit.id == *from) return true;
    at = way_out_of(ancestry, commit, *from);
    visit({at, commit.id});
  }
}

}  // namespace datahike::store
