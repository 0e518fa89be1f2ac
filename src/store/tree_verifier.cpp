#include "store/tree_verifier.h"

#include <cstring>

#include "store/error.h"

namespace datahike::store {

namespace {

uint64_t short_hash(const tree::Hash& hash) {
  uint64_t first;
  std::memcpy(&first, hash.data(), sizeof first);
  return first;
}

std::string name(uint64_t id) { return "node " + std::to_string(id); }

}  // namespace

void TreeVerifier::check(const tree::NodeRef& root, std::vector<std::string>& problems) {
  std::vector<Pending> pending;
  if (!root.empty()) pending.push_back({root, -1});
  while (!pending.empty()) {
    const Pending node = pending.back();
    pending.pop_back();
    try {
      check_node(node, pending);
    } catch (const CorruptError& error) {
      problems.emplace_back(error.what());
    }
  }
}

void TreeVerifier::check_node(const Pending& node, std::vector<Pending>& pending) {
  const uint64_t id = node.ref.id;
  const auto [seen, first_time] = seen_.try_emplace(id, short_hash(node.ref.hash));
  if (!first_time) {
    if (seen->second != short_hash(node.ref.hash))
      throw CorruptError(name(id) + " is named with two hashes");
    return;
  }
  pause_();
  const ByteView bytes = env_.node(id);
  if (tree::node_hash(bytes, id) != node.ref.hash)
    throw CorruptError(name(id) + " has another content than the hash that names it");
  const tree::Node decoded = tree::decode_node(bytes, id);
  if (node.level >= 0 && decoded.level != node.level)
    throw CorruptError(name(id) + " has level " + std::to_string(decoded.level) + " instead of " +
                       std::to_string(node.level));
  for (const tree::Entry& entry : decoded.entries)
    if (!entry.child.empty())
      pending.push_back({entry.child, decoded.level > 0 ? decoded.level - 1 : -1});
}

void TreeVerifier::check_others(const std::function<void(const std::string&)>& report) {
  env_.scan(Map::Nodes, {}, [&](ByteView key, ByteView value) {
    const auto id = ByteReader(key, "node id").fixed<uint64_t>();
    if (seen_.count(id)) return true;
    pause_();
    try {
      tree::NodeView view(value, id);
    } catch (const CorruptError& error) {
      report(error.what());
    }
    return true;
  });
}

}  // namespace datahike::store
