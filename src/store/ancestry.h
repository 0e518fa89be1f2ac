// Which commits descend from which: the graph of all parents.
//
// A *line* is a commit and its first parents. The history and merges maps of a line's keyframe say
// where it was at any time and which of its commits have further parents, so what is asked here
// costs look-ups in maps and a step for each merge in question, not a step for each commit.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "store/version.h"
#include "store/version_tree.h"

namespace datahike::store {

// Answers for commits of one state of the store. Those that are asked about must be there; others
// on their lines may have been collected. Errors: CorruptError where a commit is missing.
class Ancestry {
 public:
  explicit Ancestry(Environment& env);
  ~Ancestry();

  // Whether `ancestor` is `commit` or can be reached from it through parents.
  bool is_ancestor(const Uuid& ancestor, const Uuid& commit);
  // The same where the ancestor's tx is known. Remembers the lines of `commit`: for many questions
  // about one commit's ancestors.
  bool is_ancestor(uint64_t tx, const Uuid& ancestor, const Uuid& commit);
  // Whether it is `commit` or can be reached from it through first parents.
  bool is_on_line(uint64_t tx, const Uuid& ancestor, const Uuid& commit);
  // The oldest commit on the line of `head` that is the ancestor or has it among its ancestors: a
  // merge, where the ancestor is not on the line itself. nullopt if `head` does not have it.
  std::optional<HistoryEntry> first_with(uint64_t tx, const Uuid& ancestor, const Uuid& head);
  // The merge base: of the commits that are ancestors of both (each is one of its own), the one
  // with the greatest tx, so none of the others descends from it; nullopt if there is none. Where
  // there are several that none descends from (criss-cross merges), it is the newest of them.
  std::optional<Uuid> common_ancestor(const Uuid& a, const Uuid& b);
  // All of those several, newest first.
  std::vector<Uuid> merge_bases(const Uuid& a, const Uuid& b);
  // Without those that others of them descend from, and without repetitions; newest first.
  std::vector<Uuid> independent(std::vector<Uuid> commits);

 private:
  struct Line;
  Line& line(const Uuid& head);
  std::vector<Line*> lines_above(std::vector<Uuid> heads, uint64_t tx);
  bool descends(std::vector<Uuid> commits, uint64_t tx, const Uuid& ancestor);
  bool descends(const Line& line, uint64_t up_to, uint64_t tx, const Uuid& ancestor);
  std::vector<Line*> lines_outside(const Uuid& head, const Uuid& ancestor);
  HistoryEntry newest_shared(Line& a, Line& b);

  Environment& env_;
  std::map<Uuid, std::unique_ptr<Line>> lines_;   // by head
  std::map<Uuid, std::vector<Line*>> all_lines_;  // of commits that many questions are about
};

}  // namespace datahike::store
