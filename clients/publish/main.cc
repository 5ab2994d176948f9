// qasino-publish: publishes one table, from CSV or JSON, or drops one that is kept.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clients/cpp/connect_flags.h"
#include "clients/cpp/publisher.h"
#include "clients/cpp/store_client.h"
#include "clients/tables/csv_table.h"
#include "clients/tables/json_table.h"

namespace qasino::publish {
namespace {

enum ExitCode { kPublished = 0, kOwnFault = 1, kNoConnection = 2, kRefused = 3 };

constexpr int kDefaultPort = 15601;

constexpr char kExamples[] = R"(Examples:
  Publish a CSV file under this host's name:
    qasino-publish -f disks.csv
  The same from another program, as JSON, under a name of its own:
    make-table | qasino-publish -d json --identity web1
  Replace the rows of a static table, which stays until it is replaced or dropped:
    qasino-publish -f owners.csv --static
    qasino-publish --drop-static owners --store 127.0.0.1:15603
  Publish a table once for good, and later change the rows of some hosts in it:
    qasino-publish -f racks.csv --persist
    qasino-publish -f moved.csv --persist --update --keycols host
    qasino-publish --drop-persistent racks

A CSV file has five lines before its rows:
    1                               a version number, then options: identity=web1,persist=1
    disks                           the table's name
    mount,used_bytes,load           the columns' names
    text,int,float                  their types
    Mount point,Bytes in use,Load   descriptions, which are ignored
    /var,123456,0.5
JSON is one object:
    {"tablename": "disks", "column_names": ["mount", "used_bytes"],
     "column_types": ["text", "int"], "rows": [["/var", 123456], ["/mnt", null]]}

Types: integer int ll time bigint, real float double, text string str ip varchar, blob.
A table is in the snapshot of one generation: publish it again in every one, or --persist.

Exit codes: 0 published or dropped, 1 wrong flags or input, 2 no connection, 3 refused.)";

struct Flags {
  std::string file;
  std::string format;
  std::string identity;
  std::string keycols;
  bool persist = false;
  bool is_static = false;
  bool update = false;
  std::string drop_static;
  std::string drop_persistent;
  std::string store;
};

int Complain(ExitCode code, std::string_view message) {
  std::cerr << "qasino-publish: " << message << "\n";
  return code;
}

int Complain(ExitCode code, const absl::Status& status) {
  return Complain(code, std::string(status.message()));
}

std::string InputName(const Flags& flags) {
  return flags.file.empty() || flags.file == "-" ? "standard input" : flags.file;
}

absl::StatusOr<std::string> ReadInput(const Flags& flags, size_t most) {
  const bool from_stdin = flags.file.empty() || flags.file == "-";
  if (from_stdin && isatty(STDIN_FILENO)) {
    std::cerr << "qasino-publish: reading the table from standard input; Ctrl-D ends it\n";
  }
  std::FILE* file = from_stdin ? stdin : std::fopen(flags.file.c_str(), "rbe");
  if (file == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read '", flags.file, "': ", std::strerror(errno)));
  }
  std::string text;
  int error = 0;
  constexpr size_t kPiece = 1 << 20;
  while (text.size() <= most) {
    const size_t before = text.size();
    text.resize(before + kPiece);
    text.resize(before + std::fread(text.data() + before, 1, kPiece, file));
    if (text.size() == before) {
      error = std::ferror(file) != 0 ? errno : 0;
      break;
    }
  }
  if (!from_stdin) std::fclose(file);
  if (error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read ", InputName(flags), ": ", std::strerror(error)));
  }
  return text;
}

bool IsJson(const Flags& flags) {
  if (!flags.format.empty()) return flags.format == "json";
  return absl::EndsWithIgnoreCase(flags.file, ".json");
}

absl::StatusOr<v1::PublishRequest> ParseInput(const Flags& flags, std::string_view text,
                                              const TableLimits& limits) {
  if (!IsJson(flags)) return ParseCsvTable(text, limits);
  absl::StatusOr<v1::Table> table = ParseJsonTable(text, limits);
  if (!table.ok()) return table.status();
  v1::PublishRequest request;
  request.mutable_table()->Swap(&*table);
  return request;
}

absl::StatusOr<std::string> HostName() {
  char host[256] = {};
  if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0') {
    return absl::InvalidArgumentError("this host has no name: say who publishes by --identity");
  }
  return std::string(host);
}

