// model    = magic:"DHIF" version:u8(1) options features training count trees digest
// options  = sample_size seed:u64 contaminated:u8 [contamination:f64] generation grown
// features = count { name:sized }
// training = rows least:f64 greatest:f64 threshold:f64
// trees    = { sample generation count { node } }    nodes in preorder: the left one is the next
// node     = 0 size                                  a leaf: training rows in it
//          | feature*2+1+missing_left split:f64      an inner node; feature from 0, plus 1 bit
// digest   = SHA-256 of all before it, its first 8 bytes
//
// Numbers are varints where no width is given; f64 is an IEEE 754 double, least byte first. Inner
// nodes come before what is below them, so that what an inner node's right one is follows from the
// order.
#include "iforest/format.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "store/digest.h"

namespace datahike::iforest {

namespace {

constexpr std::string_view kMagic = "DHIF";
constexpr uint8_t kVersion = 1;
constexpr size_t kDigestBytes = 8;

[[noreturn]] void damaged(const char* what) {
  throw CorruptError(std::string("isolation forest: ") + what);
}

tree::Hash digest_of(ByteView bytes) {
  store::Sha256 sha;
  sha.update(bytes);
  return sha.finish();
}

void require(bool holds, const char* what) {
  if (!holds) damaged(what);
}

class Reader {
 public:
  explicit Reader(ByteView bytes) : in_(bytes, "isolation forest") {}

  Model model() {
    Model m;
    require(as_string_view(in_.take(kMagic.size())) == kMagic, "not a model");
    require(in_.fixed<uint8_t>() == kVersion, "of another version");
    m.sample_size = number(kMostSample, "sample size");
    m.seed = in_.fixed<uint64_t>();
    if (in_.fixed<uint8_t>() != 0) {
      m.contamination = real("contamination");
      require(*m.contamination > 0 && *m.contamination <= 0.5, "contamination");
    }
    m.generation = number(kMostGenerations, "generation");
    m.grown = in_.varint();
    const uint32_t features = number(kMostFeatures, "number of features");
    require(features > 0, "no feature");
    for (uint32_t i = 0; i < features; ++i) m.features.push_back(in_.string());
    m.training_rows = in_.varint();
    m.least = real("score");
    m.greatest = real("score");
    m.threshold = real("threshold");
    const uint32_t trees = number(kMostTrees, "number of trees");
    require(trees > 0, "no tree");
    for (uint32_t i = 0; i < trees; ++i) m.trees.push_back(tree(m));
    // By their ages trees weigh less than the newest ones, which weigh 1.
    require(std::any_of(m.trees.begin(), m.trees.end(),
                        [&m](const Tree& t) { return t.generation == m.generation; }),
            "no tree of the last generation");
    require(in_.left() == 0, "too long");
    return m;
  }

 private:
  uint32_t number(uint32_t most, const char* what) {
    const uint64_t n = in_.varint();
    require(n <= most, what);
    return static_cast<uint32_t>(n);
  }
  double real(const char* what) {
    const auto v = in_.fixed<double>();
    require(std::isfinite(v), what);
    return v;
  }
  Tree tree(const Model& m) {
    Tree t;
    t.sample = number(kMostSample, "sample");
    require(t.sample > 0, "sample");
    t.generation = number(m.generation, "generation of a tree");
    const uint32_t count = number(2 * kMostSample, "number of nodes");
    require(count > 0 && count <= in_.left() / 2, "number of nodes");  // a node has two bytes
    t.nodes.resize(count);
    uint32_t next = 0;
    const uint64_t rows = node(m, t, &next, 0);
    require(next == count && rows == t.sample, "shape of a tree");
    return t;
  }
  // Returns the training rows below.
  uint64_t node(const Model& m, Tree& t, uint32_t* next, unsigned depth) {
    require(*next < t.nodes.size() && depth <= kMostDepth, "shape of a tree");
    const uint32_t at = (*next)++;
    const uint64_t tag = in_.varint();
    if (tag == 0) {
      t.nodes[at].size = number(kMostSample, "leaf");
      require(t.nodes[at].size > 0, "leaf");
      return t.nodes[at].size;
    }
    require((tag - 1) / 2 < m.features.size(), "feature of a node");
    t.nodes[at].feature = static_cast<int32_t>((tag - 1) / 2);
    t.nodes[at].missing_left = (tag - 1) % 2 != 0;
    t.nodes[at].split = real("split");
    const uint64_t left = node(m, t, next, depth + 1);
    t.nodes[at].right = *next;
    return left + node(m, t, next, depth + 1);
  }

  ByteReader in_;
};

}  // namespace

Bytes encode(const Model& model) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.raw(as_bytes(kMagic));
  out.fixed(kVersion);
  out.varint(model.sample_size);
  out.fixed(model.seed);
  out.fixed<uint8_t>(model.contamination.has_value());
  if (model.contamination) out.fixed(*model.contamination);
  out.varint(model.generation);
  out.varint(model.grown);
  out.varint(model.features.size());
  for (const std::string& name : model.features) out.sized(std::string_view(name));
  out.varint(model.training_rows);
  out.fixed(model.least);
  out.fixed(model.greatest);
  out.fixed(model.threshold);
  out.varint(model.trees.size());
  for (const Tree& tree : model.trees) {
    out.varint(tree.sample);
    out.varint(tree.generation);
    out.varint(tree.nodes.size());
    for (const Node& node : tree.nodes) {
      if (node.feature < 0) {
        out.varint(0);
        out.varint(node.size);
      } else {
        out.varint(static_cast<uint64_t>(node.feature) * 2 + 1 + (node.missing_left ? 1 : 0));
        out.fixed(node.split);
      }
    }
  }
  return sealed(std::move(bytes));
}

Bytes sealed(Bytes content) {
  const tree::Hash digest = digest_of(content);
  ByteWriter(content).raw(ByteView(digest).first(kDigestBytes));
  return content;
}

Model decode(ByteView bytes) {
  require(bytes.size() > kMagic.size() + kDigestBytes, "truncated");
  const ByteView content = bytes.first(bytes.size() - kDigestBytes);
  require(as_string_view(content.first(kMagic.size())) == kMagic, "not a model");
  const tree::Hash digest = digest_of(content);
  require(std::equal(digest.begin(), digest.begin() + kDigestBytes, bytes.end() - kDigestBytes),
          "damaged");
  return Reader(content).model();
}

}  // namespace datahike::iforest
