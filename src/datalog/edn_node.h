// What values that do not fit into themselves share. Only the files of edn.h include this.
#pragma once

#include "datalog/edn.h"

namespace datahike::edn {

struct Node {
  uint32_t references = 1;
  uint32_t depth = 0;         // of collections and tags, this one included
  size_t size = 0;            // at most kMostSize
  mutable uint64_t hash = 0;  // 0: not computed yet
  std::string text;
  std::vector<Value> items;
  std::vector<Entry> entries;
};

// What all values of this thread hold in nodes, shared ones counted once.
size_t bytes_in_nodes();

// Exact comparison of two numbers by their worth, NaN above all; and what hash() gives a number:
// the same for equal ones.
int compare_numbers(const Value& a, const Value& b);
uint64_t hash_number(const Value& number);
uint64_t hash_bytes(std::string_view bytes);

}  // namespace datahike::edn