// The command line beats the file.
absl::Status ApplyFlags(const Flags& flags, v1::PublishRequest* request) {
  if (!flags.identity.empty()) request->set_identity(flags.identity);
  if (request->identity().empty()) {
    absl::StatusOr<std::string> host = HostName();
    if (!host.ok()) return host.status();
    request->set_identity(*std::move(host));
  }
  if (flags.persist) request->set_persist(true);
  if (flags.is_static) request->set_static_(true);
  if (flags.update) request->set_update(true);
  if (!flags.keycols.empty()) {
    if (!request->update()) return absl::InvalidArgumentError("--keycols goes with --update only");
    request->clear_keycols();
    for (const absl::string_view column :
         absl::StrSplit(absl::string_view(flags.keycols), ';', absl::SkipEmpty())) {
      request->add_keycols(std::string(column));
    }
  }
  return absl::OkStatus();
}

size_t Rows(const v1::Table& table) {
  if (table.columns().empty()) return 0;
  const v1::Column& column = table.columns(0);
  if (!column.kinds().empty()) return column.kinds().size();
  return column.integers_size() + column.reals_size() + column.texts_size() + column.blobs_size();
}

int Publish(const Flags& flags, const client::ConnectOptions& connect) {
  const TableLimits limits;
  const absl::StatusOr<std::string> text = ReadInput(flags, limits.max_bytes);
  if (!text.ok()) return Complain(kOwnFault, text.status());
  absl::StatusOr<v1::PublishRequest> request = ParseInput(flags, *text, limits);
  if (!request.ok()) {
    return Complain(kOwnFault, absl::StrCat(InputName(flags), ": ", request.status().message()));
  }
  if (absl::Status status = ApplyFlags(flags, &*request); !status.ok()) {
    return Complain(kOwnFault, status);
  }

  const auto publisher = client::Publisher::Create(connect);
  if (!publisher.ok()) return Complain(kOwnFault, publisher.status());
  const absl::StatusOr<v1::PublishResponse> response = (*publisher)->Publish(*request);
  const std::string name = absl::Utf8SafeCEscape(request->table().name());
  if (client::IsUnreachable(response.status())) {
    return Complain(kNoConnection, absl::StrCat(response.status().message(), "; is it running?"));
  }
  if (!response.ok()) {
    return Complain(kRefused, absl::StrCat("table '", name, "' is not published: ",
                                           absl::StatusCodeToString(response.status().code()), ": ",
                                           response.status().message()));
  }

  const size_t rows = Rows(request->table());
  const std::string what = absl::StrCat(name, ": ", rows, rows == 1 ? " row" : " rows");
  const std::string as = absl::StrCat(" in generation ", response->generation(), " as ",
                                      absl::Utf8SafeCEscape(request->identity()));
  if (response->duplicate()) {
    std::cout << "unchanged " << what << ": published before" << as
              << ", and a table counts once a generation" << std::endl;
  } else {
    std::cout << "published " << what << as << std::endl;
  }
  if (!std::cout) return Complain(kOwnFault, "cannot write to standard output");
  return kPublished;
}

absl::Status DropStatic(client::StoreClient* store, const std::string& table) {
  const absl::StatusOr<v1::DropStaticTableResponse> response = store->DropStaticTable(table);
  if (!response.ok()) return response.status();
  std::cout << "dropped static table " << absl::Utf8SafeCEscape(table) << ": it is not in revision "
            << response->revision() << " of generation " << response->generation() << std::endl;
  return absl::OkStatus();
}

absl::Status DropPersistent(client::StoreClient* store, const std::string& identity,
                            const std::string& table) {
  const absl::StatusOr<v1::DropPersistentTableResponse> response =
      store->DropPersistentTable(identity, table);
  if (!response.ok()) return response.status();
  std::cout << "dropped persistent table " << absl::Utf8SafeCEscape(table) << " of "
            << absl::Utf8SafeCEscape(identity) << std::endl;
  return absl::OkStatus();
}

