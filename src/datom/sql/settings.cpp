#include "datom/sql/settings.h"

#include "datom/sql/database.h"

namespace datahike::facts {

namespace {

enum Flexibility { kWrite, kRead };
int flexibility = kWrite;
const config_enum_entry kFlexibilities[] = {
    {"write", kWrite, false}, {"read", kRead, false}, {nullptr, 0, false}};

}  // namespace

bool reads_schema_flexibly() { return flexibility == kRead; }

void define_settings() {
  DefineCustomEnumVariable(
      "datahike.schema_flexibility", "Whether facts need attributes that are defined.",
      "write: they do. read: an attribute without a definition takes values of any type, one each.",
      &flexibility, kWrite, kFlexibilities, PGC_USERSET, 0, nullptr, nullptr, nullptr);
}

}  // namespace datahike::facts
