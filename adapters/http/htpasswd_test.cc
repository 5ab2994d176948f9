#include "adapters/http/htpasswd.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace qasino::http {
namespace {

// Made by Debian's htpasswd; the password is "right pass" each time.
constexpr std::string_view kHashes =
    "# htpasswd -nbB, -nbm, -nb2, -nb5, -nbd, -nbs\n"
    "bcrypt:$2y$05$3yQh.bOfpiUFqP38/BaMpeJ7o.7qBSCXoxGTbZRf/UO4AryCk1CVe\n"
    "apr1:$apr1$HJuZzW2G$cWXio5LLjzsMA/rPrn7.0/\r\n"
    "\n"
    "sha256:$5$bMtsqW/gx5DcX3iM$B3vuluxKr7hKTiFSu72kzzaRY565WFA1XyXNFbKaq24\n"
    "sha512:$6$ZmXungamy7xDYB/"
    "L$oWiu8hOFcUkzBrKDNrWJzjJAvHBOtXxgDgcrYl8bsIuSj7oiow1tEEDWANpwEvmUCMJhAhZ23NmlTmgkUel380\n"
    "crypt:kiS13qG2/ne..:a comment\n"
    "sha1:{SHA}5WraOLafxCiyH7lmdB9iDREfNGg=\n"
    "crypt:{SHA}the+second+line+is+not+read=";
// htpasswd -nbB -C 4.
constexpr std::string_view kQuick = "$2y$04$vwqh4TNxXzqeXP40VaIILuwsD2pFVS1cwslvnqN1/72kdoXlnty6m";

class PasswordFileTest : public testing::Test {
 protected:
  // In the place of what there was, as a careful administrator does.
  void Write(std::string_view text) {
    const std::string next = path_ + ".next";
    std::ofstream(next, std::ios::binary) << text;
    ASSERT_EQ(std::rename(next.c_str(), path_.c_str()), 0);
  }

  absl::StatusOr<std::unique_ptr<PasswordFile>> Open(size_t queue_limit = 64,
                                                     size_t same_limit = 100) {
    return PasswordFile::Create(
        {.path = path_, .queue_limit = queue_limit, .same_limit = same_limit, .now = [this] {
           return std::chrono::steady_clock::time_point(std::chrono::seconds(seconds_.load()));
         }});
  }

  static absl::Status Check(PasswordFile& file, std::string_view user, std::string_view password) {
    absl::Status answer;
    absl::Notification answered;
    file.Check(user, password, [&](absl::Status status) {
      answer = std::move(status);
      answered.Notify();
    });
    answered.WaitForNotification();
    return answer;
  }

  static absl::StatusCode Code(PasswordFile& file, std::string_view user,
                               std::string_view password) {
    return Check(file, user, password).code();
  }

  const std::string path_ = testing::TempDir() + "/" +
                            testing::UnitTest::GetInstance()->current_test_info()->name() +
                            ".htpasswd";
  std::atomic<int> seconds_ = 100;
};

constexpr absl::StatusCode kOk = absl::StatusCode::kOk;
constexpr absl::StatusCode kWrong = absl::StatusCode::kUnauthenticated;
constexpr absl::StatusCode kTooMany = absl::StatusCode::kResourceExhausted;

TEST_F(PasswordFileTest, ChecksEveryHash) {
  Write(kHashes);
  auto file = Open();
  ASSERT_TRUE(file.ok()) << file.status();
  for (const char* user : {"bcrypt", "apr1", "sha256", "sha512", "crypt", "sha1"}) {
    EXPECT_EQ(Code(**file, user, "wrong pass"), kWrong) << user;
    EXPECT_EQ(Code(**file, user, "right pass"), kOk) << user;
    EXPECT_EQ(Code(**file, user, "right pass"), kOk) << user;
    EXPECT_EQ(Code(**file, user, "wrong pass"), kWrong) << user;
    EXPECT_EQ(Code(**file, user, ""), kWrong) << user;
  }
  EXPECT_EQ(Code(**file, "nobody", "right pass"), kWrong);
  EXPECT_EQ(Code(**file, "", "right pass"), kWrong);
  EXPECT_EQ(Code(**file, "Bcrypt", "right pass"), kWrong);
  EXPECT_EQ(Check(**file, "nobody", "x").message(), Check(**file, "sha1", "x").message());
}

TEST_F(PasswordFileTest, RefusesWhatIsTooLongOrHasAZeroByte) {
  Write(kHashes);
  auto file = Open();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Code(**file, "sha1", std::string_view("right pass\0x", 12)), kWrong);
  EXPECT_EQ(Code(**file, std::string_view("sha1\0", 5), "right pass"), kWrong);
  EXPECT_EQ(Code(**file, std::string(256, 'u'), "right pass"), kWrong);
  EXPECT_EQ(Code(**file, "sha1", std::string(1025, 'p')), kWrong);
  EXPECT_EQ(Code(**file, "sha1", std::string(1024, 'p')), kWrong);
}

