#include "column/vector/text_extreme.h"

#include <algorithm>
#include <cstring>

namespace datahike::vector {

namespace {

bool is_below(ByteView a, ByteView b) {
  const size_t both = std::min(a.size(), b.size());
  const int order = both == 0 ? 0 : std::memcmp(a.data(), b.data(), both);
  return order != 0 ? order < 0 : a.size() < b.size();
}

template <bool Max>
class TextExtreme final : public State {
 public:
  explicit TextExtreme(int column) : column_(column), values_(std::make_unique<Vector>()) {}
  void resize(uint32_t groups) override { best_.resize(groups); }
  void add(Evaluator& rows, const uint32_t* groups) override {
    rows.text_values(column_, texts_, *values_);
    for (unsigned i = 0; i < rows.selected(); ++i)
      if (!values_->any_null || !values_->null[i]) take(best_[groups ? groups[i] : 0], texts_[i]);
  }
  void merge(State& other, std::span<const uint32_t> to) override {
    const auto& later = static_cast<TextExtreme&>(other);
    for (size_t g = 0; g < to.size(); ++g)
      if (later.best_[g].known) take(best_[to[g]], later.best_[g].text);
  }
  size_t bytes() const override { return best_.capacity() * sizeof(Best) + text_bytes_; }
  void clear() override {
    for (Best& best : best_) best = {};
    text_bytes_ = 0;
  }
  size_t bytes_of_group() const override { return sizeof(Best); }
  size_t own_bytes() const override { return text_bytes_; }
  ByteView text(uint32_t group) const override { return best_[group].text; }

 private:
  struct Best {
    bool known = false;
    Bytes text;
  };
  void take(Best& best, ByteView text) {
    if (best.known && !(Max ? is_below(best.text, text) : is_below(text, best.text))) return;
    best.known = true;
    text_bytes_ -= best.text.capacity();
    best.text.assign(text.begin(), text.end());
    text_bytes_ += best.text.capacity();
  }
  int column_;
  std::vector<Best> best_;
  size_t text_bytes_ = 0;
  ByteView texts_[kChunkRows];
  std::unique_ptr<Vector> values_;
};

}  // namespace

std::unique_ptr<State> make_text_extreme(const Accumulator& a) {
  if (a.sum == Sum::MaxText) return std::make_unique<TextExtreme<true>>(a.text);
  return std::make_unique<TextExtreme<false>>(a.text);
}

}  // namespace datahike::vector
