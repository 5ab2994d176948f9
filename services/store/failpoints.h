#ifndef QASINO_SERVICES_STORE_FAILPOINTS_H_
#define QASINO_SERVICES_STORE_FAILPOINTS_H_

#include "services/server/failpoint.h"

// Every point of the store at which a test can let it die, by name: tests find them by
// reading this file, and nothing of the store passes one that is not here.
namespace qasino::store {

// Of a file that is written in incoming/, synced and moved to its place.
struct FileSteps {
  const char* before_write;
  const char* after_write;
  const char* after_sync;
  const char* after_rename;
  const char* after_folder_sync;
};

// A shard that came in.
inline constexpr FileSteps kShardSteps = {
    "store/shard-before-write", "store/shard-after-write",       "store/shard-after-sync",
    "store/shard-after-rename", "store/shard-after-folder-sync",
};
// A shard that the store made.
inline constexpr FileSteps kMadeSteps = {
    "store/made-before-write", "store/made-after-write",       "store/made-after-sync",
    "store/made-after-rename", "store/made-after-folder-sync",
};
inline constexpr char kMadeAfterLink[] = "store/made-after-link";
inline constexpr FileSteps kManifestSteps = {
    "store/manifest-before-write", "store/manifest-after-write",       "store/manifest-after-sync",
    "store/manifest-after-rename", "store/manifest-after-folder-sync",
};
inline constexpr FileSteps kStoreIdSteps = {
    "store/id-before-write", "store/id-after-write",       "store/id-after-sync",
    "store/id-after-rename", "store/id-after-folder-sync",
};

// The journal of static and persistent tables: appending, and writing it anew.
inline constexpr char kJournalBeforeAppend[] = "store/journal-before-append";
inline constexpr char kJournalAfterAppend[] = "store/journal-after-append";
inline constexpr char kJournalAfterSync[] = "store/journal-after-sync";
inline constexpr FileSteps kRewriteSteps = {
    "store/rewrite-before-write", "store/rewrite-after-write",       "store/rewrite-after-sync",
    "store/rewrite-after-rename", "store/rewrite-after-folder-sync",
};

// Around showing what is on the disk, and around the answers to those who sent it.
inline constexpr char kBeforeBecome[] = "store/before-become";
inline constexpr char kAfterBecome[] = "store/after-become";
inline constexpr char kAfterAnswer[] = "store/after-answer";

// A generation that goes.
inline constexpr char kRetireBeforeRename[] = "store/retire-before-rename";
inline constexpr char kRetireAfterRename[] = "store/retire-after-rename";
inline constexpr char kRetireAfterFolderSync[] = "store/retire-after-folder-sync";
inline constexpr char kRetireAfterRemove[] = "store/retire-after-remove";

inline constexpr FileSteps kArchiveSteps = {
    "store/archive-before-write", "store/archive-after-write",       "store/archive-after-sync",
    "store/archive-after-rename", "store/archive-after-folder-sync",
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_FAILPOINTS_H_
