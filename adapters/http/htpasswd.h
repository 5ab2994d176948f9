#ifndef QASINO_ADAPTERS_HTTP_HTPASSWD_H_
#define QASINO_ADAPTERS_HTTP_HTPASSWD_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/server/worker_pool.h"

namespace qasino::http {

// The users and passwords of a file that Apache's htpasswd made: a line `user:hash` each,
// with hashes of bcrypt ($2y$, $2a$, $2b$), apr1, SHA-crypt ($5$, $6$), {SHA}, MD5-crypt
// ($1$) or the old crypt; blank lines and those that begin with `#` are passed over, and what
// is behind a second `:`. Of a user who comes again the first line counts.
//
//   auto users = PasswordFile::Create({.path = "/etc/qasino/htpasswd"});   → fails: bad file
//   (*users)->Check(user, password, [](absl::Status status) { ... });
//
// When the file changes, it is read again: whether it did is looked at in Check, once a
// second at most. A file that cannot be read any more, or has a bad line, is logged, and the
// users stay those that were.
//
// Hashes are slow by intent, so they run on threads of this object. That a password was right
// is remembered (as an HMAC under a key of this process) until the file changes; then the
// answer is at once, and does not wait for the passwords of others. Several checks of the same
// user and password run as one. A user who does not exist takes as long as one who does.
//
// Any thread may call, several at once.
class PasswordFile {
 public:
  static constexpr size_t kMaxFileBytes = 1 << 20;
  static constexpr size_t kMaxUserBytes = 255;
  static constexpr size_t kMaxPasswordBytes = 1024;
  // Of one line.
  static constexpr size_t kMaxLineBytes = 1024;

  using Callback = absl::AnyInvocable<void(absl::Status)>;

  struct Options {
    std::string path;
    // That compute hashes. At least 1.
    int threads = 1;
    // Checks that wait for a thread, and that wait for another check of the same password.
    size_t queue_limit = 64;
    size_t same_limit = 10'000;
    // For tests.
    std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
  };

  // Reads the file. INVALID_ARGUMENT: a line is bad, which the message numbers, or the file
  // is too large; else that it cannot be read.
  static absl::StatusOr<std::unique_ptr<PasswordFile>> Create(Options options);
  // Answers what is waiting with CANCELLED, and waits for what runs. Nobody checks any more.
  ~PasswordFile();
  PasswordFile(const PasswordFile&) = delete;
  PasswordFile& operator=(const PasswordFile&) = delete;

  // Calls back once, in this call or on another thread, without a lock: OK when the password
  // is the user's; UNAUTHENTICATED when it is not, or there is no such user, or one of the
  // two is too long; RESOURCE_EXHAUSTED when too many checks wait. Reads the file when it has
  // changed; does not wait otherwise. The callback is short.
  void Check(std::string_view user, std::string_view password, Callback callback)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Users;
  // What tells one state of the file from the next.
  struct Stamp {
    uint64_t device = 0, inode = 0, size = 0;
    int64_t modified_ns = 0, changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };

  PasswordFile(Options options, std::shared_ptr<Users> users, const Stamp& stamp,
               const Digest& key);

  static absl::StatusOr<Stamp> Look(const std::string& path);
  static absl::StatusOr<std::shared_ptr<Users>> Load(const std::string& path);
  void ReloadIfChanged() ABSL_LOCKS_EXCLUDED(mutex_);
  Digest DigestOf(std::string_view user, std::string_view password) const;
  // Computes the hash, remembers, and calls back all that wait for it.
  void Run(const std::shared_ptr<Users>& users, const std::string& user, std::string& password,
           const Digest& digest) ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  const Digest key_;
  std::atomic<bool> ending_ = false;

  absl::Mutex mutex_;
  // Their hashes are constant; the rest of them is guarded by the lock as well.
  std::shared_ptr<Users> users_ ABSL_GUARDED_BY(mutex_);
  Stamp stamp_ ABSL_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point looked_ ABSL_GUARDED_BY(mutex_);
  bool reloading_ ABSL_GUARDED_BY(mutex_) = false;
  // The last fault that was logged.
  std::string fault_ ABSL_GUARDED_BY(mutex_);
  size_t same_waiting_ ABSL_GUARDED_BY(mutex_) = 0;

  // Last, because its tasks use the others.
  server::WorkerPool pool_;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_HTPASSWD_H_
