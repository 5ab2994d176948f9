#include "adapters/http/htpasswd.h"

#include <apr-1.0/apr_md5.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "services/server/log.h"

namespace qasino::http {
namespace {

constexpr std::string_view kPart = "http";
constexpr std::chrono::seconds kLookEvery(1);

absl::Status Wrong() { return absl::UnauthenticatedError("user or password is wrong"); }

absl::Status FileError(const std::string& path, std::string_view doing, int error) {
  return absl::ErrnoToStatus(error, fmt::format("cannot {} the password file '{}'", doing, path));
}

// A hash that is checked here. What htpasswd -p writes, the password itself, is none.
bool IsHash(std::string_view hash) {
  for (const std::string_view prefix : {"$2y$", "$2a$", "$2b$", "$apr1$", "$5$", "$6$", "$1$"}) {
    if (hash.substr(0, prefix.size()) == prefix) return hash.size() > prefix.size();
  }
  constexpr std::string_view kSha = "{SHA}";
  constexpr size_t kSha1Base64 = 28;
  if (hash.substr(0, kSha.size()) == kSha) return hash.size() == kSha.size() + kSha1Base64;
  constexpr size_t kOldCrypt = 13;
  return hash.size() == kOldCrypt && std::all_of(hash.begin(), hash.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '/';
         });
}

// The hash of a line's user, empty for lines without one.
absl::StatusOr<std::pair<std::string, std::string>> ParseLine(std::string_view line) {
  while (!line.empty() && absl::ascii_isspace(static_cast<unsigned char>(line.back()))) {
    line.remove_suffix(1);
  }
  if (line.empty() || line[0] == '#') return std::pair<std::string, std::string>();
  if (line.size() > PasswordFile::kMaxLineBytes) {
    return absl::InvalidArgumentError("the line is too long");
  }
  if (line.find('\0') != line.npos) return absl::InvalidArgumentError("a zero byte is no text");
  const size_t colon = line.find(':');
  if (colon == line.npos) return absl::InvalidArgumentError("there is no ':' behind the user");
  const std::string_view user = line.substr(0, colon);
  if (user.empty()) return absl::InvalidArgumentError("the user is empty");
  if (user.size() > PasswordFile::kMaxUserBytes) {
    return absl::InvalidArgumentError("the user is too long");
  }
  std::string_view hash = line.substr(colon + 1);
  hash = hash.substr(0, hash.find(':'));
  if (!IsHash(hash)) {
    return absl::InvalidArgumentError(
        "the password is not hashed by bcrypt, apr1, SHA-crypt, SHA or crypt");
  }
  return std::pair(std::string(user), std::string(hash));
}

}  // namespace

struct PasswordFile::Users {
  struct User {
    std::string hash;
    std::optional<Digest> remembered;
  };

  // A hash to compute for who has none, the same for the same name.
  const std::string& StandIn(const Digest& of_user) const {
    uint64_t number = 0;
    std::memcpy(&number, of_user.data(), sizeof(number));
    return hashes[number % hashes.size()];
  }

  std::unordered_map<std::string, User> by_name;
  // Of all users.
  std::vector<std::string> hashes;
  // The checks that wait or run, with who wants to know.
  std::map<Digest, std::vector<Callback>> checks;
};

absl::StatusOr<PasswordFile::Stamp> PasswordFile::Look(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return FileError(path, "find", errno);
  const auto nanoseconds = [](const timespec& time) {
    return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  return Stamp{.device = info.st_dev,
               .inode = info.st_ino,
               .size = static_cast<uint64_t>(info.st_size),
               .modified_ns = nanoseconds(info.st_mtim),
               .changed_ns = nanoseconds(info.st_ctim)};
}

absl::StatusOr<std::shared_ptr<PasswordFile::Users>> PasswordFile::Load(const std::string& path) {
  // A pipe would wait for who writes it.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return FileError(path, "open", errno);
  const absl::Cleanup close_file = [file] { close(file); };
  std::string text(kMaxFileBytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(file, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError(path, "read", errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        fmt::format("the password file '{}' is larger than {} bytes", path, kMaxFileBytes));
  }
  std::string_view rest(text.data(), size);
  auto users = std::make_shared<Users>();
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    absl::StatusOr<std::pair<std::string, std::string>> line = ParseLine(rest.substr(0, end));
    rest = end == rest.npos ? "" : rest.substr(end + 1);
    if (!line.ok()) {
      return absl::InvalidArgumentError(fmt::format("the password file '{}', line {}: {}", path,
                                                    number, std::string(line.status().message())));
    }
    if (line->first.empty()) continue;
    if (users->by_name.try_emplace(line->first, Users::User{.hash = line->second}).second) {
      users->hashes.push_back(line->second);
    }
  }
  return users;
}

absl::StatusOr<std::unique_ptr<PasswordFile>> PasswordFile::Create(Options options) {
  if (options.threads < 1) return absl::InvalidArgumentError("threads: at least 1 is needed");
  // Looked at first: what changes while it is read is read again.
  const absl::StatusOr<Stamp> stamp = Look(options.path);
  if (!stamp.ok()) return stamp.status();
  absl::StatusOr<std::shared_ptr<Users>> users = Load(options.path);
  if (!users.ok()) return users.status();
  Digest key;
  if (RAND_bytes(key.data(), static_cast<int>(key.size())) != 1) {
    return absl::InternalError("there are no random bytes for a key");
  }
  return std::unique_ptr<PasswordFile>(
      new PasswordFile(std::move(options), *std::move(users), *stamp, key));
}

PasswordFile::PasswordFile(Options options, std::shared_ptr<Users> users, const Stamp& stamp,
                           const Digest& key)
    : options_(std::move(options)),
      key_(key),
      users_(std::move(users)),
      stamp_(stamp),
      looked_(options_.now()),
      pool_("passwords", options_.threads, options_.queue_limit) {}

PasswordFile::~PasswordFile() { ending_ = true; }

PasswordFile::Digest PasswordFile::DigestOf(std::string_view user,
                                            std::string_view password) const {
  // No user has a zero byte, so that no two pairs are the same text.
  std::string text;
  text.reserve(user.size() + 1 + password.size());
  text.append(user).append(1, '\0').append(password);
  Digest digest{};
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), nullptr);
  OPENSSL_cleanse(text.data(), text.size());
  return digest;
}

