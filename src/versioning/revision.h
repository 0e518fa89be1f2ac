// Revisions: the texts that name commits (REFERENCE section 1).
#pragma once

#include "versioning/view.h"

namespace datahike::versioning {

// branch name, tag, commit UUID, unique prefix of 8 or more hex digits; each with any number of ~N
// and
// @timestamp behind it. Folds first, so that a branch's newest commit can be named.
// Errors: 42704 unknown or ambiguous, 22P02 malformed suffix.
store::Uuid resolve_revision(const std::string& text);
// The session's view when `text` is nullptr.
store::Uuid resolve_revision_or_current(const char* text);

}  // namespace datahike::versioning
