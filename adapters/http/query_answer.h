#ifndef QASINO_ADAPTERS_HTTP_QUERY_ANSWER_H_
#define QASINO_ADAPTERS_HTTP_QUERY_ANSWER_H_

#include <string>

#include "adapters/http/exchange.h"
#include "adapters/http/service.h"
#include "adapters/legacy/result_writer.h"

namespace qasino::http {

// What is asked of query.
struct Question {
  // Complete.
  std::string sql;
  legacy::Format format = legacy::Format::kJson;
  // On the generation that is being collected.
  bool running = false;
  // Written before the result: the first of two JSON objects.
  std::string prefix;
  // Errors are told as text.
  bool text_errors = false;
  // The answer has an ETag, and a client that still has it gets 304.
  bool cacheable = false;
};

// Runs the statement and sends its result, or its error. An answer that is longer than the
// first message of query's is sent in parts, as the client takes them.
//
// A client that has shown the answer's ETag is told 304, without the statement being run
// again.
Task<void> AnswerQuery(Exchange& exchange, const Service& service, Question question);

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_QUERY_ANSWER_H_
