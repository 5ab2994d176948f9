#include "adapters/http/worker.h"

#include <fmt/format.h>
#include <pthread.h>

#include <utility>

namespace qasino::http {
namespace {

// Those of connections that are busy at the same time; the rest is given back.
constexpr size_t kFreeBuffers = 64;
// A string that grew beyond this is given back.
constexpr size_t kKeptBytes = 256 << 10;

void Empty(std::string& text) {
  if (text.capacity() > kKeptBytes) {
    std::string().swap(text);
  } else {
    text.clear();
  }
}

}  // namespace

Worker::Worker(int number)
    : context_(1), work_(context_.get_executor()), timer_(context_.get_executor()) {
  LookLater();
  thread_ = std::thread([this, number] {
    pthread_setname_np(pthread_self(), fmt::format("http-{}", number).c_str());
    context_.run();
  });
}

Worker::~Worker() { Stop(); }

void Worker::Drain() {
  boost::asio::post(context_, [this] {
    draining_ = true;
    for (Client& client : clients_) client.Drain();
  });
}

void Worker::Abort() {
  boost::asio::post(context_, [this] {
    draining_ = true;
    for (Client& client : clients_) client.Abort();
  });
}

void Worker::Stop() {
  if (!thread_.joinable()) return;
  context_.stop();
  thread_.join();
}

void Worker::LookLater() {
  timer_.expires_after(kInterval);
  timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    now_ = Clock::now();
    for (Client& client : clients_) client.Look(now_);
    LookLater();
  });
}

std::unique_ptr<Buffers> Worker::TakeBuffers() {
  if (free_.empty()) return std::make_unique<Buffers>();
  std::unique_ptr<Buffers> buffers = std::move(free_.back());
  free_.pop_back();
  return buffers;
}

void Worker::ReturnBuffers(std::unique_ptr<Buffers> buffers) {
  if (free_.size() >= kFreeBuffers) return;
  Empty(buffers->head);
  Empty(buffers->body);
  free_.push_back(std::move(buffers));
}

}  // namespace qasino::http
