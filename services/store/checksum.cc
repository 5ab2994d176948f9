#include "services/store/checksum.h"

#include <xxhash.h>

#include <new>

namespace qasino::store {

Checksum::Checksum() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH3_64bits_reset(state_.get());
}

Checksum::~Checksum() = default;

void Checksum::Free::operator()(XXH3_state_s* state) const { XXH3_freeState(state); }

void Checksum::Update(std::string_view bytes) {
  XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
}

uint64_t Checksum::Digest() const { return XXH3_64bits_digest(state_.get()); }

uint64_t Checksum::Of(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace qasino::store
