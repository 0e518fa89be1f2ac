// A set of rowids that a session remembers: rows that are near each other share a bitmap. When
// there are too many blocks everything is forgotten, so who asks must be content with a wrong "no".
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <unordered_map>

namespace datahike::am {

class RowidMarks {
 public:
  explicit RowidMarks(size_t most_blocks) : most_blocks_(most_blocks) {}

  bool empty() const { return blocks_.empty(); }
  // `group`: rowids of different groups are told apart.
  bool test(int32_t group, uint64_t rowid) {
    Block* block = find(key_of(group, rowid));
    return block && block->test(rowid & 0xffff);
  }
  void set(int32_t group, uint64_t rowid) {
    uint64_t key = key_of(group, rowid);
    Block* block = find(key);
    if (!block) {
      if (blocks_.size() >= most_blocks_) clear();
      block = (blocks_[key] = std::make_unique<Block>()).get();
    }
    block->set(rowid & 0xffff);
  }
  void clear() noexcept {
    blocks_.clear();
    last_key_ = UINT64_MAX;
    last_block_ = nullptr;
  }

 private:
  using Block = std::bitset<65536>;

  // Rowids are unique within a database, so the group and the rowid's high part are the key.
  static uint64_t key_of(int32_t group, uint64_t rowid) {
    return static_cast<uint64_t>(static_cast<uint32_t>(group)) << 32 | (rowid >> 16 & 0xffffffff);
  }
  Block* find(uint64_t key) {
    if (key == last_key_) return last_block_;
    auto at = blocks_.find(key);
    if (at == blocks_.end()) return nullptr;
    last_key_ = key;
    return last_block_ = at->second.get();
  }

  size_t most_blocks_;
  std::unordered_map<uint64_t, std::unique_ptr<Block>> blocks_;
  uint64_t last_key_ = UINT64_MAX;
  Block* last_block_ = nullptr;
};

}  // namespace datahike::am
