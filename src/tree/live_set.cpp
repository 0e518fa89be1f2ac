// A live set is an ordered map (integers big-endian in keys):
//
//   key   := high:u8[6]                  the high 48 bits of the members
//   value := count:varint [container]    number of members, > 0; the container if it has at most
//                                        256 bytes
//   child := node of a single entry with an empty key and the container as value, otherwise
#include "tree/live_set.h"

#include <algorithm>
#include <memory>

namespace datahike::tree {

namespace {

constexpr size_t kKeyBytes = 6;
constexpr size_t kMaxInlineBytes = 256;
constexpr uint64_t kMaxHigh = (uint64_t{1} << 48) - 1;

Bytes key_of(uint64_t high) {
  uint8_t wide[8];
  put_big_endian(wide, high);
  return Bytes(wide + 2, wide + 8);
}

uint64_t high_of(ByteView key) {
  if (key.size() != kKeyBytes) throw CorruptError("live set: key of wrong length");
  uint8_t wide[8] = {};
  std::memcpy(wide + 2, key.data(), kKeyBytes);
  return get_big_endian(wide);
}

uint32_t count_of(const Entry& entry) {
  uint64_t count = ByteReader(entry.value, "live set entry").varint();
  if (count == 0 || count > 65536) throw CorruptError("live set: impossible number of members");
  return static_cast<uint32_t>(count);
}

// Calls f with the encoded container of an entry.
template <class F>
auto with_container(NodeSource& source, const Entry& entry, F f) {
  if (!entry.child.empty()) {
    return f(NodeView(source.node(entry.child.id), entry.child.id).value(0));
  }
  ByteReader in(entry.value, "live set entry");
  in.varint();
  return f(in.take(in.left()));
}

Container load_container(NodeSource& source, const Entry& entry) {
  Container c = with_container(source, entry, decode_container);
  if (c.count != count_of(entry)) {
    throw CorruptError("live set: a container has not as many members as its entry says");
  }
  return c;
}

// Decoded containers by the hash of their nodes, so that a table of which rows were changed is not
// decoded anew by each query. One in each place; some 8 KB each.
class DecodedContainers {
 public:
  const Container* find(const Hash& hash) const {
    const Slot& slot = slots_[place_of(hash)];
    return slot && slot->first == hash ? &slot->second : nullptr;
  }
  void keep(const Hash& hash, const Container& container) {
    Slot& slot = slots_[place_of(hash)];
    if (slot)
      *slot = {hash, container};
    else
      slot = std::make_unique<std::pair<Hash, Container>>(hash, container);
  }

 private:
  using Slot = std::unique_ptr<std::pair<Hash, Container>>;
  static constexpr size_t kPlaces = 64;
  static size_t place_of(const Hash& hash) { return hash[0] % kPlaces; }
  std::array<Slot, kPlaces> slots_;
};

Edit edit_of(NodeSink& sink, uint64_t high, const Container& c) {
  Edit edit;
  edit.key = key_of(high);
  edit.remove = c.count == 0;
  if (edit.remove) return edit;
  ByteWriter out(edit.value);
  out.varint(c.count);
  Bytes container = encode_container(c);
  if (container.size() <= kMaxInlineBytes) {
    out.raw(container);
  } else {
    Node node;
    node.entries.push_back(Entry{{}, std::move(container), {}});
    edit.child = write_node(sink, node);
  }
  return edit;
}

// The additions and removals not applied yet, handed out container by container.
class Changes {
 public:
  Changes(std::span<const RowidRange> added, std::span<const uint64_t> removed)
      : added_(added), removed_(removed) {
    start_range();
  }
  bool done() const { return added_.empty() && removed_.empty(); }
  uint64_t next_high() const {
    uint64_t next = added_.empty() ? removed_[0] : from_;
    if (!removed_.empty()) next = std::min(next, removed_[0]);
    return next >> 16;
  }
  void apply(uint64_t high, Container& c) {
    while (!added_.empty() && from_ >> 16 == high) {
      uint64_t range_last = added_[0].first + (added_[0].count - 1);
      uint64_t last = std::min(range_last, from_ | 0xffff);
      c.add_range(static_cast<uint16_t>(from_), static_cast<uint16_t>(last));
      from_ = last + 1;
      if (last < range_last) continue;
      added_ = added_.subspan(1);
      start_range();
    }
    while (!removed_.empty() && removed_[0] >> 16 == high) {
      c.remove(static_cast<uint16_t>(removed_[0]));
      removed_ = removed_.subspan(1);
    }
  }

