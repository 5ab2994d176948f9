#ifndef QASINO_CLIENTS_CPP_PROGRAM_H_
#define QASINO_CLIENTS_CPP_PROGRAM_H_

#include <string>
#include <vector>

namespace qasino::client {

// How a program ended.
struct Ended {
  int code = -1;  // its exit code, or -1 when it did not exit by itself
  std::string out;
  std::string err;
};

// Runs a program of this workspace, `path` from its root, to its end.
Ended RunProgram(const std::string& path, const std::vector<std::string>& arguments,
                 const std::string& input = "");

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_PROGRAM_H_
