// datahike.schema_flexibility.
#pragma once

namespace datahike::facts {

void define_settings();

}  // namespace datahike::facts