void PasswordFile::ReloadIfChanged() {
  Stamp known;
  {
    const auto now = options_.now();
    absl::MutexLock lock(&mutex_);
    if (reloading_ || now - looked_ < kLookEvery) return;
    looked_ = now;
    reloading_ = true;
    known = stamp_;
  }
  const absl::StatusOr<Stamp> stamp = Look(options_.path);
  absl::StatusOr<std::shared_ptr<Users>> users = std::shared_ptr<Users>();
  if (!stamp.ok()) {
    users = stamp.status();
  } else if (*stamp != known) {
    users = Load(options_.path);
  }
  const std::string fault(users.status().message());
  bool is_new_fault = false;
  size_t count = 0;
  {
    absl::MutexLock lock(&mutex_);
    reloading_ = false;
    // A bad file is not read again until it changes; one that is not there may come back as
    // it was.
    if (stamp.ok() && (users.ok() || absl::IsInvalidArgument(users.status()))) stamp_ = *stamp;
    if (users.ok() && *users != nullptr) {
      users_ = *users;
      count = users_->by_name.size();
    }
    is_new_fault = !users.ok() && fault != fault_;
    fault_ = fault;
  }
  if (is_new_fault) {
    log::Error(kPart, "password file not read again, its users stay", {{"error", users.status()}});
  } else if (users.ok() && *users != nullptr) {
    log::Info(kPart, "password file read again", {{"users", count}});
  }
}

void PasswordFile::Check(std::string_view user, std::string_view password, Callback callback) {
  ReloadIfChanged();
  if (user.empty() || user.size() > kMaxUserBytes || password.size() > kMaxPasswordBytes ||
      user.find('\0') != user.npos || password.find('\0') != password.npos) {
    callback(Wrong());
    return;
  }
  const std::string name(user);
  const Digest digest = DigestOf(user, password);
  std::shared_ptr<Users> users;
  std::optional<absl::Status> answer;
  {
    absl::MutexLock lock(&mutex_);
    users = users_;
    const auto found = users->by_name.find(name);
    if (users->hashes.empty()) {
      answer = Wrong();
    } else if (found != users->by_name.end() && found->second.remembered &&
               CRYPTO_memcmp(found->second.remembered->data(), digest.data(), digest.size()) == 0) {
      answer = absl::OkStatus();
    } else if (const auto same = users->checks.find(digest); same != users->checks.end()) {
      if (same_waiting_ < options_.same_limit) {
        ++same_waiting_;
        same->second.push_back(std::move(callback));
        return;
      }
      answer = absl::ResourceExhaustedError("too many password checks are waiting");
    } else {
      users->checks[digest].push_back(std::move(callback));
    }
  }
  if (answer) {
    callback(*answer);
    return;
  }
  const absl::Status submitted =
      pool_.Submit([this, users, name, secret = std::string(password), digest]() mutable {
        Run(users, name, secret, digest);
      });
  if (submitted.ok()) return;
  std::vector<Callback> waiting;
  {
    absl::MutexLock lock(&mutex_);
    auto check = users->checks.extract(digest);
    waiting = std::move(check.mapped());
    same_waiting_ -= waiting.size() - 1;
  }
  for (Callback& each : waiting) {
    each(absl::ResourceExhaustedError("too many password checks are waiting"));
  }
}

void PasswordFile::Run(const std::shared_ptr<Users>& users, const std::string& user,
                       std::string& password, const Digest& digest) {
  absl::Status answer = absl::CancelledError("the process is ending");
  if (!ending_) {
    std::string hash;
    bool exists = false;
    const Digest of_user = DigestOf(user, "");
    {
      absl::MutexLock lock(&mutex_);
      const auto found = users->by_name.find(user);
      exists = found != users->by_name.end();
      hash = exists ? found->second.hash : users->StandIn(of_user);
    }
    const bool is_right =
        apr_password_validate(password.c_str(), hash.c_str()) == APR_SUCCESS && exists;
    answer = is_right ? absl::OkStatus() : Wrong();
  }
  OPENSSL_cleanse(password.data(), password.size());
  std::vector<Callback> waiting;
  {
    absl::MutexLock lock(&mutex_);
    if (answer.ok()) users->by_name.find(user)->second.remembered = digest;
    auto check = users->checks.extract(digest);
    waiting = std::move(check.mapped());
    same_waiting_ -= waiting.size() - 1;
  }
  for (Callback& callback : waiting) callback(answer);
}

}  // namespace qasino::http
