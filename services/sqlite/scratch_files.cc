#include "services/sqlite/scratch_files.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#include "services/sqlite/memory_budget.h"

namespace qasino::sqlite {
namespace {

constexpr char kName[] = "qasino-scratch";
// As large as makes a MemoryBudget look whether it is to stop.
constexpr int64_t kChunk = 64 << 10;
constexpr int kSectorSize = 4096;

// SQLite makes these, with `base` first, and owns their memory.
struct ScratchFile {
  sqlite3_file base;
  unsigned char** chunks;
  int64_t chunk_count;  // there may be room for more
  int64_t room;
  int64_t size;
};

ScratchFile& Of(sqlite3_file* file) { return *reinterpret_cast<ScratchFile*>(file); }

void FreeFrom(ScratchFile& file, int64_t chunk) {
  while (file.chunk_count > chunk) sqlite3_free(file.chunks[--file.chunk_count]);
}

bool Grow(ScratchFile& file, int64_t size) {
  const int64_t wanted = (size + kChunk - 1) / kChunk;
  if (wanted > file.room) {
    const int64_t room = std::max<int64_t>(wanted, 2 * file.room);
    void* const chunks = sqlite3_realloc64(file.chunks, room * sizeof(*file.chunks));
    if (chunks == nullptr) return false;
    file.chunks = static_cast<unsigned char**>(chunks);
    file.room = room;
  }
  while (file.chunk_count < wanted) {
    auto* const chunk = static_cast<unsigned char*>(sqlite3_malloc64(kChunk));
    if (chunk == nullptr) return false;
    // A write past the end leaves zeros before it.
    std::memset(chunk, 0, kChunk);
    file.chunks[file.chunk_count++] = chunk;
  }
  return true;
}

// Calls `visit` with each piece of a chunk that the range has, and its place in the range.
template <typename Visit>
void ForEachPiece(const ScratchFile& file, int64_t offset, int64_t amount, const Visit& visit) {
  for (int64_t done = 0; done < amount;) {
    const int64_t at = (offset + done) % kChunk;
    const int64_t length = std::min(kChunk - at, amount - done);
    visit(file.chunks[(offset + done) / kChunk] + at, done, length);
    done += length;
  }
}

int Close(sqlite3_file* base) {
  ScratchFile& file = Of(base);
  FreeFrom(file, 0);
  sqlite3_free(file.chunks);
  file.chunks = nullptr;
  return SQLITE_OK;
}

int Read(sqlite3_file* base, void* to, int amount, sqlite3_int64 offset) {
  const ScratchFile& file = Of(base);
  auto* const bytes = static_cast<unsigned char*>(to);
  const int64_t there = std::clamp<int64_t>(file.size - offset, 0, amount);
  ForEachPiece(file, offset, there, [&](const unsigned char* piece, int64_t place, int64_t length) {
    std::memcpy(bytes + place, piece, length);
  });
  if (there == amount) return SQLITE_OK;
  std::memset(bytes + there, 0, amount - there);
  return SQLITE_IOERR_SHORT_READ;
}

int Write(sqlite3_file* base, const void* from, int amount, sqlite3_int64 offset) {
  ScratchFile& file = Of(base);
  if (!Grow(file, offset + amount)) return SQLITE_IOERR_NOMEM;
  const auto* const bytes = static_cast<const unsigned char*>(from);
  ForEachPiece(file, offset, amount, [&](unsigned char* piece, int64_t place, int64_t length) {
    std::memcpy(piece, bytes + place, length);
  });
  file.size = std::max<int64_t>(file.size, offset + amount);
  return SQLITE_OK;
}

int Truncate(sqlite3_file* base, sqlite3_int64 size) {
  ScratchFile& file = Of(base);
  if (size >= file.size) return SQLITE_OK;
  FreeFrom(file, (size + kChunk - 1) / kChunk);
  // What is written behind it later has zeros before it again.
  if (const int64_t rest = size % kChunk; rest != 0) {
    std::memset(file.chunks[size / kChunk] + rest, 0, kChunk - rest);
  }
  file.size = size;
  return SQLITE_OK;
}

int Sync(sqlite3_file*, int) { return SQLITE_OK; }

int FileSize(sqlite3_file* base, sqlite3_int64* size) {
  *size = Of(base).size;
  return SQLITE_OK;
}

int Lock(sqlite3_file*, int) { return SQLITE_OK; }

int CheckReservedLock(sqlite3_file*, int* reserved) {
  *reserved = 0;
  return SQLITE_OK;
}

int FileControl(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int SectorSize(sqlite3_file*) { return kSectorSize; }
int DeviceCharacteristics(sqlite3_file*) {
  return SQLITE_IOCAP_ATOMIC | SQLITE_IOCAP_SAFE_APPEND | SQLITE_IOCAP_SEQUENTIAL |
         SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

constexpr sqlite3_io_methods kMethods = {
    .iVersion = 1,
    .xClose = Close,
    .xRead = Read,
    .xWrite = Write,
    .xTruncate = Truncate,
    .xSync = Sync,
    .xFileSize = FileSize,
    .xLock = Lock,
    .xUnlock = Lock,
    .xCheckReservedLock = CheckReservedLock,
    .xFileControl = FileControl,
    .xSectorSize = SectorSize,
    .xDeviceCharacteristics = DeviceCharacteristics,
};

int Open(sqlite3_vfs*, const char* /*name*/, sqlite3_file* base, int flags, int* out_flags) {
  constexpr int kTemporary = SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TEMP_JOURNAL |
                             SQLITE_OPEN_TRANSIENT_DB | SQLITE_OPEN_SUBJOURNAL;
  base->pMethods = nullptr;
  if ((flags & kTemporary) == 0) return SQLITE_CANTOPEN;
  new (base) ScratchFile{.base = {&kMethods}};
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

// Journals are asked for by name, and never found: they go when they are closed.
int Delete(sqlite3_vfs*, const char*, int) { return SQLITE_OK; }

int Access(sqlite3_vfs*, const char*, int, int* there) {
  *there = 0;
  return SQLITE_OK;
}

int FullPathname(sqlite3_vfs*, const char* name, int room, char* full) {
  sqlite3_snprintf(room, full, "%s", name);
  return SQLITE_OK;
}

thread_local uint64_t clock_reads = 0;

// The machine's. Written once, before the VFS can be used.
sqlite3_vfs machine;

int CurrentTime(sqlite3_vfs*, double* days) {
  ++clock_reads;
  return machine.xCurrentTime(&machine, days);
}

int CurrentTimeInt64(sqlite3_vfs*, sqlite3_int64* milliseconds) {
  ++clock_reads;
  return machine.xCurrentTimeInt64(&machine, milliseconds);
}

}  // namespace

uint64_t ClockReads() { return clock_reads; }

const char* ScratchFiles() {
  static const bool registered = [] {
    ConfigureSqlite();  // before anything else is asked of SQLite
    // Sleep and randomness are the machine's, and so is the time, which is counted.
    machine = *sqlite3_vfs_find(nullptr);
    static sqlite3_vfs vfs = machine;
    vfs.szOsFile = sizeof(ScratchFile);
    vfs.zName = kName;
    vfs.pNext = nullptr;
    vfs.xOpen = Open;
    vfs.xDelete = Delete;
    vfs.xAccess = Access;
    vfs.xFullPathname = FullPathname;
    vfs.xCurrentTime = CurrentTime;
    if (vfs.iVersion >= 2 && machine.xCurrentTimeInt64 != nullptr) {
      vfs.xCurrentTimeInt64 = CurrentTimeInt64;
    }
    return sqlite3_vfs_register(&vfs, /*makeDflt=*/0) == SQLITE_OK;
  }();
  static_cast<void>(registered);
  return kName;
}

}  // namespace qasino::sqlite
