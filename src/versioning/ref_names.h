// Names of branches and tags.
#pragma once

#include <string>

namespace datahike::versioning {

// Throws 42602 for what is no name: `kind` is branch or tag. Names are free but for what revisions
// need: no ~ or @, and no look of a commit id.
void check_ref_name(const char* kind, const std::string& name);
// Throws 42710 where a branch or tag has it.
void require_free_name(const char* name);
// Throws 42501 where the current role may not make branches and tags: they belong to the database,
// as schemas do.
void require_may_create(const char* kind);
// Throws 0A000 with uncommitted changes: the current view is no commit.
void refuse_uncommitted(const char* what);

}  // namespace datahike::versioning