TEST_F(PasswordFileTest, RefusesBadFiles) {
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kNotFound);
  const auto fault = [this](const std::string& text) {
    Write(text);
    const absl::StatusOr<std::unique_ptr<PasswordFile>> file = Open();
    EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument) << text;
    const std::string message(file.status().message());
    return message.substr(message.rfind("', ") == message.npos ? 0 : message.rfind("', ") + 3);
  };
  const std::string hashed = "u:" + std::string(kQuick) + "\n";
  EXPECT_EQ(fault(hashed + "plain:right pass"),
            "line 2: the password is not hashed by bcrypt, apr1, SHA-crypt, SHA or crypt");
  EXPECT_EQ(fault("no colon"), "line 1: there is no ':' behind the user");
  EXPECT_EQ(fault(":" + std::string(kQuick)), "line 1: the user is empty");
  EXPECT_EQ(fault(std::string(256, 'u') + ":" + std::string(kQuick)),
            "line 1: the user is too long");
  EXPECT_EQ(fault("u:$6$" + std::string(1024, 'x')), "line 1: the line is too long");
  EXPECT_EQ(fault(std::string("u\0:x", 4)), "line 1: a zero byte is no text");
  EXPECT_NE(fault(std::string((1 << 20) + 1, '\n')).find("is larger than 1048576 bytes"),
            std::string::npos);
  fault("u:");
  fault("u:{SHA}short");
  Write(std::string(1 << 20, '\n'));
  EXPECT_TRUE(Open().ok());
}

TEST_F(PasswordFileTest, ReadsAChangedFileAgain) {
  Write("old:" + std::string(kQuick));
  auto file = Open();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Code(**file, "old", "right pass"), kOk);
  Write("new:" + std::string(kQuick));
  // Looked at once a second.
  EXPECT_EQ(Code(**file, "old", "right pass"), kOk);
  seconds_ += 1;
  EXPECT_EQ(Code(**file, "old", "right pass"), kWrong);
  EXPECT_EQ(Code(**file, "new", "right pass"), kOk);

  // A bad file changes nothing, nor does one that is gone.
  Write("other:right pass");
  seconds_ += 1;
  EXPECT_EQ(Code(**file, "new", "right pass"), kOk);
  EXPECT_EQ(Code(**file, "new", "wrong pass"), kWrong);
  ASSERT_EQ(std::remove(path_.c_str()), 0);
  seconds_ += 1;
  EXPECT_EQ(Code(**file, "new", "right pass"), kOk);
  Write("old:" + std::string(kQuick));
  seconds_ += 1;
  EXPECT_EQ(Code(**file, "new", "right pass"), kWrong);
  EXPECT_EQ(Code(**file, "old", "right pass"), kOk);
  Write("");
  seconds_ += 1;
  EXPECT_EQ(Code(**file, "old", "right pass"), kWrong);
}

// Holds the one thread in the callback of a wrong password.
class HeldThread {
 public:
  explicit HeldThread(PasswordFile& file) {
    file.Check("nobody", "hold", [this](absl::Status) {
      held_.Notify();
      release_.WaitForNotification();
    });
    held_.WaitForNotification();
  }
  void Release() { release_.Notify(); }

 private:
  absl::Notification held_;
  absl::Notification release_;
};

TEST_F(PasswordFileTest, ARememberedPasswordDoesNotWaitForOthers) {
  Write("u:" + std::string(kQuick));
  auto file = Open(/*queue_limit=*/1);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(Code(**file, "u", "right pass"), kOk);
  HeldThread thread(**file);
  absl::Notification answered;
  (*file)->Check("u", "wrong pass", [&](absl::Status status) {
    EXPECT_EQ(status.code(), kWrong);
    answered.Notify();
  });
  EXPECT_EQ(Code(**file, "u", "another"), kTooMany);
  EXPECT_EQ(Code(**file, "nobody", "another"), kTooMany);
  EXPECT_EQ(Code(**file, "u", "right pass"), kOk);
  thread.Release();
  answered.WaitForNotification();
}

TEST_F(PasswordFileTest, ChecksOfTheSamePasswordRunAsOne) {
  Write("u:" + std::string(kQuick));
  // They outlive the thread.
  absl::Mutex mutex;
  int answered = 0;
  auto file = Open(/*queue_limit=*/1, /*same_limit=*/9);
  ASSERT_TRUE(file.ok()) << file.status();
  for (int round = 0; round < 2; ++round) {
    HeldThread thread(**file);
    std::atomic<int> right = 0;
    mutex.Lock();
    answered = 0;
    mutex.Unlock();
    for (int i = 0; i < 10; ++i) {
      (*file)->Check("u", "right pass", [&](absl::Status status) {
        if (status.ok()) ++right;
        absl::MutexLock lock(&mutex);
        ++answered;
      });
    }
    if (round == 0) {
      EXPECT_EQ(Code(**file, "u", "right pass"), kTooMany);
    }
    thread.Release();
    absl::MutexLock lock(&mutex);
    const auto all = [&] { return answered == 10; };
    mutex.Await(absl::Condition(&all));
    EXPECT_EQ(right, 10);
  }
}

}  // namespace
}  // namespace qasino::http
