// What a merge compares the two sides with: the newest commit that both descend from. Where there
// are several that none of them descends from (criss-cross merges), it is the merge of those, with
// bases of their own: a state that no commit has, worked out row by row. Where that merge has a
// conflict, the base is unknown, and what differs between the two sides is in conflict too.
//
// Plain data, so that it can be used from frames that PostgreSQL's errors leave.
#pragma once

#include <vector>

#include "store/ancestry.h"

namespace datahike::versioning {

inline constexpr int kMostBaseCommits = 16;
inline constexpr int kMostBaseNodes = 64;
inline constexpr int kNothingKnown = -1;

// An expression over commits. What comes of histories too tangled for the limits above is
// kNothingKnown for a part of it.
struct MergeBase {
  struct Node {
    int commit;      // >= 0: that commit. Else the merge of nodes a and b
    int base, a, b;  // base may be kNothingKnown
  };
  int commits;
  store::Uuid commit[kMostBaseCommits];
  int nodes;
  Node node[kMostBaseNodes];
  int root;
};

MergeBase base_of_commit(const store::Uuid& commit);
// Of commits that none of them descends from; not empty.
MergeBase base_of_commits(store::Ancestry& ancestry, const std::vector<store::Uuid>& commits);

}  // namespace datahike::versioning
