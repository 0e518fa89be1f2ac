// The parts of LMDB's page format (0.9) that matter here; integers in the machine's order:
//
//   page     := number:u64 pad:u16 flags:u16 lower:u16 upper:u16 offset:u16* gap node*
//               the gap is from lower to upper; an offset for each node, from the page's start
//   node     := lo:u16 hi:u16 flags:u16 key-size:u16 key value
//               in a branch page  lo | hi << 16 | flags << 32 is the number of the child page;
//               in a leaf         lo | hi << 16 is the value's size; where flags have Big, the
//               value is the number of the first of the pages that hold it; where they have Sub, it
//               is a tree
//   large    := number:u64 pad:u16 flags:u16 pages:u32 value    over so many pages
//   meta     := page head, magic:u32 version:u32 address:u64 size:u64 tree tree last:u64 txn:u64
//   tree     := pad:u32 flags:u16 depth:u16 branch:u64 leaf:u64 large:u64 entries:u64 root:u64
#include "store/unused_bytes.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "store/environment_impl.h"
#include "store/id_set.h"

namespace datahike::store {

namespace {

constexpr uint16_t kBranch = 1, kLeaf = 2, kOverflow = 4, kKinds = 0x7f, kDirty = 0x10;
constexpr uint16_t kBig = 1, kSub = 2;
constexpr size_t kPageHead = 16, kNodeHead = 8, kTreeBytes = 48, kRootAt = 40;
constexpr size_t kTreesAt = kPageHead + 24, kMetaTxnAt = kTreesAt + 2 * kTreeBytes + 8;
constexpr uint32_t kMagic = 0xBEEFC0DE;
constexpr uint64_t kNoPage = ~uint64_t{0};

template <class T>
T load(ByteView bytes, size_t at) {
  T value;
  if (at + sizeof value > bytes.size()) throw CorruptError("store: a page of LMDB's leads outside");
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

class Cleaner {
 public:
  Cleaner(const Lmdb& lmdb, size_t page_bytes) : lmdb_(lmdb), page_bytes_(page_bytes) {}

  // The last state but one too: what it alone has is not free yet.
  void run(uint64_t newest) {
    for (uint64_t number : {0, 1}) {
      const Bytes meta = read(number, 0, page_bytes_);
      const auto transaction = load<uint64_t>(meta, kMetaTxnAt);
      if (load<uint32_t>(meta, kPageHead) != kMagic || transaction > newest ||
          transaction + 1 < newest)
        throw CorruptError("store: LMDB's headers are not those of its last two states");
      for (size_t i = 0; i < 2; ++i) add_tree(ByteView(meta).subspan(kTreesAt + i * kTreeBytes));
    }
    while (!pages_.empty()) {
      const uint64_t number = pages_.back();
      pages_.pop_back();
      if (seen_.add(number)) clean(number);
    }
  }

 private:
  Bytes read(uint64_t page, size_t at, size_t bytes) {
    Bytes buffer(bytes);
    const ssize_t got =
        pread(lmdb_.data_file(), buffer.data(), bytes, static_cast<off_t>(page * page_bytes_ + at));
    if (got != static_cast<ssize_t>(bytes)) lmdb_.check(got < 0 ? errno : EIO, "read a page");
    return buffer;
  }

  void zero(uint64_t page, size_t from, size_t to) {
    if (from >= to) return;
    const Bytes now = read(page, from, to - from);
    if (std::ranges::all_of(now, [](uint8_t byte) { return byte == 0; })) return;
    const Bytes zeros(to - from);
    const ssize_t put = pwrite(lmdb_.data_file(), zeros.data(), zeros.size(),
                               static_cast<off_t>(page * page_bytes_ + from));
    if (put != static_cast<ssize_t>(zeros.size()))
      lmdb_.check(put < 0 ? errno : EIO, "overwrite the unused part of a page");
  }

  [[noreturn]] static void unknown(uint64_t page) {
    throw CorruptError("store: page " + std::to_string(page) + " is not of LMDB's known format");
  }

  void add_tree(ByteView tree) {
    if (const auto root = load<uint64_t>(tree, kRootAt); root != kNoPage) pages_.push_back(root);
  }

  void clean(uint64_t number) {
    const Bytes page = read(number, 0, page_bytes_);
    const auto kind = static_cast<uint16_t>(load<uint16_t>(page, 10) & kKinds & ~kDirty);
    const size_t lower = load<uint16_t>(page, 12), upper = load<uint16_t>(page, 14);
    if (load<uint64_t>(page, 0) != number || (kind != kBranch && kind != kLeaf) ||
        lower < kPageHead || lower > upper || upper > page_bytes_ || lower % 2 != 0)
      unknown(number);
    for (size_t at = kPageHead; at < lower; at += 2) {
      const size_t node = load<uint16_t>(page, at);
      if (node < upper) unknown(number);
      kind == kBranch ? visit_child(page, node) : visit_value(page, node);
    }
    zero(number, lower, upper);
  }

  void visit_child(ByteView page, size_t node) {
    pages_.push_back(load<uint16_t>(page, node) | uint64_t{load<uint16_t>(page, node + 2)} << 16 |
                     uint64_t{load<uint16_t>(page, node + 4)} << 32);
  }

  void visit_value(ByteView page, size_t node) {
    const uint64_t size = load<uint16_t>(page, node) | uint64_t{load<uint16_t>(page, node + 2)}
                                                           << 16;
    const auto flags = load<uint16_t>(page, node + 4);
    const size_t value = node + kNodeHead + load<uint16_t>(page, node + 6);
    if (flags & kBig) return clean_large(load<uint64_t>(page, value), size);
    if (!(flags & kSub)) return;
    if (size != kTreeBytes || value + size > page.size()) throw CorruptError("store: a map's tree");
    add_tree(page.subspan(value, size));
  }

  void clean_large(uint64_t number, uint64_t size) {
    const Bytes head = read(number, 0, kPageHead);
    const uint64_t bytes = uint64_t{load<uint32_t>(head, 12)} * page_bytes_;
    if (load<uint64_t>(head, 0) != number || !(load<uint16_t>(head, 10) & kOverflow) ||
        kPageHead + size > bytes)
      unknown(number);
    zero(number, kPageHead + size, bytes);
  }

  const Lmdb& lmdb_;
  size_t page_bytes_;
  std::vector<uint64_t> pages_;  // to be looked at
  IdSet seen_;
};

}  // namespace

void clear_unused_bytes(Environment& env) {
  env.release();
  const Lmdb& lmdb = env.impl_->lmdb;
  const Transaction alone = begin_transaction(lmdb, 0);  // given up: nobody else writes meanwhile
  MDB_envinfo info;
  MDB_stat stat;
  lmdb.check(mdb_env_info(lmdb.env(), &info), "read its header");
  lmdb.check(mdb_env_stat(lmdb.env(), &stat), "read its header");
  Cleaner(lmdb, stat.ms_psize).run(info.me_last_txnid);
  const uint64_t end = lmdb.committed_bytes(), length = lmdb.data_file_bytes();
  if (end < length) {
    const int rc = fallocate(lmdb.data_file(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                             static_cast<off_t>(end), static_cast<off_t>(length - end));
    lmdb.check(rc == 0 ? 0 : errno, "give free pages back to the file system");
  }
  lmdb.check(fdatasync(lmdb.data_file()) == 0 ? 0 : errno, "sync its data file");
}

}  // namespace datahike::store
