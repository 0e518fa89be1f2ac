// SHA-256, by libcrypto.
#pragma once

#include "column/bytes.h"
#include "tree/node.h"

struct evp_md_ctx_st;

namespace datahike::store {

// The digest of bytes that arrive piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(ByteView bytes);
  tree::Hash finish();  // and starts anew

 private:
  evp_md_ctx_st* context_;
};

}  // namespace datahike::store
