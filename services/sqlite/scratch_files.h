#ifndef QASINO_SERVICES_SQLITE_SCRATCH_FILES_H_
#define QASINO_SERVICES_SQLITE_SCRATCH_FILES_H_

#include <cstdint>

namespace qasino::sqlite {

// The name of an SQLite VFS whose temporary files are in memory, and which has no other files:
// opening one fails. A connection with it and with `PRAGMA temp_store = FILE` sorts a large
// result a piece at a time, between which it can be interrupted and looks at the clock; with
// `temp_store = MEMORY` such a sort is one step, which takes seconds.
//
// The files take their memory from SQLite's allocator, so that a MemoryBudget counts it and may
// refuse it; a statement for whose files there is no memory ends with SQLITE_NOMEM. Files go
// when they are closed.
//
// Registers the VFS when it is called first. From any thread.
const char* ScratchFiles();

// How many times connections with that VFS have been asked for the current time on this thread.
// SQLite asks when a statement needs it ('now', CURRENT_TIMESTAMP and all other ways to it), and
// then only: a statement during which the number stays the same does not depend on the time.
uint64_t ClockReads();

}  // namespace qasino::sqlite

#endif  // QASINO_SERVICES_SQLITE_SCRATCH_FILES_H_
