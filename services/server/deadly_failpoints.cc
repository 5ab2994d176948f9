#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "services/server/failpoint.h"

namespace qasino::server {
namespace {

struct Deadly {
  std::string name;
  std::atomic<long> passes_left{1};
};

Deadly& FromEnvironment() {
  static Deadly* const deadly = [] {
    auto* made = new Deadly;
    const char* asked = std::getenv("QASINO_FAILPOINT");
    made->name = asked == nullptr ? "" : asked;
    const size_t colon = made->name.rfind(':');
    if (colon != std::string::npos) {
      made->passes_left = std::atol(made->name.c_str() + colon + 1);
      made->name.resize(colon);
    }
    return made;
  }();
  return *deadly;
}

}  // namespace

void Failpoint(const char* name) {
  Deadly& deadly = FromEnvironment();
  if (deadly.name != name) return;
  if (deadly.passes_left.fetch_sub(1) == 1) ::raise(SIGKILL);
}

}  // namespace qasino::server
