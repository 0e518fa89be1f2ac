#include "versioning/shared_view.h"

#include "pg/bridge.h"
#include "pg/settings.h"
#include "versioning/pin.h"

namespace datahike::versioning {

void share_view(SessionView& session, char (&text)[kMostSharedView]) {
  if (!session.pinned) {
    snprintf(text, sizeof text, "%d", session.branch);
    return;
  }
  if (*session.as_of) {
    std::string commit = store::format_uuid(chosen_commit(session));
    strlcpy(session.commit_id, commit.c_str(), sizeof session.commit_id);
    *session.as_of = 0;
  }
  snprintf(text, sizeof text, "%d %s", session.branch, session.commit_id);
}

void share_changes(uint32_t handle, char (&text)[kMostSharedView]) {
  const size_t at = std::strlen(text);
  snprintf(text + at, sizeof text - at, "+%u", handle);
}

std::optional<SessionView> shared_view() {
  const char* text = pg::setting_shared_view;
  if (!text || !*text || *text == '+') return std::nullopt;
  SessionView session;
  char* end;
  session.branch = static_cast<int32_t>(std::strtol(text, &end, 10));
  if (*end == ' ') {
    session.pinned = true;
    session.pinned_by = "datahike.commit_id";
    const size_t length = std::strcspn(end + 1, "+");
    strlcpy(session.commit_id, end + 1, std::min(length + 1, sizeof session.commit_id));
  } else if ((*end != 0 && *end != '+') || end == text) {
    throw Error(std::string("invalid ") + kSharedViewSetting + ": \"" + text + "\"");
  }
  return session;
}

std::optional<uint32_t> shared_changes() {
  const char* text = pg::setting_shared_view;
  const char* handle = text ? std::strchr(text, '+') : nullptr;
  if (!handle) return std::nullopt;
  return static_cast<uint32_t>(std::strtoul(handle + 1, nullptr, 10));
}

}  // namespace datahike::versioning
