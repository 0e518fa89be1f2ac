#include "pg/bridge.h"

#include <cstdio>

#include "datalog/edn.h"
#include "datalog/error.h"
#include "datom/attribute.h"

namespace datahike::pg {

namespace {

void describe(CaughtError& caught, int sqlstate, const char* message, const char* hint = "") {
  caught.sqlstate = sqlstate;
  std::snprintf(caught.message, sizeof caught.message, "%s", message);
  std::snprintf(caught.hint, sizeof caught.hint, "%s", hint);
}

}  // namespace

void capture_exception(CaughtError& caught) noexcept {
  try {
    throw;
  } catch (const PgError& e) {
    caught.data = e.data;
  } catch (const SqlError& e) {
    describe(caught, e.sqlstate, e.what(), e.hint.c_str());
  } catch (const CorruptError& e) {
    describe(caught, ERRCODE_DATA_CORRUPTED, e.what(),
             "Restore the store's directory from a backup, or remove the damaged branch.");
  } catch (const CollectedError& e) {
    describe(caught, ERRCODE_SNAPSHOT_TOO_OLD, e.what(),
             "datahike.log() lists the commits that are kept; a tag keeps one for good.");
  } catch (const FormatError& e) {
    describe(caught, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, e.what());
  } catch (const FullError& e) {
    describe(caught, ERRCODE_DISK_FULL, e.what(),
             "Free disk space, or raise datahike.map_size and restart.");
  } catch (const IoError& e) {
    describe(caught, ERRCODE_IO_ERROR, e.what());
  } catch (const LimitError& e) {
    describe(caught, ERRCODE_PROGRAM_LIMIT_EXCEEDED, e.what());
  } catch (const edn::ReadError& e) {
    describe(caught, ERRCODE_INVALID_TEXT_REPRESENTATION, e.what());
  } catch (const datalog::QueryError& e) {
    const char* s = e.sqlstate;
    describe(caught, MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4]), e.what(), e.hint.c_str());
  } catch (const datom::ValueError& e) {
    describe(caught, ERRCODE_INVALID_TEXT_REPRESENTATION, e.what());
  } catch (const datom::FactError& e) {
    const char* s = e.sqlstate;
    describe(caught, MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4]), e.what(), e.hint.c_str());
  } catch (const std::bad_alloc&) {
    describe(caught, ERRCODE_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    describe(caught, ERRCODE_INTERNAL_ERROR, e.what());
  } catch (...) {
    describe(caught, ERRCODE_INTERNAL_ERROR, "unknown C++ exception");
  }
}

void raise(const CaughtError& caught) {
  if (caught.data) ReThrowError(caught.data);
  ereport(ERROR, (errcode(caught.sqlstate), errmsg("%s", caught.message),
                  caught.hint[0] ? errhint("%s", caught.hint) : 0));
  pg_unreachable();
}

}  // namespace datahike::pg
