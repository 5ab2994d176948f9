#include "clients/cpp/utf8.h"

#include <google/protobuf/stubs/common.h>

#include <boost/locale/utf.hpp>

namespace qasino::client {

size_t DecodeUtf8(std::string_view text, char32_t* character) {
  namespace utf = boost::locale::utf;
  const char* at = text.data();
  const utf::code_point decoded = utf::utf_traits<char>::decode(at, text.data() + text.size());
  if (decoded == utf::illegal || decoded == utf::incomplete) return 0;
  *character = decoded;
  return static_cast<size_t>(at - text.data());
}

bool IsUtf8(std::string_view text) {
  // What protobuf itself asks of a text that travels.
  return google::protobuf::internal::IsStructurallyValidUTF8(text.data(),
                                                             static_cast<int>(text.size()));
}

}  // namespace qasino::client
