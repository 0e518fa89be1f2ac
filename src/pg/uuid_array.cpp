#include "pg/uuid_array.h"

namespace datahike::pg {

ArrayType* make_uuid_array(const std::vector<store::Uuid>* ids) {
  auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * (ids->size() + 1)));
  for (size_t i = 0; i < ids->size(); ++i)
    elements[i] = PointerGetDatum(const_cast<uint8_t*>((*ids)[i].data()));
  return construct_array(elements, static_cast<int>(ids->size()), UUIDOID, UUID_LEN, false,
                         TYPALIGN_CHAR);
}

std::vector<store::Uuid> read_uuid_array(ArrayType* array) {
  std::vector<store::Uuid> ids;
  if (!array) return ids;
  ids.resize(ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)));
  if (!ids.empty()) std::memcpy(ids.data(), ARR_DATA_PTR(array), ids.size() * UUID_LEN);
  return ids;
}

}  // namespace datahike::pg
