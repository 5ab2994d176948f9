#ifndef QASINO_SERVICES_QUERY_STOP_SIGN_H_
#define QASINO_SERVICES_QUERY_STOP_SIGN_H_

namespace qasino::query {

// Says whether the query under way is to be given up. SQL functions ask it every few
// thousand steps of a long loop, because SQLite itself asks only between functions.
//
// Belongs to a connection, outlives the functions registered there, and is used by the
// thread that uses the connection. Without a query it says no.
struct StopSign {
  bool (*stopped)(void* query) = nullptr;
  void* query = nullptr;

  bool operator()() const { return stopped != nullptr && stopped(query); }
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_STOP_SIGN_H_
