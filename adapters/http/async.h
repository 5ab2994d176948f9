#ifndef QASINO_ADAPTERS_HTTP_ASYNC_H_
#define QASINO_ADAPTERS_HTTP_ASYNC_H_

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

// Coroutines on an io_context that one thread runs.
namespace qasino::http {

using Executor = boost::asio::io_context::executor_type;

template <typename T>
using Task = boost::asio::awaitable<T, Executor>;

inline constexpr boost::asio::use_awaitable_t<Executor> kAwait;

// Waits for a callback that another thread calls:
//
//   bool good = co_await Await<bool>(executor, [&](auto done) { Check(std::move(done)); });
//
// `start` runs in the coroutine's thread; `done`, a movable function of one Result, may be
// called at once, once, by any thread, while the io_context is there. The coroutine goes on
// in its own thread, never within `start`.
template <typename Result, typename Start>
Task<Result> Await(Executor executor, Start start) {
  return boost::asio::async_initiate<const boost::asio::use_awaitable_t<Executor>, void(Result)>(
      [executor](auto handler, Start begin) {
        begin([executor, handler = std::move(handler)](Result result) mutable {
          boost::asio::post(executor,
                            [handler = std::move(handler), result = std::move(result)]() mutable {
                              std::move(handler)(std::move(result));
                            });
        });
      },
      kAwait, std::move(start));
}

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_ASYNC_H_
