#include "store/digest.h"

#include <openssl/evp.h>

#include <stdexcept>

namespace datahike::store {
namespace {

void check(bool done) {
  if (!done) throw std::runtime_error("libcrypto could not compute a SHA-256 digest");
}

// Fetched once: looking the algorithm up costs more than hashing a short record.
const EVP_MD* sha256() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  check(algorithm != nullptr);
  return algorithm;
}

}  // namespace

Sha256::Sha256() {
  const EVP_MD* algorithm = sha256();
  context_ = EVP_MD_CTX_new();
  check(context_ != nullptr);
  if (EVP_DigestInit_ex2(context_, algorithm, nullptr) != 1) {
    EVP_MD_CTX_free(context_);
    check(false);
  }
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_); }

void Sha256::update(ByteView bytes) {
  check(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
}

tree::Hash Sha256::finish() {
  tree::Hash hash;
  check(EVP_DigestFinal_ex(context_, hash.data(), nullptr) == 1);
  check(EVP_DigestInit_ex2(context_, nullptr, nullptr) == 1);
  return hash;
}

}  // namespace datahike::store
