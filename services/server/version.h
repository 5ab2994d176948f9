#ifndef QASINO_SERVICES_SERVER_VERSION_H_
#define QASINO_SERVICES_SERVER_VERSION_H_

#include <string_view>

namespace qasino::server {

// What --version and qasino_build_info say.
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_VERSION_H_
