// The runs of rows that the deltas of an overlay add to one table: by rowid, and in the order of
// the deltas. Plain C++.
//
// Every commit of every session becomes a run here in each session that reads the branch, and
// sessions are woken to cold caches: what counts is how much memory a look-up touches. Sessions
// take rowids from chunks of 64, so runs are grouped by them: of a chunk a word tells where runs
// begin, and the runs are numbered by the word's bits. The chunks are in a sorted vector. New ones
// come at or near its end; one in its middle moves 32 bytes for each chunk behind it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <deque>
#include <iterator>
#include <memory_resource>
#include <utility>
#include <vector>

#include "store/delta.h"

namespace datahike::versioning {

struct LogTransaction;  // overlay.h

// Where a row version that is in no segment of the store yet can be found.
struct AddedRun {
  uint64_t rows = 0;
  uint32_t sequence = 0;
  uint32_t removed_rows = 0;              // by later deltas,
  uint32_t last_removal = 0;              // the last of them at this sequence
  LogTransaction* transaction = nullptr;  // nullptr: the rows are in the store
  store::SegmentPlace place;              // in the transaction's log rows
};

// Nothing is ever erased, and memory goes with the memory resource, which is a monotonic one.
// Iterators stay valid and can be moved on whatever is added.
class AddedRuns {
 public:
  using Entry = std::pair<const uint64_t, AddedRun>;  // by first rowid

  class iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = Entry;
    using difference_type = std::ptrdiff_t;
    using pointer = Entry*;
    using reference = Entry&;
    iterator() = default;
    Entry& operator*() const { return *entry_; }
    Entry* operator->() const { return entry_; }
    iterator& operator++() {
      find_place();
      return *this = runs_->at(chunk_, number_ + 1);
    }
    iterator& operator--() {
      find_place();
      return *this = number_ > 0 ? runs_->at(chunk_, number_ - 1) : runs_->last_of(chunk_ - 1);
    }
    iterator operator++(int) {
      iterator before = *this;
      ++*this;
      return before;
    }
    iterator operator--(int) {
      iterator before = *this;
      --*this;
      return before;
    }
    bool operator==(const iterator& other) const { return entry_ == other.entry_; }

   private:
    friend class AddedRuns;
    iterator(const AddedRuns* runs, size_t chunk, unsigned number, Entry* entry)
        : runs_(runs), entry_(entry), chunk_(chunk), size_(runs->size_), number_(number) {}
    // Runs may have been added since the iterator was made.
    void find_place() {
      if (size_ != runs_->size_) *this = entry_ ? runs_->lower_bound(entry_->first) : runs_->end();
    }

    const AddedRuns* runs_ = nullptr;
    Entry* entry_ = nullptr;  // nullptr: the end
    // Its place when there were so many runs.
    size_t chunk_ = 0, size_ = 0;
    unsigned number_ = 0;
  };

  explicit AddedRuns(std::pmr::memory_resource* memory) : entries_(memory), chunks_(memory) {}
  AddedRuns(const AddedRuns&) = delete;
  AddedRuns& operator=(const AddedRuns&) = delete;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  iterator begin() const { return at(0, 0); }
  iterator end() const { return {this, chunks_.size(), 0, nullptr}; }

  // The first run that begins at the rowid or behind it.
  iterator lower_bound(uint64_t rowid) const {
    const size_t chunk = first_chunk_from(rowid >> kChunkBits);
    if (chunk == chunks_.size() || chunks_[chunk].number != rowid >> kChunkBits)
      return at(chunk, 0);
    return at(chunk, rank(chunks_[chunk].begins & before(rowid)));
  }
  // The first one that begins behind it.
  iterator upper_bound(uint64_t rowid) const {
    return rowid == UINT64_MAX ? end() : lower_bound(rowid + 1);
  }
  // The run that holds the rowid; end() if none.
  iterator find(uint64_t rowid) const {
    const uint64_t number = rowid >> kChunkBits;
    size_t chunk = first_chunk_from(number);
    if (chunk < chunks_.size() && chunks_[chunk].number == number)
      if (const uint64_t begins = chunks_[chunk].begins & (before(rowid) << 1 | 1))
        return if_holds(rowid, chunk, begins);
    if (chunk == 0) return end();
    --chunk;
    return if_holds(rowid, chunk, chunks_[chunk].begins);
  }

