#ifndef QASINO_CLIENTS_SQL_PROMPT_H_
#define QASINO_CLIENTS_SQL_PROMPT_H_

#include "clients/cpp/query_client.h"
#include "clients/sql/session.h"

namespace qasino::sql {

// Blocks SIGINT in this thread and those that it starts, so that RunPrompt alone takes it.
// Before any thread is started.
void BlockInterrupts();

// Reads statements from standard input, a terminal, until quit, exit, \q or Ctrl-D, and
// runs them. Ctrl-C clears a statement that is half typed and stops one that runs.
ExitCode RunPrompt(client::QueryClient* client, Session* session);

}  // namespace qasino::sql

#endif  // QASINO_CLIENTS_SQL_PROMPT_H_
