#ifndef QASINO_SERVICES_STORE_CHECKSUM_H_
#define QASINO_SERVICES_STORE_CHECKSUM_H_

#include <cstdint>
#include <memory>
#include <string_view>

struct XXH3_state_s;

namespace qasino::store {

// XXH3 (64 bits, seed 0) of bytes that come in pieces. Used by one thread at a time.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  void Update(std::string_view bytes);

  // Of all bytes so far; more may follow.
  uint64_t Digest() const;

  // Of these bytes alone.
  static uint64_t Of(std::string_view bytes);

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_CHECKSUM_H_
