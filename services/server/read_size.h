#ifndef QASINO_SERVICES_SERVER_READ_SIZE_H_
#define QASINO_SERVICES_SERVER_READ_SIZE_H_

namespace qasino::server {

// Blocks of so many bytes and more are mapped when they are allocated and unmapped when they are
// freed; see SetUpMemory in process.cc.
inline constexpr int kMappedBlock = 1 << 20;

// What gRPC reads from a connection at once, into memory that it allocates for that: left alone
// it goes up to 4 MiB, which would be mapped, and its pages cleared, for every read.
inline constexpr int kMostReadAtOnce = kMappedBlock / 2;

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_READ_SIZE_H_
