#ifndef QASINO_SERVICES_SERVER_PEM_FILE_H_
#define QASINO_SERVICES_SERVER_PEM_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace qasino::server {

// The text of a file with certificates or a key, at most 1 MiB. That it is PEM is
// checked by its first words only.
absl::StatusOr<std::string> ReadPemFile(const std::string& path);

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_PEM_FILE_H_
