// Differences of two trees: two walks in step, each a stack of nodes whose top entry is the next
// item, a leaf entry or a whole subtree. Equal subtrees at the front of both walks are stepped
// over; of unequal items the taller subtree is opened. Since both trees cut nodes by content, walks
// that a difference has put out of step meet again at the next common cut.
#include "tree/ordered_map.h"

namespace datahike::tree {

namespace {

class Walk {
 public:
  Walk(NodeSource& source, const NodeRef& root) : source_(source) {
    if (root.empty()) return;
    push(std::make_shared<const LoadedNode>(source_.node(root.id), root.id));
  }
  bool done() const { return frames_.empty(); }
  // Levels below the next item: 0 = it is a leaf entry.
  int height() const { return top()->level(); }
  NodeRef subtree() const { return top()->child(frames_.back().at); }
  ByteView key() const { return top()->key(frames_.back().at); }
  Entry entry() const { return top()->entry(frames_.back().at); }

  // Replaces the subtree by its first item.
  void open() { push(load_child(source_, subtree(), top()->level())); }
  void next() {
    while (!frames_.empty() && ++frames_.back().at == top()->size()) frames_.pop_back();
  }

 private:
  struct Frame {
    std::shared_ptr<const LoadedNode> node;
    size_t at = 0;
  };
  const LoadedNode& top() const { return *frames_.back().node; }
  void push(std::shared_ptr<const LoadedNode> node) { frames_.push_back({std::move(node), 0}); }
  NodeSource& source_;
  std::vector<Frame> frames_;
};

// Opens subtrees until both next items are leaf entries or one walk is done, stepping over what the
// walks have in common.
void align(Walk& before, Walk& after) {
  while (!before.done() && !after.done()) {
    int b = before.height(), a = after.height();
    if (b == 0 && a == 0) return;
    if (b == a && before.subtree().same_content(after.subtree())) {
      before.next();
      after.next();
      continue;
    }
    if (b >= a) before.open();
    if (a >= b) after.open();
  }
  while (!before.done() && before.height() > 0) before.open();
  while (!after.done() && after.height() > 0) after.open();
}

bool same_entry(const Entry& a, const Entry& b) {
  return a.value == b.value && a.child.same_content(b.child);
}

}  // namespace

void diff(NodeSource& source, const NodeRef& before, const NodeRef& after,
          const std::function<bool(const Difference&)>& report) {
  if (before.same_content(after)) return;
  Walk b(source, before), a(source, after);
  while (true) {
    align(b, a);
    if (b.done() && a.done()) return;
    int order = b.done() ? 1 : a.done() ? -1 : compare_keys(b.key(), a.key());
    Entry old_entry, new_entry;
    Difference difference;
    if (order <= 0) {
      old_entry = b.entry();
      difference.before = &old_entry;
      b.next();
    }
    if (order >= 0) {
      new_entry = a.entry();
      difference.after = &new_entry;
      a.next();
    }
    if (order == 0 && same_entry(old_entry, new_entry)) continue;
    if (!report(difference)) return;
  }
}

}  // namespace datahike::tree
