#include "services/server/test_certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace qasino::server {
namespace {

void Require(bool fine, const char* what) {
  if (fine) return;
  std::fprintf(stderr, "cannot make a certificate: %s\n", what);
  std::abort();
}

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using File = std::unique_ptr<std::FILE, decltype(&std::fclose)>;

Key MakeKey() {
  Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  Require(key != nullptr, "key");
  return key;
}

void AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  Require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, value);
  X509_EXTENSION_free(extension);
}

// Signed by the issuer, or by itself when that is null.
Certificate MakeCertificate(const char* name, long serial, EVP_PKEY* key, X509* issuer,
                            EVP_PKEY* issuer_key) {
  Certificate made(X509_new(), &X509_free);
  X509* const certificate = made.get();
  Require(certificate != nullptr, "certificate");
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(certificate, issuer == nullptr ? subject : X509_get_subject_name(issuer));
  if (issuer == nullptr) {
    AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
    AddExtension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  } else {
    AddExtension(certificate, issuer, NID_subject_alt_name, "IP:127.0.0.1");
  }
  Require(X509_sign(certificate, issuer_key, EVP_sha256()) > 0, "signature");
  return made;
}

File Create(const std::string& path) {
  File file(std::fopen(path.c_str(), "w"), &std::fclose);
  Require(file != nullptr, path.c_str());
  return file;
}

}  // namespace

TestCertificates MakeTestCertificates(const std::string& prefix) {
  const TestCertificates paths = {prefix + "authority.pem", prefix + "cert.pem",
                                  prefix + "key.pem"};
  const Key authority_key = MakeKey();
  const Certificate authority =
      MakeCertificate("Authority", 1, authority_key.get(), nullptr, authority_key.get());
  const Key key = MakeKey();
  const Certificate cert =
      MakeCertificate("Qasino", 2, key.get(), authority.get(), authority_key.get());
  Require(PEM_write_X509(Create(paths.authority).get(), authority.get()) == 1, "file");
  Require(PEM_write_X509(Create(paths.cert).get(), cert.get()) == 1, "file");
  Require(PEM_write_PrivateKey(Create(paths.key).get(), key.get(), nullptr, nullptr, 0, nullptr,
                               nullptr) == 1,
          "file");
  return paths;
}

}  // namespace qasino::server
