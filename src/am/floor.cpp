#include "am/floor.h"

#include "am/rowid_blocks.h"

extern "C" {
#include "access/xloginsert.h"
#include "catalog/storage_xlog.h"
#include "storage/bufpage.h"
#include "storage/checksum.h"
}

namespace datahike::am {

namespace {

struct FloorRecord {
  uint64_t magic;
  uint64_t floor;
};
constexpr uint64_t kMagic = 0x726f6f6c66206864;  // "dh floor"

FloorRecord* record_on(Page page) {
  return reinterpret_cast<FloorRecord*>(PageGetSpecialPointer(page));
}

void init_page(Page page, uint64_t floor) {
  PageInit(page, BLCKSZ, sizeof(FloorRecord));
  *record_on(page) = {kMagic, floor};
}

bool has_page(Relation relation) {
  return smgrnblocks(RelationGetSmgr(relation), MAIN_FORKNUM) > 0;
}

// Writes the page, also over another one. `only_if_lost`: not if somebody else has been faster.
void write_page(Relation relation, uint64_t floor, bool only_if_lost) {
  LockRelationForExtension(relation, ExclusiveLock);
  BlockNumber block = has_page(relation) ? 0 : P_NEW;
  Buffer buffer = ReadBufferExtended(relation, MAIN_FORKNUM, block, RBM_NORMAL, nullptr);
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
  Page page = BufferGetPage(buffer);
  if (!only_if_lost || PageIsNew(page)) {
    START_CRIT_SECTION();
    init_page(page, floor);
    MarkBufferDirty(buffer);
    if (RelationNeedsWAL(relation)) log_newpage_buffer(buffer, true);
    END_CRIT_SECTION();
  }
  UnlockReleaseBuffer(buffer);
  UnlockRelationForExtension(relation, ExclusiveLock);
}

}  // namespace

uint64_t read_floor(Relation relation) {
  uint64_t missing = relation->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED ? kAllLost : 0;
  if (!has_page(relation)) return missing;
  Buffer buffer = ReadBuffer(relation, 0);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  Page page = BufferGetPage(buffer);
  FloorRecord record{};
  bool is_new = PageIsNew(page);
  if (!is_new && PageGetSpecialSize(page) >= sizeof(FloorRecord)) record = *record_on(page);
  UnlockReleaseBuffer(buffer);
  if (is_new) return missing;  // whoever extends the file has not come further yet
  if (record.magic != kMagic)
    ereport(ERROR,
            (errcode(ERRCODE_DATA_CORRUPTED), errmsg("the first page of table \"%s\" is damaged",
                                                     RelationGetRelationName(relation))));
  return record.floor;
}

void begin_after_crash(Relation relation) { write_page(relation, first_rowid_of_run(), true); }

void carry_floor(Relation from, Relation to) {
  if (from->rd_tableam != to->rd_tableam) return;
  uint64_t floor = read_floor(from);
  if (floor == kAllLost) floor = first_rowid_of_run();
  if (read_floor(to) != floor) write_page(to, floor, false);
}

// As heap does for its init fork; the main fork's page is written here, for nobody has it in a
// buffer yet.
void make_file(const RelFileNode* node, char persistence, uint64_t floor) {
  SMgrRelation smgr = RelationCreateStorage(*node, persistence, true);
  bool unlogged = persistence == RELPERSISTENCE_UNLOGGED;
  if (unlogged) {
    smgrcreate(smgr, INIT_FORKNUM, false);
    log_smgrcreate(node, INIT_FORKNUM);
    smgrimmedsync(smgr, INIT_FORKNUM);
  }
  if (floor != kAllLost && (unlogged || floor > 0)) {
    PGAlignedBlock block;
    init_page(block.data, floor);
    if (!unlogged && XLogIsNeeded())
      log_newpage(const_cast<RelFileNode*>(node), MAIN_FORKNUM, 0, block.data, true);
    PageSetChecksumInplace(block.data, 0);
    smgrextend(smgr, MAIN_FORKNUM, 0, block.data, false);
    if (!unlogged) smgrimmedsync(smgr, MAIN_FORKNUM);
  }
  smgrclose(smgr);
}

void copy_file_to(Relation relation, const RelFileNode* node) {
  char persistence = relation->rd_rel->relpersistence;
  FlushRelationBuffers(relation);
  SMgrRelation target = RelationCreateStorage(*node, persistence, true);
  RelationCopyStorage(RelationGetSmgr(relation), target, MAIN_FORKNUM, persistence);
  if (smgrexists(RelationGetSmgr(relation), INIT_FORKNUM)) {
    smgrcreate(target, INIT_FORKNUM, false);
    log_smgrcreate(node, INIT_FORKNUM);
    RelationCopyStorage(RelationGetSmgr(relation), target, INIT_FORKNUM, persistence);
    smgrimmedsync(target, INIT_FORKNUM);
  }
  RelationDropStorage(relation);
  smgrclose(target);
}

}  // namespace datahike::am
