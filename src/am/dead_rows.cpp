#include "am/dead_rows.h"

#include <bitset>
#include <memory>
#include <unordered_map>

namespace datahike::am {

namespace {

// Rowids are unique within a database, so the branch and the rowid's high part are the key.
using Block = std::bitset<65536>;
constexpr size_t kMostBlocks = 2048;  // 16 MB a session
std::unordered_map<uint64_t, std::unique_ptr<Block>> blocks;
uint64_t last_key = UINT64_MAX;
Block* last_block = nullptr;

uint64_t key_of(int32_t branch, uint64_t rowid) {
  return static_cast<uint64_t>(static_cast<uint32_t>(branch)) << 32 | (rowid >> 16 & 0xffffffff);
}

Block* find(uint64_t key) {
  if (key == last_key) return last_block;
  auto at = blocks.find(key);
  if (at == blocks.end()) return nullptr;
  last_key = key;
  return last_block = at->second.get();
}

}  // namespace

void forget_dead_rows() {
  blocks.clear();
  last_key = UINT64_MAX;
}

bool is_known_dead(int32_t branch, uint64_t rowid) {
  Block* block = find(key_of(branch, rowid));
  return block && block->test(rowid & 0xffff);
}

void remember_dead(int32_t branch, uint64_t rowid) {
  uint64_t key = key_of(branch, rowid);
  Block* block = find(key);
  if (!block) {
    if (blocks.size() >= kMostBlocks) forget_dead_rows();
    block = (blocks[key] = std::make_unique<Block>()).get();
  }
  block->set(rowid & 0xffff);
}

}  // namespace datahike::am
