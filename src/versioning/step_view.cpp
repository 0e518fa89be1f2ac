#include "versioning/step_view.h"

#include "pg/bridge.h"
#include "pg/pins.h"
#include "pg/store.h"
#include "versioning/computed.h"
#include "versioning/redacted.h"
#include "versioning/sql_values.h"

namespace datahike::versioning {

namespace {

struct KnownStep {
  const ComputedFrom* from;
  std::weak_ptr<Overlay> overlay;  // owns `from`
};
std::vector<KnownStep> known_steps;

store::Commit existing_commit(store::Environment& env, const store::Uuid& id) {
  std::optional<store::Commit> commit = store::load_commit(env, id);
  if (!commit)
    throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                       "commit " + store::format_uuid(id) + " does not exist");
  return std::move(*commit);
}

std::optional<Computation> make(const store::Uuid& of, const store::Uuid& without) {
  static const auto all_in_store = std::make_shared<Overlay>(nullptr, tree::NodeRef{});
  store::Environment& env = store_for_reading();
  store::Commit a = existing_commit(env, of), b = existing_commit(env, without);
  const bool added = !a.parents.empty() && a.parents.front() == b.id;
  const bool removed = !b.parents.empty() && b.parents.front() == a.id;
  if (!added && !removed) return std::nullopt;
  const uint64_t older = std::min(a.tx, b.tx);
  pg::call([=] { pg::pin_commit(older); });
  env.refresh();  // not before the pin: see pins.h
  for (const store::Uuid& id : {of, without})
    if (!env.commit(id)) store::throw_collected(id);
  ComputedFrom from;
  from.rows_of = {all_in_store.get(), 0, 0, true, a.tx};
  from.step = {of, without, std::make_shared<const store::Delta>(std::move((added ? a : b).delta)),
               added};
  return compute(from);
}

std::optional<Computation> find_known(const store::Uuid& of, const store::Uuid& without) {
  std::erase_if(known_steps, [](const KnownStep& step) { return step.overlay.expired(); });
  for (const KnownStep& known : known_steps)
    if (known.from->step->of == of && known.from->step->without == without)
      return Computation{known.from, known.overlay.lock()};
  return std::nullopt;
}

}  // namespace

std::optional<View> step_view(const store::Uuid& of, const store::Uuid& without, int32_t branch) {
  refresh_redacted_rows();
  std::optional<Computation> step = find_known(of, without);
  if (!step) {
    step = make(of, without);
    if (!step) return std::nullopt;
    retain_overlay(step->overlay);
    known_steps.push_back({step->from, step->overlay});
  }
  Overlay& overlay = *step->overlay;
  return View{&overlay, overlay.size(), branch, true, step->from->rows_of.tx, step->from};
}

std::shared_ptr<const void> hold_step_view(const store::Uuid& of, const store::Uuid& without) {
  refresh_redacted_rows();
  std::optional<Computation> step = find_known(of, without);
  if (!step) {
    step = make(of, without);
    if (!step) return nullptr;
    known_steps.push_back({step->from, step->overlay});
  }
  return step->overlay;
}

}  // namespace datahike::versioning