int Drop(const Flags& flags, const client::ConnectOptions& connect) {
  absl::StatusOr<std::string> identity =
      flags.identity.empty() ? HostName() : absl::StatusOr<std::string>(flags.identity);
  if (!identity.ok()) return Complain(kOwnFault, identity.status());
  const auto store = client::StoreClient::Create(connect);
  if (!store.ok()) return Complain(kOwnFault, store.status());
  const bool is_static = !flags.drop_static.empty();
  const std::string& table = is_static ? flags.drop_static : flags.drop_persistent;
  const absl::Status status =
      is_static ? DropStatic(store->get(), table) : DropPersistent(store->get(), *identity, table);
  if (client::IsUnreachable(status)) {
    return Complain(kNoConnection, absl::StrCat(status.message(), "; is it running?"));
  }
  if (!status.ok()) {
    return Complain(kRefused,
                    absl::StrCat("table '", absl::Utf8SafeCEscape(table), "' is not dropped: ",
                                 absl::StatusCodeToString(status.code()), ": ", status.message()));
  }
  if (!std::cout) return Complain(kOwnFault, "cannot write to standard output");
  return kPublished;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Publishes one table to Qasino, from a CSV or JSON file or from standard input; or "
      "drops one that is kept.",
      "qasino-publish");
  app.set_version_flag("--version", std::string("qasino-publish ") + client::kVersion);
  app.footer(kExamples);
  Flags flags;
  CLI::Option* file =
      app.add_option("-f,--file", flags.file, "The table; - or none: standard input");
  CLI::Option* format =
      app.add_option("-d,--data-format", flags.format,
                     "csv or json; else by the file's ending, csv when it has no known one")
          ->check(CLI::IsMember({"csv", "json"}));
  app.add_option("-I,--identity", flags.identity,
                 "Who publishes; else as the CSV file says, else this host's name");
  CLI::Option* persist =
      app.add_flag("-P,--persist", flags.persist, "Carry the table into every later generation");
  CLI::Option* is_static =
      app.add_flag("-S,--static", flags.is_static,
                   "Replace the static table of that name, which outlives every restart");
  CLI::Option* update =
      app.add_flag("--update", flags.update, "Replace rows by --keycols instead of adding rows");
  CLI::Option* keycols =
      app.add_option("--keycols", flags.keycols,
                     "The columns by which --update finds rows, such as 'host;mount'; else all");
  CLI::Option* drop_static =
      app.add_option("--drop-static", flags.drop_static, "Drop the static table of this name")
          ->group("Dropping");
  CLI::Option* drop_persistent =
      app.add_option("--drop-persistent", flags.drop_persistent,
                     "Carry the table of this name for --identity no longer")
          ->group("Dropping");
  app.add_option("--store", flags.store,
                 "Where qasino-store runs: host:port of its gRPC port; else port 15603 of --host")
      ->envname("QASINO_PUBLISH_STORE")
      ->group("Dropping");
  client::ConnectFlags connect_flags(&app, kDefaultPort, absl::Seconds(30), "QASINO_PUBLISH",
                                     "qasino-ingest");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kPublished : kOwnFault;
  }
  absl::StatusOr<client::ConnectOptions> connect = connect_flags.options();
  if (!connect.ok()) return Complain(kOwnFault, connect.status());
  const bool drops = drop_static->count() + drop_persistent->count() > 0;
  if (!drops) return Publish(flags, *connect);
  if (drop_static->count() > 0 && drop_persistent->count() > 0) {
    return Complain(kOwnFault, "one table is dropped at a time: static or persistent");
  }
  for (const CLI::Option* option : {file, format, persist, is_static, update, keycols}) {
    if (option->count() > 0) {
      return Complain(kOwnFault, option->get_name() + " is for publishing, not for dropping");
    }
  }
  if (flags.store.empty()) {
    // The target has a port.
    flags.store = absl::StrCat(connect->target.substr(0, connect->target.rfind(':')), ":15603");
  }
  connect->target = flags.store;
  return Drop(flags, *connect);
}

}  // namespace
}  // namespace qasino::publish

int main(int argc, char** argv) { return qasino::publish::Main(argc, argv); }
