#include "clients/sql/prompt.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/ascii.h"
#include "clients/sql/statement_splitter.h"

namespace qasino::sql {
namespace {

constexpr char kPrompt[] = "qasino> ";
constexpr char kMorePrompt[] = "     -> ";
// A statement that is longer than this is a paste that went wrong.
constexpr size_t kMaxStatementBytes = 1 << 20;

sigset_t Interrupt() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  return set;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

void TakeSignal(int signals) {
  signalfd_siginfo info;
  (void)!read(signals, &info, sizeof(info));
}

// Cancels the client's queries at each Ctrl-C, for as long as it lives.
class CancelOnInterrupt {
 public:
  CancelOnInterrupt(int signals, client::QueryClient* client)
      : signals_(signals),
        client_(client),
        stop_(eventfd(0, EFD_CLOEXEC)),
        thread_([this] { Watch(); }) {}

  ~CancelOnInterrupt() {
    const uint64_t one = 1;
    (void)!write(stop_.get(), &one, sizeof(one));
    thread_.join();
  }

 private:
  void Watch() {
    pollfd fds[] = {{signals_, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    while (true) {
      if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
      if ((fds[1].revents & POLLIN) != 0) return;
      if ((fds[0].revents & POLLIN) != 0) {
        TakeSignal(signals_);
        client_->CancelAll();
      }
    }
  }

  const int signals_;
  client::QueryClient* const client_;
  const Descriptor stop_;
  std::thread thread_;
};

// Lines of standard input, and Ctrl-C between them.
class LineReader {
 public:
  enum class Got { kLine, kInterrupt, kEnd };

  explicit LineReader(int signals) : signals_(signals) {}

  Got Next(std::string* line) {
    while (true) {
      const size_t end = buffer_.find('\n');
      if (end != std::string::npos) {
        *line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return Got::kLine;
      }
      if (ended_ || buffer_.size() > kMaxStatementBytes) {
        *line = std::exchange(buffer_, {});
        return line->empty() ? Got::kEnd : Got::kLine;
      }
      pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {signals_, POLLIN, 0}};
      if (poll(fds, 2, -1) < 0) {
        if (errno == EINTR) continue;
        return Got::kEnd;
      }
      if ((fds[1].revents & POLLIN) != 0) {
        TakeSignal(signals_);
        buffer_.clear();
        return Got::kInterrupt;
      }
      if (fds[0].revents == 0) continue;
      char bytes[4096];
      const ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));
      if (count > 0) {
        buffer_.append(bytes, count);
      } else if (count == 0 || errno != EINTR) {
        ended_ = true;
      }
    }
  }

 private:
  const int signals_;
  std::string buffer_;
  bool ended_ = false;
};

bool IsQuit(std::string_view line) {
  std::string word = absl::AsciiStrToLower(
      absl::StripAsciiWhitespace(absl::string_view(line.data(), line.size())));
  if (!word.empty() && word.back() == ';') word.pop_back();
  absl::StripTrailingAsciiWhitespace(&word);
  return word == "quit" || word == "exit" || word == "\\q";
}

}  // namespace

void BlockInterrupts() {
  const sigset_t interrupt = Interrupt();
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);
}

ExitCode RunPrompt(client::QueryClient* client, Session* session) {
  const sigset_t interrupt = Interrupt();
  const Descriptor signals(signalfd(-1, &interrupt, SFD_CLOEXEC | SFD_NONBLOCK));
  if (signals.get() < 0) {
    std::cerr << "qasinosql: cannot watch for Ctrl-C: " << std::strerror(errno) << "\n";
    return kOwnFault;
  }
  LineReader lines(signals.get());
  StatementSplitter splitter;
  while (true) {
    std::cout << (splitter.has_content() ? kMorePrompt : kPrompt) << std::flush;
    std::string line;
    switch (lines.Next(&line)) {
      case LineReader::Got::kEnd:
        std::cout << std::endl;
        return kFine;
      case LineReader::Got::kInterrupt:
        splitter.Clear();
        std::cout << std::endl;
        continue;
      case LineReader::Got::kLine:
        break;
    }
    if (!splitter.has_content() && IsQuit(line)) return kFine;
    splitter.Append(line + "\n");
    while (const std::optional<std::string> statement = splitter.Next()) {
      const CancelOnInterrupt cancel(signals.get(), client);
      if (session->Run(*statement) == kOwnFault) return kOwnFault;
    }
    if (splitter.size() > kMaxStatementBytes) {
      std::cerr << "ERROR: the statement is longer than 1 MiB; it is dropped\n";
      splitter.Clear();
    }
  }
}

}  // namespace qasino::sql
