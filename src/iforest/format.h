// Models as bytes.
#pragma once

#include "column/bytes.h"
#include "iforest/model.h"

namespace datahike::iforest {

Bytes encode(const Model& model);
Bytes sealed(Bytes content);  // with its digest
// Throws CorruptError for bytes that encode() would not write, whatever they are.
Model decode(ByteView bytes);

}  // namespace datahike::iforest
