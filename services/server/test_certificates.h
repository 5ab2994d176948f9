#ifndef QASINO_SERVICES_SERVER_TEST_CERTIFICATES_H_
#define QASINO_SERVICES_SERVER_TEST_CERTIFICATES_H_

#include <string>

namespace qasino::server {

// Paths of PEM files.
struct TestCertificates {
  std::string authority;
  std::string cert, key;  // for 127.0.0.1, as server or client, signed by it
};

// For tests: makes an authority and a certificate, good for an hour, in files whose
// names begin with `prefix`. Aborts when that fails.
TestCertificates MakeTestCertificates(const std::string& prefix);

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_TEST_CERTIFICATES_H_
