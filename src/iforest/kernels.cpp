// The kernels of one instruction set after another: this file includes itself for each
// (hwy/foreach_target.h).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "iforest/kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first, or there is one target only.
#include <hwy/highway.h>

#include "iforest/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace datahike::iforest {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
// out = rank < threshold ? left : right, two vectors at a time.
template <class D, class Rank, class Left, class Right>
HWY_INLINE void choose(D d, const Block<Rank>& block, const Step<Rank>& s, Left left, Right right,
                       Rank* out) {
  const Rank* HWY_RESTRICT column = static_cast<const Rank*>(block.columns[s.column]);
  const size_t lanes = hn::Lanes(d), rows = block.rows;
  const auto threshold = hn::Set(d, s.threshold);
  for (size_t i = 0; i < rows; i += 2 * lanes) {
    const auto first = hn::Lt(hn::Load(d, column + i), threshold);
    const auto second = hn::Lt(hn::Load(d, column + i + lanes), threshold);
    const auto one = hn::IfThenElse(first, left(i), right(i));
    const auto other = hn::IfThenElse(second, left(i + lanes), right(i + lanes));
    hn::Store(one, d, out + i);
    hn::Store(other, d, out + i + lanes);
  }
}

template <class Rank>
void leaves(const Block<Rank>& block) {
  const hn::CappedTag<Rank, kBlockStep / 2> d;
  const size_t stride = block.stride;
  Rank* top = block.stack - stride;  // the last place in use
  for (const Step<Rank>* s = block.steps; s != block.steps + block.count; ++s) {
    const auto leaf_left = hn::Set(d, s->left), leaf_right = hn::Set(d, s->right);
    const auto left_leaf = [&](size_t) { return leaf_left; };
    const auto right_leaf = [&](size_t) { return leaf_right; };
    const auto on_top = [&](size_t i) { return hn::Load(d, top + i); };
    switch (s->operands) {
      case Step<Rank>::Leaves:
        top += stride;
        choose(d, block, *s, left_leaf, right_leaf, top);
        break;
      case Step<Rank>::LeafAndTop:
        choose(d, block, *s, left_leaf, on_top, top);
        break;
      case Step<Rank>::TopAndLeaf:
        choose(d, block, *s, on_top, right_leaf, top);
        break;
      case Step<Rank>::Two:
        top -= stride;
        choose(
            d, block, *s, on_top, [&](size_t i) { return hn::Load(d, top + stride + i); }, top);
        break;
    }
  }
}

const Kernels* table() {
  static const Kernels kernels = {hwy::TargetName(HWY_TARGET), leaves<int8_t>, leaves<int16_t>};
  return &kernels;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace datahike::iforest
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <vector>

namespace datahike::iforest {

HWY_EXPORT(table);

const Kernels& kernels() {
  static const Kernels* const chosen = HWY_DYNAMIC_DISPATCH(table)();
  return *chosen;
}

namespace {

std::vector<const Kernels*> all_targets() {
  std::vector<const Kernels*> all;
  for (uint32_t left = static_cast<uint32_t>(hwy::SupportedTargets() & HWY_TARGETS); left;
       left &= left - 1) {
    hwy::SetSupportedTargetsForTest(left & -left);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    all.push_back(HWY_DYNAMIC_DISPATCH(table)());
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return all;
}

const std::vector<const Kernels*>& targets() {
  static const std::vector<const Kernels*> all = all_targets();
  return all;
}

}  // namespace

size_t kernel_targets() { return targets().size(); }
const Kernels& kernels_of_target(size_t target) { return *targets()[target]; }

}  // namespace datahike::iforest
#endif
