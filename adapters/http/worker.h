#ifndef QASINO_ADAPTERS_HTTP_WORKER_H_
#define QASINO_ADAPTERS_HTTP_WORKER_H_

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "adapters/http/async.h"

namespace qasino::http {

using Clock = std::chrono::steady_clock;

// What a connection holds while it is busy with a request.
struct Buffers {
  static constexpr size_t kInputBytes = 64 << 10;

  const std::unique_ptr<char[]> input{new char[kInputBytes]};
  std::string head;
  std::string body;
};

// A thread with an io_context, and the connections that it serves. What is not said to be
// for any thread is for its own.
class Worker {
 public:
  // Something that the worker looks after.
  class Client : public boost::intrusive::list_base_hook<
                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
   public:
    // Called about every kInterval. It does not go at once, but ends its operations.
    virtual void Look(Clock::time_point now) = 0;
    // Ends itself if it is idle.
    virtual void Drain() = 0;
    // Ends whatever it does.
    virtual void Abort() = 0;

   protected:
    ~Client() = default;
  };

  static constexpr std::chrono::milliseconds kInterval{250};

  // Starts the thread.
  explicit Worker(int number);
  // Stop.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Any thread, until Stop.
  boost::asio::io_context& context() { return context_; }

  // Any thread: from now on connections end when they are idle.
  void Drain();
  // Any thread: ends every connection.
  void Abort();
  // Ends the thread, from another, and destroys the connections that are left.
  void Stop();

  void Add(Client& client) { clients_.push_back(client); }
  bool draining() const { return draining_; }
  // The time of the last look; at most a little more than kInterval ago.
  Clock::time_point now() const { return now_; }

  std::unique_ptr<Buffers> TakeBuffers();
  void ReturnBuffers(std::unique_ptr<Buffers> buffers);

 private:
  using Clients = boost::intrusive::list<Client, boost::intrusive::constant_time_size<false>>;

  void LookLater();

  // Above the context: connections that are destroyed with it use these.
  Clients clients_;
  std::vector<std::unique_ptr<Buffers>> free_;
  bool draining_ = false;
  Clock::time_point now_ = Clock::now();

  boost::asio::io_context context_;
  boost::asio::executor_work_guard<Executor> work_;
  boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Executor> timer_;
  std::thread thread_;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_WORKER_H_