  // False: it takes the place of another one, which iterators that are at it still show.
  bool put(uint64_t first, const AddedRun& run) {
    Entry& entry = entries_.emplace_back(first, run);
    Chunk& chunk = chunk_of(first >> kChunkBits);
    const uint64_t bit = uint64_t{1} << (first & (kChunkRows - 1));
    const unsigned number = rank(chunk.begins & (bit - 1));
    const bool is_new = !(chunk.begins & bit);
    if (is_new) make_room(chunk, number);
    chunk.runs[number] = &entry;
    chunk.begins |= bit;
    size_ += is_new;
    longest_ = std::max(longest_, run.rows);
    return is_new;
  }

  // As they were put, those included that others have taken the place of.
  std::pmr::deque<Entry>& in_order() { return entries_; }

 private:
  static constexpr unsigned kChunkBits = 6;  // of the smallest chunks (am/rowids.cpp)
  static constexpr uint64_t kChunkRows = uint64_t{1} << kChunkBits;
  static constexpr unsigned kFirstRoom = 1;

  struct Chunk {
    uint64_t number = 0;     // rowid >> kChunkBits
    uint64_t begins = 0;     // by rowid, whether a run begins there
    Entry** runs = nullptr;  // as many as `begins` has bits, ascending
    unsigned room = 0;       // in `runs`
  };

  static unsigned rank(uint64_t bits) { return static_cast<unsigned>(std::popcount(bits)); }
  // The bits of the rowids before it in its chunk.
  static uint64_t before(uint64_t rowid) { return (uint64_t{1} << (rowid & (kChunkRows - 1))) - 1; }

  size_t first_chunk_from(uint64_t number) const {
    if (chunks_.empty() || chunks_.back().number < number) return chunks_.size();
    auto at = std::partition_point(chunks_.begin(), chunks_.end(),
                                   [=](const Chunk& c) { return c.number < number; });
    return static_cast<size_t>(at - chunks_.begin());
  }

  // REQUIRES: number is at most the number of the chunk's runs.
  iterator at(size_t chunk, unsigned number) const {
    if (chunk < chunks_.size() && number == rank(chunks_[chunk].begins)) ++chunk, number = 0;
    if (chunk >= chunks_.size()) return end();
    return {this, chunk, number, chunks_[chunk].runs[number]};
  }
  iterator last_of(size_t chunk) const { return at(chunk, rank(chunks_[chunk].begins) - 1); }

  // The last of the runs that begin at `begins`, some of the chunk's first ones, if it holds the
  // rowid. Most do not, and are not looked at.
  iterator if_holds(uint64_t rowid, size_t chunk, uint64_t begins) const {
    const auto last = static_cast<unsigned>(std::bit_width(begins)) - 1;
    const uint64_t offset = rowid - (chunks_[chunk].number << kChunkBits | last);
    if (offset >= longest_) return end();
    iterator found = at(chunk, rank(begins) - 1);
    return offset < found->second.rows ? found : end();
  }

  Entry** new_runs(unsigned room) {
    auto* memory = chunks_.get_allocator().resource();
    return static_cast<Entry**>(memory->allocate(room * sizeof(Entry*), alignof(Entry*)));
  }

  Chunk& chunk_of(uint64_t number) {
    const size_t at = first_chunk_from(number);
    if (at < chunks_.size() && chunks_[at].number == number) return chunks_[at];
    const Chunk chunk{number, 0, new_runs(kFirstRoom), kFirstRoom};
    return *chunks_.insert(chunks_.begin() + static_cast<ptrdiff_t>(at), chunk);
  }

  void make_room(Chunk& chunk, unsigned number) {
    const unsigned count = rank(chunk.begins);
    if (count == chunk.room) {
      const unsigned room = 4 * count;
      Entry** runs = new_runs(room);
      std::copy(chunk.runs, chunk.runs + count, runs);
      chunk.runs = runs;  // what it had goes with the memory resource
      chunk.room = room;
    }
    std::copy_backward(chunk.runs + number, chunk.runs + count, chunk.runs + count + 1);
  }

  std::pmr::deque<Entry> entries_;
  std::pmr::vector<Chunk> chunks_;  // ascending
  size_t size_ = 0;
  uint64_t longest_ = 0;  // rows of a run
};

}  // namespace datahike::versioning
