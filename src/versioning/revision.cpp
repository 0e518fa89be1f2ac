#include "versioning/revision.h"

#include "datom/sql/ids.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/settings.h"
#include "pg/snapshot.h"
#include "pg/store.h"
#include "pg/tags.h"

namespace datahike::versioning {

namespace {

[[noreturn]] void unknown(const std::string& revision) {
  throw pg::SqlError(
      ERRCODE_UNDEFINED_OBJECT, "revision \"" + revision + "\" does not exist",
      "Give a branch, a tag, a commit id or at least 8 digits of one, or one of these "
      "with ~N (its N-th first parent) or @timestamp behind it.");
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Half-bytes of a prefix; hyphens are skipped. Empty if it is not one.
std::vector<uint8_t> hex_prefix(const std::string& text) {
  std::vector<uint8_t> digits;
  for (char c : text) {
    if (c == '-') continue;
    if (hex_digit(c) < 0) return {};
    digits.push_back(static_cast<uint8_t>(hex_digit(c)));
  }
  return digits;
}

std::optional<store::Uuid> by_prefix(store::Environment& env, const std::string& text) {
  std::vector<uint8_t> digits = hex_prefix(text);
  if (digits.size() < 8 || digits.size() > 32) return std::nullopt;
  Bytes prefix;
  for (size_t i = 0; i < digits.size(); i += 2)
    prefix.push_back(
        static_cast<uint8_t>(digits[i] << 4 | (i + 1 < digits.size() ? digits[i + 1] : 0)));
  std::vector<store::Uuid> found = env.commits_with_prefix(prefix, digits.size() % 2 != 0, 2);
  if (found.size() > 1)
    throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT, "commit prefix \"" + text + "\" is ambiguous",
                       "Give more digits.");
  if (found.empty()) return std::nullopt;
  return found[0];
}

store::Environment& current_store() {
  if (!pg::try_store()) wait_for_fold();
  store::Environment& env = pg::open_store();
  env.refresh();
  return env;
}

store::Uuid resolve_name(const std::string& name, const std::string& whole) {
  const char* text = name.c_str();
  int64_t branch = pg::call([text] { return pg::find_branch(text); });
  if (branch >= 0) return branch_head(static_cast<int32_t>(branch));
  if (std::optional<pg::Tag> tag = pg::find_tag(name.c_str())) return tag->commit;
  store::Environment& env = current_store();
  if (auto id = store::parse_uuid(name)) {
    if (!store::load_commit(env, *id)) unknown(whole);
    return *id;
  }
  if (auto id = by_prefix(env, name)) return *id;
  unknown(whole);
}

store::Uuid apply_ancestor(const store::Uuid& from, const std::string& count,
                           const std::string& whole) {
  char* end;
  unsigned long n = count.empty() ? 1 : std::strtoul(count.c_str(), &end, 10);
  if (!count.empty() && (*end || hex_digit(count[0]) < 0))
    throw pg::SqlError(ERRCODE_INVALID_TEXT_REPRESENTATION,
                       "invalid revision \"" + whole + "\": a number must follow ~");
  auto parent = store::nth_parent(current_store(), from, n);
  if (!parent) unknown(whole);
  return *parent;
}

store::Uuid apply_time(const store::Uuid& from, const std::string& text, const std::string& whole) {
  pg::AsOf at;
  if (!pg::parse_as_of(text.c_str(), &at))
    throw pg::SqlError(ERRCODE_INVALID_TEXT_REPRESENTATION,
                       "invalid revision \"" + whole + "\": a timestamp must follow @");
  facts::settle_tx(at);
  store::Environment& env = current_store();
  auto found = at.is_tx ? store::commit_as_of_tx(env, from, at.tx)
                        : store::commit_as_of_time(env, from, at.time);
  if (!found) unknown(whole);
  return *found;
}

}  // namespace

store::Uuid resolve_revision(const std::string& text) {
  size_t at = text.find_first_of("~@");
  store::Uuid commit = resolve_name(text.substr(0, at), text);
  while (at != std::string::npos) {
    bool time = text[at] == '@';
    size_t next = time ? std::string::npos : text.find_first_of("~@", at + 1);
    std::string argument = text.substr(at + 1, next == std::string::npos ? next : next - at - 1);
    commit = time ? apply_time(commit, argument, text) : apply_ancestor(commit, argument, text);
    at = next;
  }
  return commit;
}

store::Uuid resolve_revision_or_current(const char* text) {
  if (text) return resolve_revision(text);
  return current_commit(GetActiveSnapshot());
}

}  // namespace datahike::versioning
