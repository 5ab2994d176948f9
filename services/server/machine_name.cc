#include "services/server/machine_name.h"

#include <unistd.h>

#include <array>

namespace qasino::server {

std::string MachineName() {
  // Longer names than the system's limit are cut, and may then lack their end.
  std::array<char, 257> name = {};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

}  // namespace qasino::server
