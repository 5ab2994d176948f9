#include "services/server/failpoint.h"

namespace qasino::server {

void Failpoint(const char* /*name*/) {}

}  // namespace qasino::server
