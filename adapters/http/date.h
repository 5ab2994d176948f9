#ifndef QASINO_ADAPTERS_HTTP_DATE_H_
#define QASINO_ADAPTERS_HTTP_DATE_H_

#include <ctime>
#include <string>
#include <string_view>

namespace qasino::http {

// Seconds since 1970 as RFC 9110 writes times: "Sun, 06 Nov 1994 08:49:37 GMT".
std::string FormatHttpDate(std::time_t seconds);

// The value of the Date header now. Made once a second by
// each thread; valid until the same thread's next call.
std::string_view HttpDate();

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_DATE_H_
