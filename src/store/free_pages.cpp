#include "store/free_pages.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "store/environment_impl.h"

namespace datahike::store {

namespace {

constexpr MDB_dbi kFreeList = 0;  // its records: transaction -> count, pages
constexpr size_t kPagesAtOnce = 16384;

// Lowers the number to that of the transaction which a line of mdb_reader_list() names, if any:
// process, thread, transaction or "-".
int look_at_reader(const char* line, void* oldest) {
  long pid;
  unsigned long thread;
  unsigned long long transaction;
  if (std::sscanf(line, "%ld %lx %llu", &pid, &thread, &transaction) == 3)
    *static_cast<uint64_t*>(oldest) =
        std::min<uint64_t>(*static_cast<uint64_t*>(oldest), transaction);
  return 0;
}

void punch(const Lmdb& lmdb, uint64_t first, uint64_t pages, uint64_t page_bytes) {
  const int rc =
      fallocate(lmdb.data_file(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(first * page_bytes), static_cast<off_t>(pages * page_bytes));
  lmdb.check(rc == 0 ? 0 : errno, "give free pages back to the file system");
}

}  // namespace

Space free_space(Environment& env) {
  const Lmdb& lmdb = env.impl_->lmdb;
  struct statvfs disk;
  lmdb.check(fstatvfs(lmdb.data_file(), &disk) == 0 ? 0 : errno, "look how full the disk is");
  const uint64_t used = std::min(lmdb.committed_bytes(), lmdb.map_bytes());
  return {uint64_t{disk.f_bavail} * disk.f_frsize, lmdb.map_bytes() - used, lmdb.map_bytes()};
}

uint64_t oldest_state_read(Environment& env) {
  const Lmdb& lmdb = env.impl_->lmdb;
  MDB_envinfo info;
  lmdb.check(mdb_env_info(lmdb.env(), &info), "read its header");
  uint64_t oldest = info.me_last_txnid;
  const int rc = mdb_reader_list(lmdb.env(), look_at_reader, &oldest);
  if (rc < 0) lmdb.check(rc, "list its readers");
  return oldest;
}

bool punch_free_pages(Environment& env, FreePages& progress) {
  env.release();
  const Lmdb& lmdb = env.impl_->lmdb;
  // A write transaction, that nobody allocates the pages meanwhile, given up at the end; and one to
  // read with, for LMDB shows its free list to no other.
  const Transaction alone = begin_transaction(lmdb, 0);
  const Transaction txn = begin_transaction(lmdb, MDB_RDONLY, false);
  MDB_envinfo info;
  MDB_stat stat;
  lmdb.check(mdb_env_info(lmdb.env(), &info), "read its header");
  lmdb.check(mdb_stat(txn.get(), kFreeList, &stat), "read its header");
  uint64_t oldest = info.me_last_txnid > 0 ? info.me_last_txnid - 1 : 0;
  const int rc = mdb_reader_list(lmdb.env(), look_at_reader, &oldest);
  if (rc < 0) lmdb.check(rc, "list its readers");

  std::vector<uint64_t> pages;
  bool more = false;
  {
    const Cursor cursor = open_cursor(lmdb, txn.get(), kFreeList);
    MDB_val key = integer_key(progress.next), value;
    MDB_cursor_op op = MDB_SET_RANGE;
    while (lmdb.found(mdb_cursor_get(cursor.get(), &key, &value, op), "read its free list")) {
      op = MDB_NEXT;
      ByteReader in(view(value), "free list");
      const auto freed_by = ByteReader(view(key), "free list").fixed<uint64_t>();
      if (freed_by > oldest) break;  // its state is the first that does without them
      more = pages.size() >= kPagesAtOnce;
      if (more) break;
      for (auto left = in.fixed<uint64_t>(); left > 0; --left)
        pages.push_back(in.fixed<uint64_t>());
      progress.next = freed_by + 1;
    }
  }
  std::ranges::sort(pages);
  for (size_t i = 0; i < pages.size();) {
    size_t end = i + 1;
    while (end < pages.size() && pages[end] == pages[end - 1] + 1) ++end;
    punch(lmdb, pages[i], end - i, stat.ms_psize);
    i = end;
  }
  progress.bytes += pages.size() * stat.ms_psize;
  return more;
}

}  // namespace datahike::store