 private:
  void start_range() {
    while (!added_.empty() && added_[0].count == 0) added_ = added_.subspan(1);
    if (!added_.empty()) from_ = added_[0].first;
  }
  std::span<const RowidRange> added_;
  std::span<const uint64_t> removed_;
  uint64_t from_ = 0;  // first rowid of added_[0] not applied yet
};

}  // namespace

void append_range(std::vector<RowidRange>& ranges, uint64_t first, uint64_t count) {
  if (!ranges.empty() && ranges.back().first + ranges.back().count == first)
    ranges.back().count += count;
  else
    ranges.push_back({first, count});
}

NodeRef update_live_set(NodeSink& sink, const NodeRef& root, std::span<const RowidRange> added,
                        std::span<const uint64_t> removed, int64_t* size_change) {
  int64_t gained = 0;
  std::vector<Edit> edits;
  for (Changes changes(added, removed); !changes.done();) {
    uint64_t high = changes.next_high();
    Container before;
    find_container(sink, root, high, &before);
    Container after = before;
    changes.apply(high, after);
    if (after.words == before.words) continue;
    gained += int64_t{after.count} - int64_t{before.count};
    edits.push_back(edit_of(sink, high, after));
  }
  if (size_change) *size_change = gained;
  return apply_edits(sink, root, edits);
}

bool find_container(NodeSource& source, const NodeRef& root, uint64_t high, Container* out) {
  std::optional<Entry> entry = get(source, root, key_of(high));
  if (!entry) return false;
  *out = load_container(source, *entry);
  return true;
}

bool contains(NodeSource& source, const NodeRef& root, uint64_t rowid) {
  std::optional<Entry> entry = get(source, root, key_of(rowid >> 16));
  return entry && with_container(source, *entry, [&](ByteView container) {
           return encoded_container_contains(container, static_cast<uint16_t>(rowid));
         });
}

void ContainerCursor::seek(uint64_t high) {
  if (high > kMaxHigh) {
    map_.last();
    map_.next();
  } else {
    map_.seek(key_of(high));
  }
}

uint64_t ContainerCursor::high() const { return high_of(map_.key()); }

uint32_t ContainerCursor::count() const { return count_of(map_.entry()); }

void ContainerCursor::load(Container* out) const {
  const Entry& entry = map_.entry();
  thread_local DecodedContainers decoded;
  const Container* known = entry.child.empty() ? nullptr : decoded.find(entry.child.hash);
  if (known && known->count == count_of(entry)) {
    *out = *known;
    return;
  }
  *out = load_container(*source_, entry);
  if (!entry.child.empty()) decoded.keep(entry.child.hash, *out);
}

uint64_t live_count(NodeSource& source, const NodeRef& root) {
  uint64_t count = 0;
  ContainerCursor cursor(source, root);
  for (cursor.first(); cursor.valid(); cursor.next()) count += cursor.count();
  return count;
}

void diff_containers(NodeSource& source, const NodeRef& before, const NodeRef& after,
                     const std::function<void(uint64_t high)>& report) {
  diff(source, before, after, [&](const Difference& d) {
    report(high_of((d.before ? d.before : d.after)->key));
    return true;
  });
}

void diff_live_sets(NodeSource& source, const NodeRef& before, const NodeRef& after,
                    const std::function<bool(uint64_t rowid, bool in_after)>& report) {
  diff(source, before, after, [&](const Difference& d) {
    Container b, a;
    if (d.before) b = load_container(source, *d.before);
    if (d.after) a = load_container(source, *d.after);
    uint64_t base = high_of((d.before ? d.before : d.after)->key) << 16;
    for (size_t w = 0; w < b.words.size(); ++w) {
      for (uint64_t bits = b.words[w] ^ a.words[w]; bits; bits &= bits - 1) {
        uint64_t low = w << 6 | static_cast<uint64_t>(std::countr_zero(bits));
        if (!report(base | low, a.contains(static_cast<uint16_t>(low)))) return false;
      }
    }
    return true;
  });
}

LiveEntry decode_live_entry(NodeSource& source, const Entry& entry) {
  return {high_of(entry.key), load_container(source, entry)};
}

}  // namespace datahike::tree
