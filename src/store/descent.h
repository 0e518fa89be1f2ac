// The way from a commit to one that descends from it, step by step.
#pragma once

#include <functional>
#include <optional>

#include "store/environment.h"

namespace datahike::store {

// A commit and one of its parents.
struct Step {
  Uuid parent{};
  Uuid commit{};
  bool operator==(const Step&) const = default;
};

// Visits the steps by which `to` descends from `from`, newest first; from the commit without
// parents where it is nullopt. Each goes to the first parent where that descends from `from` or is
// it, else to the first of the others that does: after a fast-forward `from` may be what was merged
// into the branch that was taken over. False, and nothing has been visited: `to` does not descend
// from it. Errors: CollectedError where the way leads over a collected commit.
bool visit_descent(Environment& env, const std::optional<Uuid>& from, const Uuid& to,
                   const std::function<void(const Step&)>& visit);

}  // namespace datahike::store
